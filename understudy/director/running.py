"""What is under way in this process, and what has just ended: each task's way as it happens. Never a text."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from understudy.director.trail import Trail
from understudy.types import Clock, Event, Reply, Stage

LONGEST_WAY = 48  # stages of one task that are kept: its first ones and its last
KEPT = 12  # tasks of one caller that are remembered when they have ended
MOST_CALLERS = 256  # of whom any are


@dataclass(frozen=True, slots=True)
class Passed:
    """A stage and when it was reached, in seconds since the epoch."""

    name: str
    detail: str
    at: float


@dataclass(slots=True, eq=False)
class Way:
    """ended: 0.0 while it is under way; error: what ended it without a reply."""

    trail: Trail
    clock: Clock
    stages: list[Passed] = field(default_factory=list[Passed])
    ended: float = 0.0
    error: type[BaseException] | None = None

    def hear(self, event: Event) -> None:
        if not isinstance(event, Stage):
            return
        if len(self.stages) >= LONGEST_WAY:
            del self.stages[LONGEST_WAY // 2]
        self.stages.append(Passed(event.name, event.detail, self.clock.now()))

    @property
    def caller(self) -> str:
        """Its name; empty for a task that nobody sent over the wire."""
        return self.trail.caller.name if self.trail.caller is not None else ""


class Running:
    """One per process. ended: told of each task as it ends, whatever ended it; it must not raise."""

    def __init__(self) -> None:
        self.ways: dict[str, Way] = {}
        self.ended: list[Callable[[Way], None]] = []
        self._past: OrderedDict[str, deque[Way]] = OrderedDict()

    def begin(self, trail: Trail, clock: Clock) -> Way:
        """From now on the trail says where it has come."""
        way = self.ways[trail.id] = Way(trail, clock)
        trail.watch = way.hear
        return way

    def end(self, way: Way, came: Reply | BaseException) -> None:
        self.ways.pop(way.trail.id, None)
        way.ended = way.clock.now()
        way.trail.report = way.trail.watch = None  # nobody waits for it any more
        way.error = None if isinstance(came, Reply) else type(came)
        past = self._past.setdefault(way.caller, deque(maxlen=KEPT))
        past.append(way)
        self._past.move_to_end(way.caller)
        if len(self._past) > MOST_CALLERS:
            self._past.popitem(last=False)
        for told in self.ended:
            told(way)

    def of(self, caller: str | None) -> tuple[list[Way], list[Way]]:
        """(under way, the oldest first; ended, the latest first) of one caller, or of all of them."""
        if caller is None:
            past = [way for ways in self._past.values() for way in ways]
            return list(self.ways.values()), sorted(past, key=lambda way: way.ended, reverse=True)[:KEPT]
        now = [way for way in self.ways.values() if way.caller == caller]
        return now, list(reversed(self._past.get(caller, ())))
