"""Cases: facts and what is to be decided for them, in a file beside the policy (NAME.cases.toml).

[[case]]
name = "a quick question goes to the fastest"
facts = { intent = "quick_qa", input_tokens = 20 }          # what is left out is plain
fleet = ["groq/llama-3.1-8b-instant", "gpu/ministral-3b"]   # of the fleet of lattice.py; else all of it
standings = [{ candidate = "gpu/ministral-3b", wait = 60.0 }]
first = "groq/llama-3.1-8b-instant"                         # expected: first, chain (its beginning), last, agent,
judge = "none"                                              # judge, plan, hedge, live, advice, output_cap, checks
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast

from understudy.errors import ConfigError
from understudy.policies import lattice, registry
from understudy.types import Candidate, Decision, Facts, Intent, Quality, Sensitivity, Standing

DECIDED = ("agent", "judge", "plan", "hedge", "live", "advice", "output_cap", "max_attempts")
EXPECTED = ("first", "chain", "last", "checks", *DECIDED)
_GIVEN = ("name", "facts", "fleet", "standings")
_FACTS = frozenset(f.name for f in fields(Facts)) - {"fleet", "standings"}
HELP = "understudy/policies/cases.py describes the format."


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    facts: Facts
    expected: Mapping[str, Any]


def cases_of(policy: registry.NamedPolicy) -> tuple[Case, ...]:
    """The cases beside a policy; none where there is no such file. Raises ConfigError for a broken one."""
    if policy.own:
        place = Path(policy.source).with_suffix(".cases.toml")
        try:
            text = place.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ()
        except (OSError, ValueError) as error:
            what = f"{place} cannot be read ({type(error).__name__})."
            raise ConfigError(what, remedy="Check the file.") from None
        return read(text, str(place))
    file = f"{policy.name}.cases.toml"
    try:
        return read(registry.source(file).decode(), file)
    except FileNotFoundError:
        return ()


def read(text: str, where: str) -> tuple[Case, ...]:
    """Raises ConfigError naming the file and the case."""
    try:
        listed = tomllib.loads(text).get("case", [])
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{where} is not TOML: {error}.", remedy="Mend that line.") from None
    if not isinstance(listed, list) or not all(isinstance(c, dict) for c in cast("list[object]", listed)):
        raise ConfigError(f"{where}: cases are written as [[case]].", remedy=HELP)
    return tuple(_case(table, number, where) for number, table in enumerate(cast("list[dict[str, Any]]", listed), 1))


def differences(case: Case, decide: Callable[[Facts], Decision]) -> tuple[str, ...]:
    """Where the decision is not what the case expects, in words; none: it is."""
    decision = decide(case.facts)
    chain = [_name(link.domain) for link in decision.chain]
    found: list[str] = []
    for key, wanted in case.expected.items():
        match key:
            case "first":
                got: object = chain[0] if chain else "nobody"
            case "last":
                got = chain[-1] if chain else "nobody"
            case "chain":
                got = chain[: len(wanted)]
            case "checks":
                got = list(decision.checks)
            case _:
                got = getattr(decision, key)
        if got != wanted:
            found.append(f"{key} is {got!r}, expected {wanted!r}")
    return tuple(found)


def _case(table: dict[str, Any], number: int, where: str) -> Case:
    name = str(table.get("name", f"case {number}"))
    try:
        return Case(name, _facts(table), {k: v for k, v in table.items() if _is_expected(k)})
    except (KeyError, TypeError, ValueError) as error:
        why = error.args[0] if error.args else type(error).__name__
        raise ConfigError(f"{where}: case {number} ({name[:60]}) is wrong: {why}.", remedy=HELP) from None


def _is_expected(key: str) -> bool:
    if key not in EXPECTED and key not in _GIVEN:
        raise ValueError(f"unknown key {key[:40]}")
    return key in EXPECTED


def _facts(table: dict[str, Any]) -> Facts:
    fleet = tuple(map(_candidate, table["fleet"])) if "fleet" in table else lattice.FLEET
    given: dict[str, Any] = {"probability": 1.0, "input_tokens": 120, "director_left": 2_000, **table.get("facts", {})}
    if stray := sorted(set(given) - _FACTS):
        raise ValueError(f"there is no fact {stray[0][:40]}")
    director = given.pop("director", "claude_code/opus")
    given |= {
        "intent": Intent(given["intent"]),
        "sensitivity": Sensitivity(given.get("sensitivity", Sensitivity.PUBLIC)),
        "quality": Quality(given.get("quality", Quality.BALANCED)),
        "resting": tuple(_candidate(name).domain for name in given.get("resting", ())),
        "sticky": _candidate(given["sticky"]).domain if given.get("sticky") else "",
        "director": next((c.domain for c in fleet if c.name == director), ""),
    }
    standings = tuple(_standing(dict(row)) for row in table.get("standings", ()))
    return Facts(**given, fleet=fleet, standings=standings)


def _standing(row: dict[str, Any]) -> Standing:
    return Standing(_candidate(row.pop("candidate")).domain, **row)


def _candidate(name: str) -> Candidate:
    found = next((c for c in lattice.FLEET if name in (c.name, c.domain)), None)
    if found is None:
        known = ", ".join(c.name for c in lattice.FLEET)
        raise ValueError(f"{str(name)[:60]} is not in the fleet of the cases ({known})")
    return found


def _name(domain: str) -> str:
    return next((c.name for c in lattice.FLEET if c.domain == domain), domain)
