"""The console script: arguments in, exit code out, and every way a command can end."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Any, cast

REPL_OPTIONS = ("--config", "--session")


def main() -> None:
    _forbid_core_files()
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """The exit code of a command line: 0, 1 (a bug, or doctor's no), 2, 3, 4, 5, 130; see errors.py."""
    from understudy.cli import ending

    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    try:
        ending.prepare_streams()
        code = _dispatch(arguments)
        sys.stdout.flush()
        return code
    except BaseException as error:  # noqa: BLE001  the last place where anything can be caught
        return ending.end(error, as_json="--json" in options, events="--stream" in options)


def _forbid_core_files() -> None:
    """One would hold keys and private texts; this holds for the programs we start as well."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _dispatch(arguments: Sequence[str]) -> int:
    chosen = repl_options(arguments)
    if chosen is not None:  # the REPL's prompt does not wait for the command parser
        from understudy.cli.repl import start

        return start(chosen.get("--config"), chosen.get("--session"))
    if list(arguments) == ["--version"]:
        import understudy
        from understudy.cli.terminal import say

        say(f"understudy {understudy.__version__}")
        return 0
    from understudy.cli.app import app

    # typer's default shows its own traceback and ends the program; here errors are told in one place.
    work: Any = app(args=list(arguments), prog_name="understudy", standalone_mode=False)
    return cast(int, work() if callable(work) else work or 0)


def repl_options(arguments: Sequence[str]) -> dict[str, str] | None:
    """The options of the REPL, or None when the command line is anything else (help and mistakes too)."""
    chosen: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        name, given, value = rest.pop(0).partition("=")
        if name not in REPL_OPTIONS or name in chosen:
            return None
        if not given:
            if not rest:
                return None
            value = rest.pop(0)
        if not value or value.startswith("-"):
            return None
        chosen[name] = value
    return chosen
