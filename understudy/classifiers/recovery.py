"""How well prompts were shared out between a weak and a strong model: RouteLLM's metrics, and the same over money.

Definitions (RouteLLM, arXiv 2406.18665, section 2.2, and routellm/evals/evaluate.py of lm-sys/RouteLLM). The prompts
are ranked by a router's score and the top share x goes to the strong model, x = 0, 0.1 .. 1.
PGR(x), the performance gap recovered: (quality at x - weak alone) / (strong alone - weak alone).
APGR: the area under PGR over x, by trapezoids; 0.5 for a random router, by definition.
CPT(q): the smallest x, interpolated linearly, at which PGR reaches q; CPT50 and CPT80 in per cent of calls.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.floating[Any]]

STEPS = np.linspace(0.0, 1.0, 11)


@dataclass(frozen=True, slots=True)
class Curve:
    """PGR at each place of an axis from 0 to 1: the share of strong calls, or of the money between the two models."""

    places: Floats
    recovered: Floats

    @property
    def area(self) -> float:
        """APGR."""
        return float((np.diff(self.places) * (self.recovered[1:] + self.recovered[:-1]) / 2).sum())

    def reaches(self, share: float) -> float | None:
        """CPT: where PGR first comes to `share`, 0 to 1; None where it never does."""
        above = np.flatnonzero(self.recovered >= share)
        if not above.size:
            return None
        at = int(above[0])
        if at == 0:
            return float(self.places[0])
        low, high = self.recovered[at - 1], self.recovered[at]
        part = float((share - low) / (high - low))
        return float(self.places[at - 1] + part * (self.places[at] - self.places[at - 1]))


@dataclass(frozen=True, slots=True)
class Pair:
    """What each of two models made of the same prompts: 0 or 1, or a share where it was asked several times."""

    weak: Floats = field(repr=False)
    strong: Floats = field(repr=False)

    @property
    def gap(self) -> float:
        return float(self.strong.mean() - self.weak.mean())

    def at(self, rows: Any) -> Pair:
        return Pair(self.weak[rows], self.strong[rows])


def routed(pair: Pair, scores: Floats) -> Curve:
    """The prompts with the highest scores go to the strong model. Equal scores are broken at random, in expectation."""
    return Curve(STEPS, _gains(pair.strong - pair.weak, scores, STEPS) / _gap(pair))


def random(pair: Pair) -> Curve:
    """What a router that knows nothing comes to, in expectation: a straight line."""
    del pair
    return Curve(STEPS, STEPS.copy())


def oracle(pair: Pair) -> Curve:
    """Only prompts that the strong model turns from wrong to right go to it, and never one the other way round."""
    gains = np.sort(np.maximum(pair.strong - pair.weak, 0))[::-1]
    return Curve(STEPS, _cumulated(gains, STEPS) / _gap(pair))


def routed_by_cost(pair: Pair, scores: Floats, *, ratio: float, kept: Floats | None = None, samples: int = 0) -> Curve:
    """PGR over money: 0 is the weak model once for every prompt, 1 the strong model for every prompt.

    ratio: the weak model's price over the strong one's. samples: calls of the weak model before the choice; 0 for a
    router that chooses before anything is called, and then pays for one model only. kept: what the answer that is kept
    is worth, where several samples are put together; otherwise the weak model's. Below its own fixed cost a cascade
    cannot run: the weak model alone answers there, and nothing is recovered. An escalated prompt has paid for both.
    """
    own = pair.weak if kept is None else kept
    spent = ratio + STEPS * (1 - ratio)  # in calls of the strong model, per prompt
    shares = STEPS if not samples else np.clip(spent - samples * ratio, 0, 1)
    quality = own.mean() + _gains(pair.strong - own, scores, shares)
    recovered = (quality - pair.weak.mean()) / _gap(pair)
    return Curve(STEPS, np.where(spent + 1e-9 >= samples * ratio, recovered, 0.0))


def spread(pair: Pair, scores: Floats, other: Floats, *, draws: int = 200, seed: int = 0) -> float:
    """The standard error of APGR(scores) - APGR(other), by drawing the prompts again."""
    generator = np.random.default_rng(seed)
    found: list[float] = []
    for _ in range(draws):
        rows = generator.integers(0, len(scores), len(scores))
        drawn = pair.at(rows)
        if abs(drawn.gap) > 1e-9:
            found.append(routed(drawn, scores[rows]).area - routed(drawn, other[rows]).area)
    return float(np.std(found)) if found else 0.0


def _gap(pair: Pair) -> float:
    gap = pair.gap
    if abs(gap) < 1e-12:
        raise ValueError("the two models are equally good: there is no gap to recover")
    return gap


def _gains(gains: Floats, scores: Floats, shares: Floats) -> Floats:
    """What the top share of the prompts adds to the mean quality of all."""
    order = np.argsort(-scores, kind="stable")
    _, first, group = np.unique(-scores[order], return_index=True, return_inverse=True)
    means = np.add.reduceat(gains[order], first) / np.diff(np.append(first, len(scores)))
    return _cumulated(means[group], shares)


def _cumulated(gains: Floats, shares: Floats) -> Floats:
    total = np.concatenate([[0.0], np.cumsum(gains)]) / len(gains)
    return np.interp(shares * len(gains), np.arange(len(total)), total)
