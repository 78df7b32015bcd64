"""The public face: a Director takes tasks and gives validated replies."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from understudy.config.settings import Settings
from understudy.director import budget
from understudy.director.history import trim
from understudy.director.loop import go
from understudy.director.parts import Parts, open_parts
from understudy.director.trail import Trail
from understudy.errors import NoCandidate, StoreError, UsageError
from understudy.store.patience import at_most
from understudy.types import Balance, Clock, Event, Finished, Reply, Sensitivity, Task, Text, Turn

_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,99}")


class Director:
    """Opens with `async with`; one Director serves any number of concurrent tasks of one process."""

    def __init__(
        self,
        settings: Settings,
        home: Path,
        *,
        notes: tuple[str, ...] = (),
        spare: Settings | None = None,
        clock: Clock | None = None,
    ) -> None:
        """spare: the settings to use when the first ones offer no candidate at all."""
        self.settings = settings
        self._home = home
        self._notes = notes
        self._spare = spare
        self._clock = clock
        self._parts: Parts | None = None

    @classmethod
    def from_config(cls, path: str | Path | None = None, *, rehearsal: bool = False) -> Director:
        """From the file at path, else where the configuration is looked for, else from what is found on this machine.

        With nothing found, or with rehearsal=True, the fleet is the rehearsal fleet. Raises ConfigError.
        """
        from understudy.config.places import home
        from understudy.director.found import find_settings

        found = find_settings(path, rehearsal=rehearsal)
        return cls(found.settings, home(), notes=found.notes, spare=found.spare)

    @classmethod
    def over(cls, parts: Parts) -> Director:
        """Open over parts that were put together elsewhere, and stay their owner's to close."""
        director = cls(parts.settings, Path(), clock=parts.clock)
        director._parts = parts
        return director

    async def __aenter__(self) -> Director:
        parts = await open_parts(self.settings, self.home, notes=self._notes, clock=self._clock)
        if self._spare is not None and not parts.fleet:
            from understudy.director.found import NOTHING_FOUND

            self.settings, notes = self._spare, (*parts.notes, NOTHING_FOUND)
            await parts.close()
            parts = await open_parts(self.settings, self.home, notes=notes, clock=self._clock)
        self._parts = parts
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        parts, self._parts = self._parts, None
        if parts is not None:
            await parts.close()

    @property
    def home(self) -> Path:
        """Where its state lives. The rehearsal fleet has a folder of its own: what it spends and rests is not real."""
        return self._home / "rehearsal" if self.rehearses else self._home

    @property
    def rehearses(self) -> bool:
        """Whether all of its models are simulated."""
        simulated = [p.kind == "rehearsal" for p in self.settings.providers.values()]
        return bool(simulated) and all(simulated)

    @property
    def agents(self) -> tuple[str, ...]:
        """The names of the specialists."""
        from understudy.agents.specialists import specialists

        return tuple(specialists())

    @property
    def parts(self) -> Parts:
        if self._parts is None:
            raise UsageError("The director is not open.", remedy="Use: async with Director.from_config() as d: ...")
        return self._parts

    async def run(self, task: Task | str) -> Reply:
        """The validated reply. Raises NoCandidate, BudgetRefused, ValidationFailed, UsageError; see errors.py."""
        return await self._run(Task(task) if isinstance(task, str) else task, None)

    async def stream(self, task: Task | str) -> AsyncIterator[Event]:
        """Stage and Progress events, then the validated Text, then Finished. Closing the iterator cancels the task."""
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        whole = Task(task) if isinstance(task, str) else task

        async def run() -> Reply:
            try:
                return await self._run(whole, events)
            finally:
                events.put_nowait(None)

        running = asyncio.create_task(run())
        try:
            while (event := await events.get()) is not None:
                yield event
            reply = await running
            yield Text(reply.text)
            yield Finished(reply)
        finally:
            if not running.done():
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)

    async def balance(self, session: str) -> tuple[Balance, int]:
        """The conversation's budget, and the tokens the director may still spend in it today."""
        parts, now = self.parts, self.parts.clock.now()
        _check_session(session)
        return await budget.director_left(parts.store.ledger, self.settings, session, now)

    async def explain(self, reply_id: str) -> dict[str, Any]:
        """The provenance of a reply or a failure, by its id or the unique beginning of it. Raises UsageError."""
        record = await self.parts.store.replies.get(reply_id)
        if record is None:
            raise UsageError(
                f"There is no reply {reply_id!r}.", remedy="understudy explain with no id lists the last ones."
            )
        return record

    async def _run(self, task: Task, events: asyncio.Queue[Event | None] | None) -> Reply:
        seconds = self.settings.deadline if task.deadline is None else task.deadline
        check_task(task, seconds)
        named = task.session is not None and task.remember
        session = f"s-{secrets.token_hex(5)}" if task.session is None else task.session
        with at_most(seconds):
            return await self._take(task, session, seconds, events, named=named)

    async def _take(
        self, task: Task, session: str, seconds: float, events: asyncio.Queue[Event | None] | None, *, named: bool
    ) -> Reply:
        parts = self.parts
        known = await parts.store.sessions.get(session) if named else None
        private = False
        if known is not None and known.turns and not task.history:
            task = replace(task, history=trim(known.turns))
            private = known.private and bool(task.history)
        now = parts.clock.now()
        report = events.put_nowait if events is not None else None
        trail = Trail(f"r-{secrets.token_hex(5)}", session, now, now + seconds, report, caller=task.caller)
        parts.turns += 1
        way = parts.running.begin(trail, parts.clock)
        try:
            async with asyncio.timeout(seconds + 5.0):  # the walk keeps the deadline; this catches what forgets it
                reply = await go(parts, trail, task, session_private=private)
            parts.running.end(way, reply)
        except TimeoutError:
            late = NoCandidate(
                f"The task did not end within its deadline of {seconds:.0f} s.", remedy="Give it more time: --deadline."
            )
            late.reply_id, late.attempts, late.skipped = trail.id, trail.all_attempts(), tuple(trail.skipped)
            parts.running.end(way, late)
            raise late from None
        except BaseException as error:
            parts.running.end(way, error)
            raise
        if named:
            turn = Turn(task.text, reply.text)
            try:
                await parts.store.sessions.append(
                    session, turn, private=reply.sensitivity.sensitivity is Sensitivity.PRIVATE
                )
            except StoreError as error:  # the answer is not thrown away because it cannot be kept
                note = f"The conversation will not remember this turn. {error.message}"
                reply = replace(reply, notes=(*reply.notes, note))
        return reply


def check_task(task: Task, deadline: float | None = None) -> None:
    """UsageError for what nobody could work on, whoever is there. deadline: in seconds, where the task names none."""
    deadline = deadline if task.deadline is None else task.deadline
    if not task.text.strip() and not task.files and task.chat is None:
        raise UsageError("The task is empty.", remedy="Say what you want.")
    if task.schema is not None:
        from understudy.director.validators import check_schema

        check_schema(task.schema)
    if task.session is not None:
        _check_session(task.session)
    if deadline is not None and not 0 < deadline <= 24 * 3600:
        raise UsageError("A deadline is a number of seconds above 0, a day at most.", remedy="Give another.")
    if task.max_tokens is not None and task.max_tokens < 1:
        raise UsageError("max_tokens must be at least 1.", remedy="Give another.")


def _check_session(session: str) -> None:
    if not _SESSION.fullmatch(session):
        raise UsageError(f"{session!r} is no session id.", remedy="Use up to 100 letters, digits and . _ : -")


def run(task: Task | str, *, config: str | Path | None = None) -> Reply:
    """The synchronous edge: one task, from the configuration. Not for use inside a running event loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise UsageError(
            "understudy.run() cannot be called inside a running event loop.",
            remedy="Use: async with Director.from_config() as d: await d.run(task)",
        )

    async def once() -> Reply:
        async with Director.from_config(config) as director:
            return await director.run(task)

    return asyncio.run(once())
