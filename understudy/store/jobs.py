"""Jobs: tasks that run in the background, in one queue for all processes that share the store.

A job is taken with a lease, by one process at a time, and whatever ends it names the owner of the lease: so it ends
once, even if a process that was long asleep believes that it still has it. The text of its task is deleted as it ends,
and its result as it expires.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from understudy.errors import QueueFull
from understudy.store import job_queue
from understudy.store.database import Database
from understudy.store.job_queue import CANCELLED, EXPIRED, QUEUED, finish, forget_events, say
from understudy.store.rows import Row
from understudy.types import Clock

STATES = frozenset({QUEUED, job_queue.RUNNING, job_queue.DONE, job_queue.FAILED, CANCELLED, EXPIRED})
ENDED = frozenset({job_queue.DONE, job_queue.FAILED, CANCELLED, EXPIRED})
LONGEST_EVENTS = 500  # of a job that are kept, the newest
_HEAD = "id, caller, key, session, state, created, started, ended, expires, attempts, cancel, events"


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the one who asked for it may see it. Times are seconds since the epoch."""

    id: str
    caller: str  # the name of the key
    keyed: bool  # False: it was asked for without a key, where that is allowed
    session: str  # empty: in none
    state: str  # queued, running, done, failed, cancelled, expired
    created: float
    started: float | None = None  # of the last attempt
    ended: float | None = None
    expires: float | None = None  # when its result is deleted
    attempts: int = 0
    cancelling: bool = False  # somebody asked for its end
    events: int = 0  # the number of its last event
    result: Mapping[str, Any] | None = field(default=None, repr=False)
    error: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED

    def as_dict(self) -> dict[str, Any]:
        names = ("id", "state", "created", "started", "ended", "expires", "attempts", "cancelling", "result", "error")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True)
class NewJob:
    """What is asked for. due: when it fails if nobody has begun it; keep: seconds its result is kept."""

    caller: str
    key: str  # the public part of the key; empty: none
    session: str
    priority: int  # 0 goes first
    due: float
    keep: float
    task: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Taken:
    """A job that is its taker's to run."""

    id: str
    caller: str
    keyed: bool
    due: float
    task: str = field(repr=False)


class JobTable:
    """Raises StoreError."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(self, new: NewJob, *, most: int, most_each: int) -> Job:
        """Durable when it returns. Raises QueueFull above so many that wait, of all callers or of this one."""
        name, now = f"j-{secrets.token_hex(12)}", self._clock.now()

        def insert(db: sqlite3.Connection) -> None:
            _check_room(db, now, new.caller, most, most_each)
            db.execute(
                "INSERT INTO jobs (id, caller, key, session, state, priority, created, due, keep, task)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (name, new.caller, new.key, new.session, QUEUED, new.priority, now, new.due, new.keep, new.task),
            )
            say(db, name, {"type": "state", "state": QUEUED})

        # Who stops waiting for the id never learns it: nobody wants the job then.
        await self._database.write(insert, undo=lambda db, _: job_queue.cancel(db, name, self._clock.now()))
        return Job(name, new.caller, bool(new.key), new.session, QUEUED, now, events=1)

    def find(self, id: str) -> Job | None:  # noqa: A002 - the field's word
        return self._database.glance(lambda db: _find(db, id))

    def since(self, id: str, after: int) -> tuple[Job | None, list[dict[str, Any]]]:  # noqa: A002
        """The job and its events behind that number, oldest first; each has its number as n."""
        query = "SELECT n, event FROM job_events WHERE job = ? AND n > ? ORDER BY n"

        def look(db: sqlite3.Connection) -> tuple[Job | None, list[dict[str, Any]]]:
            found = [Row("job_events", id, row) for row in db.execute(query, (id, after))]
            return _find(db, id), [{"n": row.whole(), **row.table()} for row in found]

        return self._database.glance(look)

    async def cancel(self, id: str) -> None:  # noqa: A002
        """One that waits has ended; the owner of one that runs is asked; one that has ended stays as it is."""
        await self._database.write(lambda db: job_queue.cancel(db, id, self._clock.now()))

    def counts(self, caller: str | None = None) -> dict[str, int]:
        """How many wait and run, of all callers or of this one."""
        return self._database.glance(lambda db: job_queue.counts(db, caller), whole=False)

    async def kept(self) -> dict[str, int]:
        """How many there are in each state, of all callers; also those that have ended, until they are forgotten."""
        return await self._database.read(job_queue.kept)

    def has_work(self, most: int) -> bool:
        """Whether take() would change anything: a look that costs no writing."""
        now = self._clock.now()
        return self._database.glance(lambda db: job_queue.has_work(db, now, free=most > 0))

    async def take(self, owner: str, most: int, lease: float, *, over: float | None) -> tuple[Taken, ...]:
        """Up to so many jobs that are the owner's for `lease` seconds, and the end of what is over.

        over: leases that had ended at this time are taken over; None: none are.
        """

        def take(db: sqlite3.Connection) -> tuple[Taken, ...]:
            now = self._clock.now()
            job_queue.sweep(db, now, over=over)
            taken: list[Taken] = []
            while len(taken) < most and (seq := job_queue.next_in_turn(db)) is not None:
                found = job_queue.begin(db, seq, owner, now, lease)
                if found is not None:
                    taken.append(_taken(found))
            return tuple(taken)

        def give_back(db: sqlite3.Connection, taken: tuple[Taken, ...]) -> None:
            for job in taken:
                if _is_owners(db, job.id, owner):
                    job_queue.put_back(db, job.id, self._clock.now(), tried=False)

        return await self._database.write(take, undo=give_back)

    def held(self, owner: str) -> dict[str, bool]:
        """The jobs whose owner this still is, and whether their end is asked for."""
        query = "SELECT id, cancel FROM jobs WHERE state = 'running' AND owner = ?"
        return self._database.glance(lambda db: {str(row[0]): row[1] == 1 for row in db.execute(query, (owner,))})

    async def renew(self, owner: str, lease: float) -> None:
        """All of the owner's leases, from now on."""
        await self._database.write(
            lambda db: db.execute(
                "UPDATE jobs SET lease = ? WHERE state = 'running' AND owner = ?", (self._clock.now() + lease, owner)
            )
        )

    async def tell(self, owner: str, events: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Events by the job's id. Those of a job that is no longer the owner's are left out."""

        def tell(db: sqlite3.Connection) -> None:
            for name, told in events.items():
                if _is_owners(db, name, owner):
                    _say_all(db, name, told)

        await self._database.write(tell)

    async def end(
        self,
        owner: str,
        id: str,  # noqa: A002
        state: str,
        *,
        result: Mapping[str, Any] | None = None,
        error: Mapping[str, Any] | None = None,
        events: Sequence[Mapping[str, Any]] = (),
    ) -> bool:
        """False: it was not the owner's any more, and nothing has changed."""

        def end(db: sqlite3.Connection) -> bool:
            if not _is_owners(db, id, owner):
                return False
            _say_all(db, id, events)
            finish(db, id, state, self._clock.now(), result=result, error=error)
            return True

        return await self._database.write(end)

    async def put_back(self, owner: str, id: str) -> None:  # noqa: A002
        """Into its old place in the queue, as if it had not been tried; one whose end was asked for has ended."""

        def put_back(db: sqlite3.Connection) -> None:
            if _is_owners(db, id, owner):
                job_queue.put_back(db, id, self._clock.now(), tried=False)

        await self._database.write(put_back)


def _is_owners(db: sqlite3.Connection, id: str, owner: str) -> bool:  # noqa: A002
    query = "SELECT 1 FROM jobs WHERE id = ? AND state = 'running' AND owner = ?"
    return db.execute(query, (id, owner)).fetchone() is not None


def _check_room(db: sqlite3.Connection, now: float, caller: str, most: int, most_each: int) -> None:
    own = job_queue.waiting(db, caller) - most_each + 1
    everybodys = job_queue.waiting(db) - most + 1
    if own <= 0 and everybodys <= 0:
        return
    seconds = max(
        job_queue.pace(db, now, caller) * own if own > 0 else 0.0,
        job_queue.pace(db, now) * everybodys if everybodys > 0 else 0.0,
    )
    seconds = min(max(1.0, seconds), 3600.0)
    whose, limit = (f"of the key {caller} ", most_each) if own > 0 else ("", most)
    raise QueueFull(
        f"The queue is full: {limit:,} jobs {whose}wait already.",
        remedy=f"Try again in {seconds:.0f} s.",
        retry_after=seconds,
    )


def _say_all(db: sqlite3.Connection, id: str, events: Sequence[Mapping[str, Any]]) -> None:  # noqa: A002
    for event in events:
        if event["type"] == "progress":  # only the last one is of any use
            db.execute("DELETE FROM job_events WHERE job = ? AND type = 'progress'", (id,))
        last = say(db, id, event)
        forget_events(db, id, upto=last - LONGEST_EVENTS)


def _find(db: sqlite3.Connection, id: str) -> Job | None:  # noqa: A002
    row = db.execute(f"SELECT {_HEAD} FROM jobs WHERE id = ?", (id,)).fetchone()  # noqa: S608 - constants
    if row is None:
        return None
    job = _job(row)
    if not job.has_ended:
        return job
    result, error = db.execute("SELECT result, error FROM jobs WHERE id = ?", (id,)).fetchone()
    return replace(job, result=_json(id, result), error=_json(id, error))


def _job(row: Sequence[object]) -> Job:
    v = Row("jobs", row[0], row)
    return Job(
        id=v.text(),
        caller=v.text(),
        keyed=bool(v.text()),
        session=v.text(),
        state=v.one_of(STATES),
        created=v.number(),
        started=v.number_or_none(),
        ended=v.number_or_none(),
        expires=v.number_or_none(),
        attempts=v.whole(),
        cancelling=v.flag(),
        events=v.whole(),
    )


def _json(id: str, text: object) -> dict[str, Any] | None:  # noqa: A002
    return None if text is None else Row("jobs", id, (text,)).table()


def _taken(row: Sequence[object]) -> Taken:
    v = Row("jobs", row[0], row)
    return Taken(v.text(), v.text(), bool(v.text()), v.number(), v.text())
