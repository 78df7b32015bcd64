"""One call to one candidate: loaded, watched, with its room in the book closed whatever happens."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from understudy.errors import CallFailed
from understudy.fleet.admission import Doorman, QuotaGuard
from understudy.fleet.book import Cost, Tab
from understudy.fleet.errand import Timing
from understudy.store.patience import at_most
from understudy.tokens import estimate
from understudy.types import Answer, Call, Candidate, Clock, Failure, Guard, Usage, Worker

GRACE = 1.0  # seconds beyond a call's own limit before a worker that does not keep it is stopped
PING = 2.0  # seconds for a local server to say that it is there


class TooLate(Exception):
    """The task's deadline passed while the SDK was imported: nothing was sent."""


@dataclass(slots=True)
class Caller:
    workers: Callable[[Candidate], Worker]
    door: Doorman
    clock: Clock
    _loaded: set[tuple[str, bool]] = field(default_factory=set[tuple[str, bool]])
    _loading: dict[str, asyncio.Lock] = field(default_factory=dict[str, asyncio.Lock])

    async def load(self, candidate: Candidate, call: Call) -> Worker:
        """The worker with its SDK imported: once, and on a thread, so that a terminal stays alive meanwhile.

        Raises ConfigError when its key or its model file is gone.
        """
        worker, what = self.workers(candidate), _what(candidate, call)
        if what not in self._loaded:
            async with self._loading.setdefault(candidate.domain, asyncio.Lock()):
                if what not in self._loaded:
                    await asyncio.to_thread(worker.load, call)
                    self._loaded.add(what)
        return worker

    def is_loaded(self, candidate: Candidate, call: Call) -> bool:
        return _what(candidate, call) in self._loaded

    def cost(self, call: Call, candidate: Candidate, room: int | None = None) -> Cost:
        """What one request of this call may take; room: output tokens, where there are fewer than the call asks for."""
        cap = min(call.output_cap if room is None else room, candidate.output_cap)
        return Cost(tokens_in=input_of(call), cap=cap)

    async def send(
        self,
        tab: Tab,
        call: Call,
        guard: Guard,
        timing: Timing,
        progress: Callable[[int], None] | None = None,
        *,
        deadline: float = math.inf,
    ) -> Answer:
        """The answer, within call.timeout and by the deadline.

        Raises CallFailed, BudgetRefused, PrivacyRefused, TooLate; the tab is closed.
        """
        candidate, clock = tab.candidate, self.clock
        watch = _Watch(clock, timing, progress)
        started = clock.now()
        try:
            worker = await self.load(candidate, call)
            started = clock.now()  # importing an SDK says nothing of the candidate, but takes of the task's time
            if started >= deadline:
                raise TooLate
            if call.timeout > deadline - started + GRACE / 10:
                call = replace(call, timeout=within(call.timeout, deadline - started))
            if tab.probe and candidate.local:
                await self._ping(worker)
            quota = QuotaGuard(guard, self.door.book, clock, tab, call.timeout)
            answer = await watch.over(worker.work(call, quota, watch.progress if watch.needed else None), call.timeout)
        except CallFailed as failure:
            await self._close(tab, str(failure.failure), failure=failure, seconds=clock.now() - started)
            raise
        except TimeoutError:
            failure = CallFailed(Failure.TRANSPORT, f"{candidate.name} {watch.why}.")
            await self._close(tab, str(failure.failure), failure=failure, seconds=clock.now() - started)
            raise failure from None
        except BaseException:  # the budget, the privacy guard, a cancellation: nothing is known of the candidate
            await self._close(tab, None)
            raise
        await self._close(tab, "ok", answer=answer, seconds=clock.now() - started, first_token=watch.first_token)
        return answer

    async def _ping(self, worker: Worker) -> None:
        """A local server that was down is asked whether it is back before a task is spent on finding out."""
        try:
            async with asyncio.timeout(PING):
                await worker.check()
        except TimeoutError:
            raise CallFailed(Failure.TRANSPORT, f"{worker.candidate.name} does not answer.", charged=False) from None

    async def _close(
        self,
        tab: Tab,
        outcome: str | None,
        *,
        failure: CallFailed | None = None,
        answer: Answer | None = None,
        seconds: float = 0.0,
        first_token: float = 0.0,
    ) -> None:
        if tab.unused:  # granted, and no request was made of it
            tab.holds[tab.unused], tab.unused = "nothing", ""
        readings = answer.readings if answer else failure.readings if failure else ()
        usage: Usage | None = answer.usage if answer else None
        closing = asyncio.ensure_future(
            self.door.book.close(
                tab,
                outcome,
                usage=usage,
                retry_after=failure.retry_after if failure else None,
                readings=readings,
                seconds=seconds,
                first_token=first_token,
            )
        )
        try:
            await asyncio.shield(closing)
        except asyncio.CancelledError:
            await asyncio.wait([closing])
            raise
        finally:
            self.door.gave_back(tab.candidate)


class _Watch:
    """The time limits of one call, moved on by each piece that arrives."""

    def __init__(self, clock: Clock, timing: Timing, progress: Callable[[int], None] | None) -> None:
        self._clock, self._timing, self._told = clock, timing, progress
        self._limit: asyncio.Timeout | None = None
        self._ends = self._began = self._total = 0.0
        self.first_token = 0.0  # seconds
        self.why = "did not answer"

    @property
    def needed(self) -> bool:
        return self._told is not None or self._timing.first_token < math.inf

    async def over(self, work: object, total: float) -> Answer:
        """Its answer, given so many seconds."""
        loop = asyncio.get_running_loop()
        self._total, self.why = total, f"did not answer in {total:.0f} s"
        self._began, self._ends = loop.time(), loop.time() + total + GRACE
        first = self._began + self._timing.first_token if self.needed else math.inf
        async with asyncio.timeout_at(min(self._ends, first)) as self._limit:
            if first < self._ends:
                self.why = f"sent nothing within {self._timing.first_token:g} s"
            with at_most(total):  # a locked store is told as what it is, not as a candidate that does not answer
                return await work  # type: ignore[no-any-return, misc]

    def progress(self, chars: int) -> None:
        now = asyncio.get_running_loop().time()
        if not self.first_token:
            self.first_token = max(1e-6, now - self._began)
        if self._limit is not None and not self._limit.expired():
            stalled = now + self._timing.stall
            self.why = (
                f"stopped in the middle for {self._timing.stall:g} s"
                if stalled < self._ends
                else f"did not answer in {self._total:.0f} s"
            )
            self._limit.reschedule(min(self._ends, stalled))
        if self._told is not None:
            self._told(chars)


def input_of(call: Call) -> int:
    """Tokens of its input, estimated."""
    if call.chat is not None:
        return call.chat.tokens
    turns = sum(estimate(t.user) + estimate(t.assistant) for t in call.history)
    schema = estimate(str(call.schema)) if call.schema else 0
    return estimate(call.prompt) + estimate(call.instructions) + turns + schema + 8 * (2 + len(call.history))


def _what(candidate: Candidate, call: Call) -> tuple[str, bool]:
    """What there is to load: handing a conversation on takes less than an SDK."""
    return candidate.domain, call.chat is not None


def within(timeout: float, seconds: float) -> float:
    """No more time than this, and never none."""
    return max(0.05, min(timeout, seconds))
