"""From what is known and what the user states to the windows of a candidate. Whoever is nearer to it has the word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from understudy.config.quota import DAY, LimitTable, QuotaTable, WindowTable
from understudy.types import Counted, Limits, Window

MINUTE, HOUR = 60.0, 3600.0
SHORT: dict[str, tuple[Counted, float]] = {
    "rpm": ("requests", MINUTE),
    "rph": ("requests", HOUR),
    "rpd": ("requests", DAY),
    "tpm": ("tokens", MINUTE),
    "tph": ("tokens", HOUR),
    "tpd": ("tokens", DAY),
}
# Windows a server may have, which only the catalogue's figures for planning name.
APART: dict[str, tuple[Counted, float]] = {"itpm": ("input", MINUTE), "otpm": ("output", MINUTE)}
_ORDER = {short.upper(): place for place, short in enumerate(SHORT)}


def windows_of(figures: Mapping[str, int], day: str = "rolling") -> tuple[Window, ...]:
    """{"rpm": 30, "tpd": 500000} as windows; `day`: "rolling", or the time zone whose midnight ends it."""
    return tuple(_short(short, figures[short], day) for short in (*SHORT, *APART) if short in figures)


def stated(known: Limits, day: str, layers: Iterable[QuotaTable]) -> Limits:
    """`known`, as the layers change it, the last of them with the last word.

    `windows` of a layer replace all that is behind it; its `limits` then replace single ones. `day` is the clock of
    days nobody has spoken of yet.
    """
    windows = {w.name: w for w in known.windows}
    rules: dict[str, Any] = {}
    for layer in layers:
        if layer.windows is not None:
            windows = {w.name: w for w in map(_own, layer.windows)}
        if layer.limits is not None:
            day = layer.limits.day or day
            windows = _changed(windows, layer.limits, day)
        said = {"charged": layer.charged, "shared": layer.shared, "cached_free": layer.cached_free}
        rules |= {name: value for name, value in said.items() if value is not None}
    ordered = sorted(windows.values(), key=lambda w: _ORDER.get(w.name, len(_ORDER)))
    return replace(known, windows=tuple(ordered), **rules)


def tokens_per_minute(limits: Limits) -> int | None:
    """What a single request can never exceed: the smallest window of tokens of a minute or less."""
    return min((w.limit for w in limits.windows if w.counts == "tokens" and w.seconds <= MINUTE), default=None)


def _short(short: str, limit: int, day: str) -> Window:
    counts, seconds = SHORT.get(short) or APART[short]
    return Window(short.upper(), counts, limit, seconds, "" if seconds < DAY or day == "rolling" else day)


def _own(table: WindowTable) -> Window:
    length = f"a day in {table.zone}" if table.zone else f"{table.seconds:g} s"
    return Window(table.name or f"{table.counts} in {length}", table.counts, table.limit, table.seconds, table.zone)


def _changed(windows: Mapping[str, Window], table: LimitTable, day: str) -> dict[str, Window]:
    changed = dict(windows)
    for short, (_, seconds) in SHORT.items():
        limit: int | None = getattr(table, short)
        name = short.upper()
        if limit is False:
            changed.pop(name, None)
        elif limit is not None:
            changed[name] = _short(short, limit, day)
        elif table.day is not None and seconds == DAY and name in changed:
            changed[name] = _short(short, changed[name].limit, day)
    return changed
