"""What SQLite and the file system say, in the words of the error tree."""

from __future__ import annotations

import os
import shlex
import sqlite3
from pathlib import Path

from understudy.errors import StoreError

_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_UNWRITABLE = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH, sqlite3.SQLITE_CANTOPEN}


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
        f"Another process has held the store {path} for more than {seconds:g} s.",
        remedy=f"Resume or end the suspended one (fuser {shlex.quote(str(path))} names it), then try again.",
    )


def closed(path: Path) -> StoreError:
    return StoreError(f"The store {path} is closed.", remedy="Open it again with Store.open().")


def forked(path: Path) -> StoreError:
    return StoreError(
        f"The store {path} was opened before this process was forked.",
        remedy="Start workers with the spawn method (multiprocessing.set_start_method('spawn')), or fork first.",
    )


def explain(error: sqlite3.Error, path: Path) -> StoreError:
    """The typed error for what SQLite raised. Values bound to a statement are in neither."""
    code: int | None = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if code is not None else None
    if primary in _BROKEN:
        return broken(path, "is damaged, or not a database")
    if primary in _BUSY:
        return StoreError(
            f"Another program holds the store {path}.", remedy="Close whatever has the file open, then try again."
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
