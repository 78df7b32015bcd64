"""What the replies of a day came to, caller by caller: read as they are added, so that looking often costs little."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from understudy.store.database import Database
from understudy.store.replies import COUNTABLE, Economics, Line
from understudy.store.rows import is_number

CHUNK = 1_000  # replies of one look: some 20 ms of the thread that reads
KEPT = 20  # failures of one caller that are told
NOBODY = ""  # whose tasks were not sent over the wire
_CALLER = "CASE WHEN json_valid(r.record) THEN coalesce(json_extract(r.record, '$.caller'), '') ELSE '' END"
# A damaged record counts, and says nothing: SQLite would refuse the whole query for it.
_ATTEMPTS = (
    "CASE WHEN json_valid(r.record) THEN CASE WHEN json_type(r.record, '$.attempts') = 'array'"
    " THEN json_extract(r.record, '$.attempts') END END"
)
_PASSED = "CASE WHEN json_valid(r.record) THEN json_extract(r.record, '$.skipped[0].domain') END"
_OUTCOME = "CASE WHEN type = 'object' THEN coalesce(json_extract(value, '$.outcome'), 'ok') ELSE 'ok' END"
_ERROR = "CASE WHEN json_valid(r.record) THEN json_extract(r.record, '$.error.type') END"


@dataclass(frozen=True, slots=True)
class Fell:
    """A failed attempt, or a task that failed without one. what: its class; at: seconds since the epoch."""

    caller: str
    reply: str
    at: float
    what: str
    candidate: str = ""


@dataclass(slots=True)
class _Share:
    """One caller's part of the day."""

    replies: int = 0
    failed: int = 0
    roles: dict[str, Line] = field(default_factory=dict[str, Line])
    fell: list[Fell] = field(default_factory=list[Fell])  # the latest first


@dataclass(slots=True)
class Day:
    """From `since`, in seconds since the epoch, on. `read` takes in what was added; whole: there is no more for now."""

    database: Database
    since: float
    whole: bool = False
    _seq: int | None = None
    _shares: dict[str, _Share] = field(default_factory=dict[str, _Share])

    async def read(self) -> None:
        """The next CHUNK of replies. Raises StoreError."""
        self.whole = await self.database.read(self._look)

    def economics(self, caller: str | None) -> tuple[Economics, int]:
        """Of one caller, or of all; and how many of the tasks failed."""
        shares = [s for name, s in self._shares.items() if caller in (None, name)]
        roles: dict[str, Line] = {}
        for share in shares:
            for role, line in share.roles.items():
                roles[role] = _sum(roles.get(role, Line()), line)
        total = Line()
        for line in roles.values():
            total = _sum(total, line)
        return Economics(sum(s.replies for s in shares), total, roles, {}), sum(s.failed for s in shares)

    def fell(self, caller: str | None) -> list[Fell]:
        """The last ones of one caller, or of all, the latest first."""
        found = [fell for name, s in self._shares.items() if caller in (None, name) for fell in s.fell]
        return sorted(found, key=lambda fell: fell.at, reverse=True)[:KEPT]

    def _look(self, db: sqlite3.Connection) -> bool:
        last = int(db.execute("SELECT coalesce(max(seq), 0) FROM replies").fetchone()[0])
        if self._seq is None:
            # Replies have no index by time, attempts have; tasks that failed without one stand near the end.
            first = db.execute("SELECT min(reply) FROM attempts WHERE at >= ?", (self.since,)).fetchone()[0]
            self._seq = max(0, min(last - CHUNK, first - 1 if isinstance(first, int) else last))
        upto = min(last, self._seq + CHUNK)
        if upto > self._seq:
            bounds = self._seq, upto, self.since
            self._count(db, bounds)
            self._add(db, bounds)
            self._note(db, bounds)
            self._seq = upto
        return upto == last

    def _share(self, caller: object) -> _Share:
        return self._shares.setdefault(caller if isinstance(caller, str) else NOBODY, _Share())

    def _count(self, db: sqlite3.Connection, bounds: tuple[int, int, float]) -> None:
        query = (
            f"SELECT {_CALLER}, count(*), count({_ERROR}) FROM replies r"  # noqa: S608 - constants
            " WHERE r.seq > ? AND r.seq <= ? AND r.at >= ? GROUP BY 1"
        )
        for caller, replies, failed in db.execute(query, bounds):
            share = self._share(caller)
            share.replies += replies
            share.failed += failed

    def _add(self, db: sqlite3.Connection, bounds: tuple[int, int, float]) -> None:
        query = (
            f"SELECT {_CALLER}, role, count(*), sum(input_tokens), sum(output_tokens), sum(cost_usd), sum(list_usd),"  # noqa: S608 - constants
            " sum(free * (input_tokens + output_tokens)) FROM replies r JOIN attempts a ON a.reply = r.seq"
            f" WHERE r.seq > ? AND r.seq <= ? AND r.at >= ? {COUNTABLE} GROUP BY 1, 2"
        )
        for caller, role, *sums in db.execute(query, bounds):
            roles = self._share(caller).roles
            roles[str(role)] = _sum(roles.get(str(role), Line()), Line(*sums))

    def _note(self, db: sqlite3.Connection, bounds: tuple[int, int, float]) -> None:
        """The last failures of each caller: one who has many hides nobody else's."""
        query = (
            "SELECT caller, id, at, error, passed, attempts FROM (SELECT *, row_number() OVER"  # noqa: S608 - constants
            f" (PARTITION BY caller ORDER BY seq DESC) AS n FROM (SELECT r.seq, r.id, r.at, {_CALLER} AS caller,"
            f" {_ERROR} AS error, {_PASSED} AS passed, {_ATTEMPTS} AS attempts FROM replies r"
            " WHERE r.seq > ? AND r.seq <= ? AND r.at >= ?) WHERE error IS NOT NULL OR EXISTS"
            f" (SELECT 1 FROM json_each(attempts) WHERE {_OUTCOME} NOT IN ('ok', 'cancelled')))"
            " WHERE n <= ? ORDER BY seq"
        )
        for caller, name, at, error, passed, attempts in db.execute(query, (*bounds, KEPT)).fetchall():
            share = self._share(caller)
            share.fell = [*_falls(str(caller or NOBODY), str(name), at, (error, passed), attempts), *share.fell][:KEPT]


def _falls(caller: str, reply: str, at: object, ended: tuple[object, object], attempts: object) -> list[Fell]:
    """The latest first. ended: by which error, and who was passed over first."""
    error, passed = ended
    began = float(cast("float", at)) if is_number(at) else 0.0
    found: list[Fell] = []
    for made in _objects(attempts):
        outcome, started = str(made.get("outcome")), made.get("started")
        if outcome not in ("ok", "cancelled"):
            when = float(cast("float", started)) + _seconds(made) if is_number(started) else began
            found.insert(0, Fell(caller, reply, when, outcome, str(made.get("candidate"))))
    if error is not None:
        whom = "" if found or passed is None else str(passed)
        found.insert(0, Fell(caller, reply, max([began, *(f.at for f in found)]), str(error), whom))
    return found


def _seconds(made: Mapping[str, Any]) -> float:
    seconds = made.get("seconds")
    return float(cast("float", seconds)) if is_number(seconds) else 0.0


def _objects(raw: object) -> list[Mapping[str, Any]]:
    try:
        found: object = json.loads(raw) if isinstance(raw, str) else []
    except ValueError:
        return []
    if not isinstance(found, list):
        return []
    return [cast("Mapping[str, Any]", one) for one in cast("list[object]", found) if isinstance(one, dict)]


def _sum(one: Line, other: Line) -> Line:
    return Line(
        one.calls + other.calls,
        one.input_tokens + other.input_tokens,
        one.output_tokens + other.output_tokens,
        one.paid_usd + other.paid_usd,
        one.list_usd + other.list_usd,
        one.free_tokens + other.free_tokens,
    )
