"""When a campaign may run: windows of the day in a time zone, such as 03:00-06:00 in Europe/Berlin."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from understudy.errors import UsageError

_WINDOW = re.compile(r"\s*(\d{1,2}):(\d{2})\s*-\s*(\d{1,2}):(\d{2})\s*")
DAY = 24 * 60


@dataclass(frozen=True, slots=True)
class Hours:
    """windows: (first minute, last minute) of the day, the last one not in it; over midnight when it is smaller.

    No windows: always.
    """

    windows: tuple[tuple[int, int], ...] = ()
    zone: tzinfo = UTC

    @classmethod
    def parse(cls, windows: tuple[str, ...], zone: str = "") -> Hours:
        """Raises UsageError."""
        try:
            place = ZoneInfo(zone) if zone else UTC
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise UsageError(f"There is no time zone {zone[:60]!r}.", remedy="Such as Europe/Berlin.") from None
        return cls(tuple(map(_window, windows)), place)

    def until_open(self, now: float) -> float:
        """Seconds until it may run; 0: now. By the clock of the wall, so a night with a change of time is shorter."""
        if not self.windows or self._is_open(now):
            return 0.0
        here = datetime.fromtimestamp(now, self.zone)
        begins: list[float] = []
        for days in (0, 1):
            day = here + timedelta(days=days)
            for first, _ in self.windows:
                moment = day.replace(hour=first // 60, minute=first % 60, second=0, microsecond=0)
                begins.append(moment.timestamp())
        return max(1.0, min(b for b in begins if b > now) - now)

    def share(self) -> float:
        """Of a day, in which it may run."""
        return min(1.0, sum((last - first) % DAY or DAY for first, last in self.windows) / DAY) if self.windows else 1.0

    def _is_open(self, now: float) -> bool:
        here = datetime.fromtimestamp(now, self.zone)
        minute = here.hour * 60 + here.minute
        return any(
            first <= minute < last if first < last else (minute >= first or minute < last)
            for first, last in self.windows
        )


def _window(text: str) -> tuple[int, int]:
    found = _WINDOW.fullmatch(text)
    numbers = tuple(map(int, found.groups())) if found else (99, 0, 99, 0)
    first, last = numbers[0] * 60 + numbers[1], numbers[2] * 60 + numbers[3]
    if max(numbers[1], numbers[3]) > 59 or first >= DAY or last > DAY:
        raise UsageError(f"{text[:40]!r} is no window of the day.", remedy="Write it so: 03:00-06:00.")
    return first, last % DAY
