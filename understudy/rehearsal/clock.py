"""Two clocks for the rehearsal: the wall's, and one that a test moves."""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import threading
import time


class WallClock:
    """Real time."""

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class VirtualClock:
    """Time that stands still until advance() moves it; sleepers of any thread and event loop wake in order.

    With jumps=True a sleep moves the clock itself and returns at once: right for one sleeper at a time.
    """

    def __init__(self, start: float = 1_760_000_000.0, *, jumps: bool = False) -> None:
        self._now = start
        self._jumps = jumps
        self._lock = threading.Lock()
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.AbstractEventLoop, asyncio.Event]] = []

    def now(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move on by that many seconds and wake everyone whose time has come."""
        with self._lock:
            self._now += max(0.0, seconds)
            while self._sleepers and self._sleepers[0][0] <= self._now:
                _, _, loop, event = heapq.heappop(self._sleepers)
                with contextlib.suppress(RuntimeError):  # that loop is closed: nobody waits there any more
                    loop.call_soon_threadsafe(event.set)

    async def sleep(self, seconds: float) -> None:
        if self._jumps or seconds <= 0:
            self.advance(seconds)
            await asyncio.sleep(0)
            return
        event = asyncio.Event()
        with self._lock:
            entry = (self._now + seconds, next(self._order), asyncio.get_running_loop(), event)
            heapq.heappush(self._sleepers, entry)
        await event.wait()

    @property
    def sleepers(self) -> int:
        """How many wait now (those that gave up included, until their time comes)."""
        return len(self._sleepers)
