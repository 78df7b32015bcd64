"""Why the claude CLI did not answer: its error events, as one failure class and a time to try again.

The CLI's sentences may quote what the server said, so none of them is repeated: only our words and the status.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, cast

from understudy.errors import CallFailed
from understudy.types import Failure, Usage

_USAGE_LIMIT = re.compile(r"usage limit|hit your [\w-]*\s?limit|limit reached|out of (?:extra )?usage", re.IGNORECASE)
_EPOCH = re.compile(r"\|\s*(\d{10})\b")
_RESETS = re.compile(
    r"resets?\s+(?:at\s+)?(?:(?P<month>[A-Z][a-z]{2})[a-z]*\.?\s+(?P<day>\d{1,2}),?\s+(?:at\s+)?)?"
    r"(?P<hour>\d{1,2})(?::(?P<minute>\d{2}))?\s*(?P<half>am|pm)(?:\s*\((?P<zone>[\w/+-]+)\))?",
    re.IGNORECASE,
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LOG_IN = "Run claude and log in (/login), or configure a key."
# In this order: the first that fits counts. (words in the CLI's sentence, class, our message, remedy)
_SENTENCES: tuple[tuple[tuple[str, ...], Failure, str, str], ...] = (
    (("credit balance", "billing"), Failure.PAYMENT, "The account has no credit left.", "Add credit, or use a login."),
    (("prompt is too long",), Failure.CONTEXT, "The request is larger than the model's context.", "Send less."),
    (
        ("content filtering", "usage policy", "output blocked"),
        Failure.CONTENT_FILTER,
        "The provider filtered the request.",
        "Ask another model.",
    ),
    (
        ("connection", "econn", "timed out", "timeout", "fetch failed", "socket", "stalled", "aborted", "network"),
        Failure.TRANSPORT,
        "The connection to the provider failed.",
        "Try again.",
    ),
)
_STATUSES: dict[int, tuple[Failure, str, str]] = {
    401: (Failure.AUTH, "The provider does not accept the login or key.", _LOG_IN),
    402: (Failure.PAYMENT, "The account has no credit left.", "Add credit, or use a login."),
    403: (Failure.AUTH, "The login or key may not do this.", _LOG_IN),
    404: (Failure.UNAVAILABLE, "The provider does not have this model.", "Use opus, sonnet, haiku or a full name."),
    408: (Failure.TRANSPORT, "The provider waited in vain.", "Try again."),
    413: (Failure.TOO_LARGE, "The request is larger than the provider takes.", "Send less."),
    429: (Failure.MINUTE_QUOTA, "The provider's rate limit is reached.", "Wait a minute."),
    529: (Failure.OVERLOAD, "The provider is overloaded.", "Try again in a minute."),
}


def classify(
    result: Mapping[str, Any], event: Mapping[str, Any], limit: Mapping[str, Any], usage: Usage | None, now: float
) -> CallFailed:
    """From the `result`, the synthetic assistant `event` with the error, and the last rate_limit_info."""
    text = str(result.get("result") or "")
    status = result.get("api_error_status")
    status = status if isinstance(status, int) else None
    if status in (None, 429) and _is_used_up(text, result, event, limit):
        return CallFailed(
            Failure.DAY_QUOTA,
            "The subscription's usage limit is reached.",
            remedy="Wait for the reset, or use another candidate.",
            retry_after=_wait(text, event, limit, now),
            status=status,
            charged=usage is not None,
            usage=usage,
        )
    failure, message, remedy, charged = _meaning(status, text.lower(), event)
    charged = charged or usage is not None
    if status is None:
        usage = None  # what it had counted when the connection broke is not all that will be charged
    return CallFailed(failure, message, remedy=remedy, status=status, charged=charged, usage=usage)


def _meaning(status: int | None, text: str, event: Mapping[str, Any]) -> tuple[Failure, str, str, bool]:
    if status is None and ("not logged in" in text or "/login" in text):
        return Failure.UNAVAILABLE, "claude is not logged in.", _LOG_IN, False
    if status in (None, 400):
        for words, failure, message, remedy in _SENTENCES:
            if any(word in text for word in words):
                return failure, message, remedy, status is None
    if event.get("error") == "model_not_found":
        status = 404
    if status is None:
        return Failure.MALFORMED, "The provider's answer could not be read.", "Try again.", True
    if status in _STATUSES:
        return *_STATUSES[status], False
    if status >= 500:
        # Whether a failed server has counted anything is unknown.
        return Failure.OVERLOAD, f"The provider failed ({status}).", "Try again in a minute.", True
    return Failure.MALFORMED, f"The provider refused the request ({status}).", "Ask another candidate.", False


def _is_used_up(text: str, result: Mapping[str, Any], event: Mapping[str, Any], limit: Mapping[str, Any]) -> bool:
    if "usage_limit_reached" in (result.get("api_error"), event.get("api_error")):
        return True
    if "not your usage limit" in text:
        return False
    return bool(_USAGE_LIMIT.search(text)) or (limit.get("status") == "rejected" and "resetsAt" in limit)


def _wait(text: str, event: Mapping[str, Any], limit: Mapping[str, Any], now: float) -> float | None:
    told: Any = event.get("api_error_params")
    inner: Any = cast("dict[str, Any]", told).get("rate_limit_info") if isinstance(told, dict) else None
    for info in (limit, cast("dict[str, Any]", inner) if isinstance(inner, dict) else {}):
        at = info.get("resetsAt")
        if isinstance(at, int | float) and not isinstance(at, bool):
            return max(0.0, at - now)
    return until_reset(text, now)


def until_reset(text: str, now: float) -> float | None:
    """Seconds until the reset a sentence names ("resets 1:06am (UTC)", "resets Nov 25 at 3pm", "...|1795223217"),
    None when it names none. A time without a zone is local."""
    if found := _EPOCH.search(text):
        return max(0.0, int(found[1]) - now)
    if not (found := _RESETS.search(text)):
        return None
    if int(found["hour"]) > 12:
        return None
    hour, minute = int(found["hour"]) % 12 + (12 if found["half"].lower() == "pm" else 0), int(found["minute"] or 0)
    zone = _zone(found["zone"])
    here = datetime.fromtimestamp(now, UTC).astimezone(zone)
    try:
        then = here.replace(hour=hour, minute=minute, second=0, microsecond=0)
        if found["month"] and (month := found["month"].lower()) in _MONTHS:
            then = then.replace(month=_MONTHS.index(month) + 1, day=int(found["day"]))
            if then < here - timedelta(days=1):
                then = then.replace(year=then.year + 1)
        elif then <= here:
            then += timedelta(days=1)
    except ValueError:
        return None
    return max(0.0, then.timestamp() - now)


def _zone(name: str | None) -> tzinfo | None:
    """None is the local zone."""
    if not name:
        return None
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return None
