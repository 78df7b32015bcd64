"""What goes wrong with files: a typed error, a remedy that works, and nothing changed."""
# ruff: noqa: ASYNC221, ASYNC240 - files and programs in async tests

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.store.clock import HandClock
from understudy.errors import StoreError
from understudy.store.migrations import STEPS
from understudy.store.store import Store
from understudy.types import Amount, Turn


@pytest.fixture
def path(home: Path) -> Path:
    path = home / "store" / "understudy.db"
    path.parent.mkdir(parents=True)
    return path


async def refused(home: Path, clock: HandClock) -> StoreError:
    with pytest.raises(StoreError) as error:
        await Store.open(home, clock)
    assert error.value.remedy
    assert str(home) in error.value.message
    return error.value


async def fill(home: Path, clock: HandClock, turns: int = 1) -> None:
    async with await Store.open(home, clock) as store:
        await store.ledger.allow("day", tokens=100, micro_usd=None)
        await store.ledger.reserve(("day",), Amount(60), lease=1000)
        for n in range(turns):
            await store.sessions.append("s", Turn(f"question {n} " * 50, "answer " * 50), private=False)


@pytest.mark.parametrize("content", [b"not a database at all, " * 100, b"SQLite format 3\0" + b"\xff" * 5000, b"x"])
async def test_what_is_no_database_stays_untouched_and_the_remedy_works(
    home: Path, clock: HandClock, path: Path, content: bytes
) -> None:
    path.write_bytes(content)
    error = await refused(home, clock)
    assert path.read_bytes() == content
    command = re.search(r"mv .*", error.remedy)
    assert command
    subprocess.run(command.group(), shell=True, check=True)  # noqa: S602 - exactly what a user would paste
    await fill(home, clock)
    assert (home / "store.aside" / path.name).read_bytes() == content


async def test_a_truncated_database_is_noticed(home: Path, clock: HandClock, path: Path) -> None:
    await fill(home, clock, turns=100)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])
    error = await refused(home, clock)
    assert "damaged" in error.message
    assert path.read_bytes() == whole[: len(whole) // 3]


async def test_damage_inside_is_found_by_the_doctor_and_named_on_use(home: Path, clock: HandClock, path: Path) -> None:
    await fill(home, clock, turns=200)
    whole = bytearray(path.read_bytes())
    for page in range(4096 * 40, len(whole), 4096):  # every page of the turns, none of the schema
        whole[page : page + 64] = os.urandom(64)
    path.write_bytes(whole)
    async with await Store.open(home, clock) as store:
        with pytest.raises(StoreError, match="damaged") as error:
            await store.check()
        assert "mv " in error.value.remedy
        with pytest.raises(StoreError, match="damaged"):
            await store.sessions.get("s")


async def test_another_programs_database_is_left_alone(home: Path, clock: HandClock, path: Path) -> None:
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    before = path.read_bytes()
    assert "another program" in (await refused(home, clock)).message
    assert path.read_bytes() == before


async def test_a_newer_schema_is_not_touched(home: Path, clock: HandClock, path: Path) -> None:
    await fill(home, clock)
    db = sqlite3.connect(path, isolation_level=None)
    db.execute(f"PRAGMA user_version = {len(STEPS) + 3}")
    db.close()
    before = path.read_bytes()
    error = await refused(home, clock)
    assert f"schema {len(STEPS) + 3}" in error.message
    assert "Upgrade" in error.remedy
    assert path.read_bytes() == before


async def test_a_home_that_cannot_be_a_folder(tmp_path: Path, clock: HandClock) -> None:
    file = tmp_path / "file"
    file.write_text("x")
    for home in (file, file / "below", tmp_path / ("n" * 300)):
        await refused(home, clock)
    (tmp_path / "home" / "store" / "understudy.db").mkdir(parents=True)
    await refused(tmp_path / "home", clock)


async def test_a_full_disk_saves_nothing_by_half_and_loses_nothing(home: Path, clock: HandClock) -> None:
    async with await Store.open(home, clock) as store:
        await store.ledger.allow("day", tokens=100, micro_usd=None)
        hold = await store.ledger.reserve(("day",), Amount(60), lease=1000)
        # SQLite's own bound on the size of the file: the same error as the disk's, from the same place.
        pages = await store.database.write(lambda db: db.execute("PRAGMA page_count").fetchone()[0])
        await store.database.write(lambda db: db.execute(f"PRAGMA max_page_count = {pages}").fetchone())
        with pytest.raises(StoreError, match="no room") as error:
            await store.sessions.append("s", Turn("x" * 100_000, "y"), private=False)
        assert "Free some space" in error.value.remedy
        assert await store.sessions.get("s") is None
        await store.ledger.settle(hold, Amount(10))  # needs no new page
        await store.database.write(lambda db: db.execute("PRAGMA max_page_count = 1000000").fetchone())
        await store.sessions.append("s", Turn("x" * 100_000, "y"), private=False)
        assert (await store.ledger.balance("day")).spent == Amount(10)


AS_NOBODY = """
import asyncio, os, pathlib, sys
from tests.store.clock import HandClock
from understudy.errors import StoreError
from understudy.store.store import Store
if os.getuid() == 0:  # root may write anywhere
    os.setgid(65534), os.setuid(65534)
async def main():
    try:
        await Store.open(pathlib.Path(sys.argv[1]), HandClock())
    except StoreError as error:
        print(error)
asyncio.run(main())
"""


@pytest.mark.parametrize("state", ["no store yet", "a store"])
async def test_a_read_only_folder(clock: HandClock, tmp_path_factory: pytest.TempPathFactory, state: str) -> None:
    home = tmp_path_factory.mktemp("home")
    if state == "a store":
        await fill(home, clock)
    folders = [home / "store", home] if state == "a store" else [home]
    for folder in folders:
        folder.chmod(0o555)
    for parent in home.parents:
        if parent.stat().st_uid == os.getuid() and parent.stat().st_mode & 0o077 == 0:
            parent.chmod(0o711)  # pytest's own folders are closed to other users
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(home)], capture_output=True, text=True, timeout=60, check=False
    )
    for folder in folders:
        folder.chmod(0o700)
    assert done.returncode == 0, done.stderr
    assert "cannot be read or written" in done.stdout
    assert "UNDERSTUDY_HOME" in done.stdout


async def test_values_are_in_no_error(store: Store) -> None:
    def work(db: sqlite3.Connection) -> None:
        db.execute("INSERT INTO rests VALUES (?, ?, ?)", ("secret-value", None, None))

    with pytest.raises(StoreError) as error:
        await store.database.write(work)
    assert "secret-value" not in str(error.value)
