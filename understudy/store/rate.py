"""Requests of the last minute, counted by the second: in no stretch of 60 s are there more than the limit.

A second's requests free when even the last of them is a minute old, so a rate is kept up to a second too long, and
never too short.
"""

from __future__ import annotations

import math

MINUTE = 60
Slots = tuple[tuple[int, int], ...]  # (second, requests of it), oldest first


def take(slots: Slots, now: float, limit: int) -> tuple[Slots, float]:
    """The slots with one request more, and 0.0; or without it, and the seconds until one more fits."""
    second = math.floor(now)
    counts: dict[int, int] = {}
    for at, requests in slots:
        if at >= second - MINUTE:
            # The clock was set back: what it counted after now is from a moment ago.
            counts[min(at, second)] = counts.get(min(at, second), 0) + requests
    over = sum(counts.values()) + 1 - limit
    if over > 0:
        kept = tuple(sorted(counts.items()))
        for at, requests in kept:
            over -= requests
            if over <= 0:
                return kept, at + MINUTE + 1 - now
        return kept, float(MINUTE)  # a limit below one: nothing ever fits
    counts[second] = counts.get(second, 0) + 1
    return tuple(sorted(counts.items())), 0.0
