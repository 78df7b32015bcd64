"""Keys of callers in the store: only a hash at rest, a name once, a rate shared by processes."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.store.clock import HandClock
from understudy.errors import StoreError, UsageError
from understudy.store.callers import FORM, hash_of
from understudy.store.store import Store
from understudy.types import Caller

CHAT = Caller("bot", scopes=frozenset({"chat", "jobs"}), policy="v1", private=True, tokens_per_day=500)


@pytest.fixture
async def store(home: Path, clock: HandClock) -> AsyncIterator[Store]:
    async with await Store.open(home, clock) as opened:
        yield opened


async def test_what_was_added_is_found_without_its_secret(store: Store, home: Path) -> None:
    key, secret = await store.callers.add(CHAT)
    found = store.callers.find(key.caller.id)
    assert found == key
    assert found.caller == replace(CHAT, id=key.caller.id)
    assert await store.callers.all() == (key,)
    shape = FORM.fullmatch(secret.reveal())
    assert shape
    assert shape[1] == key.caller.id
    assert hash_of(key.salt, shape[2]) == key.hash
    assert shape[2] not in repr((key, secret))
    await store.close()
    files = b"".join(p.read_bytes() for p in (home / "store").iterdir() if p.is_file())
    assert key.hash in files, "or this test reads the wrong files"
    assert shape[2].encode() not in files
    assert bytes.fromhex(shape[2]) not in files


async def test_two_keys_share_neither_salt_nor_secret(store: Store) -> None:
    one, first = await store.callers.add(CHAT)
    two, second = await store.callers.add(replace(CHAT, name="other"))
    assert one.salt != two.salt
    assert first.reveal()[16:] != second.reveal()[16:]


async def test_a_name_is_there_once_until_it_is_revoked(store: Store, clock: HandClock) -> None:
    old, _ = await store.callers.add(CHAT)
    with pytest.raises(UsageError, match="key bot already"):
        await store.callers.add(CHAT)
    assert await store.callers.revoke("bot") == old.caller.id
    with pytest.raises(UsageError, match="no key bot"):
        await store.callers.revoke("bot")
    new, _ = await store.callers.add(CHAT)
    assert new.caller.id != old.caller.id
    assert [k.revoked_at for k in await store.callers.all()].count(None) == 1
    found = store.callers.find(old.caller.id)
    assert found
    assert found.revoked_at == clock.now()


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a:b"},
        {"name": "a b"},
        {"name": "-x"},
        {"name": "x" * 65},
        {"scopes": frozenset({"root"})},
        {"scopes": frozenset()},
        {"tokens_per_day": -1},
        {"requests_per_minute": 0},
        {"tokens_per_day": 2**70},
    ],
)
async def test_what_makes_no_key_is_refused(store: Store, wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        await store.callers.add(replace(CHAT, **wrong))
    assert await store.callers.all() == ()


async def test_a_key_in_place_of_a_name_is_not_repeated(store: Store) -> None:
    _, secret = await store.callers.add(CHAT)
    for name in (secret.reveal(), "gsk_" + "canary4242424242"):
        with pytest.raises(UsageError) as caught:
            await store.callers.revoke(name)
        assert name not in str(caught.value)


async def test_its_last_use_only_moves_on(store: Store) -> None:
    key, _ = await store.callers.add(CHAT)
    for now, last in ((50.0, 50.0), (90.0, 90.0), (60.0, 90.0)):
        await store.callers.touch(key.caller.id, now)
        found = store.callers.find(key.caller.id)
        assert found
        assert found.last_used == last


async def test_the_rate_of_a_minute_holds_for_every_store_of_the_home(home: Path, clock: HandClock) -> None:
    async with await Store.open(home, clock) as one, await Store.open(home, clock) as two:
        waits = await asyncio.gather(*((one, two)[n % 2].callers.take("bot", 7) for n in range(30)))
        assert waits.count(0.0) == 7
        assert await one.callers.take("other", 7) == 0.0
        clock.time += 61
        assert await two.callers.take("bot", 7) == 0.0


@pytest.mark.parametrize("column", ["hash", "scopes", "private", "created"])
async def test_a_damaged_key_opens_nothing_and_can_be_revoked(home: Path, store: Store, column: str) -> None:
    key, _ = await store.callers.add(CHAT)
    well, _ = await store.callers.add(replace(CHAT, name="well"))
    with sqlite3.connect(home / "store" / "understudy.db") as db:
        db.execute(f"UPDATE callers SET {column} = 'x' WHERE name = 'bot'")  # noqa: S608 - names of columns
    db.close()
    with pytest.raises(StoreError):
        store.callers.find(key.caller.id)
    assert await store.callers.all() == (well,)
    with pytest.raises(StoreError):
        await store.check()
    assert await store.callers.revoke("bot") == key.caller.id


async def test_a_damaged_rate_allows_nothing(home: Path, store: Store) -> None:
    await store.callers.take("bot", 5)
    with sqlite3.connect(home / "store" / "understudy.db") as db:
        db.execute("UPDATE caller_rates SET slots = ?", (json.dumps([["x", "y"]]),))
    db.close()
    with pytest.raises(StoreError):
        await store.callers.take("bot", 5)
