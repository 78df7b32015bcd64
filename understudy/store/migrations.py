"""The schema, as numbered steps in plain Python. A released step never changes; the next one is appended.

All missing steps run in one transaction under the writer's lock: several processes that start at once migrate once,
and one that dies half-way has changed nothing.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from understudy.errors import StoreError
from understudy.store import campaign_schema
from understudy.store.faults import broken

APPLICATION_ID = 0x554E4453  # "UNDS", in the file's header: tells our database from another program's


def _first(db: sqlite3.Connection) -> None:
    db.execute(
        "CREATE TABLE scopes (scope TEXT PRIMARY KEY, limit_tokens INTEGER, limit_micro_usd INTEGER,"
        " spent_tokens INTEGER NOT NULL DEFAULT 0, spent_micro_usd INTEGER NOT NULL DEFAULT 0,"
        " reserved_tokens INTEGER NOT NULL DEFAULT 0, reserved_micro_usd INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID"
    )
    db.execute(
        "CREATE TABLE holds (id TEXT PRIMARY KEY, tokens INTEGER NOT NULL, micro_usd INTEGER NOT NULL,"
        " scopes TEXT NOT NULL, expires REAL NOT NULL, state TEXT NOT NULL) WITHOUT ROWID"
    )
    db.execute("CREATE INDEX holds_by_state ON holds (state, expires)")
    db.execute(
        "CREATE TABLE sessions (id TEXT PRIMARY KEY, created REAL NOT NULL, updated REAL NOT NULL,"
        " title TEXT NOT NULL, private INTEGER NOT NULL) WITHOUT ROWID"
    )
    db.execute("CREATE INDEX sessions_by_time ON sessions (updated)")
    db.execute(
        "CREATE TABLE turns (session TEXT NOT NULL, n INTEGER NOT NULL, at REAL NOT NULL, user TEXT NOT NULL,"
        " assistant TEXT NOT NULL, PRIMARY KEY (session, n)) WITHOUT ROWID"
    )
    db.execute("CREATE TABLE rests (domain TEXT PRIMARY KEY, until REAL NOT NULL, failure TEXT NOT NULL) WITHOUT ROWID")


def _second(db: sqlite3.Connection) -> None:
    db.execute(
        "CREATE TABLE replies (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, session TEXT NOT NULL,"
        " at REAL NOT NULL, record TEXT NOT NULL)"
    )
    db.execute("CREATE INDEX replies_by_session ON replies (session, seq)")
    db.execute(
        "CREATE TABLE attempts (reply INTEGER NOT NULL, n INTEGER NOT NULL, session TEXT NOT NULL, at REAL NOT NULL,"
        " role TEXT NOT NULL, candidate TEXT NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,"
        " cost_usd REAL NOT NULL, list_usd REAL NOT NULL, free INTEGER NOT NULL, PRIMARY KEY (reply, n)) WITHOUT ROWID"
    )
    db.execute("CREATE INDEX attempts_by_session ON attempts (session)")
    db.execute("CREATE INDEX attempts_by_time ON attempts (at)")


def _third(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE fleets (hash TEXT PRIMARY KEY, record TEXT NOT NULL) WITHOUT ROWID")


def _fourth(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE pages (key TEXT PRIMARY KEY, version INTEGER NOT NULL, body BLOB NOT NULL)")


def _fifth(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE salts (salt BLOB NOT NULL)")
    db.execute("INSERT INTO salts VALUES (?)", (os.urandom(32),))
    db.execute(
        "CREATE TABLE keys (fingerprint TEXT PRIMARY KEY, first REAL NOT NULL, last REAL NOT NULL) WITHOUT ROWID"
    )
    db.execute(
        "CREATE TABLE refusals (fingerprint TEXT NOT NULL, model TEXT NOT NULL, since REAL NOT NULL,"
        " until REAL NOT NULL, PRIMARY KEY (fingerprint, model)) WITHOUT ROWID"
    )


def _sixth(db: sqlite3.Connection) -> None:
    db.execute(
        "CREATE TABLE callers (id TEXT PRIMARY KEY, name TEXT NOT NULL, salt BLOB NOT NULL, hash BLOB NOT NULL,"
        " scopes TEXT NOT NULL, policy TEXT, private INTEGER NOT NULL, tokens_per_day INTEGER,"
        " requests_per_minute INTEGER, created REAL NOT NULL, revoked_at REAL, last_used REAL) WITHOUT ROWID"
    )
    db.execute("CREATE UNIQUE INDEX callers_by_name ON callers (name) WHERE revoked_at IS NULL")
    db.execute("CREATE TABLE caller_rates (name TEXT PRIMARY KEY, slots TEXT NOT NULL) WITHOUT ROWID")


def _seventh(db: sqlite3.Connection) -> None:
    # The contents stand last: what is read most often lies before them in a row.
    db.execute(
        "CREATE TABLE jobs (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, caller TEXT NOT NULL,"
        " key TEXT NOT NULL, session TEXT NOT NULL, state TEXT NOT NULL, priority INTEGER NOT NULL,"
        " created REAL NOT NULL, due REAL NOT NULL, keep REAL NOT NULL, started REAL, ended REAL, expires REAL,"
        " owner TEXT, lease REAL, attempts INTEGER NOT NULL DEFAULT 0, turn INTEGER NOT NULL DEFAULT 0,"
        " cancel INTEGER NOT NULL DEFAULT 0, events INTEGER NOT NULL DEFAULT 0, task TEXT, result TEXT, error TEXT)"
    )
    db.execute("CREATE INDEX jobs_waiting ON jobs (priority, caller, seq) WHERE state = 'queued'")
    db.execute("CREATE INDEX jobs_due ON jobs (due) WHERE state = 'queued'")
    db.execute("CREATE INDEX jobs_running ON jobs (lease, caller) WHERE state = 'running'")
    db.execute("CREATE INDEX jobs_kept ON jobs (expires) WHERE state IN ('done', 'failed', 'cancelled')")
    db.execute("CREATE INDEX jobs_expired ON jobs (expires) WHERE state = 'expired'")
    db.execute("CREATE INDEX jobs_by_turn ON jobs (turn)")
    db.execute("CREATE INDEX jobs_by_caller ON jobs (caller, turn)")
    db.execute("CREATE INDEX jobs_by_end ON jobs (ended)")
    db.execute(
        "CREATE TABLE job_events (job TEXT NOT NULL, n INTEGER NOT NULL, type TEXT NOT NULL, event TEXT NOT NULL,"
        " PRIMARY KEY (job, n)) WITHOUT ROWID"
    )


def _eighth(db: sqlite3.Connection) -> None:
    for statement in (*campaign_schema.FIRST, *campaign_schema.PIPELINES):
        db.execute(statement)


STEPS: tuple[Callable[[sqlite3.Connection], None], ...] = (
    _first,
    _second,
    _third,
    _fourth,
    _fifth,
    _sixth,
    _seventh,
    _eighth,
)


def version(db: sqlite3.Connection) -> int:
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def migrate(db: sqlite3.Connection, path: Path, *, upto: int = len(STEPS)) -> None:
    """Bring the schema to `upto`. Raises StoreError for another program's file and for a newer schema."""
    db.execute("BEGIN IMMEDIATE")
    try:
        found = version(db)
        mark = int(db.execute("PRAGMA application_id").fetchone()[0])
        populated = db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() is not None
        if mark not in (0, APPLICATION_ID) or (mark == 0 and (found or populated)):
            raise broken(path, "is another program's database")
        if found > upto:
            raise StoreError(
                f"The store {path} was written by a newer understudy (schema {found}; this one knows {upto}).",
                remedy="Upgrade understudy, or set UNDERSTUDY_HOME to another folder. Nothing was changed.",
            )
        for step in STEPS[found:upto]:
            step(db)
        if found < upto:
            db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            db.execute(f"PRAGMA user_version = {upto}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
