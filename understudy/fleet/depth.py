"""How long the lines are in which tasks wait, process by process, as the book's pages carry it.

A line stands in front of a model, and its process says so on the page of one of the model's accounts: whoever reads
sums up over all pages, by model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

BELIEVED = 10.0  # seconds; a process says it again every second, so one that has not is dead


@dataclass(frozen=True, slots=True)
class Depth:
    """The entry: how many wait in one line of one process. With 0 it is forgotten."""

    line: str  # drawn anew each time a line begins to be told
    model: str  # with its provider
    waiting: int
    oldest: float  # seconds the first of them has waited


@dataclass(frozen=True, slots=True)
class Said:
    """What stands on the page. at: the keeper's time."""

    at: float
    model: str
    waiting: int
    oldest: float

    def holds(self, now: float) -> bool:
        return abs(now - self.at) < BELIEVED  # one from the future is of before the clock was set back


@dataclass(frozen=True, slots=True)
class Queue:
    """Tasks that wait for a model, in the lines of all processes."""

    waiting: int = 0
    oldest_seconds: float = 0.0


NOBODY = Queue()


def note(said: dict[str, Said], depth: Depth, now: float) -> None:
    """Take it down."""
    if depth.waiting > 0:
        oldest = depth.oldest if 0 <= depth.oldest < math.inf else 0.0
        said[depth.line] = Said(now, depth.model, depth.waiting, oldest)
    else:
        said.pop(depth.line, None)


def forget(said: dict[str, Said], now: float) -> None:
    """Drop what the dead have said."""
    for line in [line for line, one in said.items() if not one.holds(now)]:
        del said[line]


def queues(pages: Iterable[Mapping[str, Said]], now: float) -> dict[str, Queue]:
    """By model; where nobody waits there is none."""
    found: dict[str, Queue] = {}
    for said in pages:
        for one in said.values():
            if one.holds(now):
                before = found.get(one.model, NOBODY)
                oldest = max(before.oldest_seconds, one.oldest + max(0.0, now - one.at))
                found[one.model] = Queue(before.waiting + one.waiting, oldest)
    return found
