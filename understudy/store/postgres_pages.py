"""Pages for several hosts, in PostgreSQL: a row for each, locked while it is turned. Time is the server's."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from understudy.store import server_faults
from understudy.store.batches import Batches
from understudy.store.pages import Form
from understudy.types import Clock

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from psycopg import AsyncConnection
    from psycopg.rows import TupleRow
    from psycopg_pool import AsyncConnectionPool

P = TypeVar("P")
T = TypeVar("T")
OLDEST = 12  # of the server
TIMEOUT = 2  # seconds to connect
PATIENCE = 2.0  # seconds for a connection, or for a row that others hold
CONNECTIONS = 4

_SCHEMA = (
    "SELECT pg_advisory_xact_lock(7236114)",  # two that begin at once would collide
    "CREATE TABLE IF NOT EXISTS understudy_pages (key text PRIMARY KEY, version bigint NOT NULL, body bytea NOT NULL)",
)


class PostgresPages(Generic[P]):
    """Open with `await PostgresPages.open(url, form)`. Raises StoreError and, without the extra, ConfigError.

    clock: instead of the server's, for tests. A page another process has not turned meanwhile is not sent again.
    """

    def __init__(
        self, url: str, form: Form[P], pool: AsyncConnectionPool[AsyncConnection[TupleRow]], clock: Clock | None
    ) -> None:
        self.ahead = 0.0  # seconds of the server's clock before this machine's, as last seen
        self._url, self._form, self._pool, self._clock = url, form, pool, clock
        self._prefix = form.pack(form.blank())[:1].decode() + ":"  # other forms have pages of their own
        self._read: dict[str, tuple[int, P]] = {}
        self._batches = Batches(self._make)

    @classmethod
    async def open(cls, url: str, form: Form[P], *, clock: Clock | None = None) -> PostgresPages[P]:
        try:
            import psycopg
            from psycopg_pool import AsyncConnectionPool
        except ImportError:
            raise server_faults.missing("postgres", url) from None
        # A pool says each failed attempt; we say once that the server is away.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        async with _explained(url):
            # Alone first: a pool keeps the reason for itself why it cannot connect.
            async with await psycopg.AsyncConnection.connect(url, connect_timeout=TIMEOUT) as db:
                if db.info.server_version // 10_000 < OLDEST:
                    raise server_faults.outdated(url, str(db.info.server_version // 10_000), str(OLDEST))
                for statement in _SCHEMA:
                    await db.execute(statement)
            pool: AsyncConnectionPool[AsyncConnection[TupleRow]] = AsyncConnectionPool(
                url,
                min_size=1,
                max_size=CONNECTIONS,
                open=False,
                timeout=PATIENCE,
                reconnect_timeout=PATIENCE,
                configure=_configure,
                kwargs={"connect_timeout": TIMEOUT},
            )
            await pool.open()
        return cls(url, form, pool, clock)

    async def turn(self, key: str, entry: Any) -> Any:
        return await self._batches.add(key, entry)

    async def look(self) -> tuple[Mapping[str, P], float]:
        mine = {key: version for key, (version, _) in self._read.items()}

        async def work(db: AsyncConnection[TupleRow]) -> float:
            rows = await db.execute(
                "SELECT p.key, p.version, CASE WHEN p.version = k.version THEN NULL ELSE p.body END,"
                " extract(epoch FROM clock_timestamp())::float8 FROM (SELECT 1) AS one"
                " LEFT JOIN understudy_pages AS p ON starts_with(p.key, %s)"
                " LEFT JOIN unnest(%s::text[], %s::bigint[]) AS k (key, version) ON k.key = p.key",
                (self._prefix, [self._prefix + key for key in mine], list(mine.values())),
            )
            now = 0.0
            for name, version, body, moment in await rows.fetchall():
                now = moment
                if name is not None:
                    self._keep(name.removeprefix(self._prefix), version, body)
            return now

        now = await self._connected(work)
        return self.known(), self._arrive(now)

    def known(self) -> dict[str, P]:
        """Every page as last seen, without asking."""
        return {key: page for key, (_, page) in self._read.items()}

    async def close(self) -> None:
        await self._batches.settle()
        await self._pool.close()

    async def _make(self, key: str, entries: Sequence[Any]) -> Sequence[Any]:
        name = self._prefix + key

        async def work(db: AsyncConnection[TupleRow]) -> tuple[int, P, list[Any]]:
            known = self._read.get(key)
            row = await self._locked(db, name, known[0] if known else -1)
            while row is None:  # not begun yet, or somebody has emptied the table
                version, first = (max(0, known[0]), known[1]) if known else (0, self._form.blank())
                await db.execute(
                    "INSERT INTO understudy_pages VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                    (name, version, self._form.pack(first)),
                )
                row = await self._locked(db, name, -1)
            version, body, moment = row
            now = self._arrive(moment)
            page = known[1] if body is None and known else self._form.unpack(bytes(body or b""))
            outcomes = [self._form.apply(page, entry, now) for entry in entries]
            if any(changed for _, changed in outcomes):
                self._doubt(key, page)
                version += 1
                await db.execute(
                    "UPDATE understudy_pages SET version = %s, body = %s WHERE key = %s",
                    (version, self._form.pack(page), name),
                )
            return version, page, [outcome for outcome, _ in outcomes]

        version, page, outcomes = await self._connected(work)
        self._read[key] = (version, page)
        return outcomes

    async def _connected(self, work: Callable[[AsyncConnection[TupleRow]], Awaitable[T]]) -> T:
        """In a transaction; once more on a new connection when the old one broke, as a server's restart does.

        What was committed as it broke is made twice: entries must stand that.
        """
        import psycopg
        from psycopg_pool import PoolTimeout

        async with _explained(self._url):
            try:
                async with self._pool.connection() as db:
                    return await work(db)
            except PoolTimeout:
                raise
            except psycopg.OperationalError:
                await self._pool.check()
                async with self._pool.connection() as db:
                    return await work(db)

    def _doubt(self, key: str, page: P) -> None:
        """What is not committed yet is the best we know, but not the server's word."""
        self._read[key] = (-1, page)

    async def _locked(
        self, db: AsyncConnection[TupleRow], name: str, version: int
    ) -> tuple[int, bytes | None, float] | None:
        found = await db.execute(
            "SELECT version, CASE WHEN version = %s THEN NULL ELSE body END,"
            " extract(epoch FROM clock_timestamp())::float8 FROM understudy_pages WHERE key = %s FOR UPDATE",
            (version, name),
        )
        return await found.fetchone()  # type: ignore[return-value]

    def _keep(self, key: str, version: int, body: bytes | None) -> None:
        if body is not None and self._read.get(key, (-1, None))[0] < version:
            self._read[key] = (version, self._form.unpack(bytes(body)))

    def _arrive(self, moment: float) -> float:
        if self._clock is not None:
            return self._clock.now()
        self.ahead = moment - time.time()
        return moment


async def _configure(db: AsyncConnection[TupleRow]) -> None:
    # Commits are as durable as the server makes them: without the flush a killed server would have counted too little.
    await db.execute("SELECT set_config('lock_timeout', %s, false)", (f"{int(PATIENCE * 1000)}ms",))
    await db.commit()


@asynccontextmanager
async def _explained(url: str) -> AsyncGenerator[None]:
    import psycopg
    from psycopg_pool import PoolClosed, PoolTimeout

    try:
        yield
    except (psycopg.errors.InvalidPassword, psycopg.errors.InvalidAuthorizationSpecification):
        raise server_faults.locked_out(url) from None
    except psycopg.OperationalError as error:
        said = str(error)
        if "password authentication failed" in said or "no password supplied" in said or "pg_hba.conf" in said:
            raise server_faults.locked_out(url) from None
        raise server_faults.away(url, type(error).__name__) from None
    except (PoolTimeout, PoolClosed, OSError) as error:
        raise server_faults.away(url, type(error).__name__) from None
    except psycopg.ProgrammingError as error:
        if "invalid" in str(error) and error.sqlstate is None:
            raise server_faults.away(url, "the address cannot be read") from None
        raise server_faults.refused(url, type(error).__name__) from None
    except psycopg.Error as error:
        raise server_faults.refused(url, type(error).__name__) from None
