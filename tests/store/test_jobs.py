"""The queue of jobs in the store: taken in turn, once at a time, by lease; nothing lost, nothing kept too long."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.store.clock import HandClock
from understudy.errors import QueueFull, StoreError
from understudy.store import job_queue
from understudy.store.database import Database
from understudy.store.job_queue import LATELY, LONGEST_LEASE, REMEMBERED
from understudy.store.jobs import LONGEST_EVENTS, Job, NewJob
from understudy.store.store import Store

LEASE = 30.0
NEW = NewJob("bot", "0123456789ab", "s", priority=0, due=2e6, keep=1000.0, task='{"text": "canary-of-a-task"}')


async def add(store: Store, new: NewJob = NEW, most: int = 100, most_each: int = 100) -> Job:
    return await store.jobs.add(new, most=most, most_each=most_each)


async def take(store: Store, owner: str = "me", most: int = 1) -> list[str]:
    return [job.id for job in await store.jobs.take(owner, most, LEASE, over=now(store))]


def now(store: Store) -> float:
    return store.jobs._clock.now()


def state(store: Store, name: str) -> str:
    found = store.jobs.find(name)
    assert found
    return found.state


def told(store: Store, name: str, after: int = 0) -> list[tuple[int, str]]:
    _, events = store.jobs.since(name, after)
    return [(e["n"], e.get("state") or e["type"]) for e in events]


async def test_the_life_of_a_job(store: Store, clock: HandClock) -> None:
    job = await add(store)
    assert store.jobs.find(job.id) == job
    assert store.jobs.counts() == store.jobs.counts("bot") == {"queued": 1, "running": 0}
    assert store.jobs.counts("other") == {"queued": 0, "running": 0}
    clock.time += 5
    (taken,) = await store.jobs.take("me", 5, LEASE, over=now(store))
    assert (taken.id, taken.caller, taken.keyed, taken.task) == (job.id, "bot", True, NEW.task)
    assert store.jobs.held("me") == {job.id: False}
    await store.jobs.tell("me", {job.id: [{"type": "stage", "name": "gate", "detail": ""}]})
    clock.time += 7
    assert await store.jobs.end("me", job.id, "done", result={"text": "42"}, events=[{"type": "progress", "chars": 2}])
    assert store.jobs.find(job.id) == replace(
        job,
        state="done",
        started=job.created + 5,
        ended=job.created + 12,
        expires=job.created + 1012,
        attempts=1,
        events=5,
        result={"text": "42"},
    )
    assert told(store, job.id) == [(1, "queued"), (2, "running"), (3, "stage"), (4, "progress"), (5, "done")]
    assert told(store, job.id, 3) == [(4, "progress"), (5, "done")]
    assert not await store.jobs.end("me", job.id, "failed"), "it ends once"


async def test_of_progress_the_newest_is_kept_and_of_all_not_too_much(store: Store) -> None:
    job = await add(store)
    await take(store)
    for chars in (1, 2, 3):
        await store.jobs.tell("me", {job.id: [{"type": "progress", "chars": chars}, {"type": "stage", "name": "x"}]})
    _, events = store.jobs.since(job.id, 0)
    assert [e["chars"] for e in events if e["type"] == "progress"] == [3]
    await store.jobs.tell("me", {job.id: [{"type": "stage", "name": "x"}] * (LONGEST_EVENTS + 50)})
    assert len(told(store, job.id)) == LONGEST_EVENTS
    await store.jobs.tell("other", {job.id: [{"type": "stage", "name": "x"}]})
    assert len(told(store, job.id)) == LONGEST_EVENTS


async def test_texts_are_gone_with_the_state_that_needed_them(home: Path, store: Store, clock: HandClock) -> None:
    job = await add(store)
    assert stat.S_IMODE((home / "store" / "understudy.db").stat().st_mode) == 0o600
    await take(store)
    result = {"text": "canary-of-an-answer"}
    await store.jobs.end("me", job.id, "done", result=result, events=[{"type": "stage", "name": "canary-of-an-event"}])
    assert "canary" not in repr(store.jobs.find(job.id))
    await store.close()  # folds the log into the file
    assert files(home).count(b"canary-of-an-answer") >= 1, "or this test reads the wrong files"
    assert b"canary-of-a-task" not in files(home)
    async with await Store.open(home, clock) as again:
        clock.time += 999
        await take(again)
        assert state(again, job.id) == "done"
        clock.time += 2
        assert again.jobs.has_work(0)
        await take(again)
        found = again.jobs.find(job.id)
        assert found
        assert (found.state, found.result, found.error) == ("expired", None, None)
        assert told(again, job.id) == [(5, "expired")]
    assert b"canary" not in files(home)
    async with await Store.open(home, clock) as again:
        clock.time += REMEMBERED
        await take(again)
        assert again.jobs.find(job.id) is None
        assert again.jobs.since(job.id, 0) == (None, [])


def files(home: Path) -> bytes:
    return b"".join(p.read_bytes() for p in (home / "store").iterdir() if p.is_file())


async def test_a_lease_that_ends_gives_the_job_away_once(store: Store, clock: HandClock) -> None:
    job = await add(store)
    assert await take(store, "one") == [job.id]
    clock.time += LEASE - 1
    assert not store.jobs.has_work(1)
    assert await take(store, "two") == []
    await store.jobs.renew("one", LEASE)
    clock.time += LEASE - 1
    assert await take(store, "two") == []
    clock.time += 2
    assert store.jobs.has_work(0)
    assert [j.id for j in await store.jobs.take("two", 1, LEASE, over=None)] == []
    assert await take(store, "two") == [job.id]
    assert store.jobs.held("one") == {}
    await store.jobs.renew("one", LEASE)
    assert not await store.jobs.end("one", job.id, "done", result={"text": "too late"})
    await store.jobs.put_back("one", job.id)
    assert state(store, job.id) == "running"
    clock.time += LEASE + 1
    assert await take(store, "three") == [], "begun twice, it is not begun a third time"
    found = store.jobs.find(job.id)
    assert found
    assert (found.state, found.attempts) == ("failed", 2)
    assert found.error
    assert found.error["reason"] == "lost"


async def test_a_lease_from_before_the_clock_was_set_back_holds_nothing(store: Store, clock: HandClock) -> None:
    job = await add(store)
    await take(store, "dead")
    clock.time -= LONGEST_LEASE + 1
    assert await take(store, "two") == [job.id]


async def test_who_judges_by_an_old_time_takes_no_lease_that_was_renewed_since(store: Store, clock: HandClock) -> None:
    job = await add(store)
    await take(store, "one")
    looked = clock.now()
    clock.time += 2 * LONGEST_LEASE
    await store.jobs.renew("one", LEASE)
    assert await store.jobs.take("two", 1, LEASE, over=looked) == ()
    clock.time += LEASE + 1
    assert await store.jobs.take("two", 1, LEASE, over=looked) == ()
    assert await take(store, "two") == [job.id]


async def test_what_was_put_back_was_not_tried(store: Store, clock: HandClock) -> None:
    first, second = await add(store), await add(store)
    for _ in range(5):
        assert await take(store) == [first.id], "in its old place"
        await store.jobs.put_back("me", first.id)
    await take(store)
    clock.time += LEASE + 1
    assert await take(store, most=2) == [first.id, second.id]


@pytest.mark.parametrize("begun", [False, True])
async def test_cancelled(store: Store, clock: HandClock, begun: bool) -> None:
    job = await add(store)
    if begun:
        await take(store)
    await store.jobs.cancel(job.id)
    assert state(store, job.id) == ("running" if begun else "cancelled")
    if begun:
        assert store.jobs.held("me") == {job.id: True}
        clock.time += LEASE + 1  # its owner died without an answer: nobody begins it again
        assert await take(store, "two") == []
    assert state(store, job.id) == "cancelled"
    await store.jobs.cancel(job.id)
    assert state(store, job.id) == "cancelled"
    await store.jobs.cancel("j-nobody")


async def test_one_that_is_put_back_after_its_cancellation_has_ended(store: Store) -> None:
    job = await add(store)
    await take(store)
    await store.jobs.cancel(job.id)
    await store.jobs.put_back("me", job.id)
    assert state(store, job.id) == "cancelled"


async def test_nobody_begins_a_job_beyond_its_deadline(store: Store, clock: HandClock) -> None:
    late = await add(store, replace(NEW, due=clock.now() + 10))
    clock.time += 11
    assert store.jobs.has_work(0)
    assert await take(store) == []
    found = store.jobs.find(late.id)
    assert found
    assert found.error
    assert (found.state, found.error["reason"], found.started) == ("failed", "late", None)


async def test_interactive_ones_first_and_callers_in_turn(store: Store) -> None:
    for caller, priority in (("flood", 1), ("flood", 0), ("small", 0), ("batch", 1)):
        for number in range(6 if caller == "flood" else 2):
            await add(store, replace(NEW, caller=caller, priority=priority, session=str(number)))
    order: list[str] = []
    while taken := await store.jobs.take("me", 1, LEASE, over=now(store)):
        order += [f"{t.caller}" for t in taken]
        await store.jobs.end("me", taken[0].id, "done")
    assert order == ["flood", "small"] * 2 + ["flood"] * 4 + ["batch", "flood"] * 2 + ["flood"] * 4


async def test_who_has_fewest_running_goes_next(store: Store) -> None:
    for caller in ("flood", "flood", "flood", "flood", "small"):
        await add(store, replace(NEW, caller=caller))
    taken = await store.jobs.take("me", 4, LEASE, over=now(store))
    assert Counter(t.caller for t in taken) == {"flood": 3, "small": 1}
    assert {t.caller for t in taken[:2]} == {"flood", "small"}


async def test_several_stores_never_take_the_same(home: Path, clock: HandClock) -> None:
    async with await Store.open(home, clock) as one, await Store.open(home, clock) as two:
        for _ in range(60):
            await add(one)
        got = await asyncio.gather(*(take((one, two)[n % 2], f"owner {n}", 3) for n in range(30)))
        ids = [name for names in got for name in names]
        assert len(ids) == len(set(ids)) == 60


async def test_a_full_queue_says_when_there_is_room(store: Store, clock: HandClock) -> None:
    for _ in range(4):
        await add(store, most=5)
    other = replace(NEW, caller="other")
    await add(store, other, most=5)
    with pytest.raises(QueueFull) as caught:
        await add(store, most=5)
    assert caught.value.retry_after == 1.0, "nothing is known yet"
    for _ in range(3):  # one ends every 20 seconds, and what has left makes room for another
        (name,) = await take(store)
        clock.time += 20
        await store.jobs.end("me", name, "done")
        await add(store, other, most=5)
    with pytest.raises(QueueFull) as caught:
        await add(store, other, most=5)
    assert caught.value.retry_after == pytest.approx(20, abs=1)
    await take(store)
    clock.time += caught.value.retry_after
    await add(store, other, most=5)


async def test_one_caller_cannot_fill_it_for_all(store: Store, clock: HandClock) -> None:
    for _ in range(3):
        await add(store, most=10, most_each=3)
    with pytest.raises(QueueFull, match="key bot") as caught:
        await add(store, most=10, most_each=3)
    assert caught.value.as_dict()["retry_after"] == caught.value.retry_after
    other = await add(store, replace(NEW, caller="other"), most=10, most_each=3)
    clock.time += 30
    await take(store)
    await take(store)
    clock.time += 30
    await store.jobs.end("me", other.id, "done")
    await add(store, most=10, most_each=3)
    with pytest.raises(QueueFull) as caught:
        await add(store, most=10, most_each=3)
    assert caught.value.retry_after == pytest.approx(60), "nothing of its own has ended: by its share of the whole"


async def test_an_idle_past_says_nothing_of_the_pace(store: Store, clock: HandClock) -> None:
    old = await add(store)
    await take(store)
    await store.jobs.end("me", old.id, "done")
    clock.time += LATELY - 1
    for _ in range(20):
        await add(store, most=20)
    for _ in range(10):
        (name,) = await take(store)
        clock.time += 0.5
        await store.jobs.end("me", name, "done")
        await add(store, most=20)
    with pytest.raises(QueueFull) as caught:
        await add(store, most=20)
    assert caught.value.retry_after == 1.0


async def test_who_stops_waiting_for_an_id_leaves_no_job(store: Store) -> None:
    asking = asyncio.create_task(add(store))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait({asking})
    assert await take(store) == []


@pytest.mark.parametrize("column", ["caller", "task", "due", "events"])
async def test_a_damaged_job_fails_alone(home: Path, store: Store, column: str) -> None:
    bad, good = await add(store), await add(store, replace(NEW, caller="bou"))
    with sqlite3.connect(home / "store" / "understudy.db") as db:
        db.execute(f"UPDATE jobs SET {column} = x'ff00' WHERE id = ?", (bad.id,))  # noqa: S608 - names of columns
    db.close()
    with pytest.raises(StoreError, match="jobs"):
        await store.check()
    assert await take(store, most=2) == [good.id]
    assert store.jobs.held("me") == {good.id: False}


async def test_a_state_that_nobody_gives_is_damage(home: Path, store: Store) -> None:
    job = await add(store)
    with sqlite3.connect(home / "store" / "understudy.db") as db:
        db.execute("UPDATE jobs SET state = 'paused' WHERE id = ?", (job.id,))
    db.close()
    with pytest.raises(StoreError, match=r"jobs \(j-"):
        store.jobs.find(job.id)


async def test_damaged_contents_are_told(home: Path, store: Store) -> None:
    job, other = await add(store), await add(store)
    await take(store)
    await store.jobs.end("me", job.id, "done", result={"text": "x"})
    with sqlite3.connect(home / "store" / "understudy.db") as db:
        db.execute("UPDATE jobs SET result = '{' WHERE id = ?", (job.id,))
        db.execute("UPDATE job_events SET event = 5 WHERE job = ?", (other.id,))
    db.close()
    with pytest.raises(StoreError, match=r"jobs \(j-"):
        store.jobs.find(job.id)
    with pytest.raises(StoreError, match="job_events"):
        store.jobs.since(other.id, 0)


async def test_a_store_of_the_version_before_has_an_empty_queue(home: Path, clock: HandClock) -> None:
    await (await Database.open(home / "store" / "understudy.db", schema=6)).close()
    async with await Store.open(home, clock) as store:
        assert not store.jobs.has_work(1)
        await add(store)
        assert store.jobs.has_work(1)


async def test_no_look_and_no_turn_goes_through_all_that_ever_was(store: Store) -> None:
    def spent(db: sqlite3.Connection) -> int:
        steps = 0

        def step() -> None:
            nonlocal steps
            steps += 1

        db.set_progress_handler(step, 100)
        job_queue.has_work(db, 1e6, free=True)
        job_queue.next_in_turn(db)
        job_queue.pace(db, 1e6, "bot")
        job_queue.waiting(db, "bot")
        db.set_progress_handler(None, 0)
        return steps

    for caller in ("bot", "other"):
        await add(store, replace(NEW, caller=caller))
    before = await store.database.read(spent)
    query = (
        "INSERT INTO jobs (id, caller, key, session, state, priority, created, due, keep, started, ended, expires)"
        " SELECT id || ?, caller, key, session, 'done', priority, created, due, keep, 0, 0, 2e6 FROM jobs WHERE seq = 1"
    )
    await store.database.write(lambda db: db.executemany(query, [(n,) for n in range(5000)]))
    assert await store.database.read(spent) <= before + 5
