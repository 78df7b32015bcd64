"""Map-reduce over a long document: cut it, ask each piece, join the answers.

python examples/map_reduce.py FILE "What does it say about budgets?"
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from understudy import Director, Pipeline, step

PIECE = 6_000  # characters


@step(ask=False)
def pieces(document: str) -> list[str]:
    return [document[at : at + PIECE] for at in range(0, len(document), PIECE)]


@step(map="piece in pieces", intent="summarization", retries=2)
def found(piece: str, question: str) -> str:
    return f"{question}\nAnswer from this text alone, in two sentences at the most:\n\n{piece}"


@step(intent="summarization")
def answer(found: list[str], question: str) -> str:
    joined = "\n".join(f"- {one}" for one in found)
    return f"{question}\nMake one answer of these:\n{joined}"


PIPELINE = Pipeline("map-reduce", pieces, found, answer)


async def main(document: str, question: str, *, rehearsal: bool = False) -> Any:
    async with Director.from_config(rehearsal=rehearsal) as director:
        return await PIPELINE.run({"document": document, "question": question}, director=director)


if __name__ == "__main__":
    print(asyncio.run(main(Path(sys.argv[1]).read_text(encoding="utf-8"), sys.argv[2])))  # noqa: T201
