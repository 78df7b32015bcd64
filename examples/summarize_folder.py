"""Summarize every text of a folder: one call each, as a campaign that survives the night.

python examples/summarize_folder.py FOLDER > items.jsonl
understudy campaign run examples/summarize_folder.toml
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

LONGEST = 20_000  # characters of a text


def rows(folder: Path) -> Iterator[str]:
    """A line for each text file below the folder."""
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".md", ".txt", ".rst") and path.is_file():
            text = path.read_text(encoding="utf-8", errors="replace")[:LONGEST]
            yield json.dumps({"path": str(path.relative_to(folder)), "text": text})


if __name__ == "__main__":
    for row in rows(Path(sys.argv[1])):
        print(row)  # noqa: T201
