"""A fair lock between processes: whoever has just had it queues behind those who wait.

SQLite's own busy handler is a lottery: with four processes writing for 4 ms each somebody waited 6.1 s, and two of
the four had one turn in six seconds. One flock ends the starving but lets the last holder barge in again (72 ms at
the worst); two in a row do not (48 ms, equal shares). The kernel frees both when a process dies, however it dies.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType


class Turnstile:
    """A context manager for one thread. It orders; that only one writes is still SQLite's own promise."""

    def __init__(self, path: Path) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._queue = os.open(path.with_name(path.name + ".queue"), flags, 0o600)
        try:
            self._turn = os.open(path.with_name(path.name + ".turn"), flags, 0o600)
        except OSError:
            os.close(self._queue)
            raise

    def __enter__(self) -> Turnstile:
        fcntl.flock(self._queue, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._turn, fcntl.LOCK_EX)
        finally:
            fcntl.flock(self._queue, fcntl.LOCK_UN)
        return self

    def try_enter(self) -> bool:
        """Enter if nobody is inside or waits. True: call leave()."""
        try:
            fcntl.flock(self._queue, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        try:
            fcntl.flock(self._turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            fcntl.flock(self._queue, fcntl.LOCK_UN)
        return True

    def leave(self) -> None:
        fcntl.flock(self._turn, fcntl.LOCK_UN)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    def close(self) -> None:
        """Give the files back. In a forked child this leaves the parent's lock as it is."""
        for descriptor in (self._queue, self._turn):
            os.close(descriptor)
