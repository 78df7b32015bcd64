from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.store.clock import HandClock
from understudy.errors import UsageError
from understudy.store.store import Store
from understudy.types import Failure


async def test_the_longer_rest_wins_whichever_came_first(store: Store) -> None:
    await store.rests.rest("groq/a/m", 100.0, Failure.DAY_QUOTA)
    await store.rests.rest("groq/a/m", 50.0, Failure.OVERLOAD)
    assert await store.rests.resting(0.0) == {"groq/a/m": (100.0, Failure.DAY_QUOTA)}
    await store.rests.rest("groq/a/m", 150.0, Failure.AUTH)
    assert await store.rests.resting(0.0) == {"groq/a/m": (150.0, Failure.AUTH)}


async def test_a_rest_ends_by_time_or_by_hand(store: Store) -> None:
    await store.rests.rest("a", 100.0, Failure.MINUTE_QUOTA)
    await store.rests.rest("b", math.inf, Failure.AUTH)
    assert set(await store.rests.resting(99.9)) == {"a", "b"}
    assert set(await store.rests.resting(100.0)) == {"b"}
    assert await store.rests.wake("b")
    assert not await store.rests.wake("b")
    assert await store.rests.resting(100.0) == {}


async def test_rests_are_shared_and_survive_a_restart(home: Path, clock: HandClock) -> None:
    async with await Store.open(home, clock) as one, await Store.open(home, clock) as other:
        await one.rests.rest("a", 100.0, Failure.OVERLOAD)
        assert set(await other.rests.resting(0.0)) == {"a"}
    async with await Store.open(home, clock) as again:
        assert await again.rests.resting(0.0) == {"a": (100.0, Failure.OVERLOAD)}


async def test_a_rest_has_a_domain_and_a_time(store: Store) -> None:
    for domain, until in (("", 1.0), ("a", math.nan), ("a", True)):
        with pytest.raises(UsageError):
            await store.rests.rest(domain, until, Failure.AUTH)
