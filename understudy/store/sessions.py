"""Conversations, which persist and resume. Their text stays in this file, which only its owner may read."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field

from understudy.errors import UsageError
from understudy.store.database import Database
from understudy.store.ids import check_id
from understudy.store.rows import Row, sound
from understudy.types import Clock, Turn

TITLE = 60  # characters


@dataclass(frozen=True, slots=True)
class Session:
    """A conversation. Private once means private for ever."""

    id: str
    created: float  # seconds since the epoch
    title: str = field(repr=False)  # the head of what was asked first
    private: bool
    turns: tuple[Turn, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Heading:
    """A conversation in a list."""

    id: str
    created: float
    updated: float
    title: str = field(repr=False)
    private: bool
    turns: int


class Sessions:
    """Ids that are none raise UsageError, an unreadable store StoreError."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def get(self, id: str) -> Session | None:  # noqa: A002 - the field's word
        check_id(id, "conversation")

        def look(db: sqlite3.Connection) -> Session | None:
            row = db.execute("SELECT created, title, private FROM sessions WHERE id = ?", (id,)).fetchone()
            if row is None:
                return None
            turns = db.execute("SELECT user, assistant FROM turns WHERE session = ? ORDER BY n", (id,))
            head = Row("sessions", id, row)
            return Session(id, head.number(), head.text(), head.flag(), tuple(_turn(id, turn) for turn in turns))

        return await self._database.read(look)

    async def append(self, id: str, turn: Turn, private: bool) -> None:  # noqa: A002
        """Add a turn, and begin the conversation with it if there is none. `private` is only ever raised."""
        check_id(id, "conversation")
        user, assistant = _storable(turn.user), _storable(turn.assistant)
        title = " ".join(user.split())[:TITLE]

        def add(db: sqlite3.Connection) -> None:
            now = self._clock.now()
            db.execute(
                "INSERT INTO sessions (id, created, updated, title, private) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id)"
                " DO UPDATE SET updated = excluded.updated, private = max(private, excluded.private)",
                (id, now, now, title, bool(private)),
            )
            db.execute(
                "INSERT INTO turns (session, n, at, user, assistant) SELECT ?, coalesce(max(n), 0) + 1, ?, ?, ?"
                " FROM turns WHERE session = ?",
                (id, now, user, assistant, id),
            )

        await self._database.write(add)

    async def list(self, limit: int = 20) -> tuple[Heading, ...]:
        """The latest first. A damaged one is left out."""
        if isinstance(limit, bool) or limit < 1:
            raise UsageError("A list has at least one entry.", remedy="Give a limit of 1 or more.")

        def look(db: sqlite3.Connection) -> tuple[Heading, ...]:
            rows = db.execute(
                "SELECT id, created, updated, title, private,"
                " (SELECT count(*) FROM turns WHERE turns.session = sessions.id) FROM sessions"
                " ORDER BY updated DESC, id LIMIT ?",
                (min(limit, 2**31),),
            )
            return tuple(sound(rows, _heading))

        return await self._database.read(look)

    async def delete(self, id: str) -> bool:  # noqa: A002
        """Overwrite and forget its text. False: there was none. Its budget and its provenance, textless, stay."""
        check_id(id, "conversation")

        def forget(db: sqlite3.Connection) -> bool:
            db.execute("DELETE FROM turns WHERE session = ?", (id,))
            return db.execute("DELETE FROM sessions WHERE id = ?", (id,)).rowcount > 0

        return await self._database.write(forget)


def _turn(session: str, row: Sequence[object]) -> Turn:
    values = Row("turns", session, row)
    return Turn(values.text(), values.text())


def _heading(row: Sequence[object]) -> Heading:
    values = Row("sessions", row[0], row)
    return Heading(values.text(), values.number(), values.number(), values.text(), values.flag(), turns=values.whole())


def _storable(text: str) -> str:
    """Lone surrogates, which a terminal may hand in, have no UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")
