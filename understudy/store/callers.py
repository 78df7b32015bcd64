"""The keys of those who ask over the wire. At rest there is a salted hash: whoever reads the store has no key.

A secret is 256 random bits, which nobody guesses, so a fast hash is enough; only passwords need a slow one.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from understudy.config.pasted import looks_like_key, shown
from understudy.config.secrets import Secret
from understudy.errors import UsageError
from understudy.store.database import Database
from understudy.store.ledger_rules import LARGEST_LIMIT
from understudy.store.rate import Slots, take
from understudy.store.rows import Damaged, Row, sound
from understudy.types import Caller, Clock

SCOPES = ("chat", "embeddings", "jobs", "fleet", "metrics", "admin")
FORM = re.compile(r"us-([0-9a-f]{12})-([0-9a-f]{64})")
# As the ids of conversations, without the colon: a name stands in front of one in the names of budgets.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_COLUMNS = (
    "id, name, salt, hash, scopes, policy, private, tokens_per_day, requests_per_minute, created, revoked_at, last_used"
)


@dataclass(frozen=True, slots=True)
class CallerKey:
    """A key as it is kept. Times are seconds since the epoch."""

    caller: Caller
    salt: bytes = field(repr=False)
    hash: bytes = field(repr=False)
    created: float = 0.0
    revoked_at: float | None = None
    last_used: float | None = None  # to the minute


def hash_of(salt: bytes, secret: str) -> bytes:
    return hashlib.blake2b(secret.encode(), key=salt, digest_size=32).digest()


def check_name(name: str) -> str:
    """The name itself, or UsageError, which never repeats a key that was given in its place."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or looks_like_key(name):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(
            f"{shown(name)!r} is no name of a key.",
            remedy="A name has 1 to 64 letters, digits or _ . - and begins with a letter or digit.",
        )
    return name


class Callers:
    """By id and by name. A name has one key at a time; a revoked one may be added again. Raises StoreError."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def add(self, wanted: Caller) -> tuple[CallerKey, Secret]:
        """A new key for this caller, and the only sight of it there is. Raises UsageError."""
        _check(wanted)
        name, secret, salt = secrets.token_hex(6), secrets.token_hex(32), secrets.token_bytes(32)
        key = CallerKey(replace(wanted, id=name), salt, hash_of(salt, secret), self._clock.now())

        def insert(db: sqlite3.Connection) -> None:
            if db.execute("SELECT 1 FROM callers WHERE name = ? AND revoked_at IS NULL", (wanted.name,)).fetchone():
                remedy = f"Revoke it first (understudy key revoke {wanted.name}), or choose another name."
                raise UsageError(f"There is a key {wanted.name} already.", remedy=remedy)
            marks = ", ".join("?" * (_COLUMNS.count(",") + 1))
            db.execute(f"INSERT INTO callers ({_COLUMNS}) VALUES ({marks})", _values(key))  # noqa: S608 - constants

        await self._database.write(insert)
        return key, Secret(f"us-{name}-{secret}", f"key {wanted.name}")

    async def all(self) -> tuple[CallerKey, ...]:
        """The oldest first, revoked ones too; without damaged rows."""
        query = f"SELECT {_COLUMNS} FROM callers ORDER BY created, id"  # noqa: S608 - constants
        return await self._database.read(lambda db: tuple(sound(db.execute(query), _key)))

    def find(self, id: str) -> CallerKey | None:  # noqa: A002 - the field's word
        query = f"SELECT {_COLUMNS} FROM callers WHERE id = ?"  # noqa: S608 - constants

        def look(db: sqlite3.Connection) -> CallerKey | None:
            row = db.execute(query, (id,)).fetchone()
            return None if row is None else _key(row)

        return self._database.glance(look, whole=False)

    def named(self, name: str) -> CallerKey | None:
        """The key that has this name now; a revoked one has none."""
        query = f"SELECT {_COLUMNS} FROM callers WHERE name = ? AND revoked_at IS NULL"  # noqa: S608 - constants

        def look(db: sqlite3.Connection) -> CallerKey | None:
            row = db.execute(query, (name,)).fetchone()
            return None if row is None else _key(row)

        return self._database.glance(look, whole=False)

    async def revoke(self, name: str) -> str:
        """The id of what is no key from now on. Processes that know it forget it within keys.AGE. Raises UsageError."""
        check_name(name)

        def revoke(db: sqlite3.Connection) -> str:
            # By nothing but its name: a row with something damaged in it is revoked like any other.
            row = db.execute("SELECT id FROM callers WHERE name = ? AND revoked_at IS NULL", (name,)).fetchone()
            if row is None:
                raise UsageError(f"There is no key {name}.", remedy="understudy key list names those there are.")
            db.execute("UPDATE callers SET revoked_at = ? WHERE id = ?", (self._clock.now(), row[0]))
            return str(row[0])

        return await self._database.write(revoke)

    async def touch(self, id: str, now: float) -> None:  # noqa: A002
        """It was used just now."""
        await self._database.promptly(
            lambda db: db.execute(
                "UPDATE callers SET last_used = ? WHERE id = ? AND (last_used IS NULL OR last_used < ?)", (now, id, now)
            )
        )

    async def take(self, name: str, limit: int) -> float:
        """Count a request of this minute, by all processes: 0.0; or the seconds until one more fits."""

        def count(db: sqlite3.Connection) -> float:
            row = db.execute("SELECT slots FROM caller_rates WHERE name = ?", (name,)).fetchone()
            slots, wait = take(_slots(name, row[0]) if row else (), self._clock.now(), limit)
            if not wait:
                db.execute(
                    "INSERT INTO caller_rates (name, slots) VALUES (?, ?)"
                    " ON CONFLICT (name) DO UPDATE SET slots = excluded.slots",
                    (name, json.dumps(slots)),
                )
            return wait

        return await self._database.promptly(count)


def _check(wanted: Caller) -> None:
    check_name(wanted.name)
    if stray := sorted(wanted.scopes - set(SCOPES)):
        raise UsageError(f"There is no scope {shown(stray[0])!r}.", remedy=f"Known: {', '.join(SCOPES)}.")
    if not wanted.scopes:
        raise UsageError("A key without a scope opens nothing.", remedy=f"Name one of {', '.join(SCOPES)}.")
    for what, limit, least in (
        ("tokens a day", wanted.tokens_per_day, 0),
        ("requests a minute", wanted.requests_per_minute, 1),
    ):
        if limit is not None and not least <= limit <= LARGEST_LIMIT:
            raise UsageError(f"A key has {least} or more {what}.", remedy="Give another number, or none for no limit.")


def _values(key: CallerKey) -> tuple[object, ...]:
    c = key.caller
    scopes = json.dumps(sorted(c.scopes))
    limits = (c.tokens_per_day, c.requests_per_minute)
    times = (key.created, key.revoked_at, key.last_used)
    return (c.id, c.name, key.salt, key.hash, scopes, c.policy, int(c.private), *limits, *times)


def _key(row: Sequence[object]) -> CallerKey:
    values = Row("callers", row[0], row)
    name = values.text()
    caller = Caller(id=name, name=values.text())
    salt, digest = values.raw(), values.raw()
    caller = replace(
        caller,
        scopes=frozenset(values.texts()),
        policy=values.text_or_none(),
        private=values.flag(),
        tokens_per_day=values.whole_or_none(),
        requests_per_minute=values.whole_or_none(),
    )
    return CallerKey(caller, salt, digest, values.number(), values.number_or_none(), values.number_or_none())


def _slots(name: str, body: object) -> Slots:
    try:
        read = cast("list[tuple[int, int]]", json.loads(cast("str", body)))
        slots = tuple((int(at), int(requests)) for at, requests in read)
    except (TypeError, ValueError):
        raise Damaged("caller_rates", name) from None
    return slots
