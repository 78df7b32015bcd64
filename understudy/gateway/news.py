"""Who waits in this process for something to happen to a job. Other processes are asked by looking at the store."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from understudy.types import Clock


class News:
    def __init__(self) -> None:
        self._waiting: dict[str, set[asyncio.Event]] = {}

    def tell(self, id: str) -> None:  # noqa: A002 - the field's word
        """Something has happened to this job."""
        for event in self._waiting.get(id, ()):
            event.set()

    def tell_all(self) -> None:
        for id in self._waiting:  # noqa: A001
            self.tell(id)

    @contextmanager
    def of(self, id: str) -> Generator[asyncio.Event]:  # noqa: A002
        """Set by whatever happens from now on; the one who waits clears it."""
        event = asyncio.Event()
        self._waiting.setdefault(id, set()).add(event)
        try:
            yield event
        finally:
            self._waiting[id].discard(event)
            if not self._waiting[id]:
                del self._waiting[id]


async def pause(clock: Clock, seconds: float, event: asyncio.Event) -> None:
    """Until so much later by the clock, or until the event."""
    waits = [asyncio.ensure_future(clock.sleep(seconds)), asyncio.ensure_future(event.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    event.clear()
