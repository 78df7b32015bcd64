"""Where the book's pages are kept, by the configuration: beside everything else, or on a server for several hosts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from understudy.errors import ConfigError
from understudy.store.pages import Form, Pages, SqlitePages
from understudy.store.standby_pages import StandbyPages

if TYPE_CHECKING:
    from understudy.store.database import Database
    from understudy.types import Clock

P = TypeVar("P")
SERVERS = {
    "redis": "redis",
    "rediss": "redis",
    "unix": "redis",
    "postgresql": "postgres",
    "postgres": "postgres",
}  # by the scheme of the address


async def open_pages(url: str, database: Database, form: Form[P], clock: Clock) -> Pages[P]:
    """The pages at `url`; an empty one: in `database`. env:NAME names a variable with the address.

    Raises ConfigError for an address of no known kind or a missing package, StoreError when the server is away, does
    not let us in or is too old. Later, pages on a server are kept in memory while it is away.
    """
    address = resolve(url)
    return await open_server(address, form, clock) if address else SqlitePages(database, form, clock)


async def open_server(address: str, form: Form[P], clock: Clock) -> StandbyPages[P]:
    """The pages at a resolved address. Raises as open_pages does."""
    kind = SERVERS[address.partition("://")[0].lower()]
    if kind == "redis":
        from understudy.store.redis_pages import RedisPages

        return StandbyPages(await RedisPages[P].open(address, form), form, clock)
    from understudy.store.postgres_pages import PostgresPages

    return StandbyPages(await PostgresPages[P].open(address, form), form, clock)


def resolve(url: str) -> str:
    """The address behind env:NAME. Raises ConfigError, which never repeats an address."""
    if url.startswith("env:"):
        name = url.removeprefix("env:")
        url = os.environ.get(name, "").strip()
        if not url:
            raise ConfigError(f"There is no address in ${name}.", remedy=f"Set it: export {name}=redis://...")
    if url and url.partition("://")[0].lower() not in SERVERS:
        raise ConfigError(
            "The quota book's address is of no known kind.",
            remedy='Write url = "redis://host/0", "rediss://...", "postgresql://user@host/name" or "env:NAME".',
        )
    return url
