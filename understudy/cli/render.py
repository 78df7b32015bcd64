"""Tables, answers and footers, the same in every command and in the REPL."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from itertools import accumulate
from textwrap import wrap

from understudy.cli.terminal import harmless, is_lively, is_terminal, one_line, width
from understudy.types import Attempt, Reply, Role

BELOW = "    "  # before what did not fit beside the rest of its row


def show_answer(text: str) -> None:
    """Markdown on a terminal; anywhere else the text as it is, with one line end."""
    if not is_lively(sys.stdout):
        text = harmless(text) if is_terminal(sys.stdout) else text
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
        sys.stdout.flush()
        return
    from rich.console import Console
    from rich.markdown import Markdown

    # Addresses are shown, not hidden behind words of the model's choice.
    Console(highlight=False).print(Markdown(harmless(text), hyperlinks=False))


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns as wide as their cells. Those a terminal is too narrow for stand below their row."""
    cells = [[one_line(str(cell)) for cell in row] for row in (columns, *rows)]
    sizes = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    limit = width() if is_lively(sys.stdout) else 0
    abreast = _abreast(sizes, limit) if limit else len(sizes)
    lines: list[str] = []
    for number, row in enumerate(cells):
        lines.append("  ".join(cell.ljust(size) for cell, size in zip(row[:abreast], sizes, strict=False)).rstrip())
        if any(row[abreast:]):
            below = " · ".join(row[abreast:])
            lines += wrap(below, max(limit, 20), initial_indent=BELOW, subsequent_indent=BELOW, break_on_hyphens=False)
        if number == 0:
            lines.append("  ".join("-" * size for size in sizes[:abreast])[: limit or None])
    return "\n".join(lines)


def _abreast(sizes: Sequence[int], limit: int) -> int:
    """How many of the first columns fit into the limit, with two spaces between them; at least one."""
    ends = accumulate(size + 2 for size in sizes)
    return max(1, sum(end - 2 <= limit for end in ends))


def dollars(amount: float) -> str:
    """$0, $0.0004, $1.25: as many digits as say something."""
    if amount == 0:
        return "$0"
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.4f}" if amount >= 0.0001 else f"${amount:.1e}"


def plural(count: float, noun: str) -> str:
    """1 task, 2,000 tasks, 0.5 hours, 0 replies."""
    said = f"{count:,}" if isinstance(count, int) else f"{count:g}"
    return f"{said} {noun}" if count == 1 else f"{said} {re.sub('(?<![aeiou])y$', 'ie', noun)}s"


def duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def who_answered(attempts: Sequence[Attempt]) -> str:
    """The workers whose answers were accepted, each once."""
    workers = [a for a in attempts if a.role is Role.WORKER and a.outcome == "ok"]
    names = dict.fromkeys(f"{a.candidate} (simulated)" if a.simulated else a.candidate for a in workers)
    return ", ".join(names) or "nobody"


def footer(reply: Reply) -> list[str]:
    """Who answered and what it cost, and what else the reader should know."""
    tried = sum(a.role is Role.WORKER for a in reply.attempts)
    limit = f"{reply.director.limit_tokens:,}" if reply.director.limit_tokens is not None else "no limit"
    parts = [
        who_answered(reply.attempts),
        *([f"{tried} attempts"] if tried > 1 else []),
        plural(reply.total_tokens, "token"),
        f"director {reply.director.spent.tokens:,}/{limit}",
        dollars(sum(a.cost_usd for a in reply.attempts)),
        duration(reply.seconds),
        *(["private"] if reply.sensitivity.sensitivity == "private" else []),
        reply.id,
    ]
    return [one_line(" · ".join(parts)), *(one_line(f"note: {note}") for note in reply.notes)]
