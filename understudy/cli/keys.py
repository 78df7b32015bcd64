"""How many keys an account has left for a model: what the fleet's table adds to what the quota book knows."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from understudy.director.parts import Parts
    from understudy.types import Candidate


@dataclass(frozen=True, slots=True)
class KeysLeft:
    """until: when the first that is set aside is tried again, in seconds since the epoch."""

    total: int
    set_aside: int
    until: float | None = None
    missing: tuple[str, ...] = ()  # sources at which there is none
    unread: tuple[str, ...] = ()  # vaults and keyrings that this process has not asked: their keys may be set aside

    @property
    def none_is_left(self) -> bool:
        return self.set_aside + len(self.missing) == self.total


def keys_left(parts: Parts, candidate: Candidate) -> KeysLeft | None:
    """None: it needs no key. Nothing is asked over a network, and a source that cannot be read is told of."""
    from understudy.agents.roster import ring_of

    ring = ring_of(candidate, parts.settings, parts.rings)
    if ring is None:
        return None
    ring.glance()
    aside = ring.aside(candidate.model)
    missing = tuple(slot.source for slot in ring.missing if slot.error is not None)
    unread = tuple(slot.source for slot in ring.missing if slot.error is None)
    until = min((until for _, until in aside.values()), default=None)
    return KeysLeft(len(ring.keys) + len(missing) + len(unread), len(aside), until, missing, unread)


def with_keys(known: str, keys: KeysLeft | None) -> str:
    """The state of a candidate, and what its keys add to it."""
    if keys is None:
        return known
    told = [f"set aside until {_clock(keys.until)}"] if keys.until is not None else []
    told += [f"no key at {source}" for source in keys.missing]
    if keys.none_is_left:
        return f"no key left ({', '.join(told)})"
    if keys.set_aside:
        told[0] = f"{keys.set_aside} of {keys.total} keys {told[0]}"
    return f"{known} ({', '.join(told)})" if told else known


def _clock(moment: float) -> str:
    """Local time; a key is set aside for a day at the most."""
    return time.strftime("%H:%M", time.localtime(moment))
