"""Provenance: who answered, why, with what it cost. Never the text of a task or an answer."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from understudy.errors import UsageError
from understudy.store.database import Database
from understudy.store.ids import check_id
from understudy.store.rows import Row, is_number, sound

PAGE = 500  # replies read at a time
KEPT = 100_000  # replies, some 200 MB; older ones go, and their tokens with them
TEXTS = frozenset(
    {"text", "data", "prompt", "answer", "history", "instructions", "messages", "user", "assistant", "title", "content"}
)

_encode = msgspec.json.Encoder().encode
_LEAVES = frozenset({str, int, bool, type(None)})  # nearly all there is; asking whether it is a Mapping is dear
# A damaged attempt is left out of the sums: SQLite would count a text as 0 and a NULL as nothing.
COUNTABLE = " ".join(
    f"AND typeof({column}) IN ('integer', 'real')"
    for column in ("input_tokens", "output_tokens", "cost_usd", "list_usd", "free")
)


@dataclass(frozen=True, slots=True)
class Line:
    """What one role or one candidate did. Dollars; tokens of input and output."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    paid_usd: float = 0.0
    list_usd: float = 0.0  # what it costs at list price
    free_tokens: int = 0  # of all of them, those that cost no money

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class Economics:
    """Of the replies still kept."""

    replies: int
    total: Line
    roles: dict[str, Line]
    candidates: dict[str, Line]


class Replies:
    """Records are JSON objects with `id`, `session`, `time` (seconds since the epoch) and `attempts`."""

    def __init__(self, database: Database, *, kept: int = KEPT) -> None:
        self._database = database
        self._kept = kept

    async def save(self, record: Mapping[str, Any]) -> None:
        """Keep a reply's provenance; the same id again replaces it.

        Keys that hold text (TEXTS) are left out, at any depth. UsageError for what is not such a record.
        """
        name, session, time = _head(record)
        try:
            text = _as_json(_textless(record))
        except (TypeError, ValueError, RecursionError):
            raise UsageError(
                "A reply's record must be JSON.", remedy="Give strings, numbers, lists and dicts."
            ) from None
        attempts = [_attempt(value) for value in _attempts(record)]

        def keep(db: sqlite3.Connection) -> None:
            for (seq,) in db.execute("SELECT seq FROM replies WHERE id = ?", (name,)).fetchall():
                _forget(db, "=", seq)
            seq = db.execute(
                "INSERT INTO replies (id, session, at, record) VALUES (?, ?, ?, ?)", (name, session, time, text)
            ).lastrowid
            db.executemany(
                "INSERT INTO attempts VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(seq, n, session, time, *attempt) for n, attempt in enumerate(attempts)],
            )
            if (oldest := cast(int, seq) - self._kept) > 0:
                _forget(db, "<=", oldest)

        await self._database.promptly(keep)

    async def keep_fleet(self, hash: str, fleet: Sequence[Mapping[str, Any]]) -> None:  # noqa: A002
        """The candidates a policy saw, once under their hash: thousands of replies share them."""
        text = json.dumps(fleet, separators=(",", ":"), allow_nan=False)
        await self._database.write(lambda db: db.execute("INSERT OR IGNORE INTO fleets VALUES (?, ?)", (hash, text)))

    async def fleet(self, hash: str) -> list[dict[str, Any]]:  # noqa: A002
        """The candidates kept under this hash. UsageError when there are none."""

        def look(db: sqlite3.Connection) -> list[dict[str, Any]]:
            row = db.execute("SELECT record FROM fleets WHERE hash = ?", (hash,)).fetchone()
            if row is None:
                raise UsageError(f"The fleet {hash} was not kept.", remedy="Its replies cannot be decided again.")
            return Row("fleets", hash, row).tables()

        return await self._database.read(look)

    async def get(self, id: str) -> dict[str, Any] | None:  # noqa: A002 - the field's word
        """By id, or by its beginning if only one has it. UsageError when several do."""
        check_id(id, "reply")

        def look(db: sqlite3.Connection) -> dict[str, Any] | None:
            exact = db.execute("SELECT id, record FROM replies WHERE id = ?", (id,)).fetchone()
            if exact:
                return _record(exact)
            # "~" sorts after every character of an id.
            rows = db.execute(
                "SELECT id, record FROM replies WHERE id > ? AND id < ? LIMIT 4", (id, id + "~")
            ).fetchall()
            if len(rows) > 1:
                raise UsageError(
                    f"Several replies begin with {id}: {', '.join(row[0] for row in rows[:3])}"
                    f"{' and more' if len(rows) > 3 else ''}.",
                    remedy="Give more of the id.",
                )
            return _record(rows[0]) if rows else None

        return await self._database.read(look)

    async def recent(self, n: int, session: str | None = None) -> tuple[dict[str, Any], ...]:
        """The last n, the latest first. A damaged one is left out."""
        if isinstance(n, bool) or n < 1:
            raise UsageError("A list has at least one entry.", remedy="Give a number of 1 or more.")
        where, values = ("WHERE session = ?", (check_id(session, "conversation"),)) if session is not None else ("", ())

        def look(db: sqlite3.Connection) -> tuple[dict[str, Any], ...]:
            query = f"SELECT id, record FROM replies {where} ORDER BY seq DESC LIMIT ?"  # noqa: S608 - two constants
            return tuple(sound(db.execute(query, (*values, min(n, 2**31))), _record))

        return await self._database.read(look)

    async def each(self, since: float) -> AsyncIterator[dict[str, Any]]:
        """Those that began at this time or later, in seconds since the epoch, as they were kept; no damaged ones.

        They are read a page at a time, so that thousands of them hold nobody up.
        """
        after = 0

        def look(db: sqlite3.Connection) -> tuple[int, tuple[dict[str, Any], ...]]:
            query = "SELECT id, record, seq FROM replies WHERE seq > ? AND at >= ? ORDER BY seq LIMIT ?"
            rows = db.execute(query, (after, since, PAGE)).fetchall()
            return (rows[-1][2] if rows else 0), tuple(sound([row[:2] for row in rows], _record))

        while True:
            last, page = await self._database.read(look)
            for record in page:
                yield record
            if not last:
                return
            after = last

    async def economics(self, session: str | None = None, since: float | None = None) -> Economics:
        """Tokens, what was paid and the list price, per role and per candidate."""
        if session is not None:
            check_id(session, "conversation")
        values = (session, session, since, since)
        where = "WHERE (? IS NULL OR session = ?) AND (? IS NULL OR at >= ?)"

        def look(db: sqlite3.Connection) -> Economics:
            def lines(key: str) -> dict[str, Line]:
                rows = db.execute(
                    f"SELECT {key}, count(*), sum(input_tokens), sum(output_tokens), sum(cost_usd), sum(list_usd),"  # noqa: S608 - constants
                    f" sum(free * (input_tokens + output_tokens)) FROM attempts {where} {COUNTABLE}"
                    " GROUP BY 1 ORDER BY 1",
                    values,
                )
                return {str(row[0]): Line(*row[1:]) for row in rows}

            count = db.execute(f"SELECT count(*) FROM replies {where}", values).fetchone()[0]  # noqa: S608 - constants
            return Economics(count, lines("'all'").get("all", Line()), lines("role"), lines("candidate"))

        return await self._database.read(look)


def _record(row: Sequence[object]) -> dict[str, Any]:
    values = Row("replies", row[0], row)
    name, record = values.text(), values.table()
    attempts = record.get("attempts", [])
    listed = isinstance(attempts, list) and all(isinstance(a, dict) for a in cast("list[object]", attempts))
    if record.get("id") != name or not is_number(record.get("time")) or not listed:
        raise values.damaged()
    return record


def _forget(db: sqlite3.Connection, relation: str, seq: int) -> None:
    db.execute(f"DELETE FROM attempts WHERE reply {relation} ?", (seq,))  # noqa: S608 - "=" or "<="
    db.execute(f"DELETE FROM replies WHERE seq {relation} ?", (seq,))  # noqa: S608


def _head(record: Mapping[str, Any]) -> tuple[str, str, float]:
    time = record.get("time")
    if isinstance(time, bool) or not isinstance(time, int | float) or not math.isfinite(time):
        raise UsageError("A reply's record needs its time.", remedy="Give `time` in seconds since the epoch.")
    name, session = cast(str, record.get("id")), cast(str, record.get("session"))
    return check_id(name, "reply"), check_id(session, "conversation"), float(time)


def _as_json(record: object) -> str:
    try:
        return _encode(record).decode()
    except UnicodeEncodeError:  # half of a pair of surrogates, as a terminal may give
        return json.dumps(record, separators=(",", ":"))


def _textless(value: object) -> object:
    """Without what may hold text. Raises ValueError for a number that JSON has no word for."""
    if type(value) is float:
        if not math.isfinite(value):
            raise ValueError
        return value
    if type(value) is dict or isinstance(value, Mapping):
        items = cast(Mapping[str, object], value).items()
        return {k: v if type(v) in _LEAVES else _textless(v) for k, v in items if k not in TEXTS}
    if isinstance(value, list | tuple):
        return [v if type(v) in _LEAVES else _textless(v) for v in cast(Sequence[object], value)]
    return value


def _attempts(record: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    attempts = record.get("attempts", ())
    if not isinstance(attempts, list | tuple) or not all(isinstance(a, Mapping) for a in cast(Sequence[Any], attempts)):
        raise UsageError("A reply's attempts are a list of objects.", remedy="Give them as `ask --json` shows them.")
    return list(cast(Sequence[Mapping[str, Any]], attempts))


def _attempt(attempt: Mapping[str, Any]) -> tuple[Any, ...]:
    try:
        tokens = [max(0, int(attempt.get(key) or 0)) for key in ("input_tokens", "output_tokens")]
        dollars = [float(attempt.get(key) or 0.0) for key in ("cost_usd", "list_usd")]
        if max(tokens) >= 2**50 or not all(map(math.isfinite, dollars)):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise UsageError("An attempt counts in numbers.", remedy="Give tokens as integers, costs in dollars.") from None
    return (str(attempt.get("role")), str(attempt.get("candidate")), *tokens, *dollars, bool(attempt.get("free")))
