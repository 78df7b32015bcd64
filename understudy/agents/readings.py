"""What a reply says of its server's windows: rate-limit headers and error bodies of every dialect, as Readings.

Headers come from anywhere, so nothing here trusts them: what is no plain number, negative, or absurdly long is not
read. A window's length is told only where the dialect tells it; where it does not (`x-ratelimit-limit-requests` is
Groq's day and OpenAI's minute), whoever knows the domain's windows has to find the one that is meant.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import cast

from understudy.agents.bodies import read_body
from understudy.agents.resets import waiting_time
from understudy.types import Counted, Reading

LARGEST = 10**12  # requests or tokens; beyond it a number is a mistake or a joke
_LONGEST_NAME, _LONGEST_VALUE = 80, 128  # characters of a header that is looked at
_MOST_HEADERS = 64

_SECONDS = {"second": 1.0, "minute": 60.0, "min": 60.0, "hour": 3600.0, "day": 86400.0}
_COUNTS: dict[str, Counted] = {
    "requests": "requests",
    "req": "requests",  # Mistral
    "tokens": "tokens",
    "input-tokens": "input",
    "output-tokens": "output",
}
_UNIT = "requests|req|tokens|input-tokens|output-tokens"
# As Groq and OpenAI write them (x-ratelimit-limit-requests), with -day or -minute at the end (Cerebras), with -per-day
# (DigitalOcean), and without a unit (OpenRouter, the first IETF drafts).
_PLAIN = re.compile(
    rf"(?:x-)?ratelimit-(limit|remaining|reset)(?:-({_UNIT}))?(?:-(?:per-)?(second|minute|hour|day))?", re.ASCII
)
_ANTHROPIC = re.compile(rf"anthropic-ratelimit-({_UNIT})-(limit|remaining|reset)", re.ASCII)
_NUMBER = re.compile(r"(\d{1,15})(?:\.\d{0,20})?", re.ASCII)
_NAMED = re.compile(r'^\s*(?:"([^"]{0,64})"|([\w.*-]{1,64}))\s*((?:;[^,]*)?)$', re.ASCII)  # an item of RateLimit
_PART = re.compile(r";\s*([a-z]+)\s*=\s*\"?([\w.-]{1,32})\"?", re.ASCII)

# "on tokens per minute (TPM): Limit 6000, Used 5990, Requested 42" (Groq, OpenAI; without Used when it is too large)
_SAID = re.compile(
    r"(?:(input|output)\s)?(requests|tokens) per (second|minute|min|hour|day)\b[^:]{0,40}?:?\.?\s{0,3}"
    r"limit:?\s{0,3}([\d,]{1,20})(?:\D{0,20}?used:?\s{0,3}([\d,]{1,20}))?",
    re.ASCII,
)
# Anthropic says that a request would exceed a rate limit of 30,000 input tokens per minute.
_OF = re.compile(
    r"rate limit of ([\d,]{1,20}) (?:(input|output)\s)?(requests|tokens) per (second|minute|hour|day)", re.ASCII
)
# "Requests per minute limit exceeded" (Cerebras): a window that is used up, without its figures
_EXCEEDED = re.compile(r"requests per (second|minute|hour|day) limit exceeded", re.ASCII)
_QUOTA_ID = re.compile(r'"quotaid":\s*"([^"]{1,200})"')
_QUOTA_VALUE = re.compile(r'"quotavalue":\s*"?(\d{1,15})(?!\d)')
_PER = re.compile(r"per(minute|hour|day)(?![a-z])|per(minute|hour|day)per")

_Key = tuple[Counted, float | None]


def readings(
    kind: str, headers: Mapping[str, str] | None, body: object, now: float, status: int | None
) -> tuple[Reading, ...]:
    """What the reply said of each window, each once. Never raises.

    `now`: when the headers came, in seconds since the epoch. The body is looked at only when the reply is an error
    (status None: an error within a stream). What a body says goes before the headers: it names the window.
    """
    found = _of_headers(headers or {}, now)
    if body is not None and (status is None or status >= 400):
        for said in _of_body(kind, body):
            _join(found, said)
    return tuple(found.values())


def aged(said: tuple[Reading, ...], seconds: float) -> tuple[Reading, ...]:
    """The same as it reads `seconds` after it was said: the resets are nearer."""
    if seconds <= 0:
        return said
    return tuple(r if r.reset is None else replace(r, reset=max(0.0, r.reset - seconds)) for r in said)


def _of_headers(headers: Mapping[str, str], now: float) -> dict[_Key, Reading]:
    figures: dict[_Key, dict[str, float]] = {}
    found: dict[_Key, Reading] = {}
    for number, (name, value) in enumerate(headers.items()):
        # Whoever built the mapping promised text; a server's own library may not have kept the promise.
        if number >= _MOST_HEADERS or not isinstance(cast("object", value), str) or len(name) > _LONGEST_NAME:
            continue
        lowered = name.lower()
        if "ratelimit" not in lowered or len(value) > _LONGEST_VALUE:
            continue
        if lowered in ("ratelimit", "ratelimit-policy"):
            _draft(lowered, value, figures)
        elif match := _PLAIN.fullmatch(lowered):
            what, unit, per = match[1], match[2], match[3]
            key: _Key = (_COUNTS[unit] if unit else "requests", _SECONDS.get(per or ""))
            _note(figures.setdefault(key, {}), what, value, now)
        elif match := _ANTHROPIC.fullmatch(lowered):
            _note(figures.setdefault((_COUNTS[match[1]], 60.0), {}), match[2], value, now)
    for (counts, seconds), said in figures.items():
        seconds = said.get("window", seconds)  # noqa: PLW2901  a policy may tell what the name does not
        if (reading := _reading(counts, seconds, said)) is not None:
            found[(counts, seconds)] = reading
    return found


def _note(said: dict[str, float], what: str, value: str, now: float) -> None:
    if what == "reset":
        if (seconds := waiting_time(value, now)) is not None:
            said["reset"] = seconds
        return
    items = value.split(",")  # "10, 10;w=60, 500;w=3600" (draft 3): the limit, and the policies it may come from
    if (amount := _amount(items[0].partition(";")[0])) is None:
        return
    said[what] = amount
    for item in items if what == "limit" else ():
        if _amount(item.partition(";")[0]) == amount and (length := _amount(_parts(item).get("w", ""))):
            said["window"] = length


def _draft(name: str, value: str, figures: dict[_Key, dict[str, float]]) -> None:
    """`RateLimit: "default";r=50;t=30` and `RateLimit-Policy: "default";q=100;w=60` (draft 8 and later).

    Of several policies only the first counts: which request counts in which is not told. Draft 7 says
    `limit=100, remaining=50, reset=30` instead.
    """
    said = figures.setdefault(("requests", None), {})
    if name == "ratelimit" and "=" in value and ";" not in value:
        parts: dict[str, str] = {}
        for item in value.split(","):
            word, _, figure = item.strip().partition("=")
            parts[word] = figure
        names = {"limit": "limit", "remaining": "remaining", "reset": "reset"}
    else:
        policy = _NAMED.match(value.partition(",")[0])
        parts = _parts(policy[3]) if policy else {}
        names = {"q": "limit", "r": "remaining", "t": "reset", "w": "window"}
        if parts.get("qu", "requests") != "requests":
            return
    for short, what in names.items():
        if (amount := _amount(parts.get(short, ""))) is not None:
            said[what] = amount


def _parts(text: str) -> dict[str, str]:
    return {found[1]: found[2] for found in _PART.finditer(text)}


def _reading(counts: Counted, seconds: float | None, said: Mapping[str, float]) -> Reading | None:
    limit, left = said.get("limit") or None, said.get("remaining")
    if limit is not None and left is not None and left > limit:
        left = None
    if limit is None and left is None:
        return None  # a reset alone is of no window
    return Reading(
        counts,
        None if limit is None else int(limit),
        None if left is None else int(left),
        said.get("reset"),
        None if seconds is None else float(seconds),
    )


def _amount(text: str) -> int | None:
    """A plain number; nothing that is negative, written with an exponent, or larger than any window."""
    match = _NUMBER.fullmatch(text.strip())
    amount = int(match[1]) if match else -1
    return amount if 0 <= amount <= LARGEST else None


def _of_body(kind: str, body: object) -> list[Reading]:
    said = read_body(body)
    found: list[Reading] = []
    if kind == "gemini":
        found += [reading for quota in said.quotas if (reading := _violation(quota)) is not None]
        return found
    message = said.message
    for match in _SAID.finditer(message):
        limit, used = _amount(match[4].replace(",", "")), _amount((match[5] or "").replace(",", ""))
        if limit:
            left = max(0, limit - used) if used is not None else None
            found.append(Reading(_counted(match[1], match[2]), limit, left, None, _SECONDS[match[3]]))
    for match in _OF.finditer(message):
        if limit := _amount(match[1].replace(",", "")):
            found.append(Reading(_counted(match[2], match[3]), limit, None, None, _SECONDS[match[4]]))
    found += [Reading("requests", None, 0, None, _SECONDS[m[1]]) for m in _EXCEEDED.finditer(message)]
    return found


def _counted(side: str | None, unit: str) -> Counted:
    return cast("Counted", side) if side and unit == "tokens" else "requests" if unit == "requests" else "tokens"


def _violation(quota: str) -> Reading | None:
    """One violation of Gemini's QuotaFailure, lower-cased. Its free tier counts input tokens as tokens (see Limits).

    Of requests nothing is left; of tokens there may be some, only not enough. A limit of 0 is no window at all.
    """
    name, value = _QUOTA_ID.search(quota), _QUOTA_VALUE.search(quota)
    per = _PER.search(name[1]) if name else None
    if name is None or per is None:
        return None
    tokens = "token" in name[1]
    limit = _amount(value[1]) if value else None
    if limit == 0 or (tokens and limit is None):
        return None
    return Reading("tokens" if tokens else "requests", limit, None if tokens else 0, None, _SECONDS[per[1] or per[2]])


def _join(found: dict[_Key, Reading], said: Reading) -> None:
    """A header that tells the same limit without its window is the same window: one reading, with the reset."""
    keys: tuple[_Key, _Key] = ((said.counts, said.seconds), (said.counts, None))
    for key in keys:
        told = found.get(key)
        if told is not None and (key[1] is not None or (said.limit is not None and told.limit == said.limit)):
            del found[key]
            left = told.left if said.left is None else said.left
            said = Reading(said.counts, said.limit or told.limit, left, told.reset, said.seconds)
    found[(said.counts, said.seconds)] = said
