"""Where the tables of campaigns lie: in this machine's store, or on a PostgreSQL server that several hosts share.

Both run the same statements; a `?` stands for a value.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from understudy.store import server_faults
from understudy.store.campaign_schema import FIRST
from understudy.store.database import Database

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg_pool import ConnectionPool

T = TypeVar("T")
TIMEOUT = 5  # seconds to connect
PATIENCE = 30.0  # seconds for a connection
CONNECTIONS = 4


class Rows(Protocol):
    """What a statement gave back."""

    @property
    def rowcount(self) -> int: ...

    def fetchone(self) -> Any: ...

    def fetchall(self) -> Sequence[Any]: ...


class Sql(Protocol):
    """A transaction that has begun."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Rows: ...

    def executemany(self, sql: str, parameters: Any, /) -> object: ...


class Shelf(Protocol):
    """Raises StoreError. `shared`: several workers may use it at once, from several hosts."""

    shared: bool

    async def write(self, work: Callable[[Sql], T]) -> T:
        """In a transaction of its own: all of it or nothing."""
        ...

    async def read(self, work: Callable[[Sql], T]) -> T: ...

    async def close(self) -> None: ...


class HouseShelf:
    """In the store of this machine."""

    shared = False

    def __init__(self, database: Database) -> None:
        self._database = database

    async def write(self, work: Callable[[Sql], T]) -> T:
        return await self._database.promptly(work)

    async def read(self, work: Callable[[Sql], T]) -> T:
        return await self._database.read(work)

    async def close(self) -> None:
        """The store is its owner's to close."""


class PostgresShelf:
    """Open with `await PostgresShelf.open(url)`. Raises ConfigError without the extra."""

    shared = True

    def __init__(self, url: str, pool: ConnectionPool[Connection[Any]]) -> None:
        self.url = url
        self._pool = pool

    @classmethod
    async def open(cls, url: str) -> PostgresShelf:
        try:
            import psycopg
            from psycopg_pool import ConnectionPool
        except ImportError:
            raise server_faults.missing("postgres", url) from None

        def begin() -> ConnectionPool[Connection[Any]]:
            try:
                with psycopg.connect(url, connect_timeout=TIMEOUT) as db:
                    db.execute("SELECT pg_advisory_xact_lock(7236115)")  # two that begin at once would collide
                    for statement in FIRST:
                        db.execute(statement.encode())
                pool: ConnectionPool[Connection[Any]] = ConnectionPool(
                    url, min_size=1, max_size=CONNECTIONS, open=False, timeout=PATIENCE,
                    kwargs={"connect_timeout": TIMEOUT},
                )  # fmt: skip
                pool.open()
            except psycopg.Error as error:
                raise server_faults.away(url, type(error).__name__) from None
            return pool

        return cls(url, await asyncio.to_thread(begin))

    async def write(self, work: Callable[[Sql], T]) -> T:
        return await asyncio.to_thread(self._turn, work)

    async def read(self, work: Callable[[Sql], T]) -> T:
        return await asyncio.to_thread(self._turn, work)

    async def close(self) -> None:
        await asyncio.to_thread(self._pool.close)

    def _turn(self, work: Callable[[Sql], T]) -> T:
        import psycopg
        from psycopg_pool import PoolTimeout

        try:
            with self._pool.connection() as db:
                return work(_Translated(db))
        except (psycopg.Error, PoolTimeout) as error:
            raise server_faults.away(self.url, type(error).__name__) from None


class _Translated:
    """Statements with `?` on a connection that writes `%s`."""

    def __init__(self, db: Connection[Any]) -> None:
        self._db = db

    def execute(self, sql: str, parameters: Any = (), /) -> Rows:
        return self._db.execute(sql.replace("?", "%s").encode(), parameters)

    def executemany(self, sql: str, parameters: Any, /) -> object:
        return self._db.cursor().executemany(sql.replace("?", "%s").encode(), parameters)
