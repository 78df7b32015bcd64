"""The moves of jobs, each within a transaction of the caller: into the queue, out of it in turn, to their end."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from typing import Any

from understudy.errors import JobFailed

QUEUED, RUNNING, DONE, FAILED, CANCELLED, EXPIRED = "queued", "running", "done", "failed", "cancelled", "expired"
TRIES = 2  # how often a job is begun: a process that dies takes it along once
LONGEST_LEASE = 300.0  # seconds; one that ends later was given before the clock was set back
REMEMBERED = 7 * 86_400.0  # seconds for which an expired job is still known as one
AT_ONCE = 100  # moves of one kind in one turn: others want to write too
LATELY = 300.0  # seconds by which the pace is reckoned
_GIVEN_UP = {
    "late": ("The job's deadline had passed before its turn came.", "Give it more time, or ask when fewer wait."),
    "lost": ("The process that ran the job died, and so did the next one.", "Ask again; the log may say why."),
    "damaged": ("The job's row in the store is damaged.", "Ask again."),
}
# The three states as the index jobs_kept names them.
_KEPT = "state IN ('done', 'failed', 'cancelled')"


def say(db: sqlite3.Connection, id: str, event: Mapping[str, Any]) -> int:  # noqa: A002 - the field's word
    """The event's number: one more than the one before."""
    db.execute("UPDATE jobs SET events = events + 1 WHERE id = ?", (id,))
    n: int = db.execute("SELECT events FROM jobs WHERE id = ?", (id,)).fetchone()[0]
    text = json.dumps(event, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    db.execute("INSERT OR REPLACE INTO job_events VALUES (?, ?, ?, ?)", (id, n, str(event["type"]), text))
    return n


def forget_events(db: sqlite3.Connection, id: str, *, upto: int) -> None:  # noqa: A002
    if upto > 0:
        db.execute("DELETE FROM job_events WHERE job = ? AND n <= ?", (id, upto))


def begin(db: sqlite3.Connection, seq: int, owner: str, now: float, lease: float) -> tuple[object, ...] | None:
    """Its id, caller, key, due and task. None: it is damaged, and has failed."""
    kinds = "typeof(id) || typeof(caller) || typeof(key) || typeof(due) || typeof(task) || typeof(events)"
    if db.execute(f"SELECT {kinds} FROM jobs WHERE seq = ?", (seq,)).fetchone()[0] != "texttexttextrealtextinteger":  # noqa: S608 - constants
        db.execute("UPDATE jobs SET events = 0 WHERE seq = ? AND typeof(events) != 'integer'", (seq,))
        told = _text(_failed("damaged"))
        db.execute(
            f"UPDATE jobs SET state = '{FAILED}', ended = ?, expires = ?, task = NULL, error = ? WHERE seq = ?",  # noqa: S608
            (now, now + REMEMBERED, told, seq),
        )
        return None
    db.execute(
        "UPDATE jobs SET state = 'running', owner = ?, lease = ?, started = ?, attempts = attempts + 1,"
        " turn = (SELECT coalesce(max(turn), 0) + 1 FROM jobs) WHERE seq = ?",
        (owner, now + lease, now, seq),
    )
    row = db.execute("SELECT id, caller, key, due, task FROM jobs WHERE seq = ?", (seq,)).fetchone()
    say(db, row[0], {"type": "state", "state": RUNNING})
    return row


def finish(
    db: sqlite3.Connection,
    id: str,  # noqa: A002
    state: str,
    now: float,
    *,
    result: Mapping[str, Any] | None = None,
    error: Mapping[str, Any] | None = None,
) -> None:
    """Its last move but one. The text of its task is deleted, and overwritten where it stood."""
    db.execute(
        "UPDATE jobs SET state = ?, ended = ?, expires = ? + keep, owner = NULL, lease = NULL, task = NULL,"
        " result = ?, error = ? WHERE id = ?",
        (state, now, now, _text(result), _text(error), id),
    )
    say(db, id, {"type": "state", "state": state})


def cancel(db: sqlite3.Connection, id: str, now: float) -> None:  # noqa: A002
    """One that waits has ended; the owner of one that runs is asked; one that has ended stays as it is."""
    state = db.execute("SELECT state FROM jobs WHERE id = ?", (id,)).fetchone()
    if state == (QUEUED,):
        finish(db, id, CANCELLED, now)
    elif state == (RUNNING,):
        db.execute("UPDATE jobs SET cancel = 1 WHERE id = ?", (id,))


def put_back(db: sqlite3.Connection, id: str, now: float, *, tried: bool) -> None:  # noqa: A002
    """From running into its old place in the queue; to its end, if that was asked for."""
    if db.execute("SELECT cancel FROM jobs WHERE id = ?", (id,)).fetchone() == (1,):
        finish(db, id, CANCELLED, now)
        return
    db.execute(
        "UPDATE jobs SET state = 'queued', owner = NULL, lease = NULL, attempts = attempts - ? WHERE id = ?",
        (0 if tried else 1, id),
    )
    say(db, id, {"type": "state", "state": QUEUED})


_OVER = f"state = 'running' AND (lease <= ? OR lease > ? + {LONGEST_LEASE} OR typeof(lease) NOT IN ('real', 'integer'))"
_LATE = "state = 'queued' AND due <= ?"
_DUE_TO_EXPIRE = f"{_KEPT} AND expires <= ?"
_DUE_TO_GO = f"state = 'expired' AND expires <= ? - {REMEMBERED}"


def has_work(db: sqlite3.Connection, now: float, *, free: bool) -> bool:
    if free and db.execute("SELECT 1 FROM jobs WHERE state = 'queued' LIMIT 1").fetchone():
        return True
    asks = ((_OVER, (now, now)), (_LATE, (now,)), (_DUE_TO_EXPIRE, (now,)), (_DUE_TO_GO, (now,)))
    return any(db.execute(f"SELECT 1 FROM jobs WHERE {where} LIMIT 1", values).fetchone() for where, values in asks)  # noqa: S608


def sweep(db: sqlite3.Connection, now: float, *, over: float | None) -> None:
    """What is over: leases that had ended by then, waiting beyond a deadline, results nobody may fetch any more."""
    # Its owner may have renewed it since: what looks odd by one of the two times is not by the other.
    for (name,) in [] if over is None else _some(db, _OVER, min(over, now), max(over, now)):
        tried, cancel = db.execute("SELECT attempts, cancel FROM jobs WHERE id = ?", (name,)).fetchone()
        if tried >= TRIES and not cancel:
            finish(db, name, FAILED, now, error=_failed("lost"))
        else:
            put_back(db, name, now, tried=True)
    for (name,) in _some(db, _LATE, now):
        finish(db, name, FAILED, now, error=_failed("late"))
    for (name,) in _some(db, _DUE_TO_EXPIRE, now):
        db.execute("UPDATE jobs SET state = 'expired', result = NULL, error = NULL WHERE id = ?", (name,))
        db.execute("DELETE FROM job_events WHERE job = ?", (name,))
        say(db, name, {"type": "state", "state": EXPIRED})
    for (name,) in _some(db, _DUE_TO_GO, now):
        db.execute("DELETE FROM job_events WHERE job = ?", (name,))
        db.execute("DELETE FROM jobs WHERE id = ?", (name,))


def _some(db: sqlite3.Connection, where: str, *values: float) -> list[tuple[str]]:
    return db.execute(f"SELECT id FROM jobs WHERE {where} LIMIT {AT_ONCE}", values).fetchall()  # noqa: S608


def next_in_turn(db: sqlite3.Connection) -> int | None:
    """The seq of the job that goes next: by priority, then of the caller who has the fewest running, then of the one
    whose last turn is the longest ago, then the oldest."""
    first: object = db.execute("SELECT min(priority) FROM jobs WHERE state = 'queued'").fetchone()[0]
    oldest = "SELECT caller, min(seq) FROM jobs WHERE state = 'queued' AND priority = ? GROUP BY caller"
    heads: list[tuple[object, int]] = db.execute(oldest, (first,)).fetchall()
    if len(heads) < 2:
        return heads[0][1] if heads else None
    # Counted here: SQLite would group by going through all jobs there ever were.
    running = Counter(row[0] for row in db.execute("SELECT caller FROM jobs WHERE state = 'running'"))

    def turn(head: tuple[object, int]) -> tuple[int, int, int]:
        caller, seq = head
        last = db.execute("SELECT max(turn) FROM jobs WHERE caller = ?", (caller,)).fetchone()[0]
        return running[caller], last, seq

    return min(heads, key=turn)[1]


def waiting(db: sqlite3.Connection, caller: str | None = None) -> int:
    query = "SELECT count(*) FROM jobs WHERE state = 'queued' AND (? IS NULL OR caller = ?)"
    return int(db.execute(query, (caller, caller)).fetchone()[0])


def counts(db: sqlite3.Connection, caller: str | None = None) -> dict[str, int]:
    query = "SELECT count(*) FROM jobs WHERE state = 'running' AND (? IS NULL OR caller = ?)"
    running: int = db.execute(query, (caller, caller)).fetchone()[0]
    return {QUEUED: waiting(db, caller), RUNNING: running}


def kept(db: sqlite3.Connection) -> dict[str, int]:
    """All of them, by state. Reads a row of each."""
    none = dict.fromkeys((QUEUED, RUNNING, DONE, FAILED, CANCELLED, EXPIRED), 0)
    return none | dict(db.execute("SELECT state, count(*) FROM jobs GROUP BY state"))


def pace(db: sqlite3.Connection, now: float, caller: str | None = None) -> float:
    """Seconds between two jobs that end, of all callers or of this one.

    Reckoned over the time in which jobs were waiting, so over one in which everybody was busy.
    """
    whose = "(? IS NULL OR caller = ?)"
    query = f"SELECT min(created) FROM jobs WHERE state = 'queued' AND {whose}"  # noqa: S608 - constants
    oldest = db.execute(query, (caller, caller)).fetchone()[0]
    since = max(now - LATELY, oldest if isinstance(oldest, float | int) else now)
    query = f"SELECT count(*) FROM jobs WHERE ended > ? AND started IS NOT NULL AND {whose}"  # noqa: S608
    ended: int = db.execute(query, (since, caller, caller)).fetchone()[0]
    if ended:
        return (now - since) / ended
    if caller is not None:  # nothing of its own to go by: it has its share of all
        callers: int = db.execute("SELECT count(DISTINCT caller) FROM jobs WHERE state = 'queued'").fetchone()[0]
        return pace(db, now) * max(1, callers)
    latest = "SELECT ended, started FROM jobs WHERE ended > ? ORDER BY ended DESC LIMIT 16"
    took: float | None = db.execute(f"SELECT avg(ended - started) FROM ({latest})", (now - LATELY,)).fetchone()[0]  # noqa: S608
    running = max(1, counts(db)[RUNNING])
    # Who has waited in vain for so long waits as long again, for all anybody knows.
    return max(now - since, (took or 0.0) / running)


def _failed(reason: str) -> Mapping[str, Any]:
    message, remedy = _GIVEN_UP[reason]
    return {**JobFailed(message, remedy=remedy, reason=reason).as_dict(), "exit_code": JobFailed.exit_code}


def _text(value: Mapping[str, Any] | None) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
