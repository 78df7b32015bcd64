"""A row that cannot be what this program wrote is an error of its own; whatever is sound goes on."""
# ruff: noqa: S608 - statements made of constants

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.store.clock import HandClock
from understudy.errors import StoreError
from understudy.fleet.form import PageForm
from understudy.fleet.page import Page, Reserve
from understudy.store.pages import SqlitePages
from understudy.store.store import Store
from understudy.types import Amount, Turn

RECORD = {"session": "s", "time": 1.0, "attempts": [{"role": "worker", "candidate": "a/b", "input_tokens": 5}]}


@contextlib.asynccontextmanager
async def damaged(home: Path, clock: HandClock, *statements: str) -> AsyncIterator[Store]:
    """A store with two of everything, the one called bad struck by the statements."""
    async with await Store.open(home, clock) as store:
        for name in ("bad", "good"):
            await store.ledger.allow(name, tokens=100, micro_usd=None)
            await store.ledger.reserve((name,), Amount(10), lease=5)
            await store.sessions.append(name, Turn(f"ask {name}", "answer"), private=True)
            await store.replies.save({**RECORD, "id": name})
            await store.keys.meet([name], clock.now())
    db = sqlite3.connect(home / "store" / "understudy.db")
    db.execute("PRAGMA writable_schema = ON")
    for statement in statements:
        if "NOT NULL" in statement:
            db.execute("UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '')")
            db.commit()
            db.close()
            db = sqlite3.connect(home / "store" / "understudy.db")
        db.execute(statement.replace("/* NOT NULL */", ""))
    db.commit()
    db.close()
    clock.time += 10  # every lease has ended
    async with await Store.open(home, clock) as store:
        yield store


@pytest.mark.parametrize("value", ["'much'", "1.5", "x'00'", "NULL /* NOT NULL */"])
@pytest.mark.parametrize("column", ["spent_tokens", "reserved_micro_usd"])
async def test_a_damaged_budget_refuses_alone(home: Path, clock: HandClock, column: str, value: str) -> None:
    async with damaged(home, clock, f"UPDATE scopes SET {column} = {value} WHERE scope = 'bad'") as store:
        for ask in (
            lambda: store.ledger.balance("bad"),
            lambda: store.ledger.reserve(("good", "bad"), Amount(1), lease=5),
        ):
            with pytest.raises(StoreError, match=r"table scopes \(bad\) in the store .*understudy.db") as caught:
                await ask()
            assert "backup" in caught.value.remedy
        await store.ledger.reserve(("good",), Amount(1), lease=5)
        assert (await store.ledger.balance("good")).spent == Amount(10)
        with pytest.raises(StoreError, match=r"1 in scopes"):
            await store.check()


@pytest.mark.parametrize("value", ["'no json'", "'{}'", "'[1]'", "'5'", "x'00ff'", "NULL /* NOT NULL */"])
async def test_a_damaged_reservation_stays_reserved(home: Path, clock: HandClock, value: str) -> None:
    change = f"UPDATE holds SET scopes = {value} WHERE scopes LIKE '%bad%'"
    async with damaged(home, clock, change) as store:
        assert (await store.ledger.balance("bad")).reserved == Amount(10)
        assert (await store.ledger.balance("good")).spent == Amount(10)
        await store.ledger.reserve(("bad", "good"), Amount(1), lease=5)


async def test_a_lease_that_is_no_time(home: Path, clock: HandClock) -> None:
    async with damaged(home, clock, "UPDATE holds SET expires = 'soon' WHERE scopes LIKE '%bad%'") as store:
        await store.ledger.reserve(("bad", "good"), Amount(1), lease=5)
        assert (await store.ledger.balance("bad")).reserved == Amount(11)


SESSIONS = {
    "title": "UPDATE sessions SET title = x'00' WHERE id = 'bad'",
    "no title": "UPDATE sessions SET title = NULL WHERE id = 'bad' /* NOT NULL */",
    "private": "UPDATE sessions SET private = 'no' WHERE id = 'bad'",
    "private unknown": "UPDATE sessions SET private = NULL WHERE id = 'bad' /* NOT NULL */",
    "created": "UPDATE sessions SET created = 'then' WHERE id = 'bad'",
    "turn": "UPDATE turns SET assistant = x'ff00' WHERE session = 'bad'",
    "no utf-8": "UPDATE turns SET user = CAST(x'61ff62' AS TEXT) WHERE session = 'bad'",
}


@pytest.mark.parametrize("statement", SESSIONS.values(), ids=SESSIONS)
async def test_a_damaged_conversation_stops_no_other(home: Path, clock: HandClock, statement: str) -> None:
    async with damaged(home, clock, statement) as store:
        with pytest.raises(StoreError, match=r"\(bad\)") as caught:
            await store.sessions.get("bad")
        assert "another conversation" in caught.value.remedy
        good = await store.sessions.get("good")
        assert good is not None
        assert good.turns == (Turn("ask good", "answer"),)
        assert "good" in [h.id for h in await store.sessions.list()]


@pytest.mark.parametrize("record", ["'{'", "'[]'", "'{}'", "5", "x'00'", '\'{"id": "bad", "time": 1, "attempts": 5}\''])
async def test_a_damaged_record_is_left_out_of_lists(home: Path, clock: HandClock, record: str) -> None:
    async with damaged(home, clock, f"UPDATE replies SET record = {record} WHERE id = 'bad'") as store:
        with pytest.raises(StoreError, match=r"replies \(bad\)"):
            await store.replies.get("bad")
        assert [r["id"] for r in await store.replies.recent(5)] == ["good"]


async def test_damaged_attempts_are_in_no_sum(home: Path, clock: HandClock) -> None:
    change = "UPDATE attempts SET input_tokens = 'many', role = 5 WHERE reply = 1"
    async with damaged(home, clock, change) as store:
        economics = await store.replies.economics()
        assert economics.total.input_tokens == 5
        assert set(economics.roles) == {"worker"}


async def test_keys_of_which_nothing_certain_is_known(home: Path, clock: HandClock) -> None:
    changes = (
        "UPDATE keys SET first = 'long ago', last = 'now' WHERE fingerprint = 'bad'",
        "INSERT INTO refusals VALUES ('bad', '', 'then', 'ever')",
    )
    async with damaged(home, clock, *changes) as store:
        assert set(store.keys.met(["bad", "good"])) == {"good"}
        assert store.keys.refused(["bad"], clock.now()) == {}
        await store.keys.meet(["bad", "good"], clock.now())


@pytest.mark.parametrize("change", ["DELETE FROM salts", "UPDATE salts SET salt = 7", "UPDATE salts SET salt = 'x'"])
async def test_a_store_without_its_salt_says_how_to_get_another(home: Path, clock: HandClock, change: str) -> None:
    with pytest.raises(StoreError, match="salts") as caught:
        async with damaged(home, clock, change):
            pass
    assert "randomblob" in caught.value.remedy


@pytest.mark.parametrize("body", ["'text'", "5", "x''", "x'31ff'", "x'39'", "NULL /* NOT NULL */"])
async def test_a_damaged_page_of_the_book_begins_anew(home: Path, clock: HandClock, body: str) -> None:
    async with await Store.open(home, clock) as store:
        pages = SqlitePages[Page](store.database, PageForm(), clock)
        for key in ("bad", "good"):
            await pages.turn(key, Reserve("h", "m", 1, 1, 1, until=60.0))
    async with damaged(home, clock, f"UPDATE pages SET body = {body} WHERE key = 'bad'") as store:
        pages = SqlitePages[Page](store.database, PageForm(), clock)
        found, _ = await pages.look()
        assert set(found) == {"bad", "good"}


@pytest.mark.parametrize(
    ("change", "named"),
    [("ALTER TABLE sessions DROP COLUMN title", "title"), ("DROP TABLE replies", "replies")],
)
async def test_a_missing_column_or_table_is_named(home: Path, clock: HandClock, change: str, named: str) -> None:
    async with damaged(home, clock, change) as store:
        with pytest.raises(StoreError, match=named) as caught:
            await (store.sessions.list() if named == "title" else store.replies.recent(1))
        assert "mv " in caught.value.remedy


def _replace(path: Path) -> None:
    path.with_name("other").write_bytes(b"")
    path.with_name("other").rename(path)


MOVES: dict[str, Callable[[Path], None]] = {
    "file replaced": _replace,
    "file removed": Path.unlink,
    "folder moved": lambda path: path.parent.rename(path.parent.with_name("aside")) and None,
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
async def test_a_store_that_was_moved_takes_no_more(home: Path, clock: HandClock, move: Callable[[Path], None]) -> None:
    async with await Store.open(home, clock) as store:
        await store.ledger.allow("day", tokens=100, micro_usd=None)
        move(home / "store" / "understudy.db")
        with pytest.raises(StoreError, match="removed or replaced") as caught:
            await store.ledger.reserve(("day",), Amount(1), lease=5)
        assert "start it again" in caught.value.remedy


async def test_a_removed_log_loses_nothing_that_was_confirmed(home: Path, clock: HandClock) -> None:
    async with await Store.open(home, clock) as store:
        await store.ledger.allow("day", tokens=100, micro_usd=None)
        await store.ledger.reserve(("day",), Amount(60), lease=1000)
        (home / "store" / "understudy.db-wal").unlink()
        with pytest.raises(StoreError, match="write-ahead log"):
            await store.ledger.reserve(("day",), Amount(1), lease=5)
    async with await Store.open(home, clock) as store:
        assert (await store.ledger.balance("day")).reserved == Amount(60)
