"""Telling the book how long the lines of this process are, so that `understudy fleet` elsewhere can show it.

Beside the tasks that wait: one that comes and goes within a second costs nothing, and a book that cannot be written
disturbs nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from contextvars import Context
from dataclasses import dataclass, field

from understudy.errors import StoreError
from understudy.fleet.book import Book
from understudy.fleet.depth import Depth
from understudy.fleet.queue import Line
from understudy.types import Candidate, Clock

EVERY = 1.0  # seconds between two tellings
CLOSING = 1.0  # seconds to take back what was told; after that it is believed for a few more


@dataclass(slots=True)
class Announcer:
    """One per process."""

    book: Book
    clock: Clock
    _told: set[str] = field(default_factory=set[str])  # models whose line is being told
    _telling: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    def watch(self, candidate: Candidate, line: Line) -> None:
        """Somebody stands in this line: tell of it until it is empty."""
        if candidate.name in self._told:
            return
        self._told.add(candidate.name)
        # In a context of its own: the line outlives the task that happens to be the first in it.
        telling = asyncio.get_running_loop().create_task(self._tell(candidate, line), context=Context())
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def close(self) -> None:
        """Take back what was told."""
        for telling in self._telling:
            telling.cancel()
        if self._telling:
            await asyncio.wait(set(self._telling), timeout=CLOSING)

    async def _tell(self, candidate: Candidate, line: Line) -> None:
        name, told = secrets.token_hex(4), False
        try:
            while not await _empties(line):
                told = True
                await self._say(candidate, name, len(line), line.longest_wait(self.clock.now()))
        finally:
            self._told.discard(candidate.name)  # whoever comes from now on is told of anew, under another name
            if told:
                await self._say(candidate, name, 0, 0.0)

    async def _say(self, candidate: Candidate, name: str, waiting: int, oldest: float) -> None:
        with contextlib.suppress(StoreError):  # whoever needs the book will say so; a line is only shown
            await self.book.tell(candidate, Depth(name, candidate.name, waiting, oldest))


async def _empties(line: Line) -> bool:
    """Whether it does so soon."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(EVERY):
            await line.empty.wait()
    return not len(line)
