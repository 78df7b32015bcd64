"""From a score to a probability: a rising step function, fitted by pooling neighbours that are out of order."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Isotonic:
    """Probability by score, between the knots on a straight line. Higher score: never a lower probability."""

    scores: tuple[float, ...]
    chances: tuple[float, ...]

    def __call__(self, score: float) -> float:
        after = bisect_right(self.scores, score)
        if after == 0:
            return self.chances[0]
        if after == len(self.scores):
            return self.chances[-1]
        low, high = self.scores[after - 1], self.scores[after]
        part = (score - low) / (high - low)
        return self.chances[after - 1] + part * (self.chances[after] - self.chances[after - 1])


def isotonic(pairs: Iterable[tuple[float, float]]) -> Isotonic:
    """Fitted on (score, right: 0 to 1). Two imagined rows, one right and one wrong, keep every chance off 0 and 1.

    Raises ValueError where there is no row.
    """
    pools: list[list[float]] = []  # sum of scores, sum of rights, rows
    rows = sorted(pairs)
    if not rows:
        raise ValueError("nothing to calibrate on")
    for score, right in rows:
        if pools and pools[-1][0] / pools[-1][2] == score:
            pools[-1] = [pools[-1][0] + score, pools[-1][1] + right, pools[-1][2] + 1]
        else:
            pools.append([score, right, 1.0])
    merged: list[list[float]] = []
    for pool in pools:
        merged.append(pool)
        while len(merged) > 1 and _chance(merged[-2]) >= _chance(merged[-1]):
            last = merged.pop()
            merged[-1] = [a + b for a, b in zip(merged[-1], last, strict=True)]
    return Isotonic(tuple(p[0] / p[2] for p in merged), tuple(_chance(p) for p in merged))


def _chance(pool: list[float]) -> float:
    return (pool[1] + 1) / (pool[2] + 2)
