"""How fast calls may begin under several windows at once: evenly spread, and at the earliest.

Earliest: windows are unused at the beginning and are used up as fast as the smaller ones inside them allow. The n-th
call then begins at s(n) = max over the windows of s(n - limit) + length, which no order of calls can beat.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from understudy.config.quota import DAY
from understudy.pipelines.spec import Spec, Tokens, span
from understudy.types import Limits, Window

FAR = 10**7 * DAY  # seconds; a campaign that takes longer has no end


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls in each `seconds`. until: seconds from the beginning to the first midnight of a fixed day."""

    name: str
    calls: float
    seconds: float
    until: float | None = None

    @property
    def whole(self) -> int:
        return math.floor(self.calls + 1e-9)


@dataclass(frozen=True, slots=True)
class Gate:
    """The hours of a day in which calls may begin: (from, to) in seconds since midnight, and when of the day it is."""

    spans: tuple[tuple[int, int], ...] = ()
    now: float = 0.0

    @property
    def open_seconds(self) -> float:
        """Of a whole day."""
        return self.active(0.0, DAY)

    def active(self, start: float, length: float) -> float:
        """Seconds of [start, start + length) in which it is open; both counted from the beginning."""
        if not self.spans:
            return max(length, 0.0)
        days, rest = divmod(max(length, 0.0), DAY)
        at = (self.now + start) % DAY
        return days * self._open_between(0, DAY) + self._open_between(at, at + rest)

    def _open_between(self, start: float, end: float) -> float:
        """Of at most a day that may run past midnight."""
        total = 0.0
        for begins, ends in self.spans:
            for day in (0.0, DAY):
                total += max(0.0, min(end, ends + day) - max(start, begins + day))
        return total


@dataclass(frozen=True, slots=True)
class Pace:
    """The rates of one account, and how many accounts there are. Rates are ordered, shortest first."""

    rates: tuple[Rate, ...]
    accounts: int = 1
    gate: Gate = Gate()

    def even(self, calls: int) -> dict[str, float]:
        """Days that `calls` take under each rate alone, spread evenly, as one reckons by hand."""
        open_share = self.gate.open_seconds / DAY
        share = {r.name: open_share if r.seconds < DAY else 1.0 for r in self.rates}
        return {r.name: calls * r.seconds / (r.calls * self.accounts * share[r.name]) / DAY for r in self.rates}

    def binding(self, calls: int) -> tuple[str, float]:
        """The rate that holds it up longest, and those days. No rate at all: ("", 0)."""
        return max(self.even(calls).items(), key=lambda pair: pair[1], default=("", 0.0))

    def within(self, seconds: float) -> int:
        """Calls that can begin in the first `seconds`."""
        return self.accounts * _count(self._levels(), len(self._levels()) - 1, 0.0, min(seconds, FAR), self.gate)

    def soonest(self, calls: int) -> float:
        """Seconds until `calls` of them can have begun, to the second; inf: never."""
        if self.within(FAR) < calls:
            return math.inf
        low, high = 0.0, 1.0
        while self.within(high) < calls:
            low, high = high, high * 2
        while high - low > 0.5:
            middle = (low + high) / 2
            low, high = (middle, high) if self.within(middle) < calls else (low, middle)
        return 0.0 if high <= 1.0 else math.ceil(low)

    def _levels(self) -> tuple[Rate, ...]:
        """Of windows of one length the tightest; with hours there is a day, whose inside they cut."""
        tightest: dict[tuple[float, bool], Rate] = {}
        for rate in self.rates:
            kind = (rate.seconds, rate.until is None)
            if kind not in tightest or rate.calls < tightest[kind].calls:
                tightest[kind] = rate
        if self.gate.spans and not any(r.seconds == DAY for r in tightest.values()):
            tightest[DAY, True] = Rate("hours", math.inf, DAY)
        return tuple(sorted(tightest.values(), key=lambda r: (r.seconds, r.until is None)))


def _count(levels: Sequence[Rate], i: int, start: float, length: float, gate: Gate) -> int:
    """Calls that the levels up to the i-th let begin in [start, start + length)."""
    if length <= 0:
        return 0
    if i < 0:
        return 10**18
    rate = levels[i]
    most = 10**18 if math.isinf(rate.calls) else rate.whole

    def inside(begin: float, long: float) -> int:
        daily = rate.seconds >= DAY and (i == 0 or levels[i - 1].seconds < DAY)
        return _count(levels, i - 1, begin, gate.active(begin, long) if daily else long, gate)

    first = min(rate.until, length) if rate.until is not None and start == 0 else 0.0
    each = min(most, inside(start + first, rate.seconds))
    if not gate.spans and each < most:  # this window holds nothing up
        return _count(levels, i - 1, start, length, gate)
    begun = min(most, inside(start, first))
    full, rest = divmod(length - first, rate.seconds)
    return begun + int(full) * each + min(each, inside(start + first, rest))


def gate_of(spec: Spec, begins: datetime) -> Gate:
    """The hours of a SPEC, and the time of day there at its beginning."""
    if not spec.hours:
        return Gate()
    local = begins.astimezone(ZoneInfo(spec.zone))
    now = local.hour * 3600.0 + local.minute * 60 + local.second
    spans: list[tuple[int, int]] = []
    for begin, end in map(span, spec.hours):
        spans += [(begin, end)] if begin < end else [(begin, int(DAY)), (0, end)]
    return Gate(tuple(s for s in _merged(spans) if s[0] < s[1]), now)


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def rates_of(limits: Limits, tokens: Tokens, begins: datetime) -> tuple[Rate, ...]:
    """Windows as calls of this size."""
    rates = [_rate(window, limits, tokens, begins) for window in limits.windows]
    return tuple(rate for rate in rates if rate is not None)


def _rate(window: Window, limits: Limits, tokens: Tokens, begins: datetime) -> Rate | None:
    read = tokens.input - (tokens.cached if limits.cached_free else 0)
    charge = {
        "requests": 1,
        "tokens": read if limits.charged == "input" else read + tokens.output,
        "input": read,
        "output": tokens.output,
    }[window.counts]
    if charge <= 0:
        return None
    until = _to_midnight(begins, window.zone) if window.zone else None
    return Rate(window.name, window.limit / charge, window.seconds, until)


def _to_midnight(begins: datetime, zone: str) -> float:
    local = begins.astimezone(ZoneInfo(zone))
    midnight = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight.timestamp() - local.timestamp()
