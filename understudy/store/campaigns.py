"""Campaigns as they are kept: who is to be asked what, who is at it, and what came of it.

This table is the checkpoint: whatever engine runs the chunks may run one twice, and no finished call is made again. An
item is marked as in flight before its call is sent, so a crash leaves a trace; it is sent once more then, and after a
second crash it is set aside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from understudy.store import campaign_rows as rows
from understudy.store.campaign_records import ENDED, Campaign, Failed, NewItem, OpenItem, Result, Tallies, WorkerRow
from understudy.store.campaign_shelf import Shelf
from understudy.types import Clock


class CampaignTable:
    """Raises StoreError. Every method is one transaction."""

    def __init__(self, shelf: Shelf, clock: Clock) -> None:
        self.shelf = shelf
        self._clock = clock

    async def create(self, id: str, name: str, spec: str, *, limit_micro_usd: int | None) -> None:  # noqa: A002
        """In the state `loading`, until it is sealed."""
        now = self._clock.now()
        await self.shelf.write(lambda db: rows.create(db, id, name, spec, limit_micro_usd, now))

    async def add(self, id: str, items: Sequence[NewItem], chunk: int) -> int:  # noqa: A002
        """How many were new. Chunks are of `chunk` items in their order."""
        return await self.shelf.write(lambda db: rows.add(db, id, items, chunk))

    async def seal(self, id: str, chunk: int, *, grouped: bool) -> Campaign:  # noqa: A002
        """All items are there: it runs. grouped: items of the same part become neighbours."""
        now = self._clock.now()
        return await self.shelf.write(lambda db: rows.seal(db, id, chunk, now, grouped=grouped))

    async def find(self, id: str) -> Campaign | None:  # noqa: A002
        """By its id, or the unique beginning of one."""
        return await self.shelf.read(lambda db: rows.find(db, id))

    async def every(self) -> tuple[Campaign, ...]:
        """The newest first."""
        return await self.shelf.read(rows.every)

    async def turn_to(self, id: str, state: str, reason: str = "", *, unless: Iterable[str] = ENDED) -> bool:  # noqa: A002
        """False: its state was one of `unless`, and nothing has changed."""
        now = self._clock.now()
        return await self.shelf.write(lambda db: rows.turn_to(db, id, state, reason, now, tuple(unless)))

    async def limit(self, id: str, micro_usd: int, spec: str) -> None:  # noqa: A002
        """Another money limit, and the spec with it."""
        query = "UPDATE campaigns SET limit_micro_usd = ?, spec = ? WHERE id = ?"
        await self.shelf.write(lambda db: db.execute(query, (micro_usd, spec, id)) and None)

    async def reopen(self, id: str) -> int:  # noqa: A002
        """What was set aside is open again; how many. The campaign runs."""
        now = self._clock.now()
        return await self.shelf.write(lambda db: rows.reopen(db, id, now))

    async def tallies(self, id: str) -> Tallies:  # noqa: A002
        return await self.shelf.read(lambda db: rows.tallies(db, id))

    async def open_chunks(self, id: str) -> Mapping[int, int]:  # noqa: A002
        """Chunk: how many of its items have no end yet."""
        return await self.shelf.read(lambda db: rows.open_chunks(db, id))

    async def take(self, id: str, chunk: int, worker: str) -> tuple[tuple[OpenItem, ...], int]:  # noqa: A002
        """What is to be done of a chunk, and how many of it were set aside now.

        What a dead worker left in flight is open once more, and set aside after its second crash; what a living one has
        in flight is left to it.
        """
        now = self._clock.now()
        return await self.shelf.write(lambda db: rows.take(db, id, chunk, worker, now))

    async def begin(self, id: str, worker: str, numbers: Sequence[int]) -> frozenset[int]:  # noqa: A002
        """Those that are this worker's to send, from now on in flight; others have them or have done them."""
        return await self.shelf.write(lambda db: rows.begin(db, id, worker, numbers))

    async def put_back(self, id: str, worker: str, numbers: Sequence[int]) -> None:  # noqa: A002
        """Not tried after all."""
        await self.shelf.write(lambda db: rows.put_back(db, id, worker, numbers))

    async def finish(self, id: str, ended: Sequence[Result | Failed]) -> None:  # noqa: A002
        """A result that is there already stays as it is."""
        await self.shelf.write(lambda db: rows.finish(db, id, ended, self._clock.now()))

    async def results(self, id: str, after: int, most: int) -> Sequence[Mapping[str, Any]]:  # noqa: A002
        """Items that have ended, in their order, with what came of them."""
        return await self.shelf.read(lambda db: rows.results(db, id, after, most))

    async def asides(self, id: str, most: int) -> Sequence[Mapping[str, Any]]:  # noqa: A002
        return await self.shelf.read(lambda db: rows.asides(db, id, most))

    async def join(self, id: str, worker: str, host: str, pid: int) -> None:  # noqa: A002
        now = self._clock.now()
        await self.shelf.write(lambda db: rows.join(db, id, worker, host, pid, now))

    async def beat(self, id: str, worker: str) -> Campaign | None:  # noqa: A002
        """The worker lives; the campaign as it stands. None: others took it for dead, and it has to stop."""
        now = self._clock.now()
        return await self.shelf.write(lambda db: rows.beat(db, id, worker, now))

    async def leave(self, worker: str) -> None:
        await self.shelf.write(lambda db: db.execute("DELETE FROM campaign_workers WHERE id = ?", (worker,)) and None)

    async def workers(self, id: str) -> tuple[WorkerRow, ...]:  # noqa: A002
        return await self.shelf.read(lambda db: rows.workers(db, id))

    async def bury(self, id: str, worker: str, *, all_others: bool = False) -> tuple[str, ...]:  # noqa: A002
        """The dead whose work is this worker's to take over: each is given to one only.

        all_others: whoever else is written down is dead, for this worker holds what only one can hold.
        """
        now = self._clock.now()
        return await self.shelf.write(lambda db: rows.bury(db, id, worker, now, all_others=all_others))

    async def grant(self, id: str, home: str, share: float) -> int | None:  # noqa: A002
        """Micro-dollars this home may spend in all, with another slice where there is one. None: no limit.

        A home is a machine with a ledger of its own; a slice is `share` of what no home has yet.
        """
        return await self.shelf.write(lambda db: rows.grant(db, id, home, share))

    async def give_back(self, id: str, home: str, micro_usd: int) -> None:  # noqa: A002
        await self.shelf.write(lambda db: rows.give_back(db, id, home, micro_usd))
