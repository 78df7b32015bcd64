"""The writer: groups, cancellation, forks, closing. The lock is held from outside where an order must be forced."""
# ruff: noqa: ASYNC240 - files in async tests

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.store.clock import HandClock
from understudy.errors import BudgetRefused, StoreError
from understudy.store.database import LEAVING, Database
from understudy.store.patience import GRACE, at_most
from understudy.store.store import Store
from understudy.store.turnstile import Turnstile
from understudy.types import Amount, Turn


def count(db: sqlite3.Connection) -> int:
    return db.execute("SELECT count(*) FROM rests").fetchone()[0]


def add(name: str, *, fail: bool = False):
    def work(db: sqlite3.Connection) -> str:
        db.execute("INSERT INTO rests VALUES (?, 1, 'auth')", (name,))
        if fail:
            raise ValueError(name)
        return name

    return work


@pytest.fixture
def path(home: Path) -> Path:
    return home / "store" / "understudy.db"


async def test_one_that_fails_takes_no_other_of_its_group_with_it(store: Store, path: Path) -> None:
    with Turnstile(path):  # all of these wait, and then share one transaction
        tasks = [asyncio.ensure_future(store.database.write(add(str(n), fail=n == 3))) for n in range(6)]
        tasks.append(asyncio.ensure_future(store.database.write(add("0"))))  # a duplicate: SQLite's own refusal
        await asyncio.sleep(0)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [r for r in results if isinstance(r, str)] == ["0", "1", "2", "4", "5"]
    assert isinstance(results[3], ValueError)
    assert isinstance(results[6], StoreError)
    assert await store.database.read(count) == 5


async def test_readers_see_what_was_written_and_cannot_write(store: Store) -> None:
    await store.database.write(add("a"))
    assert await store.database.read(count) == 1
    with pytest.raises(StoreError):
        await store.database.read(add("b"))


async def test_a_reserve_cancelled_while_it_waits_never_happens(store: Store, path: Path) -> None:
    await store.ledger.allow("day", tokens=100, micro_usd=None)
    with Turnstile(path):
        task = asyncio.ensure_future(store.ledger.reserve(("day",), Amount(60), lease=1000))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await store.ledger.sweep()  # behind it in the queue
    assert (await store.ledger.balance("day")).reserved == Amount()
    holds = await store.database.read(lambda db: db.execute("SELECT count(*) FROM holds").fetchone()[0])
    assert holds == 0


async def test_a_reserve_cancelled_while_it_runs_is_released(store: Store, clock: HandClock, path: Path) -> None:
    await store.ledger.allow("day", tokens=100, micro_usd=None)
    running, go_on = threading.Event(), threading.Event()
    now = clock.now

    def stopped() -> float:
        running.set()
        assert go_on.wait(10)
        return now()

    clock.now = stopped  # type: ignore[method-assign]
    with Turnstile(path):  # others are writing: it goes the way of the writer's thread
        task = asyncio.ensure_future(store.ledger.reserve(("day",), Amount(60), lease=1000))
        for _ in range(5):
            await asyncio.sleep(0)
    await asyncio.to_thread(running.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    clock.now = now  # type: ignore[method-assign]
    go_on.set()
    await store.ledger.sweep()
    assert (await store.ledger.balance("day")).reserved == Amount()
    await store.ledger.reserve(("day",), Amount(100), lease=1000)


async def test_a_cancelled_settle_is_settled_all_the_same(store: Store, path: Path) -> None:
    await store.ledger.allow("day", tokens=100, micro_usd=None)
    hold = await store.ledger.reserve(("day",), Amount(60), lease=1000)
    with Turnstile(path):
        task = asyncio.ensure_future(store.ledger.settle(hold, Amount(7)))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    await store.ledger.sweep()
    balance = await store.ledger.balance("day")
    assert (balance.spent, balance.reserved) == (Amount(7), Amount())


async def test_cancelled_at_any_moment_what_is_reserved_is_what_was_received(store: Store) -> None:
    await store.ledger.allow("day", tokens=None, micro_usd=None)
    rng = random.Random(5)
    received = 0

    async def reserve() -> None:
        nonlocal received
        await store.ledger.reserve(("day",), Amount(1), lease=1000)
        received += 1

    async def spin(turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)

    cancelled = 0
    for _ in range(400):
        task = asyncio.ensure_future(reserve())
        await spin(rng.randrange(60))
        task.cancel()
        cancelled += (await asyncio.gather(task, return_exceptions=True))[0] is not None
    await store.ledger.sweep()
    assert 0 < cancelled < 400, "both outcomes are to be seen"
    assert (await store.ledger.balance("day")).reserved == Amount(received)


async def test_close_does_what_was_asked_before_it(home: Path, clock: HandClock, path: Path) -> None:
    store = await Store.open(home, clock)
    with Turnstile(path):
        tasks = [asyncio.ensure_future(store.database.write(add(str(n)))) for n in range(300)]
        await asyncio.sleep(0)
        closing = asyncio.ensure_future(store.close())
        await asyncio.sleep(0)
    await closing
    assert await asyncio.gather(*tasks) == [str(n) for n in range(300)]
    await store.close()
    for late in (store.database.write(count), store.database.read(count), store.ledger.balance("day")):
        with pytest.raises(StoreError, match="closed"):
            await late
    db = sqlite3.connect(path)
    assert count(db) == 300
    db.close()
    assert not path.with_name(path.name + "-wal").exists()


async def test_a_process_that_never_gives_way_is_named_and_nothing_is_reserved(
    home: Path, clock: HandClock, path: Path
) -> None:
    async with await Store.open(home, clock) as store:
        await store.ledger.allow("day", tokens=100, micro_usd=None)
        store.database.patience = 0.05
        with Turnstile(path):
            with pytest.raises(StoreError, match="Another process") as held:
                await store.ledger.reserve(("day",), Amount(60), lease=1000)
            assert "suspended" in held.value.remedy
            with pytest.raises(StoreError, match="Another process"):
                await Store.open(home, clock, patience=0.05)
        store.database.patience = 30.0
        await store.ledger.sweep()
        assert (await store.ledger.balance("day")).reserved == Amount()


async def test_a_program_that_ignores_the_turnstile_is_waited_for_and_named(
    home: Path, clock: HandClock, path: Path
) -> None:
    async with await Store.open(home, clock) as store:
        await store.database.write(lambda db: db.execute("PRAGMA busy_timeout = 50").fetchone())
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="Another program"):
            await store.database.write(add("a"))
        other.execute("ROLLBACK")
        other.close()
        assert await store.database.write(add("a")) == "a"


async def test_a_task_that_is_out_of_time_waits_a_moment_and_what_it_asked_is_done_later(
    store: Store, path: Path
) -> None:
    began = time.monotonic()
    with Turnstile(path), at_most(3600), at_most(0):
        with pytest.raises(StoreError, match="lock of the store"):
            await store.database.write(add("a"))
        with pytest.raises(StoreError, match="lock of the store"), at_most(3600):
            await store.database.promptly(add("b"), undo=lambda db, _: None)
        assert 2 * GRACE <= time.monotonic() - began < 2 * GRACE + 5
    assert await store.database.write(add("c")) == "c"
    found = await store.database.read(lambda db: db.execute("SELECT domain FROM rests ORDER BY 1").fetchall())
    assert found == [("a",), ("c",)]


async def test_a_slow_store_is_not_taken_for_a_locked_one(store: Store) -> None:
    go_on = threading.Event()
    with pytest.raises(StoreError, match="nobody holds its lock"), at_most(0):
        await store.database.write(lambda _: go_on.wait(10))
    go_on.set()


async def test_the_end_waits_for_no_lock_and_the_thread_does_the_rest(home: Path, clock: HandClock, path: Path) -> None:
    store = await Store.open(home, clock)
    with Turnstile(path):
        with pytest.raises(StoreError), at_most(0):
            await store.database.write(add("a"))
        began = time.monotonic()
        await store.close()
        assert time.monotonic() - began < LEAVING + 5
    async with await Store.open(home, clock) as again:
        async with asyncio.timeout(10):
            while await again.database.read(count) == 0:  # noqa: ASYNC110  another thread is watched
                await asyncio.sleep(0.01)


async def test_files_are_for_their_owner_alone(store: Store, home: Path, path: Path) -> None:
    old = os.umask(0)
    try:
        await store.sessions.append("s", Turn("u", "a"), private=True)
        await store.ledger.balance("day")
        assert stat.S_IMODE(home.stat().st_mode) == stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert set(modes.values()) == {0o600}, modes
        assert path.name + "-wal" in modes
    finally:
        os.umask(old)


async def test_loose_modes_are_tightened(home: Path, clock: HandClock, path: Path) -> None:
    await (await Store.open(home, clock)).close()
    path.chmod(0o644)
    path.parent.chmod(0o755)
    await (await Store.open(home, clock)).close()
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)


async def test_a_file_that_is_not_ours_keeps_its_mode(home: Path, clock: HandClock, path: Path) -> None:
    foreign = home.parent / "notes.txt"
    foreign.write_text("not a database, and none of our business" * 20)
    foreign.chmod(0o644)
    path.parent.mkdir(parents=True)
    path.symlink_to(foreign)
    with pytest.raises(StoreError):
        await Store.open(home, clock)
    assert stat.S_IMODE(foreign.stat().st_mode) == 0o644


async def test_two_stores_of_one_process_share_the_budget(home: Path, clock: HandClock) -> None:
    async with await Store.open(home, clock) as one, await Store.open(home, clock) as other:
        await one.ledger.allow("day", tokens=50, micro_usd=None)
        results = await asyncio.gather(
            *(s.ledger.reserve(("day",), Amount(1), lease=9) for s in (one, other) for _ in range(50)),
            return_exceptions=True,
        )
        assert sum(isinstance(r, BudgetRefused) for r in results) == 50
        assert (await other.ledger.balance("day")).reserved == Amount(50)


FORKING = """
import asyncio, os, pathlib, sys
from tests.store.clock import HandClock
from understudy.errors import StoreError
from understudy.store.store import Store
from understudy.types import Amount

async def spend(store, times):
    for _ in range(times):
        await store.ledger.settle(await store.ledger.reserve(("day",), Amount(1), lease=1000), Amount(1))

async def parent():
    store = await Store.open(pathlib.Path(sys.argv[1]), HandClock())
    await store.ledger.allow("day", tokens=None, micro_usd=None)
    await spend(store, 20)
    return store

def on_a_new_loop(coroutine):  # a loop open at the fork would be the parent's in the child too
    with asyncio.Runner() as runner:
        return runner.run(coroutine)

home = pathlib.Path(sys.argv[1])
store = on_a_new_loop(parent())
child = os.fork()
if child == 0:
    async def life():
        for use in (store.ledger.balance("day"), spend(store, 1), Store.open(home, HandClock())):
            try:
                await use
            except StoreError as error:
                print(error)
        await store.close()
    on_a_new_loop(life())
    sys.exit(0)  # finalizes: nothing of the parent's may be closed by that
on_a_new_loop(spend(store, 100))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
on_a_new_loop(spend(store, 1))
print(on_a_new_loop(store.ledger.balance("day")).spent.tokens, on_a_new_loop(store.check()))
on_a_new_loop(store.close())
if os.fork() == 0:  # nothing is open now: the child may
    async def life():
        async with await Store.open(home, HandClock()) as again:
            await spend(again, 1)
            print((await again.ledger.balance("day")).spent.tokens)
    on_a_new_loop(life())
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.wait()[1]) == 0
"""


def test_a_forked_child_is_told_to_spawn_and_disturbs_nobody(home: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-u", "-c", FORKING, str(home)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [("spawn" in line) for line in lines] == [True, True, True, False, False]
    assert lines[3].startswith("121 ")
    assert "sound" in lines[3]
    assert lines[4] == "122"


def test_a_loop_that_closes_leaves_nothing_reserved(home: Path, clock: HandClock, path: Path) -> None:
    """The program's first loop dies with a reservation on its way; the next loop finds it given back."""

    async def begin() -> Store:
        store = await Store.open(home, clock)
        await store.ledger.allow("day", tokens=100, micro_usd=None)
        return store

    first = asyncio.new_event_loop()
    store = first.run_until_complete(begin())
    with Turnstile(path):
        task = first.create_task(store.ledger.reserve(("day",), Amount(60), lease=1000))
        first.run_until_complete(asyncio.sleep(0))
        task.cancel()
        first.run_until_complete(asyncio.gather(task, return_exceptions=True))
        first.close()

    async def look() -> Amount:
        await store.ledger.sweep()
        balance = await store.ledger.balance("day")
        await store.close()
        return balance.reserved

    assert asyncio.run(look()) == Amount()


async def test_reading_needs_no_writer(store: Store, path: Path) -> None:
    with Turnstile(path):
        assert await store.database.read(count) == 0


async def test_a_database_can_be_opened_by_path_alone(path: Path) -> None:
    database = await Database.open(path)
    assert "sound" in await database.check()
    await database.close()
