"""One process of a caller: python -m tests.e2e.caller_worker CONFIG HOME LIMIT TASKS. Begins when it is told to.

Prints how many of its tasks were served.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from understudy import Director, Task
from understudy.config.load import load
from understudy.errors import UnderstudyError
from understudy.types import Caller


async def serve(director: Director, caller: Caller, tasks: int) -> int:
    """How many of so many tasks at once were answered."""

    async def one(number: int) -> bool:
        task = Task(f"Name a fruit, {number:06}.", intent="quick_qa", plan=False, caller=caller, patience=20)
        try:
            await director.run(task)
        except UnderstudyError:
            return False
        return True

    return sum(await asyncio.gather(*map(one, range(tasks))))


async def main(config: str, home: str, limit: int, tasks: int) -> None:
    settings, _ = load(Path(config))
    async with Director(settings, Path(home)) as director:
        print("ready", flush=True)  # noqa: T201
        sys.stdin.readline()
        print(await serve(director, Caller("bot", tokens_per_day=limit), tasks))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])))
