"""When it may work again: every form a provider writes a waiting time in, as seconds from now."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

LONGEST = 400 * 86400.0  # seconds; anything later is not a waiting time but a misunderstanding

_UNITS = {
    "d": 86400.0,
    "day": 86400.0,
    "h": 3600.0,
    "hr": 3600.0,
    "hour": 3600.0,
    "m": 60.0,
    "min": 60.0,
    "minute": 60.0,
    "s": 1.0,
    "sec": 1.0,
    "second": 1.0,
    "ms": 1e-3,
    "millisecond": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ns": 1e-9,
}
_WORDS = "days?|hours?|hrs?|minutes?|mins?|milliseconds?|seconds?|secs?|ms|µs|μs|us|ns|d|h|m|s"
_STEP = rf"\d{{1,12}}(?:\.\d{{0,20}})?\s?(?:{_WORDS})"
_SPAN = re.compile(rf"(?:{_STEP}(?![A-Za-z])|{_STEP}(?=\d))(?:[\s,]{{0,2}}{_STEP}(?![A-Za-z])|{_STEP}(?=\d))*", re.I)
_ONE = re.compile(r"(\d{1,12}(?:\.\d{0,20})?)\s?([A-Za-zµμ]+)")
_NUMBER = re.compile(r"[+-]?\d{1,16}(?:\.\d{0,20})?")
_ASKED = re.compile(r"(?:try again|retry|wait|available again|resets?)\b[^.\d]{0,40}", re.I)


def waiting_time(text: str, now: float) -> float | None:
    """Seconds to wait, never negative, or None when `text` is no time, or one that has passed.

    Understands 7.66s, 2m59.56s, 1h2m, 6ms, plain seconds, an epoch (seconds or milliseconds), an HTTP date and
    RFC 3339. `now` is in seconds since the epoch.
    """
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return _bounded(_from_number(float(text), now))
    if _SPAN.fullmatch(text):
        return _bounded(_from_span(text))
    return _bounded(_from_date(text, now))


def asked_to_wait(message: str) -> float | None:
    """The time in words such as "Please try again in 9m38.016s.", in seconds; None when there is none."""
    for asked in _ASKED.finditer(message[:4000]):
        if span := _SPAN.match(message, asked.end()):
            return _bounded(_from_span(span.group()))
    return None


def until_midnight(zone: str, now: float) -> float | None:
    """Seconds until the day ends in `zone` (a name such as America/Los_Angeles); None without its time zone data."""
    try:
        local = datetime.fromtimestamp(now, ZoneInfo(zone))
    except (ZoneInfoNotFoundError, OverflowError, ValueError, OSError):
        return None
    tomorrow = (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return max(0.0, tomorrow.timestamp() - now)


def _from_number(value: float, now: float) -> float:
    if value >= 1e11:  # milliseconds since the epoch
        return value / 1000 - now
    if value >= 1e9:  # seconds since the epoch: as a duration it would be 31 years
        return value - now
    return value


def _from_span(text: str) -> float | None:
    total = 0.0
    for amount, unit in _ONE.findall(text):
        word = unit.lower()
        factor = _UNITS.get(word) or _UNITS.get(word.removesuffix("s"))
        if factor is None:
            return None
        total += float(amount) * factor
    return total


def _from_date(text: str, now: float) -> float | None:
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            moment = parse(text)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now
        except (ValueError, TypeError, OverflowError, IndexError):
            continue
    return None


def _bounded(seconds: float | None) -> float | None:
    if seconds is None or not math.isfinite(seconds) or not 0 <= seconds <= LONGEST:
        return None
    return seconds
