"""How a candidate is doing: its breaker, and how long it takes. Plain data of one clock; jitter is brought along."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.types import Failure

ROW = 3  # failures in a row that open the breaker
SHARE = 0.5  # of the last dozen or so calls: a candidate that flaps never fails three times in a row
ENOUGH = 8  # calls before the share says anything
FIRST_COOLDOWN = 5.0  # seconds; doubled each time the probe fails
LONGEST_COOLDOWN = 300.0
WEIGHT = 0.2  # of the newest call in the estimates
# What says that it is down, or that what it sends cannot be read.
COUNTED = frozenset({Failure.OVERLOAD, Failure.TRANSPORT, Failure.UNAVAILABLE, Failure.MALFORMED})


@dataclass(slots=True)
class Health:
    """closed: until is 0. open: until lies ahead. half-open: until has passed, and one probe may go."""

    until: float = 0.0
    probe: str = ""  # the hold that is feeling whether it is back
    opened: int = 0  # times in a row
    row: int = 0  # failures in a row
    trouble: float = 0.0  # share of failures, decayed
    calls: int = 0
    reason: str = ""
    latency: float = 0.0  # seconds of a whole answer, decayed; 0: none yet
    spread: float = 0.0  # its mean deviation
    first_token: float = 0.0  # seconds
    fooled: int = 0  # answers in a row that were errors in disguise

    def state(self, now: float) -> str:
        if not self.until:
            return "closed"
        return "open" if now < self.until else "half-open"

    @property
    def slow(self) -> float:
        """About the 95th percentile of the latency, in seconds; 0 while nothing is known."""
        return self.latency + 2 * self.spread

    def succeed(self, seconds: float, first_token: float) -> None:
        self._count(0.0)
        self.until, self.probe, self.opened, self.row, self.reason = 0.0, "", 0, 0, ""
        self._took(seconds)
        if first_token > 0:
            known = self.first_token or first_token
            self.first_token = known + WEIGHT * (first_token - known)

    def fail(self, now: float, failure: Failure, retry_after: float | None, jitter: float) -> None:
        """jitter: 0 to 1, so that not everyone comes back at the same moment."""
        if failure not in COUNTED:
            self.probe = ""  # it answers, even if not this
            return
        self.row += 1
        self._trip(now, str(failure), retry_after, jitter)

    def lag(self, now: float, seconds: float, jitter: float) -> None:
        """Somebody asked later answered first. It takes at least these seconds; only a habit of it opens the breaker.

        Nobody hears the end of such a call: without this, a silent candidate would be raced against for ever.
        """
        self._took(seconds)
        self._trip(now, "slow", None, jitter)

    def see_through(self, now: float, jitter: float) -> None:
        """What it answered was an error all the same. The calls themselves succeed, so these are counted apart."""
        self.fooled += 1
        if self.fooled >= ROW:
            self.opened = self.fooled - ROW
            self._open(now, "errors in disguise", jitter)

    def vouch(self) -> None:
        """An answer of it was accepted."""
        self.fooled = 0

    def _trip(self, now: float, reason: str, retry_after: float | None, jitter: float) -> None:
        self._count(1.0)
        probing, self.probe = self.state(now) == "half-open", ""
        down = probing or self.row >= ROW or (self.calls >= ENOUGH and self.trouble > SHARE)
        if not down and retry_after is None:
            return
        # Who names a time is believed, as long as it keeps its word.
        self._open(now, reason, jitter if down else None, retry_after or 0.0)

    def _open(self, now: float, reason: str, jitter: float | None, at_least: float = 0.0) -> None:
        """Rest a while, longer each time; without jitter: only as long as is asked for."""
        seconds = min(LONGEST_COOLDOWN, FIRST_COOLDOWN * 2.0 ** min(self.opened, 10))
        spread = 0.0 if jitter is None else 0.75 + 0.5 * jitter
        self.opened += 1
        # The longer of the old and the new: a short failure never shortens a long rest.
        self.until = max(self.until, now + max(seconds * spread, at_least))
        self.reason = reason

    def _took(self, seconds: float) -> None:
        if seconds > 0:
            self.spread += WEIGHT * (abs(seconds - (self.latency or seconds)) - self.spread)
            self.latency = seconds if not self.latency else self.latency + WEIGHT * (seconds - self.latency)

    def _count(self, failed: float) -> None:
        self.calls += 1
        self.trouble += (failed - self.trouble) / min(self.calls, 12)
