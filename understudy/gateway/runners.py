"""Who runs the jobs of the queue in this process: so many at once, as long as the server lives."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

from understudy.errors import JobFailed, StoreError, UnderstudyError
from understudy.gateway.news import News, pause
from understudy.gateway.task_record import error_of, result_of, task_from_json
from understudy.store.job_queue import CANCELLED, DONE, FAILED
from understudy.store.jobs import JobTable, Taken
from understudy.telemetry.log import chain, frames, log
from understudy.types import Caller, Clock, Event, Finished, Progress, Stage, Task

LOOK = 0.5  # seconds between two looks at the store
AGAIN = 1.0  # seconds until a store that could not be written is tried again
LEAVING = 15.0  # seconds for what is cancelled to leave its record


@dataclass(frozen=True, slots=True)
class End:
    """What a job comes to."""

    state: str
    result: Mapping[str, Any] | None = field(default=None, repr=False)
    error: Mapping[str, Any] | None = None


class Works(Protocol):
    """Of a director, what a job needs."""

    def stream(self, task: Task | str) -> AsyncIterator[Event]: ...


@dataclass(eq=False, slots=True)
class Run:
    """A job that runs here. why: it was cancelled from here: asked, drained or lost to another process."""

    job: Taken
    work: asyncio.Task[Mapping[str, Any]] | None = None
    through: asyncio.Task[None] | None = None  # ends when the job's end is in the store
    why: str | None = None
    events: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])  # not yet in the store

    def stop(self, why: str) -> None:
        if self.why is None and self.work is not None and not self.work.done():
            self.why = why
            self.work.cancel()

    def note(self, event: Event) -> None:
        match event:
            case Stage(name, detail):
                self.events.append({"type": "stage", "name": name, "detail": detail})
            case Progress(candidate, chars):
                if self.events and self.events[-1]["type"] == "progress":
                    self.events.pop()
                self.events.append({"type": "progress", "candidate": candidate, "chars": chars})
            case _:
                pass


class Runners:
    """start() once, close() once. Nothing that fails here ends it: the log says what did."""

    def __init__(
        self,
        director: Works,
        table: JobTable,
        who: Callable[[Taken], Caller],
        clock: Clock,
        news: News,
        *,
        at_once: int,
        lease: float,
    ) -> None:
        """who: the caller of a job as its key allows it now, or the typed error to fail with."""
        self.owner = f"{os.getpid()}-{secrets.token_hex(6)}"
        self._director, self._table, self._who, self._clock, self._news = director, table, who, clock, news
        self._at_once, self._lease = at_once, lease
        self._runs: dict[str, Run] = {}
        self._wake = asyncio.Event()
        self._living: asyncio.Task[None] | None = None
        self._taking = True
        self._gone = False
        self._looked = self._renewed = clock.now()
        self._calm_until = 0.0

    def start(self) -> None:
        self._living = asyncio.create_task(self._live())

    def wake(self) -> None:
        """There is a new job."""
        self._wake.set()

    async def cancel(self, id: str, *, wait: float) -> None:  # noqa: A002 - the field's word
        """If it runs here; for so many seconds its end is waited for."""
        run = self._runs.get(id)
        if run is not None and run.through is not None:
            run.stop("asked")
            await asyncio.wait({run.through}, timeout=wait)

    async def close(self, drain: float) -> None:
        """What runs has so many seconds to end; then it is put back into the queue, as if it had not been tried."""
        self._taking = False
        if self._ends():
            ended = asyncio.ensure_future(asyncio.wait(self._ends()))
            alarm = asyncio.ensure_future(self._clock.sleep(drain))
            await asyncio.wait({ended, alarm}, return_when=asyncio.FIRST_COMPLETED)
            ended.cancel()
            alarm.cancel()
        for run in list(self._runs.values()):
            run.stop("drained")
        if self._ends():
            await asyncio.wait(self._ends(), timeout=LEAVING)
        self._gone = True
        self._wake.set()
        left = [t for t in (self._living, *self._ends()) if t is not None]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _ends(self) -> list[asyncio.Task[None]]:
        return [run.through for run in self._runs.values() if run.through is not None]

    async def _live(self) -> None:
        while not self._gone:
            wait = LOOK
            try:
                await self._look()
            except StoreError as error:
                log().warning("jobs_not_looked_at", why=type(error).__name__)
                wait = AGAIN
            except Exception as error:  # noqa: BLE001 - a bug in one look must not end all later ones
                log().error("bug", classes=chain(error), where=frames(error.__traceback__))
                wait = AGAIN
            await pause(self._clock, wait, self._wake)

    async def _look(self) -> None:
        """What is asked of those that run, then new ones into the free places."""
        now = self._clock.now()
        if not self._looked <= now <= self._looked + self._lease / 2:
            # This machine slept or its clock was set: leases of the living look ended, and are renewed in a moment.
            self._calm_until = now + self._lease / 2
        self._looked = now
        await self._attend(now)
        free = self._at_once - len(self._runs)
        if self._taking and self._table.has_work(free):
            calm = now < self._calm_until <= now + self._lease / 2
            # Judged by the time of this look: it may sleep or be suspended before its turn to write comes.
            for job in await self._table.take(self.owner, free, self._lease, over=None if calm else now):
                if self._taking:
                    self._begin(job)
                else:  # closed meanwhile
                    await self._table.put_back(self.owner, job.id)

    async def _attend(self, now: float) -> None:
        if not self._runs:
            self._renewed = now
            return
        if not self._renewed <= now < self._renewed + self._lease / 3:
            await self._table.renew(self.owner, self._lease)
            self._renewed = now
        held = self._table.held(self.owner)
        for name, run in list(self._runs.items()):
            if name not in held:
                run.stop("lost")
            elif held[name]:
                run.stop("asked")
        await self._tell()

    async def _tell(self) -> None:
        runs = [run for run in self._runs.values() if run.events]
        told = {run.job.id: run.events for run in runs}
        if not told:
            return
        for run in runs:
            run.events = []
        try:
            await self._table.tell(self.owner, told)
        except StoreError:
            for run in runs:
                run.events[:0] = told[run.job.id]
            raise
        for name in told:
            self._news.tell(name)

    def _begin(self, job: Taken) -> None:
        run = self._runs[job.id] = Run(job)
        run.work = asyncio.create_task(self._work(run))
        run.through = asyncio.create_task(self._see_through(run, run.work))
        self._news.tell(job.id)

    async def _work(self, run: Run) -> Mapping[str, Any]:
        task = task_from_json(run.job.task)
        if task.deadline is not None:  # it began when the job was asked for
            task = replace(task, deadline=max(0.001, min(task.deadline, run.job.due - self._clock.now())))
        task = replace(task, caller=self._who(run.job))
        async with aclosing(cast(Any, self._director.stream(task))) as events:
            async for event in events:
                if isinstance(event, Finished):
                    return result_of(event.reply)
                run.note(event)
        raise JobFailed("The task ended without a reply.", remedy="Report this as a fault.", reason="bug")

    async def _see_through(self, run: Run, work: asyncio.Task[Mapping[str, Any]]) -> None:
        """From the end of the work to the end of the job, in the store."""
        try:
            await asyncio.wait({work})
            await self._write_end(run, work)
        finally:
            work.cancel()  # when this was cancelled itself: nothing of it may go on alone
            self._runs.pop(run.job.id, None)
            self._news.tell(run.job.id)
            self._wake.set()

    async def _write_end(self, run: Run, work: asyncio.Task[Mapping[str, Any]]) -> None:
        name = run.job.id
        if work.cancelled():
            end = End(CANCELLED) if run.why == "asked" else None
        elif (error := work.exception()) is None:
            end = End(DONE, result=work.result())
        else:
            end = End(FAILED, error=_told(error))
        while run.why != "lost":
            try:
                if end is None:
                    await self._table.put_back(self.owner, name)
                else:
                    told = {"result": end.result, "error": end.error}
                    await self._table.end(self.owner, name, end.state, **told, events=run.events)
                break
            except StoreError as error:
                log().warning("job_end_not_written", job=name, why=type(error).__name__)
                await self._clock.sleep(AGAIN)
        log().info("job", job=name, state=end.state if end else run.why or "drained")


def _told(error: BaseException) -> dict[str, Any]:
    if isinstance(error, UnderstudyError):
        return error_of(error)
    log().error("bug", classes=chain(error), where=frames(error.__traceback__))
    what = f"This is a bug in understudy ({type(error).__name__})."
    return error_of(JobFailed(what, remedy="Report it; the log says where.", reason="bug"))
