"""One process of a campaign: python -m tests.e2e.quota_worker CONFIG CALLS. Prints the outcomes of its attempts."""

from __future__ import annotations

import asyncio
import json
import sys

from understudy import Director, Task
from understudy.errors import UnderstudyError


async def main(config: str, calls: int) -> None:
    outcomes: list[str] = []
    async with Director.from_config(config) as director:

        async def one(number: int) -> None:
            task = Task(
                f"Name fruit {number}.", intent="quick_qa", priority="batch", deadline=60, max_tokens=64, plan=False
            )
            try:
                attempts = (await director.run(task)).attempts
            except UnderstudyError as error:
                attempts = error.attempts
                outcomes.append("failed")
            outcomes.extend(attempt.outcome for attempt in attempts)

        print("ready", flush=True)  # noqa: T201
        await asyncio.gather(*(one(number) for number in range(calls)))
    print(json.dumps(outcomes))  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
