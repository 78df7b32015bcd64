"""Facts and decisions as plain data, and back: what is recorded can be decided again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from functools import lru_cache
from operator import attrgetter
from typing import Any

from understudy.types import (
    Candidate,
    Confidence,
    Decision,
    Facts,
    Intent,
    Limits,
    Link,
    Quality,
    Sensitivity,
    Standing,
    Window,
)

_FACTS = tuple(f.name for f in fields(Facts))
_STANDING = tuple(f.name for f in fields(Standing))
_standing = attrgetter(*_STANDING)
_CANDIDATE = frozenset(f.name for f in fields(Candidate))
_DECISION = tuple(f.name for f in fields(Decision))


def facts_to_dict(facts: Facts, fleet: Any = None) -> dict[str, Any]:
    """Plain data. `fleet` stands in for the candidates: a hash under which they are kept elsewhere."""
    record = {name: getattr(facts, name) for name in _FACTS}
    record["standings"] = [dict(zip(_STANDING, _standing(s), strict=True)) for s in facts.standings]
    record["fleet"] = fleet_to_list(facts.fleet) if fleet is None else fleet
    return record


def fleet_to_list(fleet: tuple[Candidate, ...]) -> list[dict[str, Any]]:
    return [{**asdict(c), "capabilities": sorted(c.capabilities)} for c in fleet]


def fleet_hash(fleet: tuple[Candidate, ...]) -> str:
    """SHA-256 over the candidates, shortened: names what a policy could choose from."""
    return hashlib.sha256(json.dumps(fleet_to_list(fleet)).encode()).hexdigest()[:16]


def fleet_from_list(recorded: Iterable[Mapping[str, Any]]) -> tuple[Candidate, ...]:
    """Fields unknown to this version are dropped; fields it misses get their defaults."""
    fleet: list[Candidate] = []
    for one in recorded:
        candidate: dict[str, Any] = {k: v for k, v in one.items() if k in _CANDIDATE}
        candidate["capabilities"] = frozenset(candidate.get("capabilities", ()))
        if limits := candidate.get("limits"):
            candidate["limits"] = _limits(limits)
        fleet.append(Candidate(**candidate))
    return tuple(fleet)


def facts_from_dict(record: Mapping[str, Any]) -> Facts:
    """Fields unknown to this version are dropped; fields it misses get their defaults."""
    values = {k: v for k, v in record.items() if k in _FACTS}
    values["intent"] = Intent(values["intent"])
    values["sensitivity"] = Sensitivity(values["sensitivity"])
    values["quality"] = Quality(values.get("quality", Quality.BALANCED))
    values["fleet"] = fleet_from_list(values.get("fleet", ()))
    values["resting"] = tuple(values.get("resting", ()))
    values["standings"] = tuple(Standing(**standing) for standing in values.get("standings", ()))
    return Facts(**values)


def decision_to_dict(decision: Decision) -> dict[str, Any]:
    record = {name: getattr(decision, name) for name in _DECISION}
    record["chain"] = [{"domain": link.domain, "why": link.why} for link in decision.chain]
    record["confidence"] = asdict(decision.confidence) if decision.confidence is not None else None
    return record


def decision_from_dict(record: Mapping[str, Any]) -> Decision:
    """Fields unknown to this version are dropped; fields it misses get their defaults."""
    values = {k: v for k, v in record.items() if k in _DECISION}
    values["chain"] = tuple(_link(link["domain"], link["why"]) for link in values["chain"])
    values["checks"] = tuple(values["checks"])
    values["confidence"] = _confidence(values.get("confidence"))
    return Decision(**values)


@lru_cache(maxsize=4096)  # thousands of decisions say the same of the same candidates
def _link(domain: str, why: str) -> Link:
    return Link(domain, why)


def _confidence(record: Mapping[str, Any] | None) -> Confidence | None:
    if record is None:
        return None
    values = dict(record)
    values["estimators"] = tuple(values["estimators"])
    values["curves"] = tuple((by, tuple((score, chance) for score, chance in knots)) for by, knots in values["curves"])
    return Confidence(**values)


def _limits(record: Mapping[str, Any]) -> Limits:
    values = dict(record)
    values["windows"] = tuple(Window(**window) for window in record["windows"])
    return Limits(**values)
