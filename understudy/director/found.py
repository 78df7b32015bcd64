"""The settings that count: the file, else what is found on this machine, else the rehearsal fleet."""

from __future__ import annotations

from pathlib import Path

from understudy.config.load import load, parse
from understudy.config.settings import Settings

NOTHING_FOUND = "No provider is configured or found: this is the rehearsal fleet, and its models are simulated."


def find_settings(path: str | Path | None = None, *, rehearsal: bool = False) -> tuple[Settings, tuple[str, ...]]:
    """The settings and what the reader should know about them. Raises ConfigError."""
    if rehearsal:
        return _rehearsal(), ()
    settings, file = load(path)
    notes: tuple[str, ...] = ()
    if not settings.providers:
        import os
        import shutil

        from understudy.config.discover import discover, listens

        table, notes = discover(os.environ, shutil.which, listens)
        if table.get("providers"):
            kept = settings.model_dump(exclude_unset=True, exclude={"providers"})
            settings = parse({**table, **kept}, "what was found on this machine")
    if not any(p.enabled for p in settings.providers.values()):
        if settings.providers:
            return settings, notes  # all switched off on purpose: that is the user's word, not an empty house
        return _rehearsal(settings if file else None), (*notes, NOTHING_FOUND)
    return settings, notes


def _rehearsal(settings: Settings | None = None) -> Settings:
    from understudy.rehearsal.fleet import rehearsal_table

    kept = settings.model_dump(exclude_unset=True, exclude={"providers"}) if settings else {}
    return parse({**rehearsal_table(), **kept}, "the rehearsal fleet")
