"""The log: JSON lines in home/log/understudy.jsonl. Silent until a program (never a library) configures it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

LARGEST = 5_000_000  # bytes of one file
KEPT = 2  # older files beside it


class Log(Protocol):
    """A bound logger. Events are short names; fields are ids, names, counts and seconds, never texts."""

    def bind(self, **fields: Any) -> Any: ...
    def debug(self, event: str, **fields: Any) -> Any: ...
    def info(self, event: str, **fields: Any) -> Any: ...
    def warning(self, event: str, **fields: Any) -> Any: ...
    def error(self, event: str, **fields: Any) -> Any: ...


class _Silence:
    def bind(self, **_fields: Any) -> _Silence:
        return self

    def debug(self, event: str, **_fields: Any) -> None: ...
    def info(self, event: str, **_fields: Any) -> None: ...
    def warning(self, event: str, **_fields: Any) -> None: ...
    def error(self, event: str, **_fields: Any) -> None: ...


_current: Log = _Silence()


def log(**fields: Any) -> Log:
    """The log with these fields bound to it; one that says nothing when nobody configured it."""
    return _current.bind(**fields) if fields else _current


def log_path(home: Path) -> Path:
    return home / "log" / "understudy.jsonl"


def configure(home: Path, level: str = "info", *, largest: int = LARGEST) -> Path:
    """Write events of this level and above below home; returns the file. Levels: debug, info, warning, error.

    A folder that cannot be written makes the log silent, never the program fail.
    """
    import structlog

    from understudy.telemetry.redact import redact

    global _current  # noqa: PLW0603  one log per process, set by its entry point
    path = log_path(home)
    _current = structlog.wrap_logger(
        _File(path, largest),
        processors=[
            structlog.processors.add_log_level,
            redact,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        pid=os.getpid(),
    )
    return path


_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def silence() -> None:
    """Undo configure()."""
    global _current  # noqa: PLW0603
    _current = _Silence()


def frames(trace: TracebackType | None) -> list[str]:
    """Where it happened: file, line and function of each frame; no values, no messages, no source."""
    found: list[str] = []
    while trace is not None:
        code = trace.tb_frame.f_code
        found.append(f"{'/'.join(Path(code.co_filename).parts[-3:])}:{trace.tb_lineno} {code.co_name}"[-150:])
        trace = trace.tb_next
    return found[-40:]


def chain(error: BaseException) -> list[str]:
    """The classes of an exception and its causes, members of groups too. Their messages may hold texts and stay out."""
    names: list[str] = []
    waiting: list[BaseException | None] = [error]
    seen: set[int] = set()
    while waiting and len(names) < 20:
        one = waiting.pop(0)
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        names.append(type(one).__name__)
        if isinstance(one, BaseExceptionGroup):
            waiting += one.exceptions  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        waiting += [one.__cause__, one.__context__]
    return names


class _File:
    """Appends whole lines. Opened for every line: so it survives rotation by another process, and forks."""

    def __init__(self, path: Path, largest: int) -> None:
        self._path = path
        self._largest = largest

    def msg(self, line: str) -> None:
        data = line.encode("utf-8", "replace") + b"\n"
        with contextlib.suppress(OSError):
            with self._open() as file:
                if os.fstat(file).st_size + len(data) <= self._largest:
                    os.write(file, data)
                    return
                self._rotate(file)
            with _opened(self._path) as file:
                os.write(file, data)

    def _open(self) -> AbstractContextManager[int]:
        """The folders are made where they are missing, which is once."""
        if not self._path.parent.is_dir():
            for folder in (self._path.parent.parent, self._path.parent):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return _opened(self._path)

    debug = info = warning = error = critical = msg

    def _rotate(self, file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return  # another process was first, and has not begun the new one yet
        if (there.st_dev, there.st_ino) != (os.fstat(file).st_dev, os.fstat(file).st_ino):
            return  # another process was first
        for number in range(KEPT - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                os.replace(f"{self._path}.{number}", f"{self._path}.{number + 1}")
        os.replace(self._path, f"{self._path}.1")


@contextmanager
def _opened(path: Path) -> Generator[int]:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(path, flags, 0o600)
    try:
        yield file
    finally:
        os.close(file)
