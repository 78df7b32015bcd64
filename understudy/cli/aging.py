"""What the doctor says of keys: how old each is, and which are set aside. By source, never by value."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from understudy.agents.keys import KeyState, Rings
    from understudy.cli.doctor import Finding

DAY = 24 * 3600.0
REPLACE = "Make a new key at the provider and put it there; it is used at once. Then revoke the old one."


def key_findings(rings: Rings, rotation_days: int, now: float) -> list[Finding]:
    """A line for each key of the accounts that were checked. rotation_days: an older one is warned about; 0: none."""
    return [_finding(ring.account, state, rotation_days, now) for ring in rings.known() for state in ring.states()]


def _finding(account: str, state: KeyState, rotation_days: int, now: float) -> Finding:
    from understudy.cli.doctor import Finding

    name = f"{account} key"
    if state.error is not None and state.since is None:
        return Finding(name, "wrong", f"{state.source}: {state.error.message}", state.error.remedy)
    days = None if state.since is None else max(0, int((now - state.since) / DAY))
    age = "of unknown age" if days is None else "new today" if days == 0 else f"{days} days old"
    text = f"{state.source}: {age}"
    remedies: list[str] = []
    if state.aside:
        text += f", refused and set aside{_aside(state.aside)}"
        remedies.append(REPLACE)
    if state.exposed:
        text += ", other users of this machine may read it"
        remedies.append(f"chmod 600 {shlex.quote(str(Path(state.source.partition(':')[2]).expanduser()))}")
    if days is not None and 0 < rotation_days <= days and not state.aside:
        text += f", replace it every {rotation_days} days"
        remedies.append(REPLACE)
    found = "wrong" if state.aside else "note" if remedies else "ok"
    return Finding(name, found, text, "; ".join(remedies), age_days=days)


def _aside(aside: Mapping[str, float]) -> str:
    model, until = max(aside.items(), key=lambda item: item[1])
    which = f" for {model}" if "" not in aside else ""
    return f"{which} until {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M} UTC"
