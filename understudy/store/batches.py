"""Entries of one process on one page, made together: while one batch travels, the next gathers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

Make = Callable[[str, Sequence[Any]], Awaitable[Sequence[Any]]]  # (key, entries) -> their outcomes


@dataclass(slots=True)
class _Line:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: list[tuple[Any, asyncio.Future[Any]]] = field(default_factory=list[tuple[Any, "asyncio.Future[Any]"]])


class Batches:
    """`make` is never called twice at once for the same page. A cancelled caller's entry is made all the same."""

    def __init__(self, make: Make) -> None:
        self._make = make
        self._lines: dict[str, _Line] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def add(self, key: str, entry: Any) -> Any:
        """The entry's outcome; raises what `make` raised."""
        line = self._lines.setdefault(key, _Line())
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        line.waiting.append((entry, future))
        task = asyncio.get_running_loop().create_task(self._flush(key, line))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await future

    async def settle(self) -> None:
        """Wait until nothing travels."""
        while self._running:
            await asyncio.wait(set(self._running))

    def lock(self, key: str) -> asyncio.Lock:
        """Held while a batch of this page travels."""
        return self._lines.setdefault(key, _Line()).lock

    async def _flush(self, key: str, line: _Line) -> None:
        async with line.lock:
            batch, line.waiting = line.waiting, []
            if not batch:
                return  # an earlier flush took it along
            try:
                outcomes = await self._make(key, [entry for entry, _ in batch])
            except Exception as error:  # noqa: BLE001  it is handed to those who wait
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                return
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if not future.done():
                    future.set_result(outcome)
