"""Walk a chain of candidates until one gives an answer that is accepted.

The walker is the only owner of retries. It has one deadline and one attempt cap for the whole task, visits a candidate
once (once more with the validators' reason; once more at the end after a failure that passes), and records every call
it made and every candidate it passed over. The accounts of one model that stand together in the chain are one stop of
the walk: the one with most left goes first.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from understudy.agents.conversation import with_remark
from understudy.errors import BudgetRefused, CallFailed, ConfigError, PrivacyRefused
from understudy.fleet.admission import Doorman, Wish
from understudy.fleet.book import Book, Tab
from understudy.fleet.calls import Caller, TooLate, within
from understudy.fleet.errand import Errand, Timing, Walk, attempt
from understudy.fleet.page import Wait
from understudy.fleet.reactions import REACTIONS
from understudy.tokens import estimate
from understudy.types import (
    Answer,
    Attempt,
    Call,
    Candidate,
    Check,
    Clock,
    Failure,
    Progress,
    Sensitivity,
    Stage,
    Usage,
    Worker,
)

SMALLEST_ANSWER = 64  # tokens; a window with less room than this is passed over
SHARE_OF_TIME = 0.6  # of what is left, for a call that has others behind it
FRESH = 3.0  # times the usual patience is worth waiting for the first answer of a domain, if there is nobody else
BREATH = 0.5  # seconds before the only candidate is asked again
DISGUISED = frozenset({"not_empty", "not_error"})  # checks whose no says more of the provider than of the answer
SOON = 5.0  # seconds after which a trouble has often passed, where nobody knows better
TIME_IS_UP = "the deadline has passed"
SIZE = ("too large: ", "context: ")  # how the reason begins that no waiting changes

__all__ = ["Dispatcher", "Errand", "Timing", "Walk", "attempt"]


@dataclass(slots=True)
class Dispatcher:
    workers: Callable[[Candidate], Worker]
    book: Book
    clock: Clock
    door: Doorman = field(init=False)
    caller: Caller = field(init=False)

    def __post_init__(self) -> None:
        self.door = Doorman(self.book, self.clock)
        self.caller = Caller(self.workers, self.door, self.clock)

    async def walk(self, errand: Errand) -> Walk:
        walk = Walk()
        again = await self._pass(errand, walk, errand.chain, last=False)
        if again and not walk.ended:
            if len(errand.chain) == 1:
                await self.clock.sleep(min(BREATH, max(0.0, (errand.deadline - self.clock.now()) / 10)))
            await self._pass(errand, walk, tuple(again), last=True)
        return walk

    async def _pass(self, errand: Errand, walk: Walk, chain: tuple[Candidate, ...], *, last: bool) -> list[Candidate]:
        """Once along the chain. Returns who may be tried once more."""
        route = _Route(list(chain))
        again: list[Candidate] = []
        while route.left and not walk.ended:
            stop = await self._load(errand, walk, route, self._next_stop(errand, walk, route))
            if not stop or self.clock.now() >= errand.deadline:
                continue
            others = not last and len(route.left) > len(stop)
            got = await self._admit(errand, stop, others=others)
            if isinstance(got, Wait):
                if got.kind == "breaker" and others:
                    again += stop  # not waited for yet
                for candidate in stop:
                    route.left.remove(candidate)
                    walk.skip(candidate, _told(got))
                if got.seconds < math.inf:
                    seconds = max(got.seconds, SOON if got.kind == "fresh" else 0.0)
                    walk.waits |= {c.domain: self.clock.now() + seconds for c in stop}
                continue
            route.left.remove(got.candidate)
            failed = (
                await self._try_alone(errand, walk, got, route)
                if not errand.hedge
                else (await self._try_hedged(errand, walk, got, route))
            )
            if not failed and walk.attempts and walk.attempts[-1].outcome == "rejected":
                route.put_off(got.candidate)
            for candidate, failure in failed:
                reaction = REACTIONS[failure.failure]
                if reaction.spread == "account":
                    route.passed_over[(candidate.provider, candidate.account)] = f"{failure.failure} on this account"
                elif reaction.spread == "provider":
                    route.put_off(candidate)
                if not last and (reaction.again or failure.retry_after is not None):
                    again.append(candidate)
        return again

    def _next_stop(self, errand: Errand, walk: Walk, route: _Route) -> list[Candidate]:
        """The next candidate and the accounts of the same model behind it, without those that can never take it."""
        head = route.left[0]
        same = [c for c in route.left if c.name == head.name]
        stop: list[Candidate] = []
        for candidate in same:
            why = _unfit(errand, candidate, route.passed_over)
            if not why and len(walk.attempts) >= errand.max_attempts:
                why = f"the cap of {errand.max_attempts} attempts is reached"
            if not why and self.clock.now() >= errand.deadline:
                why = TIME_IS_UP
            if why:
                route.left.remove(candidate)
                walk.skip(candidate, why)
            else:
                stop.append(candidate)
        return stop

    async def _load(self, errand: Errand, walk: Walk, route: _Route, stop: list[Candidate]) -> list[Candidate]:
        """Those whose SDK is imported and whose keys are read: no room is held meanwhile that others could use."""
        if all(self.caller.is_loaded(candidate, errand.call) for candidate in stop):
            return stop
        loading = (self.caller.load(candidate, errand.call) for candidate in stop)
        loaded = await asyncio.gather(*loading, return_exceptions=True)
        for candidate, worker in zip(stop, loaded, strict=True):
            if isinstance(worker, ConfigError):
                route.left.remove(candidate)
                _refused(walk, candidate, worker)
            elif isinstance(worker, BaseException):
                raise worker
        return [c for c in stop if c in route.left]

    async def _admit(
        self, errand: Errand, stop: Sequence[Candidate], *, wait: bool = True, others: bool = False
    ) -> Tab | Wait:
        now = self.clock.now()
        left = errand.deadline - now
        wish = Wish(
            errand.session,
            errand.priority,
            now + min(errand.patience, left / 2) if wait else now,
            lambda candidate, seconds: errand.tell(Stage("wait", f"{candidate.name}, {seconds:.1f} s")),
            others,
            now + min(FRESH * errand.patience, left / 2) if wait and not others else 0.0,
        )
        costs = {c.domain: self.caller.cost(errand.call, c, _room(errand.call, c)) for c in stop}
        seconds = {c.domain: min(errand.call.timeout, errand.timing(c).total, left) for c in stop}
        return await self.door.admit(stop, costs, seconds, wish)

    async def _try_alone(
        self, errand: Errand, walk: Walk, tab: Tab, route: _Route
    ) -> list[tuple[Candidate, CallFailed]]:
        failure = await self._try(errand, walk, tab, others=bool(route.left))
        return [] if failure is None else [(tab.candidate, failure)]

    async def _try_hedged(
        self, errand: Errand, walk: Walk, tab: Tab, route: _Route
    ) -> list[tuple[Candidate, CallFailed]]:
        """Try it; where the policy hedges, and it takes longer than nearly always, the next one at the same time."""
        first, began = asyncio.ensure_future(self._try(errand, walk, tab, others=bool(route.left))), self.clock.now()
        tasks = {first: tab.candidate}
        try:
            slow = (await self.book.states([tab.candidate]))[tab.candidate.domain].slow
            if slow and route.left:
                await self._until(first, slow)
                second = None if first.done() else await self._second(errand, walk, route)
                if second is not None and walk.ended:  # the first one has answered while room was sought
                    await self.book.refund(second)
                elif second is not None:
                    tasks[asyncio.ensure_future(self._try(errand, walk, second, others=True))] = second.candidate
            failed: list[tuple[Candidate, CallFailed]] = []
            running = set(tasks)
            while running and not walk.ended:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                failed += [(tasks[task], failure) for task in done if (failure := task.result()) is not None]
            if walk.answer is not None and not first.done():
                await self.book.overtaken(tab.candidate, self.clock.now() - began)
            return failed
        finally:
            for task in tasks:
                task.cancel()  # the slower one of two, or both when the caller goes away
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _second(self, errand: Errand, walk: Walk, route: _Route) -> Tab | None:
        stop = await self._load(errand, walk, route, self._next_stop(errand, walk, route))
        got = await self._admit(errand, stop, wait=False) if stop else None
        if not isinstance(got, Tab):
            return None
        route.left.remove(got.candidate)
        return got

    async def _until(self, task: asyncio.Future[CallFailed | None], seconds: float) -> None:
        pause = asyncio.ensure_future(self.clock.sleep(seconds))
        try:
            await asyncio.wait({task, pause}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            pause.cancel()

    async def _try(self, errand: Errand, walk: Walk, tab: Tab, *, others: bool) -> CallFailed | None:
        """One candidate: a call, and one more with the validators' reason. Returns the failure, if it was one."""
        candidate = tab.candidate
        asked, room = errand.call, _room(errand.call, candidate)
        for turn in range(2):
            started = self.clock.now()
            left = errand.deadline - started
            timing = errand.timing(candidate)
            seconds = within(errand.call.timeout, min(timing.total, left * (SHARE_OF_TIME if others else 1)))
            call = replace(asked, output_cap=room, timeout=seconds)
            errand.tell(Stage("dispatch", candidate.name))
            try:
                answer = await self.caller.send(
                    tab,
                    call,
                    errand.guard(candidate),
                    timing,
                    _progress(errand, candidate),
                    deadline=errand.deadline,
                )
            except TooLate:
                walk.skip(candidate, TIME_IS_UP)
                return None
            except (ConfigError, BudgetRefused, PrivacyRefused) as refusal:
                _refused(walk, candidate, refusal)
                return None
            except CallFailed as failure:
                error, at = f"{failure.failure}: {failure.message}", (started, self.clock.now())
                _record(errand, walk, attempt(candidate, call, str(failure.failure), error, at=at, usage=failure.usage))
                if REACTIONS[failure.failure].stop or errand.released():
                    walk.stopped = failure
                if failure.remedy:
                    walk.remedies.append(failure.remedy)
                await self._note_wait(walk, candidate, call, failure)
                return failure
            except asyncio.CancelledError:
                _record(errand, walk, _unneeded(candidate, call, (started, self.clock.now()), tab.used))
                raise
            wrong = await self._judge(errand, walk, candidate, call, answer, (started, self.clock.now()))
            if wrong is None or wrong.escalate or turn == 1 or walk.ended or len(walk.attempts) >= errand.max_attempts:
                return None
            if self.clock.now() >= errand.deadline:
                return None
            asked = _with_reason(errand.call, wrong)
            more = await self._admit(replace(errand, call=asked), [candidate])
            if isinstance(more, Wait):
                walk.skip(candidate, _told(more))
                return None
            tab = more
        return None

    async def _note_wait(self, walk: Walk, candidate: Candidate, call: Call, failure: CallFailed) -> None:
        """When it may work again: by the provider's word and by the book, whichever is later."""
        if failure.retry_after is None and not REACTIONS[failure.failure].again:
            return
        wait = await self.book.can_run_at(candidate, self.caller.cost(call, candidate))
        seconds = max(failure.retry_after or 0.0, wait.seconds if wait is not None else 0.0) or SOON
        if seconds < math.inf:
            walk.waits[candidate.domain] = self.clock.now() + seconds

    async def _judge(
        self, errand: Errand, walk: Walk, candidate: Candidate, call: Call, answer: Answer, at: tuple[float, float]
    ) -> Check | None:
        """What is wrong with an answer, if anything is. A right one ends the walk."""
        errand.tell(Stage("validate", candidate.name))
        try:
            checks = await errand.accept(answer, candidate)
        except asyncio.CancelledError:
            error = "cancelled: the task ended before its answer was judged"
            _record(errand, walk, attempt(candidate, call, "cancelled", error, at=at, answer=answer))
            raise
        if walk.answer is not None:  # another's was accepted meanwhile
            _record(errand, walk, _unneeded(candidate, call, at, answer.usage))
            return None
        walk.checks = checks
        wrong = next((c for c in checks if not c.passed), None)
        outcome = "ok" if wrong is None else "rejected"
        reason = None if wrong is None else f"{wrong.name}: {wrong.reason}"
        _record(errand, walk, attempt(candidate, call, outcome, reason, at=at, answer=answer))
        if wrong is not None and errand.released():
            walk.stopped = CallFailed(Failure.MALFORMED, f"{candidate.name}: {reason}.")
        if wrong is None:
            walk.answer, walk.candidate = answer, candidate
            await self.book.vouch(candidate)
        elif wrong.name in DISGUISED:
            await self.book.saw_through(candidate)
        return wrong


@dataclass(slots=True)
class _Route:
    """What is still ahead of a walk, and which accounts it goes round."""

    left: list[Candidate]
    passed_over: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    troubles: Counter[str] = field(default_factory=Counter[str])  # by provider

    def put_off(self, failed: Candidate) -> None:
        """Behind the others goes what is likely to fail in the same way, so that no attempt cap is spent on one outage.

        That is the same model at other accounts; the second time, all of the provider.
        """
        self.troubles[failed.provider] += 1
        whole = self.troubles[failed.provider] > 1
        alike = [c for c in self.left if c.provider == failed.provider and (whole or c.model == failed.model)]
        self.left = [c for c in self.left if c not in alike] + alike


def _unneeded(candidate: Candidate, call: Call, at: tuple[float, float], used: Usage) -> Attempt:
    return attempt(candidate, call, "cancelled", "cancelled: it was no longer needed", at=at, usage=used)


def _told(wait: Wait) -> str:
    if wait.kind in ("size", "fresh"):
        return wait.why
    return f"{wait.why}, {wait.seconds:.0f} s more"


def _refused(walk: Walk, candidate: Candidate, refusal: ConfigError | BudgetRefused | PrivacyRefused) -> None:
    if isinstance(refusal, BudgetRefused):
        walk.refusals.append(refusal)
        walk.skip(candidate, f"budget: {refusal.scope}")
    elif isinstance(refusal, PrivacyRefused):
        walk.skip(candidate, "private: not on this machine")
    else:  # its key went away or is set aside, its model file was moved
        walk.skip(candidate, refusal.message)
        walk.remedies.append(refusal.remedy)


def _unfit(errand: Errand, candidate: Candidate, passed_over: dict[tuple[str, str], str]) -> str:
    """Why this candidate can never take this call, or the empty string."""
    if errand.call.sensitivity is Sensitivity.PRIVATE and not candidate.local:
        return "private: not on this machine"
    if why := passed_over.get((candidate.provider, candidate.account)):
        return why
    room = _room(errand.call, candidate)
    if room < min(SMALLEST_ANSWER, errand.call.output_cap):
        if candidate.tokens_per_minute is not None and candidate.tokens_per_minute < candidate.context:
            return f"too large: {candidate.tokens_per_minute:,} tokens a minute can never hold it"
        return f"context: {candidate.context:,} tokens cannot hold it"
    return ""


def _room(call: Call, candidate: Candidate) -> int:
    """Output tokens this candidate can give to this call."""
    if call.chat is not None:
        taken = call.chat.tokens
    else:
        turns = "".join(t.user + t.assistant for t in call.history)
        taken = estimate(call.prompt) + estimate(call.instructions) + estimate(turns)
    window = min(candidate.context, candidate.tokens_per_minute or candidate.context)
    return min(call.output_cap, candidate.output_cap, window - taken)


def _with_reason(call: Call, wrong: Check) -> Call:
    reason = f"Your last answer was rejected ({wrong.name}: {wrong.reason}). Answer again and mend that."
    if wrong.advice:
        reason = f"{reason}\n\nAdvice: {wrong.advice}"
    chat = call.chat and with_remark(call.chat, reason)
    return replace(call, prompt=f"{call.prompt}\n\n{reason}", chat=chat)


def _progress(errand: Errand, candidate: Candidate) -> Callable[[int], None] | None:
    report = errand.report
    if report is None:
        return None
    return lambda chars: report(Progress(candidate.name, chars))


def _record(errand: Errand, walk: Walk, made: Attempt) -> None:
    walk.attempts.append(made)
    if errand.record is not None:
        errand.record(made)
