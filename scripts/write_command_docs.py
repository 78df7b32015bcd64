"""Write docs/commands.md from the help texts themselves; --check says whether it is up to date."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "commands.md"
HEAD = """\
# Commands

Written from the help texts by `scripts/write_command_docs.py`; change those, not this page.

Exit codes: 0 answered; 1 a bug, or `doctor` says that tasks cannot be answered; 2 usage or configuration; 3 no
candidate could answer (with when to try again); 4 budget refused; 5 validation failed everywhere; 130 interrupted.
With `--json` an error is one JSON object on standard output too.
"""


def every(command: Any, *names: str) -> Iterator[tuple[str, ...]]:
    """The words of a command and of all below it, in the order of its help."""
    yield names
    for name, below in getattr(command, "commands", {}).items():
        yield from every(below, *names, name)


def page() -> str:
    """The whole page. Help is wrapped at 80 columns whatever the terminal."""
    os.environ["COLUMNS"] = "80"
    os.environ["TERMINAL_WIDTH"] = "80"
    sys.path.insert(0, str(ROOT))
    from typer.main import get_command
    from typer.testing import CliRunner

    from understudy.cli.app import app
    from understudy.cli.repl_commands import COMMANDS as SLASHES

    parts = [HEAD]
    for command in every(get_command(app)):
        shown = CliRunner().invoke(app, [*command, "--help"], prog_name="understudy", terminal_width=80)
        if shown.exit_code != 0:
            raise SystemExit(f"understudy {' '.join(command)} --help ended with {shown.exit_code}")
        lines = "\n".join(line.rstrip() for line in shown.output.strip().splitlines())
        parts.append(f"## `{' '.join(('understudy', *command))}`\n\n```\n{lines}\n```\n")
    parts.append("## In the REPL\n\n| command | what it does |\n|---|---|")
    for c in SLASHES.values():
        usage = f"/{c.name} {c.usage}".strip().replace("|", "\\|")  # a bar would end the cell
        parts.append(f"| `{usage}` | {c.about} |")
    return "\n".join([*parts, ""])


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--check", action="store_true")
    told = page()
    if arguments.parse_args().check:
        fresh = PAGE.exists() and PAGE.read_text(encoding="utf-8") == told
        print("docs/commands.md is up to date" if fresh else "docs/commands.md is old: scripts/write_command_docs.py")
        return 0 if fresh else 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(told, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
