"""The store without a file: for a process whose work is simulated, and for tests. What it keeps is gone with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from understudy.store.ids import check_id
from understudy.store.memory_keys import MemoryKeys
from understudy.store.memory_ledger import MemoryLedger
from understudy.store.sessions import Session
from understudy.types import Clock, Turn

TURNS = 20  # of a conversation that are kept


class MemoryStore:
    """As store.store.Store, as far as a director needs it. Replies are counted, not kept."""

    def __init__(self, clock: Clock) -> None:
        self.ledger = MemoryLedger(clock)
        self.sessions = MemorySessions(clock)
        self.replies = MemoryReplies()
        self.keys = MemoryKeys()

    async def close(self) -> None: ...


class MemorySessions:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, Session] = {}

    async def get(self, id: str) -> Session | None:  # noqa: A002 - the field's word
        return self._known.get(check_id(id, "conversation"))

    async def append(self, id: str, turn: Turn, private: bool) -> None:  # noqa: A002
        known = self._known.get(check_id(id, "conversation"))
        began = known.created if known else self._clock.now()
        turns = (*(known.turns if known else ()), turn)[-TURNS:]
        self._known[id] = Session(id, began, "", private or (known is not None and known.private), turns)


class MemoryReplies:
    def __init__(self) -> None:
        self.saved = 0

    async def save(self, record: Mapping[str, Any]) -> None:
        self.saved += 1

    async def keep_fleet(self, hash: str, fleet: Sequence[Mapping[str, Any]]) -> None: ...  # noqa: A002
