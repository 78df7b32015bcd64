"""The largest reduced campaign: what to shrink, and to how much, so that deadline and money suffice."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod

from understudy.pipelines.spec import DIMENSIONS, Shape

FIXED = ("turns", "players", "mutations")  # what a run is: shrunk only where `smallest` allows it
MOST_TRIED = 20_000  # shapes looked at
Values = tuple[int, ...]  # in the order of DIMENSIONS


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
    whole: Values = tuple(getattr(shape, d) for d in DIMENSIONS)
    if counted_of(whole) <= most:
        return ()
    floors = tuple(min(n, smallest.get(d, _floor(d, n))) for d, n in zip(DIMENSIONS, whole, strict=True))
    found = [("the largest there is", _largest(whole, floors, most))]
    found += [("all by the same share", _even(whole, floors, most))]
    shrinkable = [i for i, floor in enumerate(floors) if floor < whole[i]]
    found += [(f"{DIMENSIONS[i]} alone", _alone(whole, i, floors[i], most)) for i in shrinkable]
    made: dict[Values, Reduction] = {}
    for how, small in found:
        if small is not None:
            made.setdefault(small, Reduction(_changes(whole, small), counted_of(small), how))
    return tuple(sorted(made.values(), key=lambda r: (-r.calls, len(r.changes))))


def counted_of(values: Values) -> int:
    """Calls of a shape, its dimensions in the order of DIMENSIONS."""
    groups, runs, generations, agents, scenarios, turns, players, mutations = values
    return groups * runs * generations * (agents * scenarios * turns * players + mutations)


def _floor(dimension: str, number: int) -> int:
    """A comparison needs two groups; what makes a run what it is stays."""
    return number if dimension in FIXED else min(2, number) if dimension == "groups" else 1


def _changes(old: Values, new: Values) -> dict[str, tuple[int, int]]:
    pairs = zip(DIMENSIONS, old, new, strict=True)
    return {d: (before, after) for d, before, after in pairs if before != after}


def _with(values: Values, place: int, number: int) -> Values:
    return (*values[:place], number, *values[place + 1 :])


def _alone(values: Values, place: int, floor: int, most: int) -> Values | None:
    """With the largest number at one place that is not too much; None: its smallest is."""
    low, high = floor, values[place] + 1
    if counted_of(_with(values, place, low)) > most:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if counted_of(_with(values, place, middle)) <= most else (low, middle)
    return _with(values, place, low)


def _even(whole: Values, floors: Values, most: int) -> Values | None:
    def scaled(share: float) -> Values:
        return tuple(max(floor, int(n * share)) for n, floor in zip(whole, floors, strict=True))

    if counted_of(floors) > most:
        return None
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if counted_of(scaled(middle)) <= most else (low, middle)
    return scaled(low)


def _largest(whole: Values, floors: Values, most: int) -> Values | None:
    """Of all shapes between the smallest and this one the one with the most calls; of equals that with fewer changes.

    The longest dimension is solved for. Of the others all numbers are tried, or where those are too many some of them.
    """
    free = sorted((i for i in range(len(whole)) if floors[i] < whole[i]), key=lambda i: whole[i] - floors[i])
    if not free:
        return None
    *others, longest = free
    best: Values | None = None
    for numbers in product(*_tried(whole, floors, others)):
        tried = whole
        for place, number in zip(others, numbers, strict=True):
            tried = _with(tried, place, number)
        found = _alone(tried, longest, floors[longest], most)
        if found is not None and (best is None or _rank(found, whole) > _rank(best, whole)):
            best = found
    return best


def _rank(values: Values, whole: Values) -> tuple[int, int]:
    return counted_of(values), -len(_changes(whole, values))


def _tried(whole: Values, floors: Values, places: list[int]) -> Iterator[list[int]]:
    """Every number of each place, or so many of them, evenly apart, that all together stay within reason."""
    sizes = [whole[i] - floors[i] + 1 for i in places]
    thin = 1.0 if prod(sizes) <= MOST_TRIED else (MOST_TRIED / prod(sizes)) ** (1 / len(sizes))
    for place, size in zip(places, sizes, strict=True):
        steps = max(2, int(size * thin))
        yield sorted({floors[place] + (size - 1) * i // (steps - 1) for i in range(steps)})
