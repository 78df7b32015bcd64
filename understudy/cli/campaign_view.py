"""A campaign's progress: bars on a terminal, lines elsewhere, a sheet for `status`."""

from __future__ import annotations

import time
from typing import Any

from understudy.cli.render import dollars, duration
from understudy.cli.terminal import hint, one_line
from understudy.pipelines.progress import Progress


def told_in_a_line(p: Progress) -> str:
    """1,200 of 8,000 (15%) · 31.2/s · 3 min left (plan: 5 min) · free 90%, local 10% · overload 3 · $0.0012."""
    total = p.campaign.items
    share = f" ({100 * p.done // total}%)" if total else ""
    parts = [f"{p.done:,} of {total:,}{share}"]
    if p.set_aside:
        parts.append(f"{p.set_aside:,} set aside")
    if p.left and p.rate:
        parts.append(f"{p.rate:,.1f}/s")
    if p.left:
        parts.append(_eta(p))
    told = p.as_dict()
    if len(told["tiers"]) > 0:
        parts.append(", ".join(f"{name} {of['share']:.0%}" for name, of in told["tiers"].items()))
    if told["failures"]:
        parts.append("failures: " + ", ".join(f"{name} {n:,}" for name, n in told["failures"].items()))
    parts.append(dollars(told["usd"]))
    return one_line(" · ".join(part for part in parts if part))


def _eta(p: Progress) -> str:
    seen = f"{_long(p.left_seen)} left" if p.left_seen is not None else ""
    plan = f"by the plan {_long(p.left_planned)}" if p.left_planned is not None else ""
    return f"{seen} ({plan})" if seen and plan else seen or plan


def _long(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    return f"{seconds / 86_400:.1f} days" if seconds > 2 * 86_400 else duration(seconds)


def sheet(p: Progress) -> str:
    """Everything there is to know, a line each."""
    told, c = p.as_dict(), p.campaign
    rows = [
        ("campaign", f"{c.id} ({c.name})"),
        ("state", told["state"] + (f": {c.reason}" if c.reason else "")),
        ("calls", f"{p.done:,} of {c.items:,} done, {p.left:,} left, {p.set_aside:,} set aside"),
        ("rate", f"{p.rate:,.2f} a second" if p.rate else "-"),
        ("left", _eta(p) or "-"),
        ("tiers", _counts(told["tiers"])),
        ("models", _counts(told["models"])),
        ("failures", ", ".join(f"{name} {n:,}" for name, n in told["failures"].items()) or "none"),
        ("set aside", ", ".join(f"{name} {n:,}" for name, n in told["aside"].items()) or "none"),
        ("tokens", f"{told['tokens']['input']:,} in, {told['tokens']['output']:,} out"),
        ("cost", dollars(told["usd"]) + (f" of {dollars(told['limit_usd'])}" if told["limit_usd"] is not None else "")),
        ("workers", ", ".join(f"{w.host} (process {w.pid})" for w in p.workers) or "none"),
    ]
    lines = [f"{name:<10} {one_line(value)}" for name, value in rows]
    if p.interrupted:
        lines.append(f"Nobody is at it. To go on: understudy campaign resume {c.id}")
    return "\n".join(lines)


def _counts(counts: dict[str, Any]) -> str:
    return ", ".join(f"{name} {of['calls']:,} ({of['share']:.0%})" for name, of in counts.items()) or "-"


class Bars:
    """A bar that is drawn again, on standard error."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress

        columns = (BarColumn(30), TextColumn("{task.description}"))
        self._bars = RichProgress(*columns, console=Console(stderr=True), transient=True)
        self._bars.start()
        self._task = self._bars.add_task("", total=None)

    def show(self, progress: Progress) -> None:
        ended = progress.done + progress.set_aside
        line = told_in_a_line(progress).replace("[", "\\[")
        self._bars.update(self._task, total=max(1, progress.campaign.items), completed=ended, description=line)

    def close(self) -> None:
        self._bars.stop()


class Lines:
    """A line from time to time."""

    def __init__(self, *, every: float, silent: bool) -> None:
        self._every, self._silent, self._last = every, silent, time.monotonic()

    def show(self, progress: Progress) -> None:
        if not self._silent and time.monotonic() - self._last >= self._every:
            self._last = time.monotonic()
            hint(f"{progress.campaign.id}: {told_in_a_line(progress)}")

    def close(self) -> None: ...
