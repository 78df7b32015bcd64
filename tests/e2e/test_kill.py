"""I1 and I6 on whole tasks: several processes on one conversation's budget, some of them killed with kill -9."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.house import House, open_house, script
from tests.fakes import FakeClock
from understudy import Director
from understudy.config.load import load
from understudy.director.budget import conversation_scope
from understudy.rehearsal.script import Fault

LIMIT = 1500
TOP = f'[director]\ncandidate = "anthropic/opus"\ntokens_per_conversation = {LIMIT}\n[classifier]\nenabled = false\n'
WORKER = """
import asyncio, sys
from pathlib import Path
from understudy import Director, Task
from understudy.config.load import load
from understudy.errors import UnderstudyError

async def one(director, n):
    try:
        await director.run(Task(f"Prove theorem {n}.", intent="reasoning", quality="best", session="shared"))
    except UnderstudyError:
        pass

async def main():
    settings, _ = load(sys.argv[1])
    async with Director(settings, Path(sys.argv[2])) as director:
        print("open", flush=True)
        await asyncio.gather(*(one(director, n) for n in range(10)))

asyncio.run(main())
"""


def spawn(house: House) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(house.config), str(house.home)], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_killed_processes_never_overspend(tmp_path: Path) -> None:
    scripts = {
        "groq": script("groq", faults={"": [Fault(kind="empty", matching="ANSWER:")]}),  # the director has to judge
        "anthropic": script("anthropic", faults={"": [Fault(kind="stall", seconds=6, after=3, times=2)]}),
    }
    with open_house(tmp_path, scripts, top=TOP) as house:
        processes = [spawn(house) for _ in range(3)]
        try:
            for process in processes:
                assert process.stdout is not None
                assert process.stdout.readline() == "open\n"
            until = time.monotonic() + 60
            while house.received("anthropic") < 2 and time.monotonic() < until:
                time.sleep(0.05)  # noqa: ASYNC251  real processes are being watched
            os.kill(processes[0].pid, signal.SIGKILL)
            for process in processes[1:]:
                process.wait(timeout=100)
        finally:
            for process in processes:
                process.kill()
                process.wait()
                assert process.stdout is not None
                process.stdout.close()
        assert house.received("anthropic") >= 2
        settings, _ = load(house.config)
        async with Director(settings, house.home, clock=FakeClock(time.time() + 3600)) as director:
            after = await director.parts.store.ledger.balance(conversation_scope("shared"))
    assert after.reserved.tokens == 0, "the leases of the dead are over"
    assert 0 < after.spent.tokens <= LIMIT
