"""What was done with a key: a line of JSON for each use, in a file for each day. Never a text, never a key.

A line is handed over in memory and written by a thread, so that nobody waits for a disk. close(), or the end of the
program, writes what is left.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import groupby
from pathlib import Path

import msgspec

from understudy.telemetry.log import log
from understudy.telemetry.redact import masked
from understudy.types import Clock

MOST = 100_000  # lines that wait while a disk is full; more are lost, and the log says how many
BATCH = 1000  # lines of one write
TOGETHER = 0.05  # seconds in which lines gather: a thread that wakes for each takes the interpreter from the others
AGAIN = 1.0  # seconds until a disk that took nothing is tried again


@dataclass(frozen=True, slots=True)
class Use:
    """One request. what is its path; status what was answered; tokens those of all attempts."""

    key: str  # its name; empty for one that is not known
    id: str
    what: str
    status: int
    reply: str | None = None
    candidate: str | None = None
    tokens: int = 0
    seconds: float = 0.0


_encode = msgspec.json.Encoder().encode
_known = lru_cache(maxsize=1024)(masked)  # of what comes again and again


@lru_cache(maxsize=8)
def _moment(second: int) -> tuple[str, str]:
    """Its day, and itself."""
    at = datetime.fromtimestamp(second, UTC)
    return f"{at:%Y-%m-%d}", f"{at:%Y-%m-%dT%H:%M:%S}"


class Audit:
    """One per process; several write to the same file, each line whole. `note` from any thread."""

    def __init__(self, home: Path, clock: Clock) -> None:
        self._folder = home / "audit"
        self._clock = clock
        self._lines: deque[tuple[str, bytes]] = deque()  # (day, line)
        self._lost = 0
        self._more = threading.Event()
        self._closing = threading.Event()
        self._writer: threading.Thread | None = None
        self._lock = threading.Lock()
        self._torn = False  # what was written last ends within a line

    def note(self, use: Use) -> None:
        """Costs no more than making the line. Raises nothing."""
        if len(self._lines) >= MOST:
            self._lost += 1
            return
        now = self._clock.now()
        day, second = _moment(int(now))
        told = {
            "time": f"{second}.{int(now % 1 * 1000):03}Z",
            "key": use.key,
            "id": use.id,
            "what": _known(use.what.partition("?")[0]),  # a query may hold anything
            "status": use.status,
            "reply": use.reply and masked(use.reply),
            "candidate": use.candidate and _known(use.candidate),
            "tokens": use.tokens,
            "seconds": round(use.seconds, 4),
        }
        self._lines.append((day, _encode(told) + b"\n"))
        if self._closing.is_set():
            self._flush()
            return
        if self._writer is None:
            self._start()
        self._more.set()

    def close(self) -> None:
        """Write what is left. A later note is written at once, and waited for."""
        self._closing.set()
        self._more.set()
        if self._writer is not None:
            self._writer.join()
        atexit.unregister(self.close)

    def _start(self) -> None:
        with self._lock:
            if self._writer is None:
                self._writer = threading.Thread(target=self._write, name="understudy-audit", daemon=True)
                self._writer.start()
                atexit.register(self.close)

    def _write(self) -> None:
        while True:
            self._more.wait()
            self._more.clear()
            last = self._closing.is_set()
            if not self._flush() and not last:
                self._closing.wait(AGAIN)
                self._more.set()
            if last:
                return
            self._closing.wait(TOGETHER)

    def _flush(self) -> bool:
        """Whether all that waited was written."""
        with self._lock:
            while self._lines:
                batch = [self._lines[n] for n in range(min(len(self._lines), BATCH))]
                for day, lines in groupby(batch, key=lambda line: line[0]):
                    if not self._append(day, [line for _, line in lines]):
                        return False
        return True

    def _append(self, day: str, lines: list[bytes]) -> bool:
        """Whether all of them were written. A line that was torn by a full disk is written again below."""
        torn = b"\n" if self._torn else b""
        data, written = torn + b"".join(lines), 0
        try:
            written = self._put(self._folder / f"{day}.jsonl", data)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else type(error).__name__
            log().warning("audit_not_written", why=why, waiting=len(self._lines), lost=self._lost)
        if not written:
            return False
        whole = data[:written].count(b"\n") - len(torn)
        self._torn = not data[:written].endswith(b"\n")
        for _ in range(whole):
            self._lines.popleft()
        return whole == len(lines)

    def _put(self, path: Path, data: bytes) -> int:
        """How many bytes there was room for. In one write: lines of other processes stand before or after these."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            return os.write(file, data)
        finally:
            os.close(file)
