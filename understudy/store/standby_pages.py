"""Pages kept on a server, and in memory while it is away: work goes on, and what it took is told when it is back."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from understudy.errors import StoreError
from understudy.store.pages import Form, MemoryPages, ServerPages
from understudy.telemetry.log import log
from understudy.types import Clock

P = TypeVar("P")
AGAIN = 5.0  # seconds until the server is tried again
OWED = 10_000  # entries kept for it; older ones are given up, which the server's headers put right


class StandbyPages(Generic[P]):
    """A wrapper of Pages. While the server is away the pages last seen are turned in memory, by this process alone.

    Other processes do the same, so for that time a domain's limit may be used by each of them; what the providers'
    headers say still corrects every one. Raises StoreError never.
    """

    def __init__(self, pages: ServerPages[P], form: Form[P], clock: Clock, *, again: float = AGAIN) -> None:
        self._pages, self._form, self._clock, self._again = pages, form, clock, again
        self._memory: MemoryPages[P] | None = None  # while the server is away
        self._owed: deque[tuple[str, Any]] = deque(maxlen=OWED)
        self._next = 0.0
        self._returning: asyncio.Task[None] | None = None

    @property
    def away(self) -> bool:
        return self._memory is not None

    async def turn(self, key: str, entry: Any) -> Any:
        if self._is_here():
            try:
                return await self._pages.turn(key, entry)
            except StoreError as error:
                self._leave(error)
        return await self._turn_here(key, entry)

    async def look(self) -> tuple[Mapping[str, P], float]:
        if self._is_here():
            try:
                return await self._pages.look()
            except StoreError as error:
                self._leave(error)
        memory = self._memory
        return await (memory or self._pages).look()

    def known(self) -> Mapping[str, P]:
        return (self._memory or self._pages).known()

    async def close(self) -> None:
        if self._returning is not None:
            await self._returning
        if self._memory is not None:
            await self._return()
        await self._pages.close()

    async def _turn_here(self, key: str, entry: Any) -> Any:
        if self._memory is None:  # it came back while this entry was failing
            return await self._pages.turn(key, entry)
        page = self._memory.page(key)
        outcome, changed = self._form.apply(page, entry, self._memory.now())
        if changed and not self._form.passes(entry):
            self._owed.append((key, entry))
        return outcome

    def _leave(self, error: StoreError) -> None:
        if self._memory is not None:
            return  # somebody else has noticed
        log().warning("book_server_away", error=error.message, remedy=error.remedy)
        seed = {key: self._form.unpack(self._form.pack(page)) for key, page in self._pages.known().items()}
        self._memory = MemoryPages(self._form, _Ahead(self._clock, self._pages.ahead), seed)
        self._next = asyncio.get_running_loop().time() + self._again

    def _is_here(self) -> bool:
        if self._memory is None:
            return True
        if asyncio.get_running_loop().time() >= self._next and (self._returning is None or self._returning.done()):
            # Beside the work: a server that is away lets one wait for seconds.
            self._returning = asyncio.get_running_loop().create_task(self._return())
        return False

    async def _return(self) -> None:
        told = 0
        try:
            await self._pages.look()
            while self._owed:
                # In order, and each only forgotten when it is made: what is in flight is held there again.
                await self._pages.turn(*self._owed[0])
                self._owed.popleft()
                told += 1
        except StoreError:
            self._next = asyncio.get_running_loop().time() + self._again
            return
        self._memory = None
        log().warning("book_server_back", told=told)


class _Ahead:
    """The server's time as this machine's clock tells it."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock, self._seconds = clock, seconds

    def now(self) -> float:
        return self._clock.now() + self._seconds

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
