"""The windows providers count in, and the meter of one account and model. Times are seconds, amounts integers."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Literal, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

Shape = Literal["rolling", "fixed", "bucket"]
MINUTE, DAY = 60.0, 86_400.0


def zone_of(name: str) -> tzinfo:
    """The time zone, raising ValueError for an unknown name. Pacific works without a zone database (as UTC-8)."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        if name == "America/Los_Angeles":
            return timezone(timedelta(hours=-8), "PST")
        if name == "UTC":
            return UTC
        raise ValueError(f"no time zone is called {name}") from None


@dataclass
class Entry:
    """What one request took from one window; settling changes it."""

    at: float
    amount: float
    gone: bool = False  # the window has passed over it


class Window:
    """`limit` per `seconds`. rolling: the last `seconds`; fixed: since the zone's last boundary; bucket: refills."""

    def __init__(self, limit: int, seconds: float, shape: Shape = "rolling", zone: tzinfo = UTC) -> None:
        self.limit, self.seconds, self.shape, self.zone = limit, seconds, shape, zone
        self._entries: deque[Entry] = deque()
        self._total = 0.0  # of the entries
        self._level, self._seen = 0.0, -math.inf

    def used(self, now: float) -> int:
        if self.shape == "bucket":
            self._drain(now)
            return math.ceil(self._level - 1e-9)
        start = now - self.seconds if self.shape == "rolling" else self._boundary(now)
        while self._entries and (
            self._entries[0].at <= start if self.shape == "rolling" else self._entries[0].at < start
        ):
            left = self._entries.popleft()
            self._total -= left.amount
            left.gone = True
        return int(self._total)

    def wait(self, now: float, amount: int) -> float:
        """Seconds until `amount` fits; infinite when it never can."""
        if amount > self.limit:
            return math.inf
        over = self.used(now) + amount - self.limit
        if over <= 0:
            return 0.0
        if self.shape == "bucket":
            return (self._level + amount - self.limit) * self.seconds / self.limit
        if self.shape == "fixed":
            return self._boundary(now, ahead=1) - now
        for entry in self._entries:
            over -= entry.amount
            if over <= 0:
                return entry.at + self.seconds - now
        return self.seconds

    def take(self, now: float, amount: int) -> Entry:
        entry = Entry(now, amount)
        if self.shape == "bucket":
            self._drain(now)
            self._level += amount
        else:
            self._entries.append(entry)
            self._total += amount
        return entry

    def settle(self, entry: Entry, now: float, actual: int) -> None:
        """Replace what was taken by what was used."""
        if self.shape == "bucket":
            self._drain(now)
            self._level = max(0.0, self._level + actual - entry.amount)
        elif not entry.gone:
            self._total += actual - entry.amount
        entry.amount = actual

    def reset(self, now: float) -> float:
        """Seconds until nothing of the window is used any more."""
        used = self.used(now)
        if self.shape == "bucket":
            return self._level * self.seconds / self.limit
        if self.shape == "fixed":
            return self._boundary(now, ahead=1) - now
        return self._entries[-1].at + self.seconds - now if used else 0.0

    def _drain(self, now: float) -> None:
        if now > self._seen:
            if self._seen > -math.inf:
                self._level = max(0.0, self._level - (now - self._seen) * self.limit / self.seconds)
            self._seen = now

    def _boundary(self, now: float, ahead: int = 0) -> float:
        if self.seconds < DAY:
            return (math.floor(now / self.seconds) + ahead) * self.seconds
        local = datetime.fromtimestamp(now, self.zone)
        day = local.date() + timedelta(days=ahead)
        return datetime(day.year, day.month, day.day, tzinfo=self.zone).timestamp()


@dataclass(frozen=True)
class Refusal:
    """Why the meter said no. `wait` is infinite when the request is larger than the window."""

    window: str  # RPM, RPD, TPM or TPD
    limit: int
    used: int
    requested: int
    wait: float


@dataclass
class Charge:
    """What an admitted request took, to be settled once with the tokens really used."""

    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    tokens: int = 0


class Limits(Protocol):
    """Limits of one model as the provider publishes them; None: unlimited."""

    rpm: int | None
    rpd: int | None
    tpm: int | None
    tpd: int | None
    minute: Shape
    minute_seconds: float
    day: str


class Meter:
    """The four windows of one account and model. All must agree, else nothing is taken."""

    def __init__(self, limits: Limits) -> None:
        zone = UTC if limits.day in ("rolling", "bucket") else zone_of(limits.day)
        day: Shape = "rolling" if limits.day == "rolling" else "bucket" if limits.day == "bucket" else "fixed"
        shapes: dict[str, tuple[int | None, float, Shape]] = {
            "RPM": (limits.rpm, limits.minute_seconds, limits.minute),
            "RPD": (limits.rpd, DAY, day),
            "TPM": (limits.tpm, limits.minute_seconds, limits.minute),
            "TPD": (limits.tpd, DAY, day),
        }
        self.windows = {
            name: Window(limit, seconds, shape, zone)
            for name, (limit, seconds, shape) in shapes.items()
            if limit is not None
        }

    def admit(self, now: float, tokens: int) -> Charge | Refusal:
        """Take one request and `tokens`, or say which window makes it wait longest."""
        refusals: list[Refusal] = []
        for name, window in self.windows.items():
            amount = tokens if name.startswith("T") else 1
            if (wait := window.wait(now, amount)) > 0:
                refusals.append(Refusal(name, window.limit, window.used(now), amount, wait))
        if refusals:
            return max(refusals, key=lambda r: r.wait)
        charge = Charge(tokens=tokens)
        for name, window in self.windows.items():
            charge.entries[name] = window.take(now, tokens if name.startswith("T") else 1)
        return charge

    def settle(self, charge: Charge, now: float, tokens: int) -> None:
        for name, entry in charge.entries.items():
            if name.startswith("T"):
                self.windows[name].settle(entry, now, tokens)
