"""The text files a task is given. Wrong ones are named with what is wrong."""

from __future__ import annotations

import os
import select
import stat
import time
from pathlib import Path

from understudy.config.plain import TooLarge, read_plain
from understudy.errors import UsageError

LARGEST = 4_000_000  # bytes of one text: a million tokens, the largest context there is
PATIENCE = 5.0  # seconds for somebody to open a pipe for writing


def read_text_file(path: str, *, pipes: bool = True) -> str:
    """UTF-8 text of at most LARGEST bytes, from a file or, if pipes says so, a pipe. Raises UsageError.

    A pipe is waited for as long as somebody has it open for writing: in a thread, which a signal leaves behind.
    """
    try:
        file = Path(path).expanduser()
        mode = file.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UsageError(f"{path} is a folder.", remedy="Name the files in it one by one.")
        if not (stat.S_ISREG(mode) or (pipes and stat.S_ISFIFO(mode))):
            raise UsageError(f"{path} is no file.", remedy=f"Give a file{' or a pipe' if pipes else ''}.")
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
    return decoded(data, path)


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


def _too_large(name: str) -> UsageError:
    return UsageError(f"{name} is larger than {LARGEST // 1_000_000} MB.", remedy="Give a part of it.")


def decoded(data: bytes, name: str) -> str:
    """Raises UsageError for what is too large or no UTF-8 text."""
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
