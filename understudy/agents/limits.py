"""The limits of a candidate: the catalogue's, under what the provider, the model and the account say in that order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from understudy.config.quota import LimitTable, QuotaTable, WindowTable
from understudy.types import Counted, Limits, Window

MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
UNITS: Mapping[str, tuple[Counted, float]] = {
    "rpm": ("requests", MINUTE),
    "rph": ("requests", HOUR),
    "rpd": ("requests", DAY),
    "tpm": ("tokens", MINUTE),
    "tph": ("tokens", HOUR),
    "tpd": ("tokens", DAY),
}


def limits_from(figures: Mapping[str, int], *, day: str = "rolling") -> tuple[Window, ...]:
    """Windows from rpm, rph, rpd, tpm, tph, tpd; day: "rolling" or a time zone."""
    return tuple(_window(name, figures[name], day) for name in UNITS if name in figures)


def overridden(known: Limits, *tables: QuotaTable) -> Limits:
    """The limits with each table's word put over them, in order: the last one wins."""
    for table in tables:
        if table.windows is not None:
            known = replace(known, windows=tuple(_own(i, window) for i, window in enumerate(table.windows)))
        if table.limits is not None:
            known = replace(known, windows=_patched(known.windows, table.limits))
        said = {
            name: value for name in ("charged", "shared", "cached_free") if (value := getattr(table, name)) is not None
        }
        known = replace(known, **said)
    return known


def tokens_per_minute(limits: Limits) -> int | None:
    """The largest request that can ever pass, by the token windows of a minute or less; None without one."""
    return min((w.limit for w in limits.windows if w.counts == "tokens" and w.seconds <= MINUTE), default=None)


def _patched(windows: tuple[Window, ...], table: LimitTable) -> tuple[Window, ...]:
    days = {w.zone or "rolling" for w in windows if w.seconds == DAY}
    day = table.day or next(iter(days), "rolling")
    kept = {w.name: w for w in windows}
    for name in UNITS:
        said = getattr(table, name)
        if said is False:
            kept.pop(name.upper(), None)
        elif said is not None:
            kept[name.upper()] = _window(name, said, day)
    if table.day is not None:
        zone = "" if table.day == "rolling" else table.day
        kept = {name: replace(w, zone=zone) if w.seconds == DAY else w for name, w in kept.items()}
    return tuple(kept.values())


def _window(name: str, limit: int, day: str) -> Window:
    counts, seconds = UNITS[name]
    return Window(name.upper(), counts, limit, seconds, day if seconds == DAY and day != "rolling" else "")


def _own(number: int, table: WindowTable) -> Window:
    length = "day" if table.zone else f"{table.seconds:g} s"
    name = table.name or f"{table.counts} in {length}" + (f" ({number + 1})" if number else "")
    return Window(name, table.counts, table.limit, DAY if table.zone else table.seconds, table.zone)
