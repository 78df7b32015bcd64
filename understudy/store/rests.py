"""Candidates' rests (cooldowns): shared by processes, and they survive a restart."""

from __future__ import annotations

import math
import sqlite3

from understudy.errors import UsageError
from understudy.store.database import Database
from understudy.types import Failure


class Rests:
    """By quota domain. Times are seconds since the epoch; math.inf rests until woken."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def rest(self, domain: str, until: float, failure: Failure) -> None:
        """Rest until the later of the old and the new time: a short failure never shortens a long rest."""
        if not domain or isinstance(until, bool) or math.isnan(until):
            raise UsageError("A rest needs a domain and a time.", remedy="Give seconds since the epoch.")

        def note(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO rests (domain, until, failure) VALUES (?, ?, ?) ON CONFLICT (domain) DO UPDATE"
                " SET until = excluded.until, failure = excluded.failure WHERE excluded.until > until",
                (domain, float(until), str(failure)),
            )

        await self._database.write(note)

    async def resting(self, now: float) -> dict[str, tuple[float, Failure]]:
        """Every domain that rests beyond `now`, until when, and why."""

        def look(db: sqlite3.Connection) -> dict[str, tuple[float, Failure]]:
            rows = db.execute("SELECT domain, until, failure FROM rests WHERE until > ? ORDER BY domain", (now,))
            return {domain: (until, Failure(failure)) for domain, until, failure in rows}

        return self._database.glance(look)

    async def wake(self, domain: str) -> bool:
        """End a rest. False: there was none."""
        return await self._database.write(
            lambda db: db.execute("DELETE FROM rests WHERE domain = ?", (domain,)).rowcount > 0
        )
