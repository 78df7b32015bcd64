"""The largest reduced campaign: what to shrink, and to how much, so that deadline and money suffice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

from understudy.pipelines.spec import DIMENSIONS, Shape
from understudy.pipelines.volume import calls_of

FIXED = ("turns", "players", "mutations")  # what a run is: shrunk only where `smallest` allows it
MOST_STEPS = 200_000  # shapes looked at


@dataclass(frozen=True, slots=True)
class Reduction:
    """changes: dimension -> (from, to). how: which way it was found."""

    changes: Mapping[str, tuple[int, int]]
    calls: int
    how: str


def reductions(shape: Shape, most: int, smallest: Mapping[str, int]) -> tuple[Reduction, ...]:
    """Shapes of at most `most` calls, each dimension between its smallest and what it is; the largest first.

    The largest of all; all dimensions by about the same share; and each dimension alone, where that is enough.
    """
    if calls_of(shape) <= most:
        return ()
    floors = {d: min(getattr(shape, d), smallest.get(d, _floor(shape, d))) for d in DIMENSIONS}
    found = [
        ("the largest there is", _largest(shape, floors, most)),
        ("all by the same share", _even(shape, floors, most)),
    ]
    found += [(f"{d} alone", _alone(shape, d, floors[d], most)) for d in DIMENSIONS if floors[d] < getattr(shape, d)]
    made: dict[tuple[int, ...], Reduction] = {}
    for how, small in found:
        if small is not None:
            values = tuple(getattr(small, d) for d in DIMENSIONS)
            made.setdefault(values, Reduction(_changes(shape, small), calls_of(small), how))
    return tuple(sorted(made.values(), key=lambda r: (-r.calls, len(r.changes))))


def _floor(shape: Shape, dimension: str) -> int:
    """A comparison needs two groups; what makes a run what it is stays."""
    if dimension in FIXED:
        return getattr(shape, dimension)
    return min(2, shape.groups) if dimension == "groups" else 1


def _with(shape: Shape, values: Mapping[str, int]) -> Shape:
    return shape.model_copy(update={**values, "names": {}})


def _changes(old: Shape, new: Shape) -> dict[str, tuple[int, int]]:
    pairs = {d: (getattr(old, d), getattr(new, d)) for d in DIMENSIONS}
    return {d: pair for d, pair in pairs.items() if pair[0] != pair[1]}


def _alone(shape: Shape, dimension: str, floor: int, most: int) -> Shape | None:
    """The largest value of one dimension; None: its smallest is too much."""
    low, high = floor, getattr(shape, dimension)
    if calls_of(_with(shape, {dimension: low})) > most:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if calls_of(_with(shape, {dimension: middle})) <= most else (low, middle)
    return _with(shape, {dimension: low})


def _even(shape: Shape, floors: Mapping[str, int], most: int) -> Shape | None:
    def scaled(share: float) -> Shape:
        return _with(shape, {d: max(floor, int(getattr(shape, d) * share)) for d, floor in floors.items()})

    if calls_of(scaled(0.0)) > most:
        return None
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if calls_of(scaled(middle)) <= most else (low, middle)
    return scaled(low)


def _largest(shape: Shape, floors: Mapping[str, int], most: int) -> Shape | None:
    """Of all shapes between the smallest and this one the one with the most calls; of equals that with fewer changes.

    The longest dimension is solved for, the others are gone through: all their values, where those are not too many.
    """
    free = sorted((d for d in DIMENSIONS if floors[d] < getattr(shape, d)), key=lambda d: getattr(shape, d) - floors[d])
    if not free:
        return None
    *others, longest = free
    best: tuple[int, int, Shape] | None = None
    for values in product(*_values(shape, floors, others)):
        tried = _alone(_with(shape, dict(zip(others, values, strict=True))), longest, floors[longest], most)
        if tried is None:
            whole = _with(shape, dict(zip(others, values, strict=True)))
            tried = whole if calls_of(whole) <= most else None
        else:
            whole = tried.model_copy(update={longest: getattr(shape, longest)})
            tried = whole if calls_of(whole) <= most else tried
        if tried is not None:
            rank = (calls_of(tried), -len(_changes(shape, tried)), tried)
            best = rank if best is None or rank[:2] > best[:2] else best
    return best[2] if best else None


def _values(shape: Shape, floors: Mapping[str, int], dimensions: list[str]) -> Iterator[list[int]]:
    """Every value of each, or so many of them, evenly apart, that all together stay within reason."""
    sizes = [getattr(shape, d) - floors[d] + 1 for d in dimensions]
    thin = 1.0 if prod(sizes) <= MOST_STEPS else (MOST_STEPS / prod(sizes)) ** (1 / len(sizes))
    for dimension, size in zip(dimensions, sizes, strict=True):
        steps = max(2, int(size * thin))
        top, low = getattr(shape, dimension), floors[dimension]
        yield sorted({low + (top - low) * i // (steps - 1) for i in range(steps)} if size > 1 else {low})
