"""The settings that count: the file, else what is found on this machine, else the rehearsal fleet."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from understudy.config.load import load, parse
from understudy.config.settings import Settings

NOTHING_FOUND = "No provider is configured or found: this is the rehearsal fleet, and its models are simulated."


@dataclass(frozen=True, slots=True)
class Found:
    """The settings, what the reader should know about them, and what to use when they turn out to offer nobody."""

    settings: Settings
    notes: tuple[str, ...] = ()
    spare: Settings | None = None


def find_settings(path: str | Path | None = None, *, rehearsal: bool = False) -> Found:
    """What counts here. Raises ConfigError."""
    if rehearsal:
        return Found(_rehearsal({}))
    settings, _ = load(path)
    if settings.providers:
        return Found(settings)  # also when all are switched off: that is the user's word, not an empty house
    import os
    import shutil

    from understudy.config.discover import discover, listens

    kept = settings.model_dump(exclude_unset=True, exclude={"providers"})
    table, notes = discover(os.environ, shutil.which, listens)
    if not table["providers"]:
        return Found(_rehearsal(kept), (*notes, NOTHING_FOUND))
    # A server on this machine may have no model loaded: whoever finds nobody after all gets the rehearsal fleet.
    return Found(parse({**table, **kept}, "what was found on this machine"), notes, _rehearsal(kept))


def _rehearsal(kept: dict[str, Any]) -> Settings:
    from understudy.rehearsal.fleet import rehearsal_table

    return parse({**rehearsal_table(), **kept}, "the rehearsal fleet")
