"""The quota book: who can run now, and if not, when. One page per quota domain, shared by all who keep it together."""

from __future__ import annotations

import math
import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from understudy.fleet.depth import NOBODY, Depth, Queue, queues
from understudy.fleet.health import Health
from understudy.fleet.page import DISGUISED, OVERTAKEN, VOUCHED, Came, Close, Granted, Page, Reserve, Wait
from understudy.store.pages import Pages
from understudy.types import Candidate, Failure, Reading, Standing, Usage

LEASE = 60.0  # seconds beyond a call's own limit before what has not come back is counted in full


@dataclass(frozen=True, slots=True)
class Cost:
    """What one request may take, in tokens. most_in is a sure bound of the input, tokens_in a fair estimate."""

    tokens_in: int
    cap: int
    most_in: int = 0

    @property
    def bound(self) -> int:
        return self.most_in or 4 * self.tokens_in + 64


@dataclass(frozen=True, slots=True)
class Level:
    """One window as it stands. reset: seconds until something, or at a day's end all of it, is free again."""

    name: str
    counts: str
    limit: int
    used: int
    reset: float
    shape: str
    stated: str  # by the server, by trial, or not at all: then it is the catalogue's guess

    @property
    def left(self) -> int:
        return max(0, self.limit - self.used)


@dataclass(frozen=True, slots=True)
class State:
    """What is known of one candidate now. wait: seconds until a small request can run; 0: now."""

    domain: str
    wait: float = 0.0
    why: str = ""
    breaker: str = "closed"
    latency: float = 0.0  # seconds, decayed; 0: not known
    slow: float = 0.0  # about the 95th percentile
    first_token: float = 0.0
    in_flight: int = 0
    levels: tuple[Level, ...] = ()
    queue: Queue = NOBODY

    @property
    def left(self) -> float:
        """The share of the tightest window that is left, 0 to 1."""
        return min((level.left / level.limit for level in self.levels), default=1.0)

    def windows(self, candidate: Candidate) -> tuple[Level, ...]:
        """Those of the book, or, before the first request, those of the catalogue."""
        listed = candidate.limits.windows
        return self.levels or tuple(
            Level(w.name, w.counts, w.limit, 0, 0.0, "day" if w.zone else "rolling", "") for w in listed
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    """A standing that holds from one moment to another, while its page stays as it is."""

    of: Candidate
    page: Page
    changes: int
    since: float
    until: float
    outlook: tuple[float, float]
    standing: Standing | None

    def holds(self, page: Page, now: float) -> bool:
        return self.page is page and self.changes == page.changes and self.since <= now < self.until


@dataclass(slots=True)
class Tab:
    """The holds of one attempt and what each came to; closed at once when the attempt ends."""

    candidate: Candidate
    holds: dict[str, Came | None] = field(default_factory=dict[str, "Came | None"])  # None: in flight
    probe: bool = False
    unused: str = ""  # granted beforehand; the first request takes it
    used: Usage = field(default_factory=Usage)  # as far as it was measured, whatever becomes of the attempt


class Book:
    """`can_run_at`, `reserve`, `settle`, `refund`; and `close` when an attempt ends, with what was seen of the server.

    Raises StoreError when the pages cannot be kept.
    """

    def __init__(self, pages: Pages[Page], jitter: random.Random | None = None) -> None:
        self.pages = pages
        self._jitter = jitter or random.Random()  # noqa: S311  spreads the comings-back, guards nothing
        self._smalls: dict[int, tuple[Candidate, Reserve]] = {}
        self._seen: dict[int, _Seen] = {}

    async def can_run_at(self, candidate: Candidate, cost: Cost) -> Wait | None:
        """None: now. Else how long to wait and why; infinite seconds: it can never fit."""
        pages, now = await self.pages.look()
        return pages.get(candidate.quota, Page()).wait(_entry("", candidate, cost, 0.0), now)

    async def reserve(
        self,
        candidate: Candidate,
        cost: Cost,
        *,
        seconds: float,
        batch: bool = False,
        waited: float = 0.0,
        own: tuple[str, ...] = (),
    ) -> Tab | Wait:
        """Room for one request that takes `seconds` at the most. A batch that has not waited long lets others first."""
        name = secrets.token_hex(8)
        entry = _entry(name, candidate, cost, seconds + LEASE, batch=batch, waited=waited)
        entry = replace(entry, own=own) if own else entry
        outcome = await self.pages.turn(candidate.quota, entry)
        if isinstance(outcome, Wait):
            return outcome
        assert isinstance(outcome, Granted)  # noqa: S101 - a reservation has no third outcome
        return Tab(candidate, {name: None}, probe=outcome.probe, unused=name)

    async def extend(self, tab: Tab, cost: Cost, *, seconds: float) -> Wait | None:
        """Room for one more request of the same attempt. None: granted."""
        more = await self.reserve(tab.candidate, cost, seconds=seconds, own=tuple(tab.holds))
        if isinstance(more, Wait):
            return more
        tab.holds |= more.holds
        tab.unused = more.unused
        return None

    async def count(self, tab: Tab) -> None:
        """The attempt goes on; those of its requests that have ended count from now as what they came to."""
        ended: tuple[tuple[str, Came], ...] = tuple(
            (name, came) for name, came in tab.holds.items() if came is not None
        )
        if ended:
            tab.holds = {name: None for name, came in tab.holds.items() if came is None}
            await self.pages.turn(tab.candidate.quota, Close(tab.candidate.model, ended))

    async def settle(self, tab: Tab, usage: Usage) -> None:
        """The attempt succeeded and its last request took this."""
        await self.close(tab, "ok", usage=usage)

    async def refund(self, tab: Tab) -> None:
        """Nothing was sent, or it is certain that nothing was counted."""
        tab.holds = {name: came or "nothing" for name, came in tab.holds.items()}
        await self.close(tab, None)

    async def close(
        self,
        tab: Tab,
        outcome: str | Failure | None,
        *,
        usage: Usage | None = None,
        retry_after: float | None = None,
        readings: Sequence[Reading] = (),
        seconds: float = 0.0,
        first_token: float = 0.0,
    ) -> None:
        """End an attempt. Holds nobody has accounted for come to `usage`, or, when that is not known, to all of it."""
        rest: Came = came_to(tab.candidate, usage)
        holds: tuple[tuple[str, Came], ...] = tuple(
            (name, rest if came is None else came) for name, came in tab.holds.items()
        )
        tab.holds = {}
        # Also when the caller is being cancelled: what is held must not wait for its lease.
        entry = Close(
            model=tab.candidate.model,
            holds=holds,
            outcome=None if outcome is None else str(outcome),
            retry_after=retry_after,
            readings=tuple(readings),
            seconds=seconds,
            first_token=first_token,
            jitter=self._jitter.random(),
        )
        await self.pages.turn(tab.candidate.quota, entry)

    async def standings(self, fleet: Sequence[Candidate]) -> tuple[Standing, ...]:
        """What a policy sees of them, rounded: a decision is recorded with it. Of whom nothing is known there is none.

        Asked for every task, so it works out no more than that.
        """
        pages, now = await self.pages.look()
        standings: list[Standing] = []
        for candidate in fleet:
            page = pages.get(candidate.quota)
            if page is not None and (standing := self._look_at(candidate, page, now).standing) is not None:
                standings.append(standing)
        return tuple(standings)

    async def outlooks(self, fleet: Sequence[Candidate]) -> dict[str, tuple[float, float]]:
        """By domain: seconds until a small request can run, and the share of its tightest window that is left."""
        pages, now = await self.pages.look()
        nothing = 0.0, 1.0
        return {c.domain: self._look_at(c, pages[c.quota], now).outlook if c.quota in pages else nothing for c in fleet}

    def _look_at(self, candidate: Candidate, page: Page, now: float) -> _Seen:
        seen = self._seen.get(id(candidate))
        if seen is None or not seen.holds(page, now) or seen.of is not candidate:
            wait, left = outlook = self._outlook(candidate, page, now)
            until = now + grain(wait) if wait else page.rests_until(now)
            standing = self._standing(candidate, page.health.get(candidate.model), wait, round(left, 2), now)
            seen = self._seen[id(candidate)] = _Seen(candidate, page, page.changes, now, until, outlook, standing)
        return seen

    def _standing(
        self, candidate: Candidate, health: Health | None, wait: float, left: float, now: float
    ) -> Standing | None:
        if health is None:
            return None if not wait and left == 1.0 else Standing(candidate.domain, wait, left)
        breaker, latency, first = health.state(now), round(health.latency, 2), round(health.first_token, 2)
        if not wait and left == 1.0 and breaker == "closed" and not latency and not first:
            return None
        return Standing(candidate.domain, wait, left, breaker, latency, first)

    def _outlook(self, candidate: Candidate, page: Page, now: float) -> tuple[float, float]:
        found = page.wait(self._small(candidate), now)
        wait = 0.0 if found is None or found.kind == "fresh" else min(found.seconds, 1e9)
        left = 1.0
        for gauge in page.gauges:  # which have just been asked
            left = min(left, 1 - math.ceil(gauge.count) / gauge.limit)
        return round(math.ceil(wait / grain(wait)) * grain(wait), 1), max(0.0, left)

    def _small(self, candidate: Candidate) -> Reserve:
        """A small request to this candidate; the same one each time."""
        known = self._smalls.get(id(candidate))
        if known is None or known[0] is not candidate:  # an id may have been another's before
            known = self._smalls[id(candidate)] = (candidate, _entry("", candidate, SMALL, 0.0))
        return known[1]

    async def saw_through(self, candidate: Candidate) -> None:
        """What came with status 200 was an error after all."""
        await self.close(Tab(candidate), DISGUISED)

    async def vouch(self, candidate: Candidate) -> None:
        """Its answer was accepted. Only news where the last ones were errors in disguise."""
        page = self.pages.known().get(candidate.quota)  # its call has just been counted there
        health = page.health.get(candidate.model) if page is not None else None
        if health is not None and health.fooled:
            await self.close(Tab(candidate), VOUCHED)

    async def overtaken(self, candidate: Candidate, seconds: float) -> None:
        """A hedged call has been out for so long, and somebody who was asked later has answered first."""
        await self.close(Tab(candidate), OVERTAKEN, seconds=seconds)

    async def tell(self, candidate: Candidate, depth: Depth) -> None:
        """How long a line of this process is, in front of this candidate and the same model's other accounts."""
        await self.pages.turn(candidate.quota, depth)

    async def states(self, fleet: Sequence[Candidate]) -> Mapping[str, State]:
        """How every candidate stands, by its domain."""
        pages, now = await self.pages.look()
        lines = queues((page.depths for page in pages.values()), now)
        states: dict[str, State] = {}
        for c in fleet:
            state = _state(c, pages[c.quota], now) if c.quota in pages else State(c.domain)
            states[c.domain] = replace(state, queue=lines[c.name]) if c.name in lines else state
        return states


def grain(wait: float) -> float:
    """How exactly a wait is told to policies, in seconds: nobody decides by the second what happens in an hour."""
    return 0.1 if wait < 10 else 1.0 if wait < 600 else 60.0


def came_to(candidate: Candidate, usage: Usage | None) -> Came:
    """What the provider counts of a request that used this."""
    if usage is None or not usage.measured:
        return "all"
    free = usage.cached_tokens if candidate.limits.cached_free else 0
    return max(0, usage.input_tokens - free), max(0, usage.output_tokens)


def _entry(
    hold: str, candidate: Candidate, cost: Cost, until: float, *, batch: bool = False, waited: float = 0.0
) -> Reserve:
    return Reserve(
        hold=hold,
        model=candidate.model,
        tokens_in=cost.tokens_in,
        most_in=cost.bound,
        cap=0 if candidate.limits.charged == "input" else cost.cap,
        until=until,
        windows=candidate.limits.windows,
        batch=batch,
        waited=waited,
    )


SMALL = Cost(tokens_in=100, cap=100)


def _state(candidate: Candidate, page: Page, now: float) -> State:
    wait = page.wait(_entry("", candidate, SMALL, 0.0), now)
    health = page.health.get(candidate.model)
    levels = tuple(
        Level(
            name=gauge.name,
            counts=gauge.counts,
            limit=gauge.limit,
            used=math.ceil(gauge.used(now)),
            reset=gauge.reset(now),
            shape="day" if gauge.zone else gauge.shape,
            stated=gauge.stated,
        )
        for gauge in page.gauges
    )
    if wait is not None and wait.kind == "fresh":
        wait = None  # it can run, only not all at once
    return State(
        domain=candidate.domain,
        wait=wait.seconds if wait else 0.0,
        why=wait.why if wait else "",
        breaker=health.state(now) if health else "closed",
        latency=health.latency if health else 0.0,
        slow=health.slow if health else 0.0,
        first_token=health.first_token if health else 0.0,
        in_flight=len(page.held),
        levels=levels,
    )
