from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.store.clock import HandClock
from understudy.errors import UsageError
from understudy.store.store import Store
from understudy.types import Turn


async def test_a_conversation_resumes_after_a_restart(home: Path, clock: HandClock) -> None:
    async with await Store.open(home, clock) as store:
        await store.sessions.append("s", Turn("  What\nis  the time?", "Noon."), private=False)
        clock.time += 60
        await store.sessions.append("s", Turn("And now?", "Later."), private=False)
    async with await Store.open(home, clock) as store:
        session = await store.sessions.get("s")
        assert session
        assert (session.id, session.created, session.title) == ("s", 1_000_000.0, "What is the time?")
        assert session.turns == (Turn("  What\nis  the time?", "Noon."), Turn("And now?", "Later."))
        assert await store.sessions.get("t") is None


async def test_private_is_only_ever_raised(store: Store) -> None:
    for private, expected in ((False, False), (True, True), (False, True)):
        await store.sessions.append("s", Turn("u", "a"), private=private)
        session = await store.sessions.get("s")
        assert session
        assert session.private is expected
    assert [heading.private for heading in await store.sessions.list(5)] == [True]


async def test_no_turn_is_lost_or_doubled_when_many_append_at_once(store: Store) -> None:
    await asyncio.gather(*(store.sessions.append("s", Turn(str(n), "a"), private=False) for n in range(50)))
    session = await store.sessions.get("s")
    assert session
    assert sorted(int(turn.user) for turn in session.turns) == list(range(50))


async def test_the_latest_come_first(store: Store, clock: HandClock) -> None:
    for name in ("a", "b", "c", "a"):
        await store.sessions.append(name, Turn(f"about {name}", "x"), private=False)
        clock.time += 1
    assert [(h.id, h.turns, h.title) for h in await store.sessions.list(2)] == [
        ("a", 2, "about a"),
        ("c", 1, "about c"),
    ]
    with pytest.raises(UsageError):
        await store.sessions.list(0)


async def test_a_deleted_text_is_nowhere_in_the_files(home: Path, clock: HandClock) -> None:
    async with await Store.open(home, clock) as store:
        await store.sessions.append("s", Turn("the word is Rosenkavalier " * 500, "so be it"), private=True)
        await store.sessions.append("t", Turn("another", "one"), private=False)
        assert await store.sessions.delete("s")
        assert not await store.sessions.delete("s")
        assert await store.sessions.get("s") is None
        assert [h.id for h in await store.sessions.list(9)] == ["t"]
    for file in (home / "store").iterdir():
        assert b"Rosenkavalier" not in file.read_bytes()


@pytest.mark.parametrize("bad", ["", "../x", "a/b", "a b", "a\n", "-a", "x" * 129, "ä", "a\0", None, 5])
async def test_ids_are_checked(store: Store, bad: object) -> None:
    for use in (
        store.sessions.get(bad),  # pyright: ignore[reportArgumentType]
        store.sessions.append(bad, Turn("u", "a"), private=False),  # pyright: ignore[reportArgumentType]
        store.sessions.delete(bad),  # pyright: ignore[reportArgumentType]
    ):
        with pytest.raises(UsageError):
            await use


@pytest.mark.parametrize("text", ["", "\0 in the middle", "\ud800 lone", "🎭" * 1000, "'; DROP TABLE turns; --"])
async def test_any_text_is_kept(store: Store, text: str) -> None:
    await store.sessions.append("telegram:+49@x", Turn(text, text), private=False)
    session = await store.sessions.get("telegram:+49@x")
    assert session
    assert session.turns[0].user == text.replace("\ud800", "?")


async def test_no_text_in_any_repr(store: Store) -> None:
    await store.sessions.append("s", Turn("secret question", "secret answer"), private=True)
    assert "secret" not in repr(await store.sessions.get("s")) + repr(await store.sessions.list(1))
