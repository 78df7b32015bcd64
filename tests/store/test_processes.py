"""Real processes and real kills. The provider's own meter tells whether the budget held."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.store.clock import HandClock
from tests.store.spender import LEASE, SCOPES
from understudy.errors import BudgetRefused
from understudy.store.store import Store
from understudy.store.turnstile import Turnstile
from understudy.types import Amount

LIMIT = 2000


def metered(meter: Path) -> int:
    # A line cut off by a kill cannot be: it is one write.
    return sum(int(line) for line in meter.read_text().splitlines()) if meter.exists() else 0


def wait_until(true: object, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


def test_the_budget_holds_through_kill_9(home: Path, tmp_path: Path) -> None:
    import asyncio

    clock, meter = HandClock(time.time()), tmp_path / "meter"

    async def declare() -> None:
        async with await Store.open(home, clock) as store:
            for scope, tokens in zip(SCOPES, (LIMIT, LIMIT + 500, None), strict=True):
                await store.ledger.allow(scope, tokens=tokens, micro_usd=None)

    asyncio.run(declare())
    spenders = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.store.spender", str(home), str(meter), "50", str(seed)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in range(4)
    ]
    try:
        for spender in spenders:
            assert spender.stdout
            assert spender.stdout.readline() == "begun\n", spender.stderr.read() if spender.stderr else ""
        wait_until(lambda: metered(meter) > LIMIT // 4)
        for spender in spenders[:2]:
            spender.kill()
        for spender in spenders[2:]:
            assert spender.wait(30) == 0, spender.stderr.read() if spender.stderr else ""
    finally:
        for spender in spenders:
            spender.kill()
            spender.communicate()

    async def reckon() -> None:
        async with await Store.open(home, clock) as store:
            before = await store.ledger.balance(SCOPES[0])
            assert before.spent.tokens + before.reserved.tokens <= LIMIT
            assert before.reserved.tokens > 0, "nobody was killed with a call in flight: this test shows nothing"
            clock.time += LEASE + 60
            balances = [await store.ledger.balance(scope) for scope in SCOPES]
            assert {b.reserved for b in balances} == {Amount()}
            assert len({b.spent for b in balances}) == 1, "all scopes or none"
            assert metered(meter) <= balances[0].spent.tokens <= LIMIT
            with pytest.raises(BudgetRefused):
                await store.ledger.reserve(SCOPES, Amount(LIMIT - balances[0].spent.tokens + 1), lease=1)
            assert "sound" in await store.check()

    asyncio.run(reckon())


HOLDING = """
import pathlib, sys, time
from understudy.store.turnstile import Turnstile
with Turnstile(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDING, str(tmp_path / "x")], stdout=subprocess.PIPE, text=True)
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    holder.kill()
    holder.communicate()
    with Turnstile(tmp_path / "x"):
        pass
