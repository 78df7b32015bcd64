"""The loaded models of one provider, under one memory budget: the least recently used idle one goes first.

A request passes one door in order of arrival. There it waits until there is room for its model; behind the door it
waits for its turn at the model, and for the model to load. So nobody is overtaken for ever, and loading one model does
not hold up those who use another.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from understudy.agents.llama.gguf import read_header
from understudy.agents.llama.process import ModelProcess, ModelSpec
from understudy.errors import CallFailed
from understudy.types import Failure

GIB = 1 << 30
Start = Callable[[ModelSpec], Coroutine[Any, Any, ModelProcess]]


@dataclass(slots=True)
class _Place:
    """One model's place. `users` counts those who work with it and those who wait for it."""

    bytes: int
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0
    used: int = 0
    loading: asyncio.Task[ModelProcess] | None = None

    @property
    def process(self) -> ModelProcess | None:
        task = self.loading
        if task is None or not task.done() or task.cancelled() or task.exception() is not None:
            return None
        return task.result()


class Shelf:
    """Models by specification. `budget`: bytes of all of them together, by the estimate of their headers."""

    def __init__(self, budget: int, start: Start = ModelProcess.start) -> None:
        self._budget = budget
        self._start = start
        self._places: dict[ModelSpec, _Place] = {}
        self._door = asyncio.Lock()
        self._freed = asyncio.Event()
        self._uses = 0

    @property
    def loaded(self) -> tuple[ModelSpec, ...]:
        return tuple(s for s, p in self._places.items() if p.process is not None and p.process.alive)

    @asynccontextmanager
    async def borrow(self, spec: ModelSpec, seconds: float) -> AsyncGenerator[ModelProcess]:
        """The model's process, to oneself, loaded if need be; `seconds` to wait at most.

        A load goes on when its caller gives up, so that the next one finds the model ready. Raises CallFailed:
        UNAVAILABLE (file, memory, installation), OVERLOAD when the time is over before the turn came.
        """
        place: _Place | None = None
        entered = False
        try:
            try:
                async with asyncio.timeout(seconds):
                    async with self._door:
                        place = await self._make_room(spec)
                        place.users += 1
                    await place.turn.acquire()
                    entered = True
                    process = await self._ready(spec, place)
            except TimeoutError:
                doing = "is still being loaded" if entered else "is busy"
                raise CallFailed(
                    Failure.OVERLOAD,
                    f"{spec.name} {doing}; its turn did not come within {seconds:g} s.",
                    remedy="Try again in a moment, or raise the deadline.",
                    retry_after=1.0,
                    charged=False,
                ) from None
            yield process
        finally:
            if place is not None:
                if entered:
                    place.turn.release()
                place.users -= 1
                self._uses += 1
                place.used = self._uses
                self._freed.set()

    async def drop(self, spec: ModelSpec) -> None:
        """End a model's process, whatever it is doing."""
        place = self._places.pop(spec, None)
        if place is not None:
            await _end(place)
            self._freed.set()

    async def close(self) -> None:
        for spec in tuple(self._places):
            await self.drop(spec)

    async def _make_room(self, spec: ModelSpec) -> _Place:
        if spec in self._places:
            return self._places[spec]
        header = await asyncio.to_thread(read_header, spec.path)
        need = header.memory(spec.context)
        if need > self._budget:
            raise CallFailed(
                Failure.UNAVAILABLE,
                f"{spec.name} needs {need / GIB:.2f} GiB and memory_gib allows {self._budget / GIB:.2f}.",
                remedy="Raise memory_gib, or choose a smaller model or context.",
                charged=False,
            )
        while sum(p.bytes for p in self._places.values()) + need > self._budget:
            idle = [(p.used, s) for s, p in self._places.items() if not p.users]
            if idle:
                await self.drop(min(idle, key=lambda pair: pair[0])[1])
            else:
                self._freed.clear()
                await self._freed.wait()
        place = self._places[spec] = _Place(need)
        return place

    async def _ready(self, spec: ModelSpec, place: _Place) -> ModelProcess:
        process = place.process
        if process is not None and not process.alive:
            await process.close()
            process = None
        if process is None and (place.loading is None or place.loading.done()):
            place.loading = asyncio.create_task(self._start(spec))
            place.loading.add_done_callback(_look_at)
        if place.loading is None:
            raise RuntimeError("a place without a model")
        return await asyncio.shield(place.loading)


def _look_at(task: asyncio.Task[ModelProcess]) -> None:
    """A load may fail when all who wanted it have given up: nobody asks then, and that is no news."""
    if not task.cancelled():
        task.exception()


async def _end(place: _Place) -> None:
    task = place.loading
    if task is None:
        return
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    if place.process is not None:
        await place.process.close()
