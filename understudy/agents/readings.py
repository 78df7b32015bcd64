"""What a server says of its windows, in headers and in error bodies. Never raises: absurd values are no reading."""

from __future__ import annotations

import re
from collections.abc import Mapping

from understudy.agents.bodies import read_body
from understudy.agents.resets import waiting_time
from understudy.types import Counted, Reading

LARGEST = 10**13  # of a limit: no window counts more
LONGEST_VALUE = 64  # characters of a header that can be a number or a time
_UNITS: dict[str, Counted] = {
    "requests": "requests",
    "tokens": "tokens",
    "input-tokens": "input",
    "output-tokens": "output",
}
_SPANS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}
_HEADER = re.compile(
    r"(?P<who>anthropic|x)-ratelimit-(?P<what>limit|remaining|reset)-(?P<unit>input-tokens|output-tokens|tokens|requests)"
    r"(?:-(?P<span>second|minute|hour|day))?"
    r"|(?P<anthropic>anthropic)-ratelimit-(?P<unit2>input-tokens|output-tokens|tokens|requests)-(?P<what2>limit|remaining|reset)"
)
# As Groq and OpenAI say it: "on tokens per minute (TPM): Limit 6000, Used 5990, Requested 42".
_WORDS = re.compile(
    r"(?P<unit>requests|tokens) per (?P<span>minute|hour|day)\b.{0,40}?limit:? (?P<limit>[\d,]{1,16})"
    r"(?:, used:? (?P<used>[\d,]{1,16}))?",
    re.DOTALL,
)
_QUOTA = re.compile(r"(?P<what>requests|inputtoken|token)[a-z]{0,40}?per(?P<span>minute|day)")
_VALUE = re.compile(r"\"quotavalue\":\s*\"?(\d{1,13})")


def readings(headers: Mapping[str, str], now: float, body: object = None) -> tuple[Reading, ...]:
    """Of a reply (names of headers in lower case) received at `now`, in seconds since the epoch."""
    found = _of_headers(headers, now)
    return (*_of_body(body), *found) if body is not None else found


def _of_headers(headers: Mapping[str, str], now: float) -> tuple[Reading, ...]:
    seen: dict[tuple[Counted, float | None], dict[str, float]] = {}
    for name, value in headers.items():
        if "ratelimit" not in name or (match := _HEADER.fullmatch(name)) is None or len(value) > LONGEST_VALUE:
            continue
        by_anthropic = match["anthropic"] is not None
        unit = _UNITS[match["unit2"] if by_anthropic else match["unit"]]
        span = 60.0 if by_anthropic else _SPANS.get(match["span"] or "")
        what = match["what2"] if by_anthropic else match["what"]
        number = waiting_time(value, now) if what == "reset" else _number(value)
        if number is not None:
            seen.setdefault((unit, span), {})[what] = number
    return tuple(
        Reading(
            counts,
            limit=int(said["limit"]) if said.get("limit", 0) >= 1 else None,
            left=int(said["remaining"]) if "remaining" in said else None,
            reset=said.get("reset"),
            seconds=span,
        )
        for (counts, span), said in seen.items()
        if said.get("limit", 1) >= 1
    )


def _of_body(body: object) -> tuple[Reading, ...]:
    said = read_body(body)
    found: list[Reading] = []
    for match in _WORDS.finditer(said.message):
        limit, used = _number(match["limit"]), _number(match["used"] or "")
        if limit and limit >= 1:
            left = None if used is None else max(0, int(limit - used))
            found.append(Reading(_UNITS[match["unit"]], int(limit), left, seconds=_SPANS[match["span"]]))
    for quota in said.quotas:
        match, value = _QUOTA.search(quota), _VALUE.search(quota)
        if match and value and int(value[1]) >= 1:
            counts: Counted = "requests" if match["what"] == "requests" else "tokens"
            found.append(Reading(counts, int(value[1]), 0, seconds=_SPANS[match["span"]]))
    return tuple(found)


def _number(text: str) -> float | None:
    try:
        number = float(text.replace(",", "").strip())
    except ValueError:
        return None
    return number if 0 <= number <= LARGEST else None
