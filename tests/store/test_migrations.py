# ruff: noqa: ASYNC220 - programs in async tests
from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.store.clock import HandClock
from understudy.store import migrations
from understudy.store.database import Database
from understudy.store.ledger import SqliteLedger
from understudy.store.migrations import STEPS, migrate, version
from understudy.store.sessions import Sessions
from understudy.store.store import Store
from understudy.types import Amount, Turn


async def test_from_version_one_everything_is_kept(home: Path, clock: HandClock) -> None:
    old = await Database.open(home / "store" / "understudy.db", schema=1)
    ledger = SqliteLedger(old, clock)
    await ledger.allow("day", tokens=100, micro_usd=None)
    hold = await ledger.reserve(("day",), Amount(60), lease=1000)
    await Sessions(old, clock).append("s", Turn("u", "a"), private=True)
    assert await old.read(version) == 1
    with pytest.raises(sqlite3.Error):
        sqlite3.connect(old.path).execute("SELECT * FROM replies")
    await old.close()

    async with await Store.open(home, clock) as store:
        assert await store.database.read(version) == len(STEPS)
        assert (await store.ledger.balance("day")).reserved == Amount(60)
        await store.ledger.settle(hold, Amount(5))
        session = await store.sessions.get("s")
        assert session
        assert session.private
        await store.replies.save({"id": "r", "session": "s", "time": 1.0})
        assert await store.replies.get("r")


def test_a_step_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    migrate(db, tmp_path, upto=1)
    before = db.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall()

    def half(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE half (x)")
        raise RuntimeError

    monkeypatch.setattr(migrations, "STEPS", (*STEPS, half))
    with pytest.raises(RuntimeError):
        migrate(db, tmp_path, upto=len(STEPS) + 1)
    assert version(db) == 1
    assert db.execute("SELECT sql FROM sqlite_master ORDER BY name").fetchall() == before
    monkeypatch.undo()
    migrate(db, tmp_path)
    assert version(db) == len(STEPS)
    db.close()


STARTING = """
import asyncio, pathlib, sys
from tests.store.clock import HandClock
from understudy.store.store import Store
from understudy.types import Amount, Turn

async def main():
    sys.stdin.readline()  # everybody starts at the same word
    async with await Store.open(pathlib.Path(sys.argv[1]), HandClock()) as store:
        await store.sessions.append("s", Turn(sys.argv[2], "a"), private=False)

asyncio.run(main())
"""


@pytest.mark.parametrize("schema", [0, 1])
async def test_several_processes_start_at_once(home: Path, clock: HandClock, schema: int) -> None:
    if schema:
        await (await Database.open(home / "store" / "understudy.db", schema=schema)).close()
    starters = [
        subprocess.Popen([sys.executable, "-c", STARTING, str(home), str(n)], stdin=subprocess.PIPE, text=True)
        for n in range(4)
    ]
    for starter in starters:
        assert starter.stdin
        starter.stdin.write("go\n")
        starter.stdin.flush()
    codes = [await asyncio.to_thread(starter.wait, 60) for starter in starters]
    for starter in starters:
        assert starter.stdin
        starter.stdin.close()
    assert codes == [0] * 4
    async with await Store.open(home, clock) as store:
        session = await store.sessions.get("s")
        assert session
        assert sorted(turn.user for turn in session.turns) == list("0123")
