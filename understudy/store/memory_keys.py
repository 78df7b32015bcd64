"""What is known of keys without a file: for a process whose keys are simulated, or that has no store, and for tests."""

from __future__ import annotations

import os
from collections.abc import Collection

from understudy.store.keys import ANY_MODEL, Refusals, fingerprint


class MemoryKeys:
    """As store.keys.Keys, for as long as it lives."""

    def __init__(self) -> None:
        self._salt = os.urandom(32)
        self._first: dict[str, float] = {}
        self._refusals: dict[tuple[str, str], tuple[float, float]] = {}

    def fingerprint(self, place: str, value: str) -> str:
        return fingerprint(self._salt, place, value)

    async def meet(self, fingerprints: Collection[str], now: float) -> None:
        for name in fingerprints:
            self._first.setdefault(name, now)

    def met(self, fingerprints: Collection[str]) -> dict[str, float]:
        return {name: self._first[name] for name in fingerprints if name in self._first}

    async def refuse(self, name: str, model: str, *, since: float, until: float) -> None:
        _, old = self._refusals.get((name, model), (0.0, 0.0))
        self._refusals[name, model] = since, max(until, old)

    async def forgive(self, name: str, model: str) -> None:
        for which in (model, ANY_MODEL):
            self._refusals.pop((name, which), None)

    def refused(self, fingerprints: Collection[str], now: float) -> Refusals:
        return {place: when for place, when in self._refusals.items() if place[0] in fingerprints and when[1] > now}
