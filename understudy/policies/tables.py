"""A policy as a TOML table over a released one: read, checked key by key, laid.

name = "mine"                       # optional: else the file's own
base = "v1"
about = "a line for the reader"

[all]                               # what every row says
hedge = true

[rows.coding]                       # an intent
primary = ["claude_code/sonnet"]
cap = 2048

[agents.tester]                     # reached by its name alone
primary = ["local/8b"]
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import PurePath
from typing import Any, NoReturn, cast

from understudy.errors import ConfigError, UsageError
from understudy.policies import registry
from understudy.policies.laid import NOTHING, Laid, Table, lay
from understudy.policies.vocabulary import AGENTS, CHECKS, JUDGES, MOST_ADVICE, NAME, SELECTORS
from understudy.types import Intent

TOP = ("name", "base", "about", "explore", "all", "rows", "agents")
_LAID = tuple(f.name for f in fields(Laid))


def over(text: str, where: str) -> registry.NamedPolicy:
    """The policy of a table. where: the file, for errors. Raises ConfigError naming the line and the remedy."""
    reading = _Reading(text, where)
    top = reading.top()
    name = reading.name(top.get("name", PurePath(where).stem))
    base = reading.base(top.get("base", "v1"))
    table = Table(
        rows={Intent(key): reading.laid(row, "rows", key) for key, row in reading.rows(top, "rows", tuple(Intent))},
        agents={key: reading.laid(row, "agents", key) for key, row in reading.rows(top, "agents", AGENTS)},
        all=reading.laid(top["all"], "all") if "all" in top else NOTHING,
        explore=reading.share(top.get("explore", 0.0)),
    )
    hashed = registry.hash_of(text.encode(), base.hash.encode(), registry.source("laid.py"))
    about = str(top.get("about", ""))
    decide = registry.handed(lay(table, registry.bare(base)))
    return registry.NamedPolicy(name, hashed, decide, about, base=base.name, table=text)


class _Reading:
    """One table, with what is needed to say where it is wrong."""

    def __init__(self, text: str, where: str) -> None:
        self.text, self.where = text, where

    def wrong(self, what: str, remedy: str, *marks: str) -> NoReturn:
        """marks: words that stand in the line meant, each further down than the one before."""
        raise ConfigError(f"{self.where}, line {_line(self.text, marks)}: {what}.", remedy=remedy)

    def top(self) -> dict[str, Any]:
        try:
            table = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{self.where} is not TOML: {error}.", remedy="Mend that line.") from None
        except (ValueError, RecursionError):
            raise ConfigError(f"{self.where} cannot be read as TOML.", remedy="Write it more plainly.") from None
        for key in table:
            self.known(key, TOP, key)
        return table

    def known(self, key: str, names: tuple[str, ...], *marks: str) -> None:
        if key in names:
            return
        near = difflib.get_close_matches(key, names, n=1, cutoff=0.5)
        remedy = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(names)}."
        self.wrong(f"unknown key {key[:40]}", remedy, *marks)

    def name(self, name: object) -> str:
        if not isinstance(name, str) or not re.fullmatch(NAME, name):
            self.wrong("a policy's name is lower case letters, digits, - and _", "Give another name.", "name")
        return name

    def base(self, name: object) -> registry.NamedPolicy:
        if name not in registry.RELEASED or name in registry.TABLES:
            known = ", ".join(n for n in registry.RELEASED if n not in registry.TABLES)
            self.wrong(f"base must be a released policy, not {str(name)[:40]!r}", f"Known: {known}.", "base")
        try:
            return registry.load(cast(str, name))
        except UsageError as error:  # pragma: no cover - it is released
            raise ConfigError(error.message, remedy=error.remedy) from None

    def rows(self, top: Mapping[str, Any], key: str, names: tuple[str, ...]) -> list[tuple[str, Any]]:
        rows = top.get(key, {})
        if not isinstance(rows, dict):
            self.wrong(f"{key} must be tables", f"Write [{key}.{names[0]}].", key)
        for name in cast("dict[str, Any]", rows):
            self.known(name, names, key, name)
        return list(cast("dict[str, Any]", rows).items())

    def share(self, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            self.wrong("explore must be a share from 0 to 1", "Write 0.05 for one task of twenty.", "explore")
        return float(value)

    def laid(self, row: object, *place: str) -> Laid:
        if not isinstance(row, dict):
            self.wrong(f"{'.'.join(place)} must be a table", f"Write [{'.'.join(place)}].", *place)
        values: dict[str, Any] = {}
        for key, value in cast("dict[str, Any]", row).items():
            self.known(key, _LAID, *place, key)
            if why := _why_not(key, value, place):
                self.wrong(f"{key} {why}", "Mend that value.", *place, key)
            values[key] = tuple(cast("list[str]", value)) if isinstance(value, list) else value
        return Laid(**values)


def _why_not(key: str, value: Any, place: tuple[str, ...]) -> str:
    """What is wrong with a value of a row, or the empty string."""
    match key:
        case "primary" | "fallback" | "last":
            if not _is_texts(value) or not all(re.fullmatch(SELECTORS, v) for v in value):
                return "must be selectors, such as groq/llama-3.1-8b, local/* or free/*"
            if key != "last" and place[-1] == Intent.PRIVATE and not all(v.startswith("local/") for v in value):
                return "of the private row must be local/..."
        case "agent" | "judge":
            known = AGENTS if key == "agent" else JUDGES
            if value not in known:
                return f"must be one of {', '.join(known)}"
        case "checks":
            if not _is_texts(value) or not set(value) <= set(CHECKS):
                return f"must be some of {', '.join(CHECKS)}"
        case "why":
            if not isinstance(value, str) or len(value) > 200:
                return "must be a text of at most 200 characters"
        case "plan" | "hedge" | "live":
            if not isinstance(value, bool):
                return "must be true or false"
        case _:
            least, most = {"cap": (1, 1_000_000), "advice": (0, MOST_ADVICE)}.get(key, (1, 20))
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                return f"must be a whole number from {least} to {most:,}"
    return ""


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) for v in cast("list[object]", value))


def _line(text: str, marks: tuple[str, ...]) -> int:
    """The line of the last mark: each is looked for below the one before. Where none stands, the last that does."""
    lines, at = text.splitlines(), 0
    for mark in marks:
        word = re.compile(rf"(?<![\w-]){re.escape(mark)}(?![\w-])")
        at = next((n for n in range(at, len(lines)) if word.search(lines[n].partition("#")[0])), at)
    return at + 1
