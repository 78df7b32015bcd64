"""The tokens a caller may use in a day, where they run short.

What is reserved and not used comes back when the calls in flight end. So a task for which there is too little waits for
it as long as its patience lasts, in a line: first come, first served. When nothing can come back, what is left is all
there will be: the cap of the answer shrinks to it. So no rest is stranded, and nothing is overspent.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from understudy.director.budget import comes_back, is_callers
from understudy.errors import BudgetRefused
from understudy.fleet.dispatch import SMALLEST_ANSWER
from understudy.fleet.errand import Errand, Walk
from understudy.store.ledger_rules import refusal
from understudy.types import Amount, Balance, Clock, Guard, Hold, Stage, Usage

PLENTY = 100_000  # tokens; where there are so many nobody reckons how many it takes
MUCH = 10 * PLENTY
LEAST_SHARE = 256  # tokens of output that one gets while others wait, if there are so many
TIMES = 3  # the longest answer of late; one that is longer still is rarer than who waits in vain
LOOK_AGAIN = 0.25  # seconds; another process may have given something back meanwhile


@dataclass(slots=True)
class Allowance:
    """One caller's in this process: who waits for it. The events call them; only the first one's is ever set."""

    line: deque[asyncio.Event] = field(default_factory=deque[asyncio.Event])
    plenty: float = 0.0  # until then by the clock nobody looks: there was far more than anybody takes
    claimed: int = 0  # tokens, the least that those take who are on their way to the ledger
    longest: float = 0.0  # tokens of output of its longest answer, of which every later one forgets a little

    def learn(self, output_tokens: int) -> None:
        self.longest = max(float(output_tokens), self.longest * 0.99)

    def share(self, left: int) -> int:
        """Of what is left, how much one gets: nobody takes all of it for a short answer, while others wait."""
        if not self.line or not self.longest:
            return left
        return min(left, max(LEAST_SHARE, round(TIMES * self.longest)))

    def call(self) -> None:
        """Something has come back, or there is another first one: it may look at once."""
        if self.line:
            self.line[0].set()


@dataclass(slots=True, eq=False)
class Turn:
    """One task before its caller's allowance."""

    allowance: Allowance
    clock: Clock
    look: Callable[[], Awaitable[Balance]]  # how the allowance stands
    least: Callable[[], int]  # tokens, below which nobody can work on it
    patient: bool = True  # it would rather wait than take less than it asks for; until its first request is made
    shortest: int | None = None  # tokens of output, where it got fewer than it asked for
    _least: int = 0
    _claim: int = 0
    _called: asyncio.Event = field(default_factory=asyncio.Event)

    async def take(self, errand: Errand, walk: Callable[[Errand], Awaitable[Walk]]) -> Walk:
        """The walk; once more for as long as it was refused what may come back. Only the first in the line tries.

        Raises BudgetRefused when not even the least it can take will be there today.
        """
        line, now = self.allowance.line, self.clock.now()
        until = now + min(errand.patience, (errand.deadline - now) / 2)
        if not await self._must_wait() and not line:
            walked = await self._try(errand, walk)
            if not (self.patient and _is_short(walked)):
                return walked
        errand.tell(Stage("wait", "the key's budget of the day"))
        line.append(self._called)
        try:
            while True:
                self.patient = self.clock.now() < until
                if self.patient and line[0] is not self._called:
                    await self._pause(until)
                    continue
                self._called.clear()
                if not await self._must_wait() or not self.patient:
                    walked = await self._try(errand, walk)
                    if not (self.patient and _is_short(walked)):
                        return walked
                await self._pause(min(until, self.clock.now() + LOOK_AGAIN))
        finally:
            self.leave()

    async def _must_wait(self) -> bool:
        """Whether there is too little now. It costs less to look than to have every candidate of a chain refused."""
        if self.clock.now() < self.allowance.plenty:  # should it be wrong, the ledger refuses
            self._least = 0
            return False
        balance, claimed = await self.look(), self.allowance.claimed
        if refusal(balance, Amount(PLENTY + claimed)) is None:
            self._least = 0
            if refusal(balance, Amount(MUCH)) is None:
                self.allowance.plenty = self.clock.now() + LOOK_AGAIN
            return False
        self._least = self.least()
        refused = refusal(balance, Amount(self._least))
        if refused is not None and not comes_back(refused):
            raise refused
        return refusal(balance, Amount(self._least + claimed)) is not None

    async def _try(self, errand: Errand, walk: Callable[[Errand], Awaitable[Walk]]) -> Walk:
        self._claim = self._least
        self.allowance.claimed += self._claim
        try:
            return await walk(errand)
        finally:
            self._unclaim()

    def _unclaim(self) -> None:
        self.allowance.claimed -= self._claim
        self._claim = 0
        self.allowance.call()

    def served(self) -> None:
        """It has its room. Whatever is refused from now on, what it has spent is not spent once more."""
        self.patient = False
        self._unclaim()
        self.leave()

    def leave(self) -> None:
        """The next one may try."""
        if self._called in self.allowance.line:
            self.allowance.line.remove(self._called)
            self.allowance.call()

    async def _pause(self, until: float) -> None:
        """Until then by the clock, or until it is called."""
        alarm = self.clock.sleep(max(0.001, until - self.clock.now()))
        waits = [asyncio.ensure_future(alarm), asyncio.ensure_future(self._called.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


@dataclass(frozen=True, slots=True)
class AllowanceGuard:
    """types.Guard around the one that reserves. turn: the worker's; without one nothing shrinks, as in an act."""

    inner: Guard
    allowance: Allowance
    turn: Turn | None = None

    async def before(self, input_tokens: int, output_cap: int) -> Hold | None:
        cap = output_cap
        while True:  # each refusal leaves a smaller cap, or none
            try:
                hold = await self.inner.before(input_tokens, cap)
                break
            except BudgetRefused as refused:
                cap = self.allowance.share(refused.limit - refused.spent - refused.reserved - input_tokens)
                if not self._takes(refused, cap, output_cap):
                    raise
        if self.turn is not None and (input_tokens or output_cap):
            self.turn.served()
        if hold is None or self.turn is None or cap == output_cap:
            return hold
        self.turn.shortest = min(cap, self.turn.shortest or cap)
        return replace(hold, output_cap=cap)

    def _takes(self, refused: BudgetRefused, cap: int, asked: int) -> bool:
        if self.turn is None or not is_callers(refused) or cap < max(1, min(asked, SMALLEST_ANSWER)):
            return False
        return not (self.turn.patient and comes_back(refused))

    async def after(self, hold: Hold | None, usage: Usage | None) -> None:
        await self.inner.after(hold, usage)
        if self.turn is not None and usage is not None:
            self.allowance.learn(usage.output_tokens)
        self.allowance.call()

    async def unsent(self, hold: Hold | None) -> None:
        await self.inner.unsent(hold)
        self.allowance.call()


def _is_short(walk: Walk) -> bool:
    """Nobody was called, because the caller's budget had too little left at that moment."""
    return not walk.attempts and any(is_callers(refused) and comes_back(refused) for refused in walk.refusals)
