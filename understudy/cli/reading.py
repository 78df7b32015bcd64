"""What a task is given: its text, its files, its schema. Wrong ones are named with what is wrong."""

from __future__ import annotations

import json
import os
import select
import stat
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

from understudy.config.plain import TooLarge, read_plain
from understudy.errors import UsageError
from understudy.types import Attachment

LARGEST = 4_000_000  # bytes of one text: a million tokens, the largest context there is
PATIENCE = 5.0  # seconds for somebody to open a pipe for writing


def read_task_text(words: Sequence[str]) -> str:
    """The words of the command line; a single "-" is standard input. Raises UsageError."""
    if list(words) == ["-"]:
        return _read_stdin()
    text = " ".join(words)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError("The task is not UTF-8 text.", remedy="Convert it, or give it as a file.") from None
    return text


def read_attachment(path: str) -> Attachment:
    """A file with its path as it was written. Raises UsageError."""
    return Attachment(path, read_text_file(path))


def read_schema(path: str) -> Mapping[str, Any]:
    """A JSON schema: an object. Raises UsageError naming the file and the position."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(f"{constant} is not JSON")

    try:
        value = json.loads(read_text_file(path), parse_constant=refuse)
    except json.JSONDecodeError as error:
        raise UsageError(
            f"The schema {path} is not JSON: {error.msg} at line {error.lineno}, column {error.colno}.",
            remedy="Mend that place.",
        ) from None
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, ValueError) else "nested too deeply"
        raise UsageError(f"The schema {path} is not JSON: {why}.", remedy="Mend it.") from None
    if not isinstance(value, dict):
        kind = {list: "a list", str: "a string", bool: "true or false"}.get(type(value), "no object")  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        raise UsageError(
            f"The schema {path} holds {kind} at line 1, column 1; a JSON schema is an object.",
            remedy='Write one such as {"type": "object", ...}.',
        )
    return cast(Mapping[str, Any], value)


def read_text_file(path: str) -> str:
    """UTF-8 text of at most LARGEST bytes, from a file or a pipe. Raises UsageError.

    A pipe is waited for as long as somebody has it open for writing: in a thread, which a signal leaves behind.
    """
    try:
        file = Path(path).expanduser()
        mode = file.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UsageError(f"{path} is a folder.", remedy="Name the files in it one by one.")
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise UsageError(f"{path} is no file.", remedy="Give a file or a pipe.")
        data = _piped(file) if stat.S_ISFIFO(mode) else read_plain(file, LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"There is no file {path}.", remedy="Check its name.") from None
    except PermissionError:
        raise UsageError(f"{path} may not be read.", remedy="Change its permissions, or give another.") from None
    except TooLarge:
        raise _too_large(path) from None
    except (OSError, ValueError, RuntimeError) as error:
        own = error.args[0] if isinstance(error, OSError) and error.args else "not a path"
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else own
        raise UsageError(f"{path[:200]!r} cannot be read ({why}).", remedy="Give another file.") from None
    return _decoded(data, path)


def _piped(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0):
        data, met = bytearray(), False  # met: somebody writes, or has written
        waiting = select.poll()
        waiting.register(descriptor, select.POLLIN)
        latest = time.monotonic() + PATIENCE
        while len(data) <= LARGEST:
            ended = any(event & select.POLLHUP for _, event in waiting.poll(200))
            try:
                piece = os.read(descriptor, 65_536)
            except BlockingIOError:
                met = True
                continue
            data += piece
            met = met or bool(piece)
            if not piece and (met or ended):
                break
            if not piece and time.monotonic() > latest:
                raise OSError(f"it is a pipe that nobody has written into for {PATIENCE:g} s")
        return bytes(data)


def _read_stdin() -> str:
    if sys.stdin is None or sys.stdin.closed:  # pyright: ignore[reportUnnecessaryComparison]
        raise UsageError("There is no standard input.", remedy="Give the task as text.")
    if sys.stdin.isatty():
        from understudy.cli.terminal import hint

        hint("Write the task; Ctrl-D on a line of its own ends it.")
    text = _decoded(_drained(sys.stdin.fileno()), "standard input")
    if not text.strip():
        raise UsageError("Standard input is empty.", remedy="Pipe the task into it, or give it as text.")
    return text


def _drained(descriptor: int) -> bytes:
    """Raw reads: the interpreter cannot end while a thread holds the lock of sys.stdin."""
    data = bytearray()
    try:
        while len(data) <= LARGEST and (piece := os.read(descriptor, 65_536)):
            data += piece
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise UsageError(f"Standard input cannot be read ({why}).", remedy="Give the task as text.") from None
    return bytes(data)


def _too_large(name: str) -> UsageError:
    return UsageError(f"{name} is larger than {LARGEST // 1_000_000} MB.", remedy="Give a part of it.")


def _decoded(data: bytes, name: str) -> str:
    if len(data) > LARGEST:
        raise _too_large(name)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise UsageError(f"{name} is UTF-16 text.", remedy="Save it as UTF-8.")
    if b"\x00" in data:
        raise UsageError(f"{name} is a binary file.", remedy="Give text.")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"{name} is not UTF-8 text (byte {error.start:,}).", remedy="Save it as UTF-8.") from None
