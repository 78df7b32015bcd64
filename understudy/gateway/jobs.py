"""Tasks that run in the background: asked for with one request, fetched with another, by the same caller.

A job is in the store before its id is given away, so a restart loses none. Every process of a server takes from the
same queue. Nobody but the caller (the key's name) and the session that asked learns that a job exists.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import replace
from types import TracebackType
from typing import Any

from understudy.director.director import Director, check_task
from understudy.errors import Forbidden, JobFailed, NoJob, Unauthorized, UsageError
from understudy.gateway.news import News, pause
from understudy.gateway.runners import LOOK, Runners
from understudy.gateway.task_record import task_to_json
from understudy.store.ids import check_id
from understudy.store.job_queue import LONGEST_LEASE
from understudy.store.jobs import Job, NewJob, Taken
from understudy.types import Caller, Clock, Priority, Sensitivity, Task

DAY = 86_400.0
AGE = 5.0  # seconds after which one who follows events is asked for the key again
_ID = re.compile(r"j-[0-9a-f]{24}")


class Jobs:
    """One per process: `async with Jobs(director, clock) as jobs:`, within the director's own. Raises StoreError.

    most_queued: jobs of all callers that may wait, most_each of one of them (a quarter); at_once: jobs that run in this
    process; keep: seconds a result is kept; lease: seconds after which the jobs of a process that died are taken over;
    drain: seconds that running ones have to end when this is closed. keyless: the caller of requests without a key,
    where they are allowed.
    """

    def __init__(
        self,
        director: Director,
        clock: Clock,
        *,
        most_queued: int = 1000,
        most_each: int | None = None,
        at_once: int = 16,
        keep: float = DAY,
        lease: float = 30.0,
        drain: float = 10.0,
        keyless: Caller | None = None,
    ) -> None:
        if min(most_queued, at_once) < 1 or keep <= 0 or not 0 < lease <= LONGEST_LEASE / 2:
            longest = LONGEST_LEASE / 2
            raise UsageError("Jobs need room, time and a lease.", remedy=f"A lease is {longest:.0f} s at most.")
        self._clock, self._keyless = clock, keyless
        self._most, self._keep, self._drain = most_queued, keep, drain
        self._most_each = max(1, most_queued // 4) if most_each is None else most_each
        self._table, self._keys = director.parts.store.jobs, director.parts.store.callers
        self._news, self._closing = News(), False
        self._runners = Runners(director, self._table, self._who, clock, self._news, at_once=at_once, lease=lease)

    async def __aenter__(self) -> Jobs:
        self._runners.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Running jobs have some seconds to end and go back into the queue otherwise; streams of events end."""
        self._closing = True
        self._news.tell_all()
        await self._runners.close(self._drain)

    async def submit(self, caller: Caller, task: Task, session: str | None = None) -> Job:
        """The job, which is in the store by then. Raises QueueFull, and UsageError for what can be no task.

        session: only requests of the same one see the job. The conversation is task.session, as with any task.
        """
        check_task(task)
        if session:
            check_id(session, "session")
        if caller.private:  # also if the key of this name is another one by then
            task = replace(task, sensitivity=Sensitivity.PRIVATE)
        new = NewJob(
            caller=caller.name,
            key=caller.id,
            session=session or "",
            priority=_rank(task),
            due=self._clock.now() + (task.deadline or self._keep),
            keep=self._keep,
            task=task_to_json(task),
        )
        job = await self._table.add(new, most=self._most, most_each=self._most_each)
        self._runners.wake()
        return job

    async def get(self, caller: Caller, id: str, session: str | None = None) -> Job:  # noqa: A002 - the field's word
        """Raises NoJob, whatever the scopes of the key."""
        if not _ID.fullmatch(id):
            raise _no_job()
        return _seen(self._table.find(id), caller, session)

    async def events(
        self,
        caller: Caller,
        id: str,  # noqa: A002
        session: str | None = None,
        *,
        after: int = 0,
    ) -> AsyncGenerator[dict[str, Any]]:
        """What happens to the job, each with its number n, from the one behind `after` on; the last one has the job.

        {"n", "type": "state", "state"}, {"n", "type": "stage", "name", "detail"} or {"n", "type": "progress",
        "candidate", "chars"}. Of progress only the newest is kept. Ends without a last one when this process is closed:
        the job goes on, and so may the reader elsewhere. Raises NoJob, and Unauthorized once the key is revoked.
        """
        job = await self.get(caller, id, session)
        after, asked = min(after, job.events), self._clock.now()
        with self._news.of(id) as news:
            while True:
                found, events = self._table.since(id, after)
                job = _seen(found, caller, session)
                for event in events:
                    after = event["n"]
                    yield {**event, "job": job.as_dict()} if job.has_ended and after == job.events else event
                if job.has_ended or self._closing:
                    return
                await pause(self._clock, LOOK, news)
                if caller.id and not asked <= self._clock.now() < asked + AGE:
                    asked = self._clock.now()
                    key = self._keys.find(caller.id)
                    if key is None or key.revoked_at is not None:
                        raise Unauthorized(f"The key {caller.name} was revoked.", remedy="Use another.", id=caller.id)

    async def cancel(self, caller: Caller, id: str, session: str | None = None) -> Job:  # noqa: A002
        """The job as it is a moment later: one that runs in another process takes up to a second to end.

        What has ended stays as it is. A call in flight is charged. Raises NoJob.
        """
        job = await self.get(caller, id, session)
        if not job.has_ended:
            await self._table.cancel(id)
            await self._runners.cancel(id, wait=1.0)
            self._news.tell(id)
        return await self.get(caller, id, session)

    def counts(self, caller: str | None = None) -> dict[str, int]:
        """How many jobs are queued and running, in all processes: of all callers, or of who has this name."""
        return self._table.counts(caller)

    async def kept(self) -> dict[str, int]:
        """How many jobs of all callers are in each state."""
        return await self._table.kept()

    def _who(self, job: Taken) -> Caller:
        if not job.keyed:
            if self._keyless is None or self._keyless.name != job.caller:
                raise _revoked("Jobs without a key are not allowed any more.")
            return self._keyless
        key = self._keys.named(job.caller)
        if key is None:
            raise _revoked(f"The key {job.caller} was revoked before the job's turn came.")
        if "jobs" not in key.caller.scopes:
            raise Forbidden(f"The key {job.caller} does not allow jobs any more.", remedy="Make one with --scope jobs.")
        return key.caller


def _seen(job: Job | None, caller: Caller, session: str | None) -> Job:
    """The job if it is theirs."""
    theirs = job is not None and (job.caller, job.keyed, job.session) == (caller.name, bool(caller.id), session or "")
    if job is None or not theirs:
        raise _no_job()
    return job


def _no_job() -> NoJob:
    return NoJob(
        "There is no such job.", remedy="A job is seen by the key and the session that asked for it, until it expires."
    )


def _revoked(why: str) -> JobFailed:
    return JobFailed(why, remedy="Nothing was sent. Ask again with another key.", reason="revoked")


def _rank(task: Task) -> int:
    try:
        priority = Priority(task.priority)
    except ValueError:
        raise UsageError("A task has no such priority.", remedy=f"Known: {', '.join(Priority)}.") from None
    return list(Priority).index(priority)
