"""The guard at the send seam: what is charged when a server lies."""

from __future__ import annotations

import pytest

from tests.fakes import FakeClock
from understudy.errors import BudgetRefused, PrivacyRefused
from understudy.fleet.guards import SendGuard
from understudy.store.memory_ledger import MemoryLedger
from understudy.types import Candidate, Sensitivity, Usage

CLOUD = Candidate("anthropic", "anthropic", "a", "opus")


async def opened(limit: int = 1000) -> tuple[MemoryLedger, SendGuard]:
    ledger = MemoryLedger(FakeClock())
    await ledger.allow("s", tokens=limit, micro_usd=None)
    return ledger, SendGuard(CLOUD, Sensitivity.PUBLIC, ledger, ("s",))


@pytest.mark.parametrize(
    ("usage", "charged"),
    [
        (Usage(120, 30), 150),
        (None, 300),
        (Usage(0, 0, measured=False), 300),
        (Usage(-5, 10), 300),
        (Usage(10, -500), 300),
        (Usage(10**30, 1), 300),
        (Usage(900, 500), 1400),  # more than was reserved: the truth is recorded, and nothing follows
    ],
)
async def test_what_is_charged(usage: Usage | None, charged: int) -> None:
    ledger, guard = await opened()
    await guard.after(await guard.before(200, 100), usage)
    balance = await ledger.balance("s")
    assert (balance.spent.tokens, balance.reserved.tokens) == (charged, 0)
    if charged > 1000:
        with pytest.raises(BudgetRefused):
            await guard.before(1, 1)


async def test_privacy_is_asked_before_the_budget() -> None:
    ledger, _ = await opened()
    with pytest.raises(PrivacyRefused):
        await SendGuard(CLOUD, Sensitivity.PRIVATE, ledger, ("s",)).before(1, 1)
    assert (await ledger.balance("s")).reserved.tokens == 0
