"""One process that runs jobs: python -m tests.e2e.job_worker CONFIG HOME LEASE. Until its input is closed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from understudy import Director
from understudy.clock import WallClock
from understudy.config.load import load
from understudy.gateway.jobs import Jobs


async def main(config: str, home: str, lease: float) -> None:
    settings, _ = load(Path(config))
    async with (
        Director(settings, Path(home)) as director,
        Jobs(director, WallClock(), at_once=4, lease=lease, drain=0.1),
    ):
        print("ready", flush=True)  # noqa: T201
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
