"""One window of a quota domain, as far as we know it: what was taken, what is held, when it frees.

We cannot see the server's counter, only its answers. Counted conservatively, rolling counting holds against every kind
of server: never more than the limit in any stretch of `seconds` also fits a fixed window and a refilling bucket. What
a server says of itself (`left`, `reset`) then makes the count exact, both ways, and may prove its shape:

rolling   what was taken frees one by one, `seconds` after its answer came back
fixed     all of it frees at the edge the server names; one request goes across first, since a rolling window that
          was filled at once promises the same and does not quite keep it
bucket    it drains evenly; recognised by a reset that grows with what is used

A time zone makes it a calendar day. Times are seconds of one clock; amounts are requests or tokens.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from understudy.types import Counted, Reading, Window

SLOTS = 64  # pieces of a window whose amounts are kept together; each frees with its last
GROWTH = 0.05  # of the limit, that must be used between the first clue and the last
CLUES = 3  # readings that must agree before a window is taken for a bucket
SUSPECT = 0.4  # share of a limit which, once used, makes the limit itself suspect when the server refuses
RELEARN = 60  # windows after which a limit learned from a refusal gives way to the catalogue's again
ODD = 8  # a stated limit this many times below the catalogue's may be a slip
RELEARN_SOON = 10  # the same, when we had not seen the whole window
MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0


@dataclass(slots=True)
class Gauge:
    """Plain data, so that a store can keep it. `taken` holds [first, last, amount] by the time of the answers."""

    name: str
    counts: Counted
    seconds: float
    zone: str
    prior: int  # the catalogue's limit
    limit: int  # the one in force
    stated: str = ""  # by "server", or by "trial": a whole window passed, or a refusal showed it; else a mere guess
    heard: float = 0.0  # when the server last named the limit
    learned: float = 0.0  # until when a limit holds that was learned from a refusal; 0: none
    shape: str = "rolling"
    taken: list[list[float]] = field(default_factory=list[list[float]])
    total: float = 0.0  # the sum of taken
    held: float = 0.0  # by requests in flight
    level: float = 0.0  # of a bucket, at `seen`
    seen: float = 0.0
    edge: float = 0.0  # when the server's window begins anew, as it last said; of a day, its midnight; 0: not known
    foreign: float = 0.0  # until when the count holds what is not known to be ours
    clues: int = 0  # readings in a row that fit a bucket
    told: tuple[float, float] = (0.0, 0.0)  # (used, reset) of the last reading
    since: tuple[float, float] = (0.0, 0.0)  # the same, before the first of the clues
    watched: float = 0.0  # since when nobody but us has used it, for all we know
    filled: float = 0.0  # when our own first filled it without a refusal; 0: never

    def used(self, now: float) -> float:
        """What the server may have counted by now."""
        self._age(now)
        return self.count

    @property
    def count(self) -> float:
        """The same as it stood when the gauge was last asked."""
        return (self.level if self.shape == "bucket" else self.total) + self.held

    def is_of(self, window: Window) -> bool:
        """Whether it counts in this window, whatever its limit."""
        return (
            self.name == window.name
            and self.seconds == window.seconds
            and self.zone == window.zone
            and self.counts == window.counts
        )

    def wait(self, now: float, amount: float) -> float:
        """Seconds until `amount` fits; 0 now, infinite never. Assumes that what is in flight is answered now."""
        if amount > self.limit and not self._forgets_a_slip(now):
            return math.inf
        self._age(now)
        over = (self.level if self.shape == "bucket" else self.total) + self.held + amount - self.limit
        if over <= 0:
            return 0.0
        if self.zone:
            return max(0.001, self.edge - now)
        if self.shape == "bucket":
            return over * self.seconds / self.limit
        if self.edge and self.held == 0 and now >= self.edge:
            return 0.0  # the server has named this moment: one may feel whether it kept its word
        freed, free_at = 0.0, self.seconds
        for _, last, piece in self.taken:
            freed += piece
            if freed >= over:
                free_at = last + self.seconds - now
                break
        if self.edge > now:
            free_at = min(free_at, self.edge - now)
        return max(0.001, free_at)

    def _forgets_a_slip(self, now: float) -> bool:
        """A stated limit that nothing fits into would never be corrected: after some windows it is not believed."""
        if self.limit * ODD > self.prior or now < self.heard + min(RELEARN_SOON * self.seconds, DAY):
            return False
        self.limit, self.stated = self.prior, ""
        return True

    def reset(self, now: float) -> float:
        """Seconds until something of it is free again (a day's: all); 0 when nothing is used."""
        if self.used(now) <= 0:
            return 0.0
        if self.edge > now:
            return self.edge - now
        if self.shape == "bucket":
            return self.level * self.seconds / self.limit
        return max(0.0, self.taken[0][1] + self.seconds - now) if self.taken else self.seconds

    def rests_until(self, now: float) -> float:
        """Until when its count stays as it is, if nothing is added; `now` when it changes all the time."""
        if self.shape == "bucket" and self.level > 0:
            return now
        freed = self.edge if self.zone else (self.taken[0][1] + self.seconds if self.taken else math.inf)
        return min(freed, self.learned or math.inf)

    def sure(self, now: float) -> float:
        """How much may be taken by several requests at once; beyond it one at a time feels whether there is more.

        A guess is taken to be right within a factor of two, once nothing from before our time can be in the window.
        """
        if self.stated:
            return self.limit
        long = min(self.seconds, MINUTE) if self.seconds >= HOUR else self.seconds  # nobody watches for a day
        return self.limit / 2 if self.filled or now - self.watched > long else 0.0

    def hold(self, amount: float) -> None:
        self.held += amount

    def drop(self, amount: float) -> None:
        """End a hold. What it came to is added with take()."""
        self.held = max(0.0, self.held - amount)

    def take(self, now: float, amount: float, *, ours: bool = False) -> None:
        """Count what an answer cost that came back at `now`; ours: it was one of our own requests, and passed."""
        self._age(now)
        if amount <= 0:
            return
        self.level += amount
        self.total += amount
        if self.taken and now - self.taken[-1][0] <= self.seconds / SLOTS:
            self.taken[-1][1] = max(now, self.taken[-1][1])
            self.taken[-1][2] += amount
        else:
            self.taken.append([now, now, amount])
        if not ours:
            self.foreign = now + 1.1 * self.seconds
        elif self.total + amount > self.limit and now >= self.foreign:
            # Across an edge, or out of a bucket, a server with half the limit lets as much through once. Not twice.
            if not self.filled:
                self.filled = now
            elif now - self.filled >= self.seconds:
                self.stated = self.stated or "trial"

    def read(self, reading: Reading, *, sent: float, now: float, own: float, held: float) -> None:
        """Believe the server: an answer to a request sent at `sent`, which is counted here as `own`, held as `held`."""
        self._age(now)
        if reading.limit is not None and reading.limit > 0:
            self.limit, self.stated, self.learned, self.heard = reading.limit, "server", 0.0, now
        if reading.left is not None and 0 <= reading.left <= self.limit:
            said = float(self.limit - reading.left)
            self._recognise(reading, said, now)
            self._reconcile(said, sent=sent, now=now, own=own, reserved=held)
        if reading.reset is not None and not self.zone and self.shape != "bucket":
            self._set_edge(
                now + reading.reset + (1.0 if reading.reset >= 1 and reading.reset.is_integer() else 0.0), now
            )

    def refuse(self, now: float, *, wait: float | None, asked: float) -> None:
        """The server refused, and this is the likeliest cause: its limit is less than we thought, or others use it.

        wait: seconds, as the server named them; asked: what the refused request would have taken. In a window we have
        not watched the whole of, others may have used a part before.
        """
        used = self.used(now)
        alone = now - self.watched > self.seconds
        if self.stated == "trial":
            self.stated = ""
        if self.stated or used >= self.limit or not (alone or (now >= self.foreign and used >= SUSPECT * self.limit)):
            self.take(now, self.limit - used)
        else:
            self.limit = max(1, int(self._proven(now, wait, asked)))
            self.learned = now + (RELEARN if alone else RELEARN_SOON) * self.seconds
        self.filled, self.watched = 0.0, now

    def _proven(self, now: float, wait: float | None, asked: float) -> float:
        """A limit that what has passed proves, whatever the server's shape."""
        begun, counted, spread = -math.inf, 0.0, 0.0
        if wait is not None:  # the wait ends when what counts against us begins to leave
            begun = now + wait - self.seconds - (1.0 if wait.is_integer() else 0.0)
        passed = 0.0
        for first, last, piece in reversed(self.taken):
            passed += piece
            spread = max(spread, passed / (1 + max(0.0, now - first) / self.seconds))
            if last > begun:
                counted = passed
        if counted > 10 * asked:
            counted -= asked  # one may have left before the edge and been answered after it
        if wait is None or spread <= 0 or wait <= 1.5 * asked * self.seconds / spread:
            return min(counted, spread)  # such a wait is a bucket's
        return counted

    def doubt(self, now: float) -> None:
        """The server refused: what was believed of its shape, or of the moment it named, may be why."""
        if not self.zone and self.edge <= now:
            self.edge = 0.0
        if self.shape == "fixed":
            self.shape = "rolling"
        self.clues = 0

    def set_back(self, seconds: float, now: float) -> None:
        """The clock was set back by so much, to `now`: what was an hour ago still is."""
        for piece in self.taken:
            piece[0] -= seconds
            piece[1] -= seconds
        self.seen -= seconds
        self.foreign -= seconds
        self.watched -= seconds
        self.heard -= seconds
        self.filled = self.filled and self.filled - seconds
        self.learned = self.learned and self.learned - seconds
        if self.zone:  # a midnight stays where it is; one that was passed in error is passed again
            self.edge = midnight_after(self.zone, now)
        elif self.edge:
            self.edge -= seconds

    def suit(self, window: Window) -> None:
        """The catalogue or the configuration may have changed since the page was written."""
        if self.prior != window.limit:
            self.prior = window.limit
            if not (self.stated or self.learned):
                self.limit = window.limit

    def _age(self, now: float) -> None:
        if self.learned and now >= self.learned:
            self.limit, self.stated, self.learned, self.filled = self.prior, "", 0.0, 0.0
        if self.zone:
            if now >= self.edge:
                self._clear(until=math.inf)
                self.edge = midnight_after(self.zone, now)
            return
        if self.shape == "bucket":
            self.level = max(0.0, self.level - max(0.0, now - self.seen) * self.limit / self.seconds)
            self.seen = now
        if self.taken and self.taken[0][1] <= now - self.seconds:
            self._clear(until=now - self.seconds)

    def _clear(self, until: float) -> None:
        while self.taken and self.taken[0][1] <= until:
            self.total -= self.taken.pop(0)[2]
        if not self.taken:
            self.total = 0.0

    def _recognise(self, reading: Reading, said: float, now: float) -> None:
        """A bucket's reset (until it is full again) grows with what is used; an edge comes nearer all the same."""
        if reading.reset is None or self.zone:
            return
        full_in = said * self.seconds / self.limit
        used_before, reset_before = self.told
        fits = abs(reading.reset - full_in) <= max(0.1 * full_in, self.seconds / self.limit)
        if fits and said >= 2 and said > used_before and reading.reset > reset_before:
            self.clues += 1
            if self.clues == 1:
                self.since = (used_before, reset_before)
        elif not fits:
            self.clues = 0
            if self.shape == "bucket" and said >= 2:
                self.shape = "rolling"
        self.told = (said, reading.reset)
        if self.clues >= CLUES and self.shape != "bucket" and self._grew(said, reading.reset):
            self.shape, self.edge = "bucket", 0.0
            self.level, self.seen = self.total, now

    def _grew(self, said: float, reset: float) -> bool:
        """Whether the reset grew with what is used: a nearly full rolling window's fits only by chance."""
        used, before = self.since
        grown, each = said - used, self.seconds / self.limit
        return (
            grown >= max(2.0, GROWTH * self.limit) and abs(reset - before - grown * each) <= 0.3 * grown * each + each
        )

    def _reconcile(self, said: float, *, sent: float, now: float, own: float, reserved: float) -> None:
        """Correct only what the requests in flight cannot explain.

        Those whose answers came before this request was sent are counted in `said` for certain; those that overlapped
        with it may be counted or not, and if so by what they asked for.
        """
        mine = self.level if self.shape == "bucket" else self.total
        overlapping = sum(piece for _, last, piece in self.taken if last >= sent)
        most = mine - own + max(own, reserved) + self.held
        least = mine - max(overlapping, own) + min(own, reserved)
        if self.shape == "bucket":
            least -= 1.0  # what is left is told in whole numbers
        if said > most:
            self.take(now, said - most)
        elif said < least:
            if self.edge and now >= self.edge and said <= max(own, reserved) + self.held:
                self.shape = "fixed"
            self._forget(least - said)

    def _forget(self, amount: float) -> None:
        self.level = max(0.0, self.level - amount)
        while amount > 0 and self.taken:
            piece = min(amount, self.taken[0][2])
            self.taken[0][2] -= piece
            self.total -= piece
            amount -= piece
            if self.taken[0][2] <= 0:
                self.taken.pop(0)

    def _set_edge(self, edge: float, now: float) -> None:
        """The nearest of what was said, unless the server moves it on: each reading is late by its journey."""
        near = 0.05 * self.seconds
        if self.edge <= now or edge < self.edge or edge > self.edge + near:
            self.edge = edge


def gauge_of(window: Window, now: float) -> Gauge:
    return Gauge(window.name, window.counts, window.seconds, window.zone, window.limit, window.limit, watched=now)


def midnight_after(zone: str, now: float) -> float:
    """The end of the day in a time zone, in seconds of the same clock."""
    local = datetime.fromtimestamp(now, _zone(zone))
    day = local.date() + timedelta(days=1)
    return datetime(day.year, day.month, day.day, tzinfo=_zone(zone)).timestamp()


@cache
def _zone(name: str) -> tzinfo:
    """UTC when the machine has no time zone data: the day then ends up to half a day off, never twice."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC
