"""Pages that many processes turn at once: read, change, write back, as one act.

What a page says is its form's business; here it is only kept. A form changes a page by entries, which are plain data:
so a page can be kept in memory, in a file, in a database or as a replicated log, and means the same everywhere.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Mapping
from typing import Any, Generic, Protocol, TypeVar

from understudy.store.database import Database
from understudy.telemetry.log import log
from understudy.types import Clock

P = TypeVar("P")
P_co = TypeVar("P_co", covariant=True)


class Form(Protocol[P]):
    """What a page is. `apply` must depend on its arguments alone."""

    def blank(self) -> P: ...

    def apply(self, page: P, entry: Any, now: float) -> tuple[Any, bool]:
        """(the outcome, whether the page has changed). Raises nothing."""
        ...

    def asks(self, entry: Any) -> bool:
        """Whether it may be refused, which leaves the page as it was."""
        ...

    def passes(self, entry: Any) -> bool:
        """Whether it says nothing any more after some seconds: a server that was away is not told of it."""
        ...

    def pack(self, page: P) -> bytes:
        """The first byte is the version of the form, a letter or a digit."""
        ...

    def unpack(self, body: bytes) -> P:
        """A blank page for a body of another version, or a damaged one. Raises nothing."""
        ...

    def pack_entry(self, entry: Any) -> bytes: ...

    def unpack_entry(self, body: bytes) -> Any: ...


class Pages(Protocol[P_co]):
    """The one seam between the book and where it is kept. Raises StoreError."""

    async def turn(self, key: str, entry: Any) -> Any:
        """Make an entry on a page, which is begun if need be; returns its outcome. Durable when it returns."""
        ...

    async def look(self) -> tuple[Mapping[str, P_co], float]:
        """Every page as it stands, and the keeper's time now. They are for reading."""
        ...

    def known(self) -> Mapping[str, P_co]:
        """Every page as last seen, without asking."""
        ...

    async def close(self) -> None: ...


class ServerPages(Pages[P_co], Protocol[P_co]):
    """Pages kept elsewhere, by a clock of its own."""

    ahead: float  # seconds of that clock before this machine's, as last seen


class MemoryPages(Generic[P]):
    """For one process, and gone with it."""

    def __init__(self, form: Form[P], clock: Clock, seed: Mapping[str, P] | None = None) -> None:
        self._form, self._clock = form, clock
        self._pages: dict[str, P] = dict(seed or {})

    async def turn(self, key: str, entry: Any) -> Any:
        return self._form.apply(self.page(key), entry, self._clock.now())[0]

    def page(self, key: str) -> P:
        page = self._pages.get(key)
        return self._pages.setdefault(key, self._form.blank()) if page is None else page

    def now(self) -> float:
        return self._clock.now()

    async def look(self) -> tuple[Mapping[str, P], float]:
        return self._pages, self._clock.now()

    def known(self) -> Mapping[str, P]:
        return self._pages

    async def close(self) -> None: ...


class SqlitePages(Generic[P]):
    """Shared by the processes of one machine. A page another has not turned meanwhile is not read again.

    A version is a number drawn for one state of one page: what has the same one is the same.
    """

    def __init__(self, database: Database, form: Form[P], clock: Clock) -> None:
        self._database, self._form, self._clock = database, form, clock
        self._read: dict[str, tuple[int, P]] = {}

    async def turn(self, key: str, entry: Any) -> Any:
        here = threading.get_ident()

        def work(db: sqlite3.Connection) -> tuple[Any, tuple[int, P] | None]:
            # On the writer's thread a page must be a copy: this thread may be looking at the one it remembers.
            inline = threading.get_ident() == here
            version, page = self._open(db, key, fresh=not inline)
            outcome, changed = self._form.apply(page, entry, self._clock.now())
            if changed:
                version = int.from_bytes(os.urandom(7))
                db.execute(
                    "INSERT INTO pages (key, version, body) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE"
                    " SET version = excluded.version, body = excluded.body",
                    (key, version, self._form.pack(page)),
                )
                if inline:  # if the commit fails no page in the store will have this version
                    self._read[key] = (version, page)
            return outcome, None if inline else (version, page)

        # Room that nobody waits for any more is not taken; what has ended must be counted all the same.
        undo = _leave if self._form.asks(entry) else None
        outcome, copied = await self._database.promptly(work, undo=undo)
        if copied is not None:
            self._read[key] = copied
        return outcome

    async def look(self) -> tuple[Mapping[str, P], float]:
        def work(db: sqlite3.Connection) -> dict[str, P]:  # each page by itself is whole
            for key, version in db.execute("SELECT key, version FROM pages").fetchall():
                if self._read.get(key, (0, None))[0] != version:
                    self._read[key] = self._open(db, key)
            return {key: page for key, (_, page) in self._read.items()}

        return self._database.glance(work, whole=False), self._clock.now()

    def known(self) -> Mapping[str, P]:
        return {key: page for key, (_, page) in self._read.items()}

    async def close(self) -> None:
        """The database is its owner's."""

    def _open(self, db: sqlite3.Connection, key: str, *, fresh: bool = False) -> tuple[int, P]:
        known = self._read.get(key) if not fresh else None
        if known is not None:
            row = db.execute("SELECT version FROM pages WHERE key = ?", (key,)).fetchone()
            if row is not None and known[0] == row[0]:
                return known
        row = db.execute("SELECT version, body FROM pages WHERE key = ?", (key,)).fetchone()
        if row is None:
            return 0, self._form.blank()
        version, body = row[0] if isinstance(row[0], int) else 0, row[1]
        if not isinstance(body, bytes):
            # As for a body of another form: what it had learned is lost, and headers teach it again.
            log().warning("page_damaged", key=key)
            return version, self._form.blank()
        return version, self._form.unpack(body)


def _leave(_db: sqlite3.Connection, _result: object) -> None:
    """Granted in the very moment its caller went: its lease ends it."""
