"""Getting room for a request: the line, the book, a wait that is worth it. And the guard that keeps to what was got."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from understudy.errors import CallFailed
from understudy.fleet.announcer import Announcer
from understudy.fleet.book import Book, Cost, Tab, came_to
from understudy.fleet.page import Wait
from understudy.fleet.queue import Line
from understudy.types import Amount, Candidate, Clock, Failure, Guard, Hold, Priority, Usage

LOOK_AGAIN = 0.25  # seconds; another process may have given room back meanwhile
WAITED_IN_A_CALL = 10.0  # seconds a request in the middle of a tool loop waits at the most


@dataclass(frozen=True, slots=True)
class Wish:
    """Who asks, and how long it is worth waiting. until: a time of the clock."""

    session: str
    priority: Priority
    until: float
    waiting: Callable[[Candidate, float], None] = lambda candidate, seconds: None  # told when a wait begins
    others: bool = False  # somebody else can be asked: who is down, or being felt for, is not waited for then
    latest: float = 0.0  # as until, for the first answer of a domain, which is on its way; 0: no longer than for others

    def ends(self, wait: Wait) -> float:
        """When it is no longer worth it."""
        return max(self.until, self.latest) if wait.kind == "fresh" else self.until


@dataclass(slots=True)
class Doorman:
    """One per process. Lines are by model: its accounts serve the same line."""

    book: Book
    clock: Clock
    lines: dict[str, Line] = field(default_factory=dict[str, Line])
    announcer: Announcer = field(init=False)

    def __post_init__(self) -> None:
        self.announcer = Announcer(self.book, self.clock)

    async def admit(
        self, among: Sequence[Candidate], costs: Mapping[str, Cost], seconds: Mapping[str, float], wish: Wish
    ) -> Tab | Wait:
        """Room at one of these (the accounts of one model), at the one with most left; or why not, and until when."""
        line = self.lines.setdefault(among[0].name, Line())
        if not len(line):
            got = await self._ask(among, costs, seconds, wish, 0.0)
            if isinstance(got, Tab) or not self._worth(got, wish):
                return got
        if line.full:
            return Wait(60.0, f"the line of {len(line):,} is full", "queue")
        async with line.place(wish.session, wish.priority, self.clock.now()) as place:
            self.announcer.watch(among[0], line)
            told = False
            while True:
                got = Wait(math.inf, "the line", "queue")
                place.called.clear()
                if line.is_head(place):
                    got = await self._ask(among, costs, seconds, wish, self.clock.now() - place.since)
                    if isinstance(got, Tab):
                        line.serve(place)
                        return got
                    if got.kind == "size" or not self._worth(got, wish):
                        return got
                left = wish.ends(got) - self.clock.now()
                if left <= 0:
                    return Wait(LOOK_AGAIN, f"{len(line)} are waiting for {among[0].name}", "queue")
                if not told:
                    told = True
                    wish.waiting(among[0], got.seconds if got.seconds < math.inf else left)
                if line.is_head(place):
                    await self._pause(min(got.seconds, LOOK_AGAIN, left), place.called)
                else:
                    await self._pause(left, place.called)

    def gave_back(self, candidate: Candidate) -> None:
        """An attempt has ended: whoever is first in line may look again at once."""
        line = self.lines.get(candidate.name)
        if line is not None:
            line.nudge()

    async def _ask(
        self,
        among: Sequence[Candidate],
        costs: Mapping[str, Cost],
        seconds: Mapping[str, float],
        wish: Wish,
        waited: float,
    ) -> Tab | Wait:
        ordered = list(among)
        if len(ordered) > 1:
            seen = await self.book.outlooks(ordered)
            # Round-robin is the chain's order; the stable sort keeps it among those that have the same share left.
            ordered.sort(key=lambda c: (seen[c.domain][0], -round(seen[c.domain][1], 1)))
        waits: list[Wait] = []
        for candidate in ordered:
            got = await self.book.reserve(
                candidate,
                costs[candidate.domain],
                seconds=seconds[candidate.domain],
                batch=wish.priority is Priority.BATCH,
                waited=waited,
            )
            if isinstance(got, Tab):
                return got
            waits.append(got)
        return min(waits, key=lambda wait: wait.seconds)

    def _worth(self, wait: Wait, wish: Wish) -> bool:
        if wait.kind == "breaker" and wish.others:
            return False
        return self.clock.now() + wait.seconds <= wish.ends(wait)

    async def _pause(self, seconds: float, called: asyncio.Event) -> None:
        """Sleep on the clock, or until called."""
        waits = [asyncio.ensure_future(self.clock.sleep(max(0.001, seconds))), asyncio.ensure_future(called.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


@dataclass(slots=True)
class QuotaGuard:
    """Around the guard at the send seam: no request leaves for which the book has not given room (I4)."""

    inner: Guard
    book: Book
    clock: Clock
    tab: Tab
    seconds: float  # the call's own limit
    _holds: dict[str, Hold | None] = field(default_factory=dict[str, "Hold | None"])

    async def before(self, input_tokens: int, output_cap: int) -> Hold | None:
        if input_tokens == 0 and output_cap == 0:  # a count of tokens, which no window counts
            return await self.inner.before(0, 0)
        if not self.tab.unused:
            await self._more(Cost(tokens_in=input_tokens, cap=output_cap, most_in=input_tokens))
        name, self.tab.unused = self.tab.unused, ""
        try:
            self._holds[name] = await self.inner.before(input_tokens, output_cap)
        except BaseException:
            self.tab.holds[name] = "nothing"
            raise
        inner = self._holds[name]
        return Hold(name, Amount(), (), output_cap=inner.output_cap if inner is not None else None)

    async def after(self, hold: Hold | None, usage: Usage | None) -> None:
        name = hold.id if hold is not None else ""
        if name in self._holds:
            self.tab.holds[name] = came_to(self.tab.candidate, usage)
            self.tab.used += usage or Usage()
            hold = self._holds.pop(name)
        await self.inner.after(hold, usage)

    async def unsent(self, hold: Hold | None) -> None:
        name = hold.id if hold is not None else ""
        if name in self._holds:
            self.tab.holds[name] = "nothing"
            hold = self._holds.pop(name)
        await self.inner.unsent(hold)

    async def _more(self, cost: Cost) -> None:
        """Another request of a tool loop. Raises CallFailed(MINUTE_QUOTA) when there will be no room soon."""
        await self.book.count(self.tab)
        until = self.clock.now() + min(WAITED_IN_A_CALL, self.seconds / 4)
        while (wait := await self.book.extend(self.tab, cost, seconds=self.seconds)) is not None:
            if self.clock.now() + wait.seconds > until:
                what = f"{self.tab.candidate.name}: no room for the next request ({wait.why})."
                size = Failure.TOO_LARGE if wait.kind == "size" else Failure.MINUTE_QUOTA
                raise CallFailed(
                    size, what, retry_after=wait.seconds if wait.seconds < math.inf else None, charged=False
                )
            await self.clock.sleep(min(max(wait.seconds, 0.001), LOOK_AGAIN))
