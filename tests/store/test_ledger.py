"""What both ledgers promise, said to both."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.store.clock import HandClock
from understudy.errors import BudgetRefused, UsageError
from understudy.store.ledger import CLOSED_KEPT, EXPIRED_KEPT, SqliteLedger
from understudy.store.ledger_rules import LARGEST
from understudy.store.memory_ledger import MemoryLedger
from understudy.store.store import Store
from understudy.types import Amount, Balance, Hold

Ledger = SqliteLedger | MemoryLedger


@pytest.fixture(params=["sqlite", "memory"])
async def ledger(request: pytest.FixtureRequest, home: Path, clock: HandClock) -> AsyncIterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger(clock)
        return
    async with await Store.open(home, clock) as store:
        yield store.ledger


async def declared(ledger: Ledger, **limits: int | None) -> None:
    for scope, tokens in limits.items():
        await ledger.allow(scope, tokens=tokens, micro_usd=None)


async def figures(ledger: Ledger, scope: str) -> tuple[int, int]:
    balance = await ledger.balance(scope)
    return balance.spent.tokens, balance.reserved.tokens


async def test_reserve_then_settle_gives_the_rest_back(ledger: Ledger) -> None:
    await declared(ledger, day=100)
    hold = await ledger.reserve(("day",), Amount(60, 7), lease=10)
    assert await ledger.balance("day") == Balance("day", 100, None, Amount(), Amount(60, 7))
    await ledger.settle(hold, Amount(25, 3))
    assert await ledger.balance("day") == Balance("day", 100, None, Amount(25, 3), Amount())


async def test_the_limit_is_reached_exactly_and_not_passed(ledger: Ledger) -> None:
    await declared(ledger, day=100)
    await ledger.reserve(("day",), Amount(60), lease=10)
    await ledger.reserve(("day",), Amount(40), lease=10)
    with pytest.raises(BudgetRefused) as refused:
        await ledger.reserve(("day",), Amount(1), lease=10)
    said = refused.value
    assert (said.unit, said.scope, said.limit, said.spent, said.reserved, said.asked) == (
        "tokens",
        "day",
        100,
        0,
        100,
        1,
    )


async def test_money_is_limited_by_itself(ledger: Ledger) -> None:
    await ledger.allow("day", tokens=None, micro_usd=10)
    with pytest.raises(BudgetRefused) as refused:
        await ledger.reserve(("day",), Amount(5, 11), lease=10)
    assert refused.value.unit == "micro-dollars"
    await ledger.reserve(("day",), Amount(10**9, 10), lease=10)


async def test_all_scopes_or_none(ledger: Ledger) -> None:
    await declared(ledger, conversation=1000, day=50, role=1000)
    with pytest.raises(BudgetRefused) as refused:
        await ledger.reserve(("conversation", "day", "role"), Amount(51), lease=10)
    assert refused.value.scope == "day"
    assert [await figures(ledger, s) for s in ("conversation", "day", "role")] == [(0, 0)] * 3
    await ledger.reserve(("conversation", "day", "role"), Amount(50), lease=10)
    assert [await figures(ledger, s) for s in ("conversation", "day", "role")] == [(0, 50)] * 3


async def test_a_scope_named_twice_counts_once(ledger: Ledger) -> None:
    await declared(ledger, day=100)
    hold = await ledger.reserve(("day", "day"), Amount(60), lease=10)
    assert await figures(ledger, "day") == (0, 60)
    await ledger.settle(hold, Amount(60))
    assert await figures(ledger, "day") == (60, 0)


async def test_an_undeclared_scope_is_refused(ledger: Ledger) -> None:
    await declared(ledger, day=None)
    for amount in (Amount(1), Amount(0, 1), Amount()):
        with pytest.raises(BudgetRefused) as refused:
            await ledger.reserve(("day", "nowhere"), amount, lease=10)
        assert refused.value.scope == "nowhere"
        assert refused.value.limit == 0
        assert "declare" in str(refused.value).lower()
    assert await figures(ledger, "day") == (0, 0)
    assert await ledger.balance("nowhere") == Balance("nowhere", 0, 0, Amount(), Amount())


async def test_the_first_settle_or_release_counts(ledger: Ledger) -> None:
    await declared(ledger, day=100)
    one = await ledger.reserve(("day",), Amount(30), lease=10)
    await ledger.settle(one, Amount(20))
    await ledger.settle(one, Amount(29))
    await ledger.release(one)
    assert await figures(ledger, "day") == (20, 0)
    other = await ledger.reserve(("day",), Amount(30), lease=10)
    await ledger.release(other)
    await ledger.release(other)
    await ledger.settle(other, Amount(30))
    assert await figures(ledger, "day") == (20, 0)


async def test_after_its_lease_a_reservation_is_charged_in_full(ledger: Ledger, clock: HandClock) -> None:
    await declared(ledger, day=100)
    await ledger.reserve(("day",), Amount(60), lease=10)
    clock.time += 9.99
    assert await figures(ledger, "day") == (0, 60)
    clock.time += 0.01
    assert await figures(ledger, "day") == (60, 0)
    with pytest.raises(BudgetRefused) as refused:
        await ledger.reserve(("day",), Amount(41), lease=10)
    assert (refused.value.spent, refused.value.reserved) == (60, 0)


@pytest.mark.parametrize("swept", [False, True])
@pytest.mark.parametrize(("actual", "left"), [(15, 15), (0, 0), (75, 75)])
async def test_a_late_settle_corrects_once(
    ledger: Ledger, clock: HandClock, actual: int, left: int, swept: bool
) -> None:
    await declared(ledger, day=100)
    hold = await ledger.reserve(("day",), Amount(60), lease=10)
    clock.time += 11
    if swept:
        assert await ledger.sweep() == 1
        assert await ledger.sweep() == 0
    await ledger.settle(hold, Amount(actual))
    await ledger.settle(hold, Amount(1))
    await ledger.release(hold)
    assert await figures(ledger, "day") == (left, 0)


async def test_a_late_release_gives_the_charge_back_once(ledger: Ledger, clock: HandClock) -> None:
    await declared(ledger, day=100)
    hold = await ledger.reserve(("day",), Amount(60), lease=10)
    clock.time += 11
    await ledger.sweep()
    await ledger.release(hold)
    await ledger.release(hold)
    assert await figures(ledger, "day") == (0, 0)


async def test_more_than_reserved_is_recorded_shown_and_refuses_everything_after(ledger: Ledger) -> None:
    await declared(ledger, day=100)
    hold = await ledger.reserve(("day",), Amount(60), lease=10)
    await ledger.settle(hold, Amount(130))
    assert await figures(ledger, "day") == (130, 0)
    for asked in (Amount(1), Amount(0, 5), Amount()):
        with pytest.raises(BudgetRefused):
            await ledger.reserve(("day",), asked, lease=10)


async def test_declaring_again_changes_the_limit_only(ledger: Ledger) -> None:
    await declared(ledger, day=100)
    await ledger.settle(await ledger.reserve(("day",), Amount(60), lease=10), Amount(60))
    await ledger.reserve(("day",), Amount(20), lease=10)
    await declared(ledger, day=50)
    assert await ledger.balance("day") == Balance("day", 50, None, Amount(60), Amount(20))
    with pytest.raises(BudgetRefused):
        await ledger.reserve(("day",), Amount(1), lease=10)
    await declared(ledger, day=81)
    await ledger.reserve(("day",), Amount(1), lease=10)
    await declared(ledger, day=None)
    await ledger.reserve(("day",), Amount(10**9), lease=10)


@pytest.mark.parametrize("bad", [-1, True, False, 1.0, "1", None, LARGEST + 1, 2**63, 2**64, math.inf])
async def test_amounts_are_whole_numbers(ledger: Ledger, bad: object) -> None:
    await declared(ledger, day=None)
    hold = await ledger.reserve(("day",), Amount(5), lease=10)
    for amount in (Amount(bad, 0), Amount(0, bad)):  # pyright: ignore[reportArgumentType]
        with pytest.raises(UsageError):
            await ledger.reserve(("day",), amount, lease=10)
        with pytest.raises(UsageError):
            await ledger.settle(hold, amount)
    assert await figures(ledger, "day") == (0, 5)


@pytest.mark.parametrize("bad", [-1, True, 1.5, "1", 2**62 + 1, math.nan])
async def test_limits_are_whole_numbers(ledger: Ledger, bad: object) -> None:
    with pytest.raises(UsageError):
        await ledger.allow("day", tokens=bad, micro_usd=None)  # pyright: ignore[reportArgumentType]
    with pytest.raises(UsageError):
        await ledger.allow("day", tokens=None, micro_usd=bad)  # pyright: ignore[reportArgumentType]
    assert await ledger.balances() == ()


@pytest.mark.parametrize("bad", [(), "day", ("",), ("day", "a\nb"), ("x" * 201,), (None,)])
async def test_scopes_are_names_and_at_least_one(ledger: Ledger, bad: object) -> None:
    await declared(ledger, day=None, d=None, a=None, y=None)
    with pytest.raises(UsageError):
        await ledger.reserve(bad, Amount(1), lease=10)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("bad", [0, -1, math.inf, math.nan, True, "1"])
async def test_a_lease_ends(ledger: Ledger, bad: object) -> None:
    await declared(ledger, day=None)
    with pytest.raises(UsageError):
        await ledger.reserve(("day",), Amount(1), lease=bad)  # pyright: ignore[reportArgumentType]


async def test_a_hold_nobody_made_is_no_reservation(ledger: Ledger) -> None:
    await declared(ledger, day=100)
    forged = Hold("feed", Amount(50), ("day",))
    with pytest.raises(UsageError):
        await ledger.settle(forged, Amount(1))
    with pytest.raises(UsageError):
        await ledger.release(forged)
    assert await figures(ledger, "day") == (0, 0)


async def test_closing_uses_the_reservation_as_it_was_made(ledger: Ledger) -> None:
    await declared(ledger, day=100, other=100)
    hold = await ledger.reserve(("day",), Amount(50), lease=10)
    await ledger.settle(Hold(hold.id, Amount(1), ("other",)), Amount(20))
    assert await figures(ledger, "day") == (20, 0)
    assert await figures(ledger, "other") == (0, 0)


async def test_balances_by_prefix(ledger: Ledger) -> None:
    for scope in ("day:2", "day:1", "day%", "conversation:1"):
        await ledger.allow(scope, tokens=1, micro_usd=None)
    assert [b.scope for b in await ledger.balances("day:")] == ["day:1", "day:2"]
    assert [b.scope for b in await ledger.balances("day%")] == ["day%"]
    assert len(await ledger.balances()) == 4


async def test_what_is_long_closed_is_forgotten_and_what_is_spent_is_not(store: Store, clock: HandClock) -> None:
    await declared(store.ledger, day=100)
    await store.ledger.settle(await store.ledger.reserve(("day",), Amount(5), lease=10), Amount(5))
    lost = await store.ledger.reserve(("day",), Amount(7), lease=10)
    clock.time += CLOSED_KEPT + 11
    await store.ledger.sweep()
    clock.time += CLOSED_KEPT + 11
    await store.ledger.sweep()
    count = lambda db: db.execute("SELECT count(*) FROM holds").fetchone()[0]  # noqa: E731
    assert await store.database.read(count) == 1
    await store.ledger.settle(lost, Amount(1))  # weeks late, corrected all the same
    assert await figures(store.ledger, "day") == (6, 0)
    clock.time += EXPIRED_KEPT
    await store.ledger.sweep()
    assert await store.database.read(count) == 0
    assert await figures(store.ledger, "day") == (6, 0)


async def test_the_ledger_survives_a_restart(home: Path, clock: HandClock) -> None:
    async with await Store.open(home, clock) as store:
        await declared(store.ledger, day=100)
        hold = await store.ledger.reserve(("day",), Amount(60), lease=10)
    async with await Store.open(home, clock) as store:
        assert await figures(store.ledger, "day") == (0, 60)
        await store.ledger.settle(hold, Amount(10))
        assert await figures(store.ledger, "day") == (10, 0)


async def test_a_clock_set_back_does_not_keep_a_dead_lease_alive(home: Path, clock: HandClock) -> None:
    async with await Store.open(home, clock) as store:
        await store.ledger.allow("day", tokens=100, micro_usd=None)
        await store.ledger.reserve(("day",), Amount(60), lease=900.0)
    clock.time -= 24 * 3600
    async with await Store.open(home, clock) as store:
        assert (await store.ledger.balance("day")).reserved == Amount(60)
        clock.time += 1801
        assert (await store.ledger.balance("day")).spent == Amount(60)
