"""What the steps of a pipeline have come to: the checkpoints it goes on from."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from understudy.store.database import Database
from understudy.store.rows import Row
from understudy.types import Clock


class PipelineSteps:
    """Raises StoreError."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def begin_run(self, run: str, name: str, inputs: str) -> tuple[str, str]:
        """The name and the inputs under which it was begun, now or before."""

        def begin(db: sqlite3.Connection) -> tuple[str, str]:
            db.execute(
                "INSERT INTO pipeline_runs VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (run, name, inputs, self._clock.now()),
            )
            v = Row(
                "pipeline_runs",
                run,
                db.execute("SELECT name, inputs FROM pipeline_runs WHERE id = ?", (run,)).fetchone(),
            )
            return v.text(), v.text()

        return await self._database.promptly(begin)

    async def begin(self, run: str, step: str, n: int, key: str) -> tuple[tuple[Any, Any] | None, int]:
        """Its value and answers when this very step is done, else None; and how often it was begun before."""

        def begin(db: sqlite3.Connection) -> tuple[tuple[Any, Any] | None, int]:
            query = "SELECT key, begun, value, answers FROM pipeline_steps WHERE run = ? AND step = ? AND n = ?"
            found = db.execute(query, (run, step, n)).fetchone()
            before = 0
            if found is not None:
                v = Row("pipeline_steps", run, found)
                same, before, value = v.text() == key, v.whole(), v.text_or_none()
                if same and value is not None:
                    return (json.loads(value), json.loads(v.text())), 0
                before = before if same else 0
            db.execute(
                "INSERT INTO pipeline_steps (run, step, n, key, begun) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (run, step, n) DO UPDATE SET key = excluded.key, begun = excluded.begun,"
                " value = NULL, answers = NULL",
                (run, step, n, key, before + 1),
            )
            return None, before

        return await self._database.promptly(begin)

    async def end(self, run: str, step: str, n: int, value: str, answers: str) -> None:
        """answers: who was asked and what each said, as JSON."""
        query = "UPDATE pipeline_steps SET value = ?, answers = ?, begun = 0 WHERE run = ? AND step = ? AND n = ?"
        await self._database.promptly(lambda db: db.execute(query, (value, answers, run, step, n)) and None)

    async def put_back(self, run: str, step: str, n: int) -> None:
        """It ended in order without a value: this was no crash."""
        query = "UPDATE pipeline_steps SET begun = 0 WHERE run = ? AND step = ? AND n = ? AND value IS NULL"
        await self._database.promptly(lambda db: db.execute(query, (run, step, n)) and None)
