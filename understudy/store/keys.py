"""What is known of keys: since when, and which were refused. Shared by processes, and it survives a restart.

A key is known by a fingerprint alone: salted with a number of this store's own, and cut to 64 bits. It tells two keys
apart; it leads back to none.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Mapping
from typing import Any

from understudy.store.database import Database
from understudy.store.rows import Damaged, is_number

FORGOTTEN = 180 * 24 * 3600.0  # seconds after which a key that nobody used is no longer known
DAY = 24 * 3600.0
ANY_MODEL = ""  # a refusal that holds for all models of the key

Refusals = Mapping[tuple[str, str], tuple[float, float]]  # (fingerprint, model) -> (since, until)


def fingerprint(salt: bytes, place: str, value: str) -> str:
    """Of a key at a place: the same key at another server is another key."""
    return hashlib.blake2b(f"{place}\0{value}".encode(), key=salt, digest_size=8).hexdigest()


def _salt(db: sqlite3.Connection) -> bytes:
    row = db.execute("SELECT salt FROM salts").fetchone()
    if row is None or not isinstance(row[0], bytes) or not 0 < len(row[0]) <= hashlib.blake2b.MAX_KEY_SIZE:
        raise Damaged("salts")
    return row[0]


class Keys:
    """By fingerprint. Times are seconds since the epoch. Raises StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._salt = b""

    def fingerprint(self, place: str, value: str) -> str:
        """From any thread once the store is open."""
        return fingerprint(self._salt, place, value)

    async def open(self) -> None:
        """Learn the store's salt."""
        self._salt = await self._database.read(_salt)

    async def meet(self, fingerprints: Collection[str], now: float) -> None:
        """These keys are in use. The first time is kept; the last one to the day, which spares most of the writing."""
        known = self._rows("SELECT fingerprint, last FROM keys WHERE fingerprint IN", fingerprints)
        fresh = {name for name, last in known if is_number(last) and 0 <= now - last < DAY}
        late = [name for name in dict.fromkeys(fingerprints) if name not in fresh]
        if not late:
            return

        def note(db: sqlite3.Connection) -> None:
            db.executemany(
                "INSERT INTO keys (fingerprint, first, last) VALUES (?, ?, ?)"
                " ON CONFLICT (fingerprint) DO UPDATE SET last = excluded.last",
                [(name, now, now) for name in late],
            )
            db.execute("DELETE FROM keys WHERE last < ?", (now - FORGOTTEN,))
            db.execute("DELETE FROM refusals WHERE until < ?", (now,))

        await self._database.write(note)

    def met(self, fingerprints: Collection[str]) -> dict[str, float]:
        """When each was seen first."""
        rows = self._rows("SELECT fingerprint, first FROM keys WHERE fingerprint IN", fingerprints)
        return {name: first for name, first in rows if is_number(first)}

    async def refuse(self, name: str, model: str, *, since: float, until: float) -> None:
        """Set the key aside for this model, or for ANY_MODEL, until the later of the old and the new time."""
        await self._database.write(
            lambda db: db.execute(
                "INSERT INTO refusals (fingerprint, model, since, until) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (fingerprint, model) DO UPDATE SET since = excluded.since,"
                " until = max(until, excluded.until)",
                (name, model, since, until),
            )
        )

    async def forgive(self, name: str, model: str) -> None:
        """It works again, with this model and so with any."""
        await self._database.write(
            lambda db: db.execute("DELETE FROM refusals WHERE fingerprint = ? AND model IN (?, '')", (name, model))
        )

    def refused(self, fingerprints: Collection[str], now: float) -> Refusals:
        """Which of these are set aside."""
        rows = self._rows("SELECT fingerprint, model, since, until FROM refusals WHERE fingerprint IN", fingerprints)
        return {
            (name, model): (since, until)
            for name, model, since, until in rows
            if is_number(since) and is_number(until) and until > now
        }

    def _rows(self, select: str, names: Collection[str]) -> list[Any]:
        marks = ", ".join("?" * len(names))
        return self._database.glance(lambda db: db.execute(f"{select} ({marks})", tuple(names)).fetchall())
