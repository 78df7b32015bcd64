"""What a task is given on the command line: its text, its files, its schema. Wrong ones are named."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, cast

from understudy.config.reading import LARGEST, decoded, read_text_file
from understudy.errors import UsageError
from understudy.types import Attachment


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


def _read_stdin() -> str:
    if sys.stdin is None or sys.stdin.closed:  # pyright: ignore[reportUnnecessaryComparison]
        raise UsageError("There is no standard input.", remedy="Give the task as text.")
    if sys.stdin.isatty():
        from understudy.cli.terminal import hint

        hint("Write the task; Ctrl-D on a line of its own ends it.")
    text = decoded(_drained(sys.stdin.fileno()), "standard input")
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
