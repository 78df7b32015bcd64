"""Writing on the event loop's own thread, when nobody else is writing: a change of threads would cost more."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from understudy.store import faults
from understudy.store.files import Files
from understudy.store.turnstile import Turnstile

BUSY = object()  # somebody else is writing: take the writer's way


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

    def run(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        """The result of `work`, committed; or BUSY, and nothing has happened. What `work` raises takes it back."""
        if not self._turnstile.try_enter():
            return BUSY
        db = self._db
        try:
            self._files.check()
            db.execute("BEGIN IMMEDIATE")
            try:
                result = work(db)
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")
        except sqlite3.Error as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            if "locked" in str(error) or "busy" in str(error):
                return BUSY
            raise faults.explain(error, self._path) from None
        finally:
            self._turnstile.leave()
        self.turns += 1
        return result

    def close(self) -> None:
        self._db.close()
        self._turnstile.close()

    def forget(self) -> None:
        """In a forked child: the connection is the parent's, the lock files are copies."""
        self._turnstile.close()
