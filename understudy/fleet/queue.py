"""The line in front of a scarce model, one per process: interactive before batch, sessions in turn, nobody for ever.

Only its head asks the book, so a thousand waiting tasks cost one look at a time. A batch goes ahead of somebody at a
terminal once in a while, so that it is not starved by a long conversation.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from understudy.types import Priority

LONGEST_LINE = 10_000  # tasks; one more is told so at once
OWED = 4  # interactive tasks that may go ahead of a waiting batch before it is its turn


@dataclass(slots=True, eq=False)
class Place:
    """Somebody in the line. `called` is set when it is at the head, or when the head should look again."""

    session: str
    priority: Priority
    since: float
    called: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class _Class:
    """Sessions in turn, each in its own order."""

    sessions: OrderedDict[str, deque[Place]] = field(default_factory=OrderedDict[str, deque[Place]])
    size: int = 0

    def add(self, place: Place) -> None:
        self.sessions.setdefault(place.session, deque()).append(place)
        self.size += 1

    def first(self) -> Place | None:
        return next(iter(self.sessions.values()))[0] if self.sessions else None

    def remove(self, place: Place, *, served: bool) -> None:
        waiting = self.sessions[place.session]
        waiting.remove(place)
        self.size -= 1
        if not waiting:
            del self.sessions[place.session]
        elif served:
            self.sessions.move_to_end(place.session)


class Line:
    """`async with line.place(session, priority, now) as place`, then `await line.turn(place)` until served."""

    def __init__(self, longest: int = LONGEST_LINE) -> None:
        self._longest = longest
        self._classes = {Priority.INTERACTIVE: _Class(), Priority.BATCH: _Class()}
        self._ahead = 0  # interactive tasks served while a batch waited
        self._head: Place | None = None
        self.empty = asyncio.Event()
        self.empty.set()

    @property
    def depth(self) -> dict[Priority, int]:
        return {priority: waiting.size for priority, waiting in self._classes.items()}

    def __len__(self) -> int:
        return sum(self.depth.values())

    @property
    def full(self) -> bool:
        return len(self) >= self._longest

    def longest_wait(self, now: float) -> float:
        """Seconds the one who has waited longest has waited."""
        places = [p for c in self._classes.values() for waiting in c.sessions.values() for p in list(waiting)[:1]]
        return max((now - place.since for place in places), default=0.0)

    @asynccontextmanager
    async def place(self, session: str, priority: Priority, now: float) -> AsyncGenerator[Place]:
        """A place in the line until the block ends; mark it with `line.serve(place)` when it was served."""
        place = Place(session, priority, now)
        self._classes[priority].add(place)
        self.empty.clear()
        self._call()
        try:
            yield place
        finally:
            if self._in(place):
                self._remove(place, served=False)

    def serve(self, place: Place) -> None:
        """Its turn was used: the next one is called."""
        if place.priority is Priority.BATCH:
            self._ahead = 0
        elif self._classes[Priority.BATCH].size:
            self._ahead += 1
        self._remove(place, served=True)

    def is_head(self, place: Place) -> bool:
        return self._head is place

    def nudge(self) -> None:
        """Something has changed (room was given back): the head looks again."""
        if self._head is not None:
            self._head.called.set()

    def _remove(self, place: Place, *, served: bool) -> None:
        self._classes[place.priority].remove(place, served=served)
        if self._head is place:
            self._head = None
        if not len(self):
            self.empty.set()
        self._call()

    def _call(self) -> None:
        first = self._first()
        if first is not self._head:
            if self._head is not None:
                self._head.called.set()  # so that it learns that it is no longer first
            self._head = first
        if first is not None:
            first.called.set()

    def _first(self) -> Place | None:
        interactive, batch = (self._classes[p].first() for p in (Priority.INTERACTIVE, Priority.BATCH))
        if interactive is None or (batch is not None and self._ahead >= OWED):
            return batch
        # Whoever is already at the head of its class stays there until served: a line is not reshuffled.
        return interactive

    def _in(self, place: Place) -> bool:
        return place in self._classes[place.priority].sessions.get(place.session, ())
