"""What may be written to this terminal: colours, width, and no control codes out of a model's answer."""

from __future__ import annotations

import os
import re
import shutil
import sys
from typing import IO

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")

ERASE = "\r\x1b[2K"  # to the beginning of the line, and nothing on it


def is_lively(stream: IO[str]) -> bool:
    """Whether a line of this stream can be drawn again."""
    return is_terminal(stream) and os.environ.get("TERM", "") not in ("", "dumb")


def is_plain() -> bool:
    """Whether the REPL has to do without a terminal's editing."""
    return not (is_terminal(sys.stdin) and is_lively(sys.stdout))


def harmless(text: str) -> str:
    """Without control codes: an answer cannot move the cursor, change the title, or hide what it says."""
    return _CONTROL.sub("", text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    return harmless(" ".join(text.split()))


def dim(text: str, stream: IO[str]) -> str:
    return f"\x1b[2m{text}\x1b[0m" if is_lively(stream) and "NO_COLOR" not in os.environ else text


def width() -> int:
    return shutil.get_terminal_size((100, 24)).columns


def say(text: str = "", *, end: str = "\n") -> None:
    """One line on stdout, at once."""
    print(text, end=end, flush=True)  # noqa: T201  the terminal is this room's business


def hint(text: str) -> None:
    """One line on stderr: for the reader, never part of the answer."""
    print(dim(text, sys.stderr), file=sys.stderr, flush=True)  # noqa: T201


def is_terminal(stream: IO[str]) -> bool:
    """Whether a person may be looking at this stream."""
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False
