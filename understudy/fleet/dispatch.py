"""Walk a chain of candidates until one gives an answer that is accepted.

The walker is the only owner of retries. It has one deadline and one attempt cap for the whole task, visits a candidate
once (once more with the validators' reason; once more at the end after a transport or overload failure), and records
every call it made and every candidate it passed over.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from understudy.errors import BudgetRefused, CallFailed, ConfigError, PrivacyRefused
from understudy.fleet.guards import list_price
from understudy.fleet.reactions import LONGEST_REST, REACTIONS
from understudy.types import (
    Answer,
    Attempt,
    Call,
    Candidate,
    Check,
    Clock,
    Event,
    Failure,
    Guard,
    Progress,
    Sensitivity,
    Stage,
    Usage,
    Worker,
)

SMALLEST_ANSWER = 64  # tokens; a window with less room than this is passed over
SHARE_OF_TIME = 0.6  # of what is left, for a call that has others behind it


class Rests(Protocol):
    """Which domains cannot run now; the store keeps it for all processes."""

    async def rest(self, domain: str, until: float, failure: Failure) -> None: ...

    async def resting(self, now: float) -> Mapping[str, tuple[float, Failure]]: ...


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be walked. deadline is a time of the clock, in seconds; accept says what is wrong with an answer."""

    call: Call
    chain: tuple[Candidate, ...]
    deadline: float
    max_attempts: int
    accept: Callable[[Answer, Candidate], Awaitable[tuple[Check, ...]]]
    guard: Callable[[Candidate], Guard]
    longest: Callable[[Candidate], float] = lambda _: math.inf  # seconds one call to this candidate may take
    patience: float = 3.0  # seconds worth waiting for a better candidate
    report: Callable[[Event], None] | None = None
    record: Callable[[Attempt], None] | None = None  # told of each attempt as it ends


@dataclass(slots=True)
class Walk:
    """What happened. answer is None when nobody's was accepted."""

    answer: Answer | None = None
    candidate: Candidate | None = None
    checks: tuple[Check, ...] = ()
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    skipped: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    refusals: list[BudgetRefused] = field(default_factory=list[BudgetRefused])
    waits: list[float] = field(default_factory=list[float])  # seconds until a passed-over domain may run
    stopped: CallFailed | None = None  # a failure that ends the walk


@dataclass(slots=True)
class Dispatcher:
    workers: Callable[[Candidate], Worker]
    rests: Rests
    clock: Clock
    _loaded: set[str] = field(default_factory=set[str])
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def walk(self, errand: Errand) -> Walk:
        walk = Walk()
        again = await self._pass(errand, walk, errand.chain, last=False)
        if walk.answer is None and walk.stopped is None and again:
            await self._pass(errand, walk, tuple(again), last=True)
        return walk

    async def _pass(self, errand: Errand, walk: Walk, chain: tuple[Candidate, ...], *, last: bool) -> list[Candidate]:
        again: list[Candidate] = []
        passed_over: dict[tuple[str, ...], str] = {}
        for position, candidate in enumerate(chain):
            why = _unfit(errand, candidate, passed_over) or await self._not_now(errand, walk, candidate)
            if why:
                walk.skipped.append((candidate.domain, why))
                continue
            if len(walk.attempts) >= errand.max_attempts:
                walk.skipped.append((candidate.domain, f"the cap of {errand.max_attempts} attempts is reached"))
                continue
            others = position + 1 < len(chain)
            failure = await self._try(errand, walk, candidate, others=others)
            if walk.answer is not None or walk.stopped is not None:
                return []
            if failure is None:
                continue
            reaction = REACTIONS[failure.failure]
            if reaction.spread == "account":
                passed_over[(candidate.provider, candidate.account)] = f"{failure.failure} on this account"
            if reaction.again and not last:
                again.append(candidate)
        return again

    async def _not_now(self, errand: Errand, walk: Walk, candidate: Candidate) -> str:
        now = self.clock.now()
        if now >= errand.deadline:
            return "the deadline has passed"
        until, failure = (await self.rests.resting(now)).get(candidate.domain, (0.0, Failure.OVERLOAD))
        wait = until - now
        if wait <= 0:
            return ""
        if wait <= min(errand.patience, (errand.deadline - now) / 2):
            _report(errand, Stage("wait", f"{candidate.name}, {wait:.1f} s"))
            await self.clock.sleep(wait)
            return ""
        walk.waits.append(wait)
        return f"resting {wait:.0f} s more ({failure})"

    async def _try(self, errand: Errand, walk: Walk, candidate: Candidate, *, others: bool) -> CallFailed | None:
        """One candidate: a call, and one more with the validators' reason. Returns the failure, if it was one."""
        call = replace(errand.call, output_cap=_room(errand.call, candidate))
        for turn in range(2):
            started = self.clock.now()
            answer, failure = await self._send(errand, walk, candidate, call, others=others)
            ended = self.clock.now()
            if failure is not None:
                if REACTIONS[failure.failure].stop:
                    walk.stopped = failure
                if (wait := await self.remember(candidate, failure)) is not None:
                    walk.waits.append(wait)
                return failure
            if answer is None:
                return None
            _report(errand, Stage("validate", candidate.name))
            checks = await errand.accept(answer, candidate)
            walk.checks = checks
            wrong = next((c for c in checks if not c.passed), None)
            outcome = "ok" if wrong is None else "rejected"
            reason = None if wrong is None else f"{wrong.name}: {wrong.reason}"
            _record(errand, walk, attempt(candidate, call, outcome, reason, at=(started, ended), answer=answer))
            if wrong is None:
                walk.answer, walk.candidate = answer, candidate
                return None
            if turn == 0 and len(walk.attempts) < errand.max_attempts and self.clock.now() < errand.deadline:
                call = replace(call, prompt=_with_reason(errand.call.prompt, wrong))
                continue
            return None
        return None

    async def _send(
        self, errand: Errand, walk: Walk, candidate: Candidate, call: Call, *, others: bool
    ) -> tuple[Answer | None, CallFailed | None]:
        try:
            worker = await self.loaded(candidate)
        except ConfigError as error:  # its key went away, its model file was moved
            walk.skipped.append((candidate.domain, str(error)))
            return None, None
        started = self.clock.now()
        left = errand.deadline - started
        limit = min(call.timeout, errand.longest(candidate), left * SHARE_OF_TIME if others else left)
        call = replace(call, timeout=max(0.05, limit))
        _report(errand, Stage("dispatch", candidate.name))
        progress = _progress(errand, candidate)
        try:
            async with asyncio.timeout(call.timeout + 1.0):  # the worker keeps its own; this one is for a broken worker
                answer = await worker.work(call, errand.guard(candidate), progress)
            return answer, None
        except BudgetRefused as refusal:
            walk.refusals.append(refusal)
            walk.skipped.append((candidate.domain, f"budget: {refusal.scope}"))
            return None, None
        except PrivacyRefused:
            walk.skipped.append((candidate.domain, "private: not on this machine"))
            return None, None
        except TimeoutError:
            failure = CallFailed(Failure.TRANSPORT, f"{candidate.name} did not answer in {call.timeout:.0f} s.")
        except CallFailed as error:
            failure = error
        error = f"{failure.failure}: {failure.message}"
        at = (started, self.clock.now())
        _record(errand, walk, attempt(candidate, call, str(failure.failure), error, at=at, usage=failure.usage))
        return None, failure

    async def loaded(self, candidate: Candidate) -> Worker:
        """The worker with its SDK imported: once, and on a thread, so that a terminal stays alive meanwhile."""
        worker = self.workers(candidate)
        if candidate.domain not in self._loaded:
            async with self._loading:
                if candidate.domain not in self._loaded:
                    await asyncio.to_thread(worker.load)
                    self._loaded.add(candidate.domain)
        return worker

    async def remember(self, candidate: Candidate, failure: CallFailed) -> float | None:
        """Let the domain rest for as long as the provider, or else the reaction, says. Returns the seconds."""
        seconds = failure.retry_after if failure.retry_after is not None else REACTIONS[failure.failure].rest
        if seconds is None or failure.failure not in (Failure.MINUTE_QUOTA, Failure.DAY_QUOTA, Failure.OVERLOAD):
            return None
        seconds = min(max(seconds, 0.0), LONGEST_REST)
        await self.rests.rest(candidate.domain, self.clock.now() + seconds, failure.failure)
        return seconds


def _unfit(errand: Errand, candidate: Candidate, passed_over: Mapping[tuple[str, ...], str]) -> str:
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
    from understudy.tokens import estimate

    turns = "".join(t.user + t.assistant for t in call.history)
    taken = estimate(call.prompt) + estimate(call.instructions) + estimate(turns)
    window = min(candidate.context, candidate.tokens_per_minute or candidate.context)
    return min(call.output_cap, candidate.output_cap, window - taken)


def _with_reason(prompt: str, wrong: Check) -> str:
    return f"{prompt}\n\nYour last answer was rejected ({wrong.name}: {wrong.reason}). Answer again and mend that."


def attempt(
    candidate: Candidate,
    call: Call,
    outcome: str,
    error: str | None,
    *,
    at: tuple[float, float],
    answer: Answer | None = None,
    usage: Usage | None = None,
    directs: bool = False,
) -> Attempt:
    """The record of one call made from at[0] to at[1]: what it used, what it cost, what it costs at list price."""
    usage = answer.usage if answer else usage or Usage()
    stated = answer.cost_usd if answer else None
    listed = list_price(candidate, usage.input_tokens, usage.output_tokens) / 1e6 if stated is None else stated
    return Attempt(
        candidate=candidate.name,
        provider=candidate.provider,
        account=candidate.account,
        model=candidate.model,
        role=call.role,
        outcome=outcome,
        error=error,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=0.0 if candidate.free else listed,
        list_usd=listed,
        seconds=round(at[1] - at[0], 4),
        started=at[0],
        directs=directs,
        simulated=candidate.simulated,
        free=candidate.free,
    )


def _progress(errand: Errand, candidate: Candidate) -> Callable[[int], None] | None:
    report = errand.report
    if report is None:
        return None
    return lambda chars: report(Progress(candidate.name, chars))


def _record(errand: Errand, walk: Walk, made: Attempt) -> None:
    walk.attempts.append(made)
    if errand.record is not None:
        errand.record(made)


def _report(errand: Errand, event: Event) -> None:
    if errand.report is not None:
        errand.report(event)
