"""One SQLite file, used by many tasks of many processes at once.

Writes of a process are committed together by its writer thread; reads run beside them on a connection of their own.
Write-ahead log and synchronous=NORMAL: `kill -9` loses nothing that was confirmed, a power cut may lose the last
commits, which the leases of the ledger cover.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar, TypeVar

from understudy.errors import StoreError
from understudy.store import faults
from understudy.store.inline import Inline
from understudy.store.migrations import STEPS, migrate
from understudy.store.patience import left
from understudy.store.rows import as_text
from understudy.store.soundness import damaged_rows
from understudy.store.writer import CHECKPOINT, Operation, Writer
from understudy.telemetry.log import log

T = TypeVar("T")
SMALLEST = 512  # bytes: SQLite's smallest page
PATIENCE = 30.0  # seconds; the turnstile lets each process wait for milliseconds, so this is somebody suspended
LEAVING = 1.0  # seconds without a turn after which a store that is closed is left to its thread


class Database:
    """Open with `await Database.open(path)`; `write` and `read` take functions of a connection.

    Every method raises StoreError with a remedy. A process that was spawned opens its own. One forked while a database
    was open can use none: SQLite remembers its locks by process and would believe the child had the parent's.
    """

    _forked: ClassVar[bool] = False  # true of this process as a whole, not of one file

    def __init__(self, path: Path, *, patience: float = PATIENCE, schema: int = len(STEPS)) -> None:
        self.path = path
        self.patience = patience
        self._schema = schema
        self._closed = False
        self._writer: Writer | None = None
        self._readers: ThreadPoolExecutor | None = None
        self._connections: list[sqlite3.Connection] = []
        self._reading: sqlite3.Connection | None = None  # belongs to the readers' thread
        self._glancing: tuple[int, sqlite3.Connection] | None = None  # and this one to the thread of that id
        self._inline: Inline | None = None
        self._together: list[Operation] = []  # asked for in this moment, and not begun
        this = weakref.ref(self)
        os.register_at_fork(after_in_child=lambda: _forget(this()))

    @classmethod
    async def open(cls, path: Path, *, patience: float = PATIENCE, schema: int = len(STEPS)) -> Database:
        """Create the file (0600, its folder 0700) or bring it up to date. Never changes a file it does not know."""
        _make_folder(path)
        database = cls(path, patience=patience, schema=schema)
        writer = database._start()
        seconds = left(patience)
        try:
            async with asyncio.timeout(seconds):
                await asyncio.shield(asyncio.wrap_future(writer.ready))
        except TimeoutError:
            writer.stop()
            raise (faults.held if writer.waits else faults.slow)(path, seconds) from None
        except BaseException:
            writer.stop()
            raise
        return database

    @property
    def longest_wait(self) -> float:
        """Seconds this process waited at the most for its turn to write."""
        return self._writer.longest_wait if self._writer else 0.0

    async def write(
        self,
        work: Callable[[sqlite3.Connection], T],
        *,
        undo: Callable[[sqlite3.Connection, T], None] | None = None,
    ) -> T:
        """Run `work` in a transaction of its own: all of it or nothing, also beside others that fail.

        A caller that is cancelled, or runs out of patience or of its task's time (patience.py), before it has the
        result: without `undo` the work is done all the same; with `undo` it is not done, or taken back. Either way it
        is done at most once.
        """
        writer = self._start()
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        operation = Operation(work, undo, future)
        writer.submit(operation)
        received = False
        seconds = left(self.patience)
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                result = await future
            received = True
            return result
        except TimeoutError:
            if not limit.expired():
                raise
            raise (faults.held if writer.waits else faults.slow)(self.path, seconds) from None
        finally:
            if not received and undo is not None and operation.error is None:
                operation.abandoned = True
                _take_back(writer, operation)

    async def promptly(
        self,
        work: Callable[[sqlite3.Connection], T],
        *,
        undo: Callable[[sqlite3.Connection, T], None] | None = None,
    ) -> T:
        """As write(), but on this thread when nobody else is writing: for a few rows, which keep others for no time.

        What tasks of this loop ask for in the same moment goes in one turn: under load most of a turn is its beginning
        and its end.
        """
        writer = self._start()
        if self._inline is None and writer.ready.done() and writer.ready.exception() is None:
            with contextlib.suppress(OSError, sqlite3.Error):  # the writer's way tells what is wrong
                self._inline = Inline(self.path, self._connect, writer.files)
        if self._inline is None or self._inline.thread != threading.get_ident():
            return await self.write(work, undo=undo)
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        operation = Operation(work, undo, future)
        self._together.append(operation)
        if len(self._together) == 1:
            future.get_loop().call_soon(self._take_turn)
        received = False
        try:
            await future
            received = True
        finally:
            if not received and undo is not None and operation.error is None:
                operation.abandoned = True
                _take_back(writer, operation)
        if not operation.ran and operation.error is None:  # others are writing
            return await self.write(work, undo=undo)
        return operation.result

    def _take_turn(self) -> None:
        """What was asked for in this moment. Where others are writing, each goes the writer's way."""
        operations, self._together = [o for o in self._together if not o.abandoned], []
        inline, writer = self._inline, self._writer
        ran = inline is not None and bool(operations) and inline.run(operations)
        if ran and inline is not None and writer is not None and inline.turns % CHECKPOINT == 0:
            writer.long_log = True
            with contextlib.suppress(StoreError):
                writer.submit(Operation(lambda _: None))
        for operation in operations:
            if not ran and writer is not None and operation.left and operation.undo is None:
                with contextlib.suppress(StoreError):
                    writer.submit(operation)  # nobody waits for it any more, and it is done all the same
            else:
                operation.deliver()

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` on one consistent snapshot: what this process has written is in it."""
        self._start()
        assert self._readers is not None  # noqa: S101 - _start has just made it
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._snapshot, work)

    def glance(self, work: Callable[[sqlite3.Connection], T], *, whole: bool = True) -> T:
        """Run `work` here and now: for a look-up of a few rows, which costs less than a change of threads.

        A reader never waits for a writer, so the event loop does not either. The same snapshot as read() gives; not
        whole: each statement of it sees a snapshot of its own.
        """
        self._start()
        try:
            if self._glancing is None or self._glancing[0] != threading.get_ident():
                db = self._connect()
                db.execute("PRAGMA query_only = ON")
                self._glancing = (threading.get_ident(), db)
            db = self._glancing[1]
            if not whole:
                return work(db)
            db.execute("BEGIN")
            try:
                return work(db)
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise faults.explain(error, self.path) from None

    async def check(self) -> str:
        """Look at every page. One line for the doctor, or StoreError when the file is damaged."""
        found = await self.read(lambda db: str(db.execute("PRAGMA quick_check(1)").fetchone()[0]))
        if found != "ok":
            raise faults.broken(self.path, "is damaged")
        if rows := await self.read(damaged_rows):
            raise faults.damaged_tables(self.path, rows)
        return f"{self.path}: sound, {self.path.stat().st_size / 1e6:.1f} MB"

    async def close(self) -> None:
        """Do what was asked so far, then close. A second call waits for the first.

        While others hold the lock nothing can be done: then it is left to the writer's thread, as long as the process
        lives, and what was reserved is charged after its lease.
        """
        self._closed = True
        if self._glancing is not None and self._glancing[0] == threading.get_ident():
            self._glancing[1].close()
            self._glancing = None
        if self._inline is not None and self._inline.thread == threading.get_ident():
            self._inline.close()
            self._inline = None
        if self._readers is not None:
            readers, self._readers = self._readers, None
            done = readers.submit(self._close_readers)
            readers.shutdown(wait=False)
            await asyncio.shield(asyncio.wrap_future(done))  # the writer is the last out: it empties the log
        if self._writer is not None:
            self._writer.stop()
            if not await self._writer.out(LEAVING):
                log().warning("store_left_locked", path=str(self.path))

    def _start(self) -> Writer:
        if self._forked:
            raise faults.forked(self.path)
        if self._closed:
            raise faults.closed(self.path)
        if self._writer is None:
            self._writer = Writer(self.path, self._connect_writer)
        if self._readers is None:
            self._readers = ThreadPoolExecutor(1, thread_name_prefix="understudy-store-read")
        return self._writer

    def _connect_writer(self) -> sqlite3.Connection:
        if self.path.exists() and 0 < self.path.stat().st_size < SMALLEST:
            raise faults.broken(self.path, "is not a database")  # SQLite would take it for an empty one
        # Closing any other descriptor of a database drops this process's locks on it: create, never just open.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        db = self._connect()
        try:
            migrate(db, self.path, upto=self._schema)  # refuses a file that is not ours before anything of it changes
            os.chmod(self.path, 0o600)  # its mode neither: the name may be a link to somebody else's file
            if db.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
                raise faults.unwritable(self.path, "its file system allows no write-ahead log")
            db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()  # the log is there from the first look on
            db.execute("PRAGMA synchronous = NORMAL")
            db.execute("PRAGMA wal_autocheckpoint = 0")  # the writer does it, outside the turnstile
            db.execute("PRAGMA secure_delete = ON")  # a deleted conversation is overwritten, not just unlinked
        except BaseException:
            db.close()
            raise
        return db

    def _connect(self) -> sqlite3.Connection:
        db = sqlite3.connect(self.path, timeout=self.patience, isolation_level=None, cached_statements=256)
        db.text_factory = as_text
        self._connections.append(db)
        return db

    def _snapshot(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            db = self._reader()
            db.execute("BEGIN")
            try:
                return work(db)
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise faults.explain(error, self.path) from None

    def _reader(self) -> sqlite3.Connection:
        if self._reading is None:
            self._reading = self._connect()
            self._reading.execute("PRAGMA query_only = ON")
        return self._reading

    def _close_readers(self) -> None:
        if self._reading is not None:
            self._reading.close()
            self._reading = None

    def leave_to_parent(self) -> None:
        """Called in a forked child: SQLite forbids even closing a connection there, so they are kept for ever."""
        if self._writer is None or self._writer.ended.done():
            return
        for connection in self._connections:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))
        self._writer.forget()
        if self._inline is not None:
            self._inline.forget()
            self._inline = None
        self._writer = self._readers = None
        Database._forked = True


def _make_folder(path: Path) -> None:
    """The folder, and those above it where they are missing, for this user alone."""
    try:
        missing = [folder for folder in path.parents if not folder.exists()]
        for folder in reversed(missing):  # one by one: parents=True would give those above the usual mode
            folder.mkdir(mode=0o700, exist_ok=True)
        path.parent.chmod(0o700)
    except OSError as error:
        raise faults.unwritable(path, error.strerror or "the system refuses") from None


def _forget(database: Database | None) -> None:
    if database is not None:
        database.leave_to_parent()


def _take_back(writer: Writer, operation: Operation) -> None:
    with contextlib.suppress(StoreError):  # closed meanwhile: what was reserved is charged after its lease
        writer.submit(operation.reversal())
