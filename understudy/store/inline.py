"""Writing on the event loop's own thread, when nobody else is writing: a change of threads would cost more."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from understudy.errors import StoreError
from understudy.store import faults
from understudy.store.files import Files
from understudy.store.turnstile import Turnstile
from understudy.store.writer import Operation


class Inline:
    """For one thread; made on first use, when the writer has the database ready."""

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection], files: Files) -> None:
        self.thread = threading.get_ident()
        self.turns = 0
        self._path, self._files = path, files
        self._turnstile = Turnstile(path)
        try:
            self._db = connect()
            self._db.execute("PRAGMA busy_timeout = 0")
            self._db.execute("PRAGMA synchronous = NORMAL")
            self._db.execute("PRAGMA wal_autocheckpoint = 0")
        except BaseException:
            self._turnstile.close()
            raise

    def run(self, operations: Sequence[Operation]) -> bool:
        """All of them in one turn, each atomic by itself. False: somebody else is writing, and nothing has happened.

        What becomes of each is in it, as after a turn of the writer's.
        """
        if not self._turnstile.try_enter():
            return False
        db = self._db
        try:
            self._files.check()
            self._do(operations)
        except (sqlite3.Error, StoreError) as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error) and ("locked" in str(error) or "busy" in str(error)):
                return False
            told = faults.explain(error, self._path) if isinstance(error, sqlite3.Error) else error
            for operation in operations:
                operation.error = told
        finally:
            self._turnstile.leave()
        self.turns += 1
        return True

    def _do(self, operations: Sequence[Operation]) -> None:
        """Nearly all end well, or are refused before they change anything: a way back for each would cost a third."""
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        with contextlib.suppress(sqlite3.Error):  # which of them it was, the second time says
            if all(operation.attempt(db) for operation in operations):
                db.execute("COMMIT")
                return
        if db.in_transaction:
            db.execute("ROLLBACK")
        db.execute("BEGIN IMMEDIATE")
        for operation in operations:
            operation.run(db, self._path)
        db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()
        self._turnstile.close()

    def forget(self) -> None:
        """In a forked child: the connection is the parent's, the lock files are copies."""
        self._turnstile.close()
