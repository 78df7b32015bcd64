"""Who can work now: every window used and left, breakers, latencies. As a table, as JSON, once or again and again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import signal
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from understudy.cli.keys import KeysLeft, keys_left, with_keys
from understudy.cli.render import duration, table
from understudy.cli.running import open_director
from understudy.cli.terminal import hint, is_lively, say
from understudy.director.parts import Parts
from understudy.fleet.book import Level, State
from understudy.types import Candidate

EVERY = 2.0  # seconds between two looks
COLUMNS = ("model", "account", "where", "state", "in flight", "latency", "windows (used of limit, until free)")


async def fleet(config: str | None, *, watch: bool, as_json: bool) -> int:
    """Every candidate as it stands, of all processes together. Exit code 3 when there is none; watched, 0 at Ctrl-C."""
    import sys

    async with open_director(config) as director:
        parts, enough = director.parts, asyncio.Event()
        if watch:
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, enough.set)
        while not enough.is_set():
            states = await parts.book.states(parts.fleet)
            if as_json:
                told = [state_to_dict(c, states[c.domain], keys_left(parts, c)) for c in parts.fleet]
                say(json.dumps({"fleet": told}))
            else:
                if watch and is_lively(sys.stdout):
                    say("\x1b[H\x1b[2J", end="")
                say(fleet_table(parts, states))
            if not watch:
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(enough.wait(), EVERY)
        if watch:
            return 0
        for note in () if as_json else parts.notes:
            hint(f"note: {note}")
        if not parts.fleet and not as_json:
            hint("There is no model. understudy doctor says what is missing.")
        return 0 if parts.fleet else 3


def fleet_table(parts: Parts, states: Mapping[str, State]) -> str:
    return table(COLUMNS, [_row(parts, c, states[c.domain]) for c in parts.fleet])


def state_to_dict(candidate: Candidate, state: State, keys: KeysLeft | None = None) -> dict[str, Any]:
    """Plain data; a wait that never ends is null, and so are the keys of who needs none."""
    record = asdict(state)
    record["wait"] = state.wait if math.isfinite(state.wait) else None
    record["levels"] = [{**asdict(level), "left": level.left} for level in state.windows(candidate)]
    record["keys"] = asdict(keys) if keys is not None else None
    names = {"name": candidate.name, "account": candidate.account, "quota": candidate.quota}
    return {**names, "local": candidate.local, "free": candidate.free, "simulated": candidate.simulated, **record}


def _row(parts: Parts, c: Candidate, state: State) -> tuple[object, ...]:
    where = "simulated" if c.simulated else "here" if c.local else "cloud"
    latency = duration(state.latency) if state.latency else "-"
    windows = "; ".join(_level(level) for level in state.windows(c)) or "no limits known"
    return (
        c.name,
        c.account,
        where,
        with_keys(in_words(state), keys_left(parts, c)),
        state.in_flight,
        latency,
        windows,
    )


def in_words(state: State) -> str:
    """Its state in a few words, and who waits for it."""
    known = "ready" if state.wait <= 0 else state.why
    if 0 < state.wait < math.inf:  # what is too large never fits, and its reason says so
        known += f", {duration(state.wait)} more"
    queue = state.queue
    return f"{known}, {queue.waiting:,} waiting for {duration(queue.oldest_seconds)}" if queue.waiting else known


def _level(level: Level) -> str:
    until = f", {duration(level.reset)}" if level.used and level.reset else ""
    guess = "" if level.stated else "?"
    return f"{level.name} {level.used:,}/{level.limit:,}{guess}{until}"
