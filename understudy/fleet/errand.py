"""What a walk is given, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from understudy.errors import BudgetRefused, CallFailed
from understudy.fleet.guards import list_price
from understudy.types import Answer, Attempt, Call, Candidate, Check, Event, Guard, Priority, Stage, Usage


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds one call to a candidate may take: in all, to its first token, and between two pieces.

    The last two are kept where the answer is received piece by piece.
    """

    total: float = math.inf
    first_token: float = math.inf
    stall: float = math.inf


@dataclass(frozen=True, slots=True)
class Errand:
    """What is to be walked. deadline is a time of the clock, in seconds; accept says what is wrong with an answer."""

    call: Call
    chain: tuple[Candidate, ...]
    deadline: float
    max_attempts: int
    accept: Callable[[Answer, Candidate], Awaitable[tuple[Check, ...]]]
    guard: Callable[[Candidate], Guard]
    timing: Callable[[Candidate], Timing] = lambda _: Timing()
    patience: float = 3.0  # seconds worth waiting for a better candidate
    session: str = ""
    priority: Priority = Priority.INTERACTIVE
    released: Callable[[], bool] = lambda: False  # a part of an answer has passed on: nobody else's can follow it
    hedge: bool = False  # ask a second candidate when the first takes longer than nearly always
    report: Callable[[Event], None] | None = None  # with one, a candidate is asked to answer piece by piece
    watch: Callable[[Event], None] | None = None  # told of the stages alone
    record: Callable[[Attempt], None] | None = None  # told of each attempt as it ends

    def tell(self, stage: Stage) -> None:
        for told in (self.report, self.watch):
            if told is not None:
                told(stage)


@dataclass(slots=True)
class Walk:
    """What happened. answer is None when nobody's was accepted."""

    answer: Answer | None = None
    candidate: Candidate | None = None
    checks: tuple[Check, ...] = ()
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    skipped: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    refusals: list[BudgetRefused] = field(default_factory=list[BudgetRefused])
    waits: dict[str, float] = field(default_factory=dict[str, float])  # domain: when it may run, by the clock
    remedies: list[str] = field(default_factory=list[str])  # what the failures said one can do
    stopped: CallFailed | None = None  # a failure that ends the walk

    @property
    def ended(self) -> bool:
        return self.answer is not None or self.stopped is not None

    def retry_after(self, now: float) -> float | None:
        """Seconds until the first of them may run; None when waiting does not help."""
        return max(0.0, min(self.waits.values()) - now) if self.waits else None

    def skip(self, candidate: Candidate, why: str) -> None:
        self.skipped.append((candidate.domain, why))


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
