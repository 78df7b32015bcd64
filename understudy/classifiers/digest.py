"""What a cheaper reader may see of a long text: head, tail and counts."""

from __future__ import annotations

_MARK = "\n[... {} characters left out ...]\n"


def digest(text: str, limit: int) -> str:
    """At most `limit` characters (at least 80): the text, or its head and tail with a count of what is missing."""
    limit = max(limit, 80)
    if len(text) <= limit:
        return text
    room = limit - len(_MARK.format(len(text)))
    head = (room * 2 + 2) // 3
    tail = room - head
    return text[:head] + _MARK.format(len(text) - head - tail) + text[len(text) - tail :]
