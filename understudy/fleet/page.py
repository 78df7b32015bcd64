"""The book's page of one quota domain: its windows, what is in flight, its rest, its candidates' health.

A page changes by entries only (Reserve, Close, Depth): each is plain data and takes effect the same way wherever the
page is kept, so a file, a database and a replicated log hold the same book. Times are seconds of the keeper's clock.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from understudy.fleet.depth import Depth, Said, forget, note
from understudy.fleet.gauge import Gauge, gauge_of
from understudy.fleet.health import Health
from understudy.fleet.reactions import LONGEST_REST, REACTIONS
from understudy.types import Counted, Failure, Reading, Window

AGAIN = 1.0  # seconds of rest at the least after a refusal that names none; doubled for each further one in a row
LONGEST_AGAIN = 300.0
FEELER = 10.0  # seconds after which a first request that has not come back keeps nobody from trying, too
SOON = 0.05  # seconds until one looks again, where nobody can say when: somebody's answer is awaited
FOREIGN = 8.0  # a stated limit this many times off belongs to a window the catalogue does not know
RATIO = 1.3  # tokens the server counts for each one we estimate, before it has said
MINUTE, DAY = 60.0, 86_400.0
COURTESY = 2.0  # seconds for which a batch leaves the room to a task at a terminal that was just refused
NO_LONGER = 30.0  # seconds a batch waits so; then it takes what it can get
MOST = 10**15  # requests or tokens; more is no limit anybody counts in
LONGEST_RESET = 40 * DAY

OVERTAKEN = "overtaken"  # a hedged call that somebody asked later has answered first
DISGUISED = "disguised"  # what was answered turned out to be an error
VOUCHED = "vouched"  # the first good answer after such ones

Amounts = Mapping[Counted, float]
Came = tuple[int, int] | Literal["nothing", "all"]  # (input, output) tokens; all: unknown, so what was reserved


@dataclass(frozen=True, slots=True)
class Reserve:
    """Ask for room. tokens_in is an estimate, most_in a sure bound; cap the output that is counted beforehand."""

    hold: str
    model: str
    tokens_in: int
    most_in: int
    cap: int
    until: float  # seconds from now; whatever has not come back by then is counted in full
    windows: tuple[Window, ...] = ()
    batch: bool = False
    waited: float = 0.0  # seconds so far
    own: tuple[str, ...] = ()  # holds of the same attempt, which do not stand in its way


@dataclass(frozen=True, slots=True)
class Close:
    """An attempt has ended: its holds with what each came to, and what was seen.

    outcome is "ok", a Failure, OVERTAKEN, DISGUISED or VOUCHED; None leaves the health alone (the caller went away).
    """

    model: str
    holds: tuple[tuple[str, Came], ...]
    outcome: str | None = None
    retry_after: float | None = None
    readings: tuple[Reading, ...] = ()
    seconds: float = 0.0
    first_token: float = 0.0
    jitter: float = 0.5


Entry = Reserve | Close | Depth


@dataclass(frozen=True, slots=True)
class Granted:
    hold: str
    probe: bool = False  # the one call that feels whether a candidate is back


@dataclass(frozen=True, slots=True)
class Wait:
    """Not now. seconds: when to look again, infinite when it can never fit."""

    seconds: float
    why: str
    kind: str = "quota"  # quota | rest | breaker | fresh | size


@dataclass(slots=True)
class Held:
    at: float
    until: float
    model: str
    tokens_in: int  # as it was estimated
    amounts: dict[Counted, float]


@dataclass(slots=True)
class Page:
    """The state of one domain."""

    gauges: list[Gauge] = field(default_factory=list[Gauge])
    held: dict[str, Held] = field(default_factory=dict[str, Held])
    health: dict[str, Health] = field(default_factory=dict[str, Health])
    rest: float = 0.0  # until when nothing runs
    why: str = ""
    refusals: int = 0  # in a row, each of a request that was sent after the one before
    refused: float = 0.0  # when the last of them came
    answers: int = 0  # since the page was begun: a fresh page lets one request feel its way
    ratio: float = RATIO
    asked: float = 0.0  # when a task at a terminal last found no room, of whichever process
    seen: float = 0.0
    changes: int = 0  # entries so far
    depths: dict[str, Said] = field(default_factory=dict[str, Said])  # of the lines in front of it

    def apply(self, entry: Entry, now: float) -> Granted | Wait | None:
        now = self._turn_to(now)
        if self.depths:
            forget(self.depths, now)
        if isinstance(entry, Depth):
            note(self.depths, entry, now)
            return None
        self.changes += 1
        if isinstance(entry, Reserve):
            return self._reserve(entry, now)
        said = entry.retry_after
        if said is not None and not 0 <= said <= LONGEST_REST:
            entry = replace(entry, retry_after=LONGEST_REST if LONGEST_REST < said < math.inf else None)
        self._close(entry, now)
        return None

    def wait(self, entry: Reserve, now: float) -> Wait | None:
        """Why this cannot run now, and when it can; None: it can. Only ageing changes."""
        now = self._turn_to(now)
        self._suit(entry.windows)
        amounts = self._amounts(entry)
        longest, slowest = 0.0, None
        for gauge in self.gauges:
            seconds = gauge.wait(now, amounts[gauge.counts])
            if seconds == math.inf:
                why = f"too large: {gauge.limit:,} {gauge.counts} in {gauge.name} can never hold it"
                return Wait(math.inf, why, "size")
            if seconds > longest:
                longest, slowest = seconds, gauge
        health = self.health.get(entry.model)
        if self.rest > now:
            return Wait(self.rest - now, f"resting ({self.why})", "rest")
        if health is not None and (state := health.state(now)) != "closed":
            if state == "open":
                return Wait(health.until - now, f"breaker open ({health.reason})", "breaker")
            if health.probe in self.held:
                return Wait(health.latency or SOON, "breaker half-open, one call is trying", "breaker")
        if slowest is not None:
            return Wait(longest, f"{slowest.name}: {slowest.used(now):,.0f} of {slowest.limit:,} used")
        if self.held and self._feels_its_way(amounts, now) and self._is_felt(entry, health, now):
            return Wait(
                health.latency if health and 0 < health.latency < 1 else SOON, "feeling out its limits", "fresh"
            )
        return None

    def _is_felt(self, entry: Reserve, health: Health | None, now: float) -> bool:
        """Whether somebody else's request is feeling the limits. One that is long gone may be a dead process's."""
        lately = now - max(FEELER, 3 * health.latency if health else 0.0)
        return any(held.at > lately for name, held in self.held.items() if name not in entry.own)

    def rests_until(self, now: float) -> float:
        """Until when time alone changes nothing here; `now` when it always does."""
        if self.rest > now:
            return now
        moments = [held.until for held in self.held.values()]
        moments += [health.until for health in self.health.values() if health.until > now]
        moments += [gauge.rests_until(now) for gauge in self.gauges]
        return min(moments, default=math.inf)

    def _reserve(self, entry: Reserve, now: float) -> Granted | Wait:
        if entry.hold in self.held:
            return Granted(entry.hold)  # a keeper that lost its connection has sent it twice
        wait = self.wait(entry, now)
        if wait is None and entry.batch and now < self.asked + COURTESY and entry.waited < NO_LONGER:
            wait = Wait(SOON, "a task at a terminal goes first", "courtesy")
        if wait is not None:
            if not entry.batch and wait.kind in ("quota", "fresh") and now > self.asked + COURTESY / 2:
                self.asked = now
            return wait
        if not entry.batch:
            self.asked = 0.0
        amounts = self._amounts(entry)
        for gauge in self.gauges:
            gauge.hold(amounts[gauge.counts])
        self.held[entry.hold] = Held(now, now + entry.until, entry.model, entry.tokens_in, amounts)
        health = self._health_of(entry.model)
        probe = health.state(now) == "half-open"
        if probe:
            health.probe = entry.hold
        return Granted(entry.hold, probe)

    def _close(self, entry: Close, now: float) -> None:
        own: dict[Counted, float] = dict.fromkeys(("requests", "tokens", "input", "output"), 0.0)
        before, sent = dict(own), now
        for name, used in entry.holds:
            held = self.held.pop(name, None)
            if held is None:
                continue  # its lease had ended: it is counted in full already
            sent = min(sent, held.at)
            came_to = self._came_to(held, used)
            for counts, amount in held.amounts.items():
                before[counts] += amount
                own[counts] += came_to[counts]
            for gauge in self.gauges:
                gauge.drop(held.amounts[gauge.counts])
                gauge.take(now, came_to[gauge.counts], ours=entry.outcome == "ok")
        for reading in filter(None, map(believable, entry.readings)):
            self._find(reading).read(reading, sent=sent, now=now, own=own[reading.counts], held=before[reading.counts])
        health = self._health_of(entry.model)
        if entry.outcome == "ok":
            self.answers += 1
            self.refusals = 0
            health.succeed(entry.seconds, entry.first_token)
        elif entry.outcome == OVERTAKEN:
            health.lag(now, entry.seconds, entry.jitter)
        elif entry.outcome == DISGUISED:
            health.see_through(now, entry.jitter)
        elif entry.outcome == VOUCHED:
            health.vouch()
        elif entry.outcome is not None:
            failure = Failure(entry.outcome)
            health.fail(now, failure, entry.retry_after, entry.jitter)
            if failure in (Failure.MINUTE_QUOTA, Failure.DAY_QUOTA):
                self._refused(entry, failure, before, sent=sent, now=now)
        elif health.probe in {name for name, _ in entry.holds}:
            health.probe = ""

    def _health_of(self, model: str) -> Health:
        known = self.health.get(model)
        if known is None:
            known = self.health[model] = Health()
        return known

    def _came_to(self, held: Held, used: Came) -> Amounts:
        """What a request really took."""
        if used == "nothing":
            return dict.fromkeys(held.amounts, 0.0)
        if used == "all":
            return held.amounts
        tokens_in, tokens_out = used
        if tokens_in > 0 and held.tokens_in > 0:
            seen = min(4.0, max(0.5, tokens_in / held.tokens_in))
            # Quick to rise, slow to fall: an estimate that is too small earns a refusal.
            self.ratio = max(seen * 1.02, self.ratio * 0.95 + seen * 0.05)
        counted_out = tokens_out if held.amounts["output"] else 0
        return {
            "requests": 1.0,
            "tokens": float(tokens_in + counted_out),
            "input": float(tokens_in),
            "output": float(counted_out),
        }

    def _refused(self, entry: Close, failure: Failure, asked: Amounts, *, sent: float, now: float) -> None:
        """A refusal the book did not foresee: rest, and let the window that is the likeliest cause take the blame."""
        day = failure is Failure.DAY_QUOTA
        able = [g for g in self.gauges if (g.seconds >= DAY) == day]
        seconds = REACTIONS[failure].rest if entry.retry_after is None else entry.retry_after
        told = {self._find(r).name: r.left for r in filter(None, map(believable, entry.readings)) if r.left is not None}
        if all(g.wait(now, 1.0) == 0 and told.get(g.name, asked[g.counts]) >= asked[g.counts] for g in able):
            culprit = max((g for g in able if not told.get(g.name)), key=lambda g: g.used(now) / g.limit, default=None)
            if culprit is not None:
                culprit.refuse(now, wait=entry.retry_after, asked=asked[culprit.counts])
        if entry.retry_after is None:
            seconds = max((g.wait(now, 1.0) for g in able), default=0.0) or seconds
        for gauge in self.gauges:
            gauge.doubt(now)
        if sent >= self.refused:  # those that were on their way together are one refusal
            self.refusals, self.refused = self.refusals + 1, now
            if self.refusals > 1 or not seconds:  # a time that was named, and not kept, is not believed again
                seconds = max(seconds or 0.0, min(LONGEST_AGAIN, AGAIN * 2.0 ** min(self.refusals - 1, 10)))
        self.rest = max(self.rest, now + min(max(seconds or 0.0, 0.0), LONGEST_REST))
        self.why = str(failure)

    def _feels_its_way(self, amounts: Amounts, now: float) -> bool:
        """Whether one request at a time should go: no answer yet, or beyond what is sure of some window."""
        if not self.gauges:
            return False
        if not self.answers:
            return True
        spoken = any(g.stated for g in self.gauges)  # then the others are no worse than the catalogue usually is
        return any(
            g.used(now) + amounts[g.counts] > (max(g.sure(now), g.limit / 2) if spoken else g.sure(now))
            for g in self.gauges
            if not g.stated
        )

    def _amounts(self, entry: Reserve) -> dict[Counted, float]:
        tokens_in = float(min(entry.most_in, math.ceil(entry.tokens_in * self.ratio)))
        return {"requests": 1.0, "tokens": tokens_in + entry.cap, "input": tokens_in, "output": float(entry.cap)}

    def _suit(self, windows: tuple[Window, ...]) -> None:
        """Take over the catalogue's windows; those a server spoke of stay."""
        if len(self.gauges) >= len(windows):
            for gauge, window in zip(self.gauges, windows, strict=False):
                if gauge.prior != window.limit or not gauge.is_of(window):
                    break
            else:
                return  # as nearly always
        known = {gauge.name: gauge for gauge in self.gauges}
        for window in windows:
            gauge = known.get(window.name)
            if gauge is None or not gauge.is_of(window):
                if gauge is not None:
                    self.gauges.remove(gauge)
                self.gauges.append(self._with_held(gauge_of(window, self.seen)))
            else:
                gauge.suit(window)

    def _with_held(self, gauge: Gauge) -> Gauge:
        for held in self.held.values():
            gauge.hold(held.amounts[gauge.counts])
        return gauge

    def _find(self, reading: Reading) -> Gauge:
        """The window a server speaks of: by its length where it says that, else the nearest limit."""
        same = [g for g in self.gauges if g.counts == reading.counts]
        if reading.seconds is not None:
            same = [g for g in same if 0.5 < g.seconds / reading.seconds < 2]
            nearest = same[0] if same else None
        else:
            said = reading.limit or 0
            nearest = min(same, key=lambda g: abs(math.log((said or g.limit) / g.limit)), default=None)
            if nearest and said and not 1 / FOREIGN < said / nearest.limit < FOREIGN:
                nearest = None
        reset = reading.reset or 0.0
        if nearest and reading.seconds is None and nearest.prior == MOST and reset > 1.1 * nearest.seconds:
            self.gauges.remove(nearest)  # its length was our guess, and a window is at least as long as its reset
            nearest = None
        if nearest is None:
            long = reset > MINUTE or (reading.counts == "requests" and same)
            seconds = reading.seconds or (max(DAY, reset) if long else MINUTE)
            name = f"{reading.counts} in {seconds:g} s"
            window = Window(name, reading.counts, reading.limit or 1_000_000_000, seconds)
            nearest = self._with_held(gauge_of(window, self.seen))
            nearest.prior = MOST  # nobody but this server has ever spoken of it
            self.gauges.append(nearest)
        return nearest

    def _turn_to(self, now: float) -> float:
        """Time as the page sees it: it never runs backwards by a little; a clock that was set back takes all along."""
        if now < self.seen - MINUTE:
            back = self.seen - now
            for gauge in self.gauges:
                gauge.set_back(back, now)
            for held in self.held.values():
                held.at, held.until = held.at - back, held.until - back
            for health in self.health.values():
                health.until = max(0.0, health.until - back)
            self.rest, self.asked, self.refused = self.rest - back, self.asked - back, self.refused - back
        else:
            now = max(now, self.seen)
        self.seen = now
        if not self.held:
            return now
        for name in [name for name, held in self.held.items() if held.until <= now]:
            held = self.held.pop(name)
            for gauge in self.gauges:
                gauge.drop(held.amounts[gauge.counts])
                gauge.take(now, held.amounts[gauge.counts])
        return now


def believable(reading: Reading) -> Reading | None:
    """The reading without what no server can mean; None when nothing is left of it."""
    limit = reading.limit if reading.limit is not None and 0 < reading.limit <= MOST else None
    left = reading.left if reading.left is not None and 0 <= reading.left <= MOST else None
    reset = reading.reset if reading.reset is not None and 0 <= reading.reset <= LONGEST_RESET else None
    seconds = reading.seconds if reading.seconds is not None and 0 < reading.seconds <= LONGEST_RESET else None
    if limit is None and left is None and reset is None:
        return None
    return Reading(reading.counts, limit, left, reset, seconds)
