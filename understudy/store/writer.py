"""The one thread of a process that writes: it commits in groups, behind the turnstile between processes."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from understudy.errors import StoreError
from understudy.store import faults
from understudy.store.files import Files
from understudy.store.turnstile import Turnstile

TURN = 0.004  # seconds one process works before it lets the next in; what is left over waits for its next turn
CHECKPOINT = 256  # transactions: some 2-10 MB of log

Work = Callable[[sqlite3.Connection], Any]


class Operation:
    """One unit of work, atomic by itself, and the future of whoever waits for it."""

    __slots__ = ("abandoned", "error", "future", "ran", "result", "undo", "work")

    def __init__(
        self,
        work: Work,
        undo: Callable[[sqlite3.Connection, Any], None] | None = None,
        future: asyncio.Future[Any] | None = None,
    ) -> None:
        self.work, self.undo, self.future = work, undo, future
        self.abandoned = self.ran = False
        self.result: Any = None
        self.error: BaseException | None = None

    def attempt(self, db: sqlite3.Connection) -> bool:
        """Do it without a way back. False: it was refused after it had changed something."""
        before = db.total_changes
        try:
            self.result = self.work(db)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - it is handed to whoever waits
            if db.total_changes != before:
                return False
            self.error = error
        self.ran = True
        return True

    def run(self, db: sqlite3.Connection, path: Path) -> None:
        """Do it, or leave nothing of it."""
        self.error = None
        db.execute("SAVEPOINT operation")
        try:
            self.result = self.work(db)
        except Exception as error:
            if not db.in_transaction:
                raise  # SQLite took the whole transaction back (a full disk does that): the group has failed
            db.execute("ROLLBACK TO operation")
            self.error = faults.explain(error, path) if isinstance(error, sqlite3.Error) else error
        db.execute("RELEASE operation")
        self.ran = True

    def reversal(self) -> Operation:
        """What takes this back if it took effect. Queued after it, so it always finds it decided."""

        def reverse(db: sqlite3.Connection) -> None:
            if self.undo is not None and self.ran and self.error is None:
                self.undo(db, self.result)

        return Operation(reverse)

    @property
    def left(self) -> bool:
        """Whoever waited for it does not any more."""
        return self.future is not None and self.future.cancelled()

    def deliver(self) -> None:
        if self.future is None or self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class Writer:
    """Starts with its thread; `ready` and `ended` tell of it. Submitting is allowed from any thread."""

    def __init__(self, path: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        self.path = path
        self.ready: Future[None] = Future()
        self.ended: Future[None] = Future()
        self.longest_wait = 0.0  # seconds for the lock, since the start
        self.turns = 0
        self.waits = True  # for the lock: until it has it for the first time, too
        self.files = Files(path, None, None)
        self.long_log = False  # others of this process have written: fold the log at the next occasion
        self._connect = connect
        self._queue: queue.SimpleQueue[Operation | None] = queue.SimpleQueue()
        self._pending: deque[Operation] = deque()
        self._door = threading.Lock()  # nothing is queued behind the end
        self._stopping = self._closed = False
        self._turnstile: Turnstile | None = None
        # A daemon: a program that forgets to close may still end. What it had not committed is as after a crash.
        threading.Thread(target=self._live, name="understudy-store", daemon=True).start()

    def submit(self, operation: Operation) -> None:
        with self._door:
            if self._closed:
                raise faults.closed(self.path)
            self._queue.put(operation)

    def stop(self) -> None:
        """Everything submitted so far is still done; `ended` says when."""
        with self._door:
            if not self._closed:
                self._closed = True
                self._queue.put(None)

    async def out(self, seconds: float) -> bool:
        """Wait for the end of it. False: it had no turn for so many seconds, since others hold the lock."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def tell(_: Future[None]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(ended.set)

        self.ended.add_done_callback(tell)
        turns = -1
        while not self.ended.done() and turns != self.turns:
            turns = self.turns
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await ended.wait()
        return self.ended.done()

    def forget(self) -> None:
        """In a forked child: the thread is not here, the lock files are the parent's."""
        self._closed = True
        if self._turnstile is not None:
            self._turnstile.close()

    def _live(self) -> None:
        try:
            self._turnstile = Turnstile(self.path)
            with self._turnstile:
                db = self._connect()
                self.files = Files.at(self.path)
            self.waits = False
        except Exception as error:  # noqa: BLE001 - it is handed to whoever opened or waits
            self._refuse_all(self._named(error))
            return
        self.ready.set_result(None)
        while self._receive():
            self._answer(self._take_turn(db, self._turnstile))
            if self.turns % CHECKPOINT == 0 or self.long_log:
                self.long_log = False
                self._checkpoint(db)
        with self._turnstile:  # the last one out folds the log into the file
            self._leave(db)
        self._turnstile.close()
        self._turnstile = None
        self.ended.set_result(None)

    def _receive(self) -> bool:
        """Move what is queued to the pending; wait if nothing is. False: all is done."""
        while not self._stopping:
            try:
                operation = self._queue.get(block=not self._pending)
            except queue.Empty:
                break
            if operation is None:
                self._stopping = True
            else:
                self._pending.append(operation)
        return bool(self._pending)

    def _take_turn(self, db: sqlite3.Connection, turnstile: Turnstile) -> list[Operation]:
        group: list[Operation] = []
        asked, self.waits = time.perf_counter(), True
        try:
            with turnstile:
                self._check_files(db)
                db.execute("BEGIN IMMEDIATE")
                begun, self.waits = time.perf_counter(), False
                self.longest_wait = max(self.longest_wait, begun - asked)
                self._receive()  # what came while we queued rides along
                while self._pending and time.perf_counter() - begun < TURN:
                    operation = self._pending.popleft()
                    if operation.abandoned:
                        continue
                    group.append(operation)
                    operation.run(db, self.path)
                db.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 - the thread outlives any failure; the callers are told
            self._roll_back(db)
            if not group:
                group.extend(self._pending)
                self._pending.clear()
            for operation in group:
                operation.error = self._named(error)
        self.turns, self.waits = self.turns + 1, False
        return group

    def _check_files(self, db: sqlite3.Connection) -> None:
        try:
            self.files.check()
        except StoreError:
            if self.files.log_is_gone:  # this connection still has it: what was confirmed is folded into the file
                db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            raise

    def _leave(self, db: sqlite3.Connection) -> None:
        """Close, unless the names mean other files by now: SQLite would remove the log by its name, another's log."""
        try:
            self._check_files(db)
        except (StoreError, sqlite3.Error):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(db))
        else:
            db.close()

    def _roll_back(self, db: sqlite3.Connection) -> None:
        with contextlib.suppress(sqlite3.Error):  # gone either way; the first error is the one to tell
            if db.in_transaction:
                db.execute("ROLLBACK")

    def _answer(self, group: list[Operation]) -> None:
        loops: dict[asyncio.AbstractEventLoop, list[Operation]] = {}
        for operation in group:
            if operation.future is not None:
                loops.setdefault(operation.future.get_loop(), []).append(operation)
        for loop, operations in loops.items():
            try:
                loop.call_soon_threadsafe(_deliver, operations)
            except RuntimeError:  # the loop is closed: nobody will ever receive these
                self._pending.extend(o.reversal() for o in operations if o.undo is not None)

    def _checkpoint(self, db: sqlite3.Connection) -> None:
        """Outside the turnstile: a flush of a slow disk keeps this process waiting, not the others."""
        with contextlib.suppress(sqlite3.Error):  # the log only grows; the next write that cannot says why
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def _refuse_all(self, error: StoreError) -> None:
        self.ready.set_exception(error)
        while self._receive():
            group = list(self._pending)
            self._pending.clear()
            for operation in group:
                operation.error = error
            self._answer(group)
        if self._turnstile is not None:
            self._turnstile.close()
            self._turnstile = None
        self.ended.set_result(None)

    def _named(self, error: Exception) -> StoreError:
        if isinstance(error, StoreError):
            return error
        if isinstance(error, sqlite3.Error):
            return faults.explain(error, self.path)
        if isinstance(error, OSError):
            return faults.unwritable(self.path, error.strerror or "the system refuses")
        return StoreError(f"The store {self.path} failed ({type(error).__name__}).", remedy="Report this as a fault.")


def _deliver(operations: list[Operation]) -> None:
    for operation in operations:
        operation.deliver()
