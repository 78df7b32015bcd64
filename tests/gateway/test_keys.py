"""Whose request it is: every wrong key is refused, revocation takes effect in time, and no request asks SQLite."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from understudy.errors import Forbidden, RateRefused, StoreError, Unauthorized
from understudy.gateway import keys as module
from understudy.gateway.keys import AGE, MOST, Keys
from understudy.store.callers import Callers
from understudy.store.store import Store
from understudy.types import Caller

BOT = Caller("bot", scopes=frozenset({"chat"}))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncIterator[Store]:
    async with await Store.open(tmp_path, clock) as opened:
        yield opened


async def added(store: Store, caller: Caller = BOT) -> str:
    return (await store.callers.add(caller))[1].reveal()


@pytest.mark.parametrize("form", ["Bearer {}", "bearer {}", "  BEARER   {} ", "{}"])
async def test_a_key_says_whose_it_is(store: Store, clock: FakeClock, form: str) -> None:
    secret = await added(store)
    caller = await Keys(store.callers, clock).who(form.format(secret), "chat")
    assert caller == replace(BOT, id=secret.split("-")[1])


async def test_wrong_keys_are_refused_and_never_repeated(store: Store, clock: FakeClock) -> None:
    secret = await added(store)
    _, name, tail = secret.split("-")
    keys = Keys(store.callers, clock)
    other = "0" if tail[-1] != "0" else "1"
    wrong = [
        None,
        "",
        "Bearer",
        "Bearer ",
        f"Basic {secret}",
        f"Bearer {secret}x",
        f"Bearer {secret} {secret}",
        f"Bearer us-{name}-{tail[:-1]}",
        f"Bearer us-{name}-{tail[:-1]}{other}",
        f"Bearer us-{'0' * 12}-{tail}",
        f"Bearer {secret.upper()}",
        f"Bearer us-{name}-",
        "Bearer sk-ant-" + "a" * 40,
        "Bearer \udcff",
        "Bearer " + "us-" * 10_000,
    ]
    for header in wrong:
        with pytest.raises(Unauthorized) as caught:
            await keys.who(header, "chat")
        assert tail[:20] not in str(caught.value) + repr(caught.value.as_dict())
        assert caught.value.remedy
        assert caught.value.id in ("", name, "0" * 12)


async def test_an_unknown_id_takes_the_same_work(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = await added(store)
    compared: list[int] = []
    really = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append(len(one))
        return really(one, other)

    monkeypatch.setattr(module.hmac, "compare_digest", compare)
    keys = Keys(store.callers, clock)
    await keys.who(secret)
    for header in (secret[:-1] + ("0" if secret[-1] != "0" else "1"), "us-" + "0" * 12 + secret[15:]):
        with pytest.raises(Unauthorized, match="not known"):
            await keys.who(header)
    assert compared == [32, 32, 32]


async def test_a_scope_it_does_not_have_is_forbidden(store: Store, clock: FakeClock) -> None:
    secret = await added(store)
    with pytest.raises(Forbidden, match="bot does not allow admin") as caught:
        await Keys(store.callers, clock).who(secret, "admin")
    assert "--scope admin" in caught.value.remedy


async def test_a_revoked_key_works_no_longer_than_said(tmp_path: Path, clock: FakeClock) -> None:
    async with await Store.open(tmp_path, clock) as here, await Store.open(tmp_path, clock) as there:
        secret = await added(here)
        keys = Keys(there.callers, clock)
        await keys.who(secret)
        await here.callers.revoke("bot")
        clock.time += AGE
        with pytest.raises(Unauthorized, match="revoked"):
            await keys.who(secret)
        with pytest.raises(Unauthorized, match="revoked"):
            await Keys(here.callers, clock).who(secret)
        again = await added(here)
        assert (await keys.who(again)).name == "bot"


async def test_a_request_asks_no_database(store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = await added(store)
    keys = Keys(store.callers, clock)
    asked: list[str] = []
    for name in ("glance", "read", "write", "promptly"):
        method = getattr(store.database, name)
        monkeypatch.setattr(
            store.database, name, lambda *a, name=name, method=method, **k: asked.append(name) or method(*a, **k)
        )
    for _ in range(500):
        await keys.who(secret, "chat")
    assert asked == ["glance", "promptly"], "one look, one note that it is in use"
    clock.time += AGE
    await keys.who(secret, "chat")
    assert asked[2:] == ["glance"]


async def test_its_use_is_noted_once_a_minute(store: Store, clock: FakeClock) -> None:
    secret = await added(store)
    keys, first = Keys(store.callers, clock), clock.now()
    for seconds, last in ((0, 0), (30, 0), (29, 0), (1, 60)):
        clock.time += seconds
        await keys.who(secret)
        (key,) = await store.callers.all()
        assert key.last_used == first + last


async def test_a_store_that_takes_no_note_of_it_refuses_nobody(
    store: Store, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: object) -> None:
        raise StoreError("The disk is full.")

    secret = await added(store)
    monkeypatch.setattr(Callers, "touch", full)
    assert (await Keys(store.callers, clock).who(secret)).name == "bot"


async def test_the_requests_of_a_minute_are_those_of_all_processes(tmp_path: Path, clock: FakeClock) -> None:
    async with await Store.open(tmp_path, clock) as here, await Store.open(tmp_path, clock) as there:
        secret = await added(here, replace(BOT, requests_per_minute=10))
        both = Keys(here.callers, clock), Keys(there.callers, clock)
        got = await asyncio.gather(*(both[n % 2].who(secret, "chat") for n in range(40)), return_exceptions=True)
        refused = [g for g in got if isinstance(g, RateRefused)]
        assert len(refused) == 30
        assert 59 < refused[0].retry_after <= 61
        with pytest.raises(Forbidden):
            await both[0].who(secret, "admin")  # what is not allowed does not count
        clock.time += refused[0].retry_after
        await both[1].who(secret, "chat")


async def test_made_up_ids_do_not_fill_the_memory(store: Store, clock: FakeClock) -> None:
    keys = Keys(store.callers, clock)
    tail = "0" * 64
    for n in range(MOST + 50):
        with pytest.raises(Unauthorized):
            await keys.who(f"us-{n:012x}-{tail}")
    assert len(keys._seen) == MOST
