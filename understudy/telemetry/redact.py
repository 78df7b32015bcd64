"""What may not enter a log: keys, e-mail addresses, texts. Applied to every event, whoever wrote it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, MutableMapping
from typing import Any, cast

LONGEST = 200  # characters; names, ids and failure classes are shorter, prompts and answers are not
DEEPEST = 4
MASK = "[left out]"

# Words of a field's name that say its text is not for a log; counts under such names (input_tokens) may stay.
_NAMES = frozenset(
    {
        "prompt",
        "prompts",
        "text",
        "texts",
        "answer",
        "answers",
        "content",
        "contents",
        "body",
        "message",
        "messages",
        "instructions",
        "history",
        "title",
        "user",
        "assistant",
        "data",
        "email",
        "key",
        "keys",
        "apikey",
        "authorization",
        "auth",
        "password",
        "passwd",
        "secret",
        "secrets",
        "token",
        "cookie",
        "credential",
        "credentials",
        "bearer",
        "schema",
        "input",
        "output",
        "line",
        "query",
        "stdin",
        "stdout",
        "stderr",
        "url",
    }
)
_WORDS = re.compile(r"[a-z]+|[A-Z][a-z]*|[A-Z]+")
_SHAPES = re.compile(
    r"""
    -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----
    | \b(?:sk|pk|rk)[-_](?:ant|proj|live|test|or)?[-_A-Za-z0-9]{12,}
    | \bgsk_[A-Za-z0-9]{8,} | \bAIza[-_A-Za-z0-9]{12,} | \bgh[pousr]_[A-Za-z0-9]{12,} | \bgithub_pat_\w{12,}
    | \bxox[abposr]-[-A-Za-z0-9]{8,} | \bhf_[A-Za-z0-9]{12,} | \b(?:AKIA|ASIA)[A-Z0-9]{12,} | \btgp_\w{12,}
    | \bus-[0-9a-f]{12}-[0-9a-f]{4,}
    | \beyJ[-_A-Za-z0-9]{8,}\.[-_A-Za-z0-9]{8,}(?:\.[-_A-Za-z0-9]*)?
    | (?i:\b(?:bearer|basic)\s+[-._~+/A-Za-z0-9]{8,}=*)
    | (?i:\b(?:api[-_ ]?key|password|passwd|secret|token)\b\s*[:=]\s*\S+)
    | [A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+
    | \b(?=[-_A-Za-z0-9]*[0-9])(?=[-_A-Za-z0-9]*[A-Za-z])[A-Za-z0-9][-_A-Za-z0-9]{38,}
    """,
    re.VERBOSE,
)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: the event without anything private. Never raises."""
    return {masked(str(name)): _value(str(name), value, 0) for name, value in event.items()}


def masked(text: str) -> str:
    """A text without key shapes and e-mail addresses, and not longer than LONGEST."""
    if len(text) > LONGEST:
        return f"[{len(text):,} characters left out]"
    return _SHAPES.sub(MASK, text)


def is_private_name(name: str) -> bool:
    """Whether a field of this name holds text: prompt, api_key, userText, ..."""
    return any(word.lower() in _NAMES for word in _WORDS.findall(name))


def _value(name: str, value: object, depth: int) -> object:
    if value is None or isinstance(value, bool | int | float):
        return value
    if is_private_name(name):
        return MASK
    if isinstance(value, str):
        return masked(str(value))
    if depth >= DEEPEST:
        return f"[{type(value).__name__}]"
    if isinstance(value, Mapping):
        items = cast(Mapping[object, object], value).items()
        return {masked(str(k)): _value(str(k), v, depth + 1) for k, v in items}
    if isinstance(value, list | tuple | set | frozenset):
        return [_value(name, v, depth + 1) for v in cast(Collection[object], value)]
    # An unknown object's repr may hold anything: its kind is enough.
    return f"[{type(value).__name__}]"
