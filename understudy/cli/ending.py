"""How a command ends: plain lines on stderr, one JSON object on stdout where asked for, and the exit code."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Mapping
from typing import Any, cast

from understudy.errors import NoCandidate, UnderstudyError

BUG, USAGE, INTERRUPTED, PIPE = 1, 2, 130, 141


class Terminated(BaseException):
    """SIGTERM or SIGHUP: everything was closed in order. The exit code is 128 + the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def prepare_streams() -> None:
    """A character the terminal's encoding lacks is replaced, not an error; warnings of libraries are not shown."""
    import warnings

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    if not sys.warnoptions:
        warnings.simplefilter("ignore")


def end(error: BaseException, *, as_json: bool = False, events: bool = False) -> int:
    """Tell the error and return its exit code. events: the JSON object is an event of a stream."""
    error = _the_one(error)
    if isinstance(error, BrokenPipeError):
        return _end_quietly()
    try:
        code, lines, told = _tell(error)
        if as_json and told is not None:
            print(json.dumps({"event": "error", **told} if events else told), flush=True)  # noqa: T201
        for line in lines:
            print(line, file=sys.stderr, flush=True)  # noqa: T201
    except BrokenPipeError:
        return _end_quietly()
    except OSError:
        code = USAGE  # neither stream takes a word: there is nobody to tell
    return code


def _tell(error: BaseException) -> tuple[int, list[str], Mapping[str, Any] | None]:
    if isinstance(error, UnderstudyError):
        return error.exit_code, lines_of(error), failure(error)
    if isinstance(error, SystemExit):
        return (error.code if isinstance(error.code, int) else BUG if error.code else 0), [], None
    if isinstance(error, Terminated):
        return error.exit_code, [], _plain("Terminated", "The program was told to end.", error.exit_code)
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ in ("Abort", "CancelledError"):
        return INTERRUPTED, ["interrupted"], _plain("Interrupted", "The task was interrupted.", INTERRUPTED)
    if hasattr(error, "format_message"):  # the parser's own: a wrong option or value
        return _tell_usage(error)
    if hasattr(error, "exit_code"):  # the parser's Exit
        return int(getattr(error, "exit_code", 0)), [], None
    if isinstance(error, OSError) and error.filename is None and error.errno is not None:
        message = f"The output cannot be written ({os.strerror(error.errno)})."
        _note(error)
        _drop_output()
        return USAGE, [f"understudy: {message}"], None
    where = _note(error)
    name = type(error).__name__
    lines = [f"understudy: this is a bug in understudy ({name}).", f"The details are in {where}; please report them."]
    return BUG, lines, _plain(name, "This is a bug in understudy.", BUG, remedy=f"The details are in {where}.")


def lines_of(error: UnderstudyError) -> list[str]:
    """An error as a line or two, and where more of it is told."""
    from understudy.cli.terminal import one_line

    lines = [f"understudy: {one_line(error.message)}", *([one_line(error.remedy)] if error.remedy else [])]
    if error.reply_id is not None and isinstance(error, NoCandidate) and any(a.error for a in error.attempts):
        lines.append(f"understudy explain {error.reply_id} shows what the servers said.")
    return lines


def failure(error: UnderstudyError) -> dict[str, Any]:
    """The JSON object of a task without a reply."""
    from understudy.director.provenance import failure_to_dict

    return failure_to_dict(error)


def _plain(kind: str, message: str, code: int, *, remedy: str = "") -> dict[str, Any]:
    error = {"type": kind, "message": message, "remedy": remedy, "exit_code": code}
    return {"id": None, "text": None, "error": error, "attempts": [], "skipped": [], "validators": []}


def _tell_usage(error: BaseException) -> tuple[int, list[str], Mapping[str, Any]]:
    message = " ".join(str(error.format_message()).split())  # type: ignore[attr-defined]
    context: Any = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "understudy"
    remedy = f"{path} --help lists what there is."
    return USAGE, [f"understudy: {message}", remedy], _plain("UsageError", message, USAGE, remedy=remedy)


def _the_one(error: BaseException) -> BaseException:
    """The error inside a group, when the group says nothing more than it does."""
    while isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        wanted = (UnderstudyError, KeyboardInterrupt, BaseExceptionGroup)
        ours: list[BaseException] = [e for e in group.exceptions if isinstance(e, wanted)]
        if not ours:
            return group
        error = ours[0]
    return error


def _note(error: BaseException) -> str:
    """Write what happened and where into the log, and return the file."""
    from understudy.config.places import home
    from understudy.telemetry import log as logs

    path = "no log"  # nothing is there to write into when even the home cannot be named
    with contextlib.suppress(Exception):
        path = str(logs.configure(home(), "info"))
        logs.log().error("bug", classes=logs.chain(error), where=logs.frames(error.__traceback__))
    return path


def _end_quietly() -> int:
    """The reader went away (a closed pipe)."""
    _drop_output()
    return PIPE


def _drop_output() -> None:
    """Nothing more is written, not even by the interpreter's own flush at the end, which would change the exit code."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
