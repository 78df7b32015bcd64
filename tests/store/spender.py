"""A process that spends: python -m tests.store.spender HOME METER TASKS. Its calls stay open until their word comes.

METER is what the provider counts: a line is appended when a call is sent, before its settlement is known.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from pathlib import Path

from understudy.errors import BudgetRefused
from understudy.store.store import Store
from understudy.types import Amount

LEASE = 3600.0
SCOPES = ("conversation:c", "day:today", "role:director")


class SystemClock:
    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def spend(store: Store, meter: int, rng: random.Random) -> None:
    for _ in range(6):
        try:
            hold = await store.ledger.reserve(SCOPES, Amount(rng.randrange(10, 60), 1), lease=LEASE)
        except BudgetRefused:
            continue
        actual = rng.randrange(hold.amount.tokens + 1)
        os.write(meter, f"{actual}\n".encode())
        await asyncio.sleep(rng.random() / 100)  # the answer is on its way: this is where a kill hurts
        if rng.random() < 0.1:
            await asyncio.sleep(30)  # an answer that never comes; the killed ones die here
        await store.ledger.settle(hold, Amount(actual, 1))


async def main(home: Path, meter_path: Path, tasks: int, seed: int) -> None:
    meter = os.open(meter_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    async with await Store.open(home, SystemClock()) as store:
        rng = random.Random(seed)
        running = [asyncio.ensure_future(spend(store, meter, rng)) for _ in range(tasks)]
        sys.stdout.write("begun\n")
        sys.stdout.flush()
        await asyncio.wait(running, timeout=1.0)
        for task in running:
            task.cancel()
        for result in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(result, Exception):
                raise result


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])))
