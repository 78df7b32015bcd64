"""What is kept of keys, by the same tests in the store and in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.store.clock import HandClock
from understudy.store.keys import Keys
from understudy.store.memory_keys import MemoryKeys
from understudy.store.store import Store

CANARY = "gsk_canary_of_the_store_4242"


@pytest.fixture(params=["store", "memory"])
async def keys(request: pytest.FixtureRequest, home: Path, clock: HandClock) -> AsyncIterator[Keys | MemoryKeys]:
    if request.param == "memory":
        yield MemoryKeys()
        return
    async with await Store.open(home, clock) as store:
        yield store.keys


def test_a_fingerprint_tells_keys_and_places_apart(keys: Keys | MemoryKeys) -> None:
    name = keys.fingerprint("groq", CANARY)
    assert name == keys.fingerprint("groq", CANARY)
    assert len({name, keys.fingerprint("groq", "other"), keys.fingerprint("gemini", CANARY)}) == 3
    assert len(name) == 16
    assert "canary" not in name


async def test_the_first_time_stays(keys: Keys | MemoryKeys) -> None:
    await keys.meet(["a", "b"], 1000.0)
    await keys.meet(["a"], 1000.0 + 40 * 86400)
    assert keys.met(["a", "c"]) == {"a": 1000.0}
    assert keys.met([]) == {}


async def test_refusals_end_and_are_forgiven(keys: Keys | MemoryKeys) -> None:
    await keys.refuse("a", "", since=10.0, until=100.0)
    await keys.refuse("a", "m", since=10.0, until=100.0)
    await keys.refuse("b", "m", since=10.0, until=100.0)
    await keys.refuse("b", "m", since=20.0, until=50.0)  # a shorter one shortens nothing
    assert keys.refused(["a", "b"], 60.0) == {("a", ""): (10, 100), ("a", "m"): (10, 100), ("b", "m"): (20, 100)}
    assert keys.refused(["a"], 100.0) == {}
    await keys.forgive("a", "n")
    assert set(keys.refused(["a"], 60.0)) == {("a", "m")}
    await keys.forgive("a", "m")
    assert keys.refused(["a"], 60.0) == {}


async def test_restarts_and_other_stores(home: Path, tmp_path: Path, clock: HandClock) -> None:
    async with await Store.open(home, clock) as store:
        name = store.keys.fingerprint("groq", CANARY)
        await store.keys.meet([name], 1000.0)
        await store.keys.refuse(name, "", since=1000.0, until=2000.0)
        async with await Store.open(home, clock) as second:  # as another process would
            assert set(second.keys.refused([name], 1500.0)) == {(name, "")}
    async with await Store.open(home, clock) as store:
        assert store.keys.fingerprint("groq", CANARY) == name
        assert store.keys.met([name]) == {name: 1000.0}
    async with await Store.open(tmp_path / "other", clock) as store:
        assert store.keys.fingerprint("groq", CANARY) != name
    for file in list(home.rglob("*")):  # noqa: ASYNC240
        assert not file.is_file() or CANARY.encode() not in file.read_bytes()


async def test_what_nobody_uses_is_forgotten(home: Path, clock: HandClock) -> None:
    async with await Store.open(home, clock) as store:
        await store.keys.meet(["old"], 1000.0)
        await store.keys.refuse("old", "", since=1000.0, until=2000.0)
        await store.keys.meet(["new"], 1000.0 + 200 * 86400)
        assert store.keys.met(["old", "new"]) == {"new": 1000.0 + 200 * 86400}
        assert await store.database.read(lambda db: db.execute("SELECT count(*) FROM refusals").fetchone()[0]) == 0
