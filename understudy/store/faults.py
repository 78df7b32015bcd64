"""What SQLite and the file system say, in the words of the error tree."""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from understudy.errors import StoreError
from understudy.store.rows import Damaged

_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_UNWRITABLE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_CANTOPEN}


_MISSING = re.compile(r"no such (?:table|column): \w+|table \w+ has no column named \w+")
_ANY_ROW = "Restore the store from a backup, or do without it."
# What to do about a damaged row, by its table.
_ROWS = {
    "scopes": "Nothing can be spent in this budget. Restore the store from a backup, or wait for the next day's.",
    "holds": "What it reserved stays reserved. Restore the store from a backup, or wait for the next day's budget.",
    "sessions": "Begin another conversation.",
    "turns": "Begin another conversation.",
    "replies": "Do without this reply's record.",
    "jobs": "Do without this job: ask for it again.",
    "job_events": "Do without this job's events: poll its state.",
    "fleets": "Do without deciding its replies again.",
    "salts": "Restore the store from a backup, or give it another salt, which forgets the age of keys: "
    "sqlite3 FILE 'DELETE FROM salts; INSERT INTO salts VALUES (randomblob(32))'",
}


def aside(path: Path) -> str:
    """The command that begins anew. The whole folder: a write-ahead log left behind would be replayed into the next."""
    folder = path.parent
    return f"mv {shlex.quote(str(folder))} {shlex.quote(str(folder) + '.aside')}"


def broken(path: Path, what: str) -> StoreError:
    return StoreError(
        f"The store {path} {what}.",
        remedy="Nothing was changed. Restore it from a backup, or begin with an empty one, whose budgets start "
        f"at 0 spent: {aside(path)}",
    )


def unwritable(path: Path, why: str) -> StoreError:
    return StoreError(
        f"The store {path} cannot be read or written: {why}.",
        remedy="Give this user the right to write to the folder, or set UNDERSTUDY_HOME to another one.",
    )


def held(path: Path, seconds: float) -> StoreError:
    return StoreError(
        f"Another process has held the lock of the store {path} for more than {seconds:.1f} s.",
        remedy=f"Resume or end the suspended one (fuser {shlex.quote(str(path))} names it), then try again.",
    )


def slow(path: Path, seconds: float) -> StoreError:
    return StoreError(
        f"The store {path} has not written for {seconds:.1f} s, and nobody holds its lock.",
        remedy="The disk or the machine is busy: try again, or give the task more time (--deadline).",
    )


def closed(path: Path) -> StoreError:
    return StoreError(f"The store {path} is closed.", remedy="Open it again with Store.open().")


def forked(path: Path) -> StoreError:
    return StoreError(
        f"The store {path} was opened before this process was forked.",
        remedy="Start workers with the spawn method (multiprocessing.set_start_method('spawn')), or fork first.",
    )


def damaged(path: Path, table: str, row: str) -> StoreError:
    """One row, beside which all others are sound."""
    which = f" ({row})" if row else ""
    return StoreError(
        f"A row of the table {table}{which} in the store {path} is damaged; nothing else is affected.",
        remedy=_ROWS.get(table, _ANY_ROW),
    )


def damaged_tables(path: Path, rows: Mapping[str, int]) -> StoreError:
    told = ", ".join(f"{count:,} in {table}" for table, count in rows.items())
    return StoreError(
        f"The store {path} holds damaged rows ({told}); all others are sound.",
        remedy=" ".join(dict.fromkeys(_ROWS.get(table, _ANY_ROW) for table in rows)),
    )


def moved(path: Path, what: str) -> StoreError:
    return StoreError(
        f"{what} of the store {path} was removed or replaced while this process had it open: this was not saved.",
        remedy="End this process and start it again. Move the folder of a store only when nobody uses it.",
    )


def explain(error: sqlite3.Error, path: Path) -> StoreError:
    """The typed error for what SQLite raised. Values bound to a statement are in neither."""
    if isinstance(error, Damaged):
        return damaged(path, error.table, error.row)
    if missing := _MISSING.match(str(error)):
        return broken(path, f"lacks what this version keeps there ({missing.group()})")
    code: int | None = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    if primary in _BROKEN:
        return broken(path, "is damaged, or not a database")
    if primary in _BUSY:
        return StoreError(
            f"Another program holds the lock of the store {path}.",
            remedy="Close whatever has the file open, then try again.",
        )
    # With no room for its shared memory SQLite reports an input/output error.
    if primary == sqlite3.SQLITE_FULL or (primary == sqlite3.SQLITE_IOERR and _no_room(path)):
        return StoreError(
            f"There is no room left for the store {path}: this was not saved, nothing stored before is lost.",
            remedy="Free some space on the disk, then try again.",
        )
    if primary in _UNWRITABLE:
        return unwritable(path, "no permission, or read-only")
    if primary == sqlite3.SQLITE_IOERR:
        return unwritable(path, "the disk reports an error")
    return StoreError(
        f"The store {path} refused an operation ({type(error).__name__}).",
        remedy="Try again; if it stays, check the file with `sqlite3 FILE 'PRAGMA integrity_check'`.",
    )


def _no_room(path: Path) -> bool:
    try:
        found = os.statvfs(path.parent)
    except OSError:
        return False
    return found.f_bavail == 0
