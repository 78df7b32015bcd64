"""Everything that survives, opened together."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from understudy.store.callers import Callers
from understudy.store.database import PATIENCE, Database
from understudy.store.jobs import JobTable
from understudy.store.keys import Keys
from understudy.store.ledger import SqliteLedger
from understudy.store.replies import Replies
from understudy.store.sessions import Sessions
from understudy.types import Clock


class Store:
    """`async with await Store.open(home, clock) as store:`. One per process is enough; more do no harm."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.database = database
        self.ledger = SqliteLedger(database, clock)
        self.sessions = Sessions(database, clock)
        self.replies = Replies(database)
        self.keys = Keys(database)
        self.callers = Callers(database, clock)
        self.jobs = JobTable(database, clock)

    @classmethod
    async def open(cls, home: Path, clock: Clock, *, patience: float = PATIENCE) -> Store:
        """The state below `home`, in a folder of its own that can be moved aside whole. Raises StoreError.

        `patience`: seconds to wait for another process that holds the store, before StoreError.
        """
        store = cls(await Database.open(home / "store" / "understudy.db", patience=patience), clock)
        try:
            await store.ledger.sweep()
            await store.keys.open()
        except BaseException:
            await store.close()
            raise
        return store

    async def check(self) -> str:
        """One line for the doctor; StoreError when the file is damaged."""
        return await self.database.check()

    async def close(self) -> None:
        """Finish what was asked, then close. Twice is fine."""
        await self.database.close()

    async def __aenter__(self) -> Store:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
