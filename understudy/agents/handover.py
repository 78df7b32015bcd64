"""The guard of one call that goes through several keys."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from understudy.types import Guard, Hold, Usage


@dataclass(frozen=True, slots=True)
class _Room:
    hold: Hold | None
    size: tuple[int, int]


@dataclass(slots=True)
class Handover:
    """types.Guard around another. What was reserved for a request that was refused unread serves the next key's.

    The same request with another key is no second request to quota: the account has seen neither. To privacy and to the
    budget it is, and so the guard is asked for every one of them.
    """

    inner: Guard
    _open: dict[int, _Room] = field(default_factory=dict[int, _Room])
    _kept: _Room | None = None

    async def before(self, input_tokens: int, output_cap: int) -> Hold | None:
        size = (input_tokens, output_cap)
        if self._kept is not None and size == self._kept.size:
            await self.inner.unsent(await self.inner.before(0, 0))
            room, self._kept = self._kept, None
        else:
            room = _Room(await self.inner.before(input_tokens, output_cap), size)
        self._open[id(room.hold)] = room
        return room.hold

    async def after(self, hold: Hold | None, usage: Usage | None) -> None:
        self._open.pop(id(hold), None)
        await self.inner.after(hold, usage)

    async def unsent(self, hold: Hold | None) -> None:
        room = self._open.pop(id(hold), None)
        if room is None or self._kept is not None or not any(room.size):
            await self.inner.unsent(hold)
        else:
            self._kept = room

    async def close(self) -> None:
        """Give back what nobody took over, whatever happens to the waiting task."""
        room, self._kept = self._kept, None
        if room is not None:
            given = asyncio.ensure_future(self.inner.unsent(room.hold))
            try:
                await asyncio.shield(given)
            except asyncio.CancelledError:
                await asyncio.wait([given])
                raise
