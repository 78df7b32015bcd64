"""Recorded facts through another policy: what would have been decided, and what is known of what that comes to.

Known is what the same candidate did for the same intent in the records themselves; the rest is said to be unknown.
Where a policy explored, and the propensities were logged, the outcomes are weighted by them too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from understudy.policies.diff import changes
from understudy.policies.record import decision_from_dict, facts_from_dict
from understudy.types import Candidate, Decision, Facts

ENOUGH = 3  # outcomes of a candidate for an intent before their mean says anything
UNLIKELY = 0.05  # a chance below which the rest of a chain is not looked at


@dataclass(frozen=True, slots=True)
class Came:
    """What a task came to. Seconds of the workers' calls; dollars at list price and paid; the director's tokens."""

    answered: bool
    seconds: float = 0.0
    list_usd: float = 0.0
    paid_usd: float = 0.0
    director_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Recorded:
    """One task as it was recorded. tried: candidate's name, whether accepted, seconds, list and paid dollars."""

    id: str
    facts: Facts
    decision: Decision
    policy: str
    hash: str
    came: Came
    tried: tuple[tuple[str, bool, float, float, float], ...]


def read(record: Mapping[str, Any], fleet: tuple[Candidate, ...]) -> Recorded | None:
    """A record of the store, with its fleet; None when the task ended before anything was decided.

    Raises ValueError, KeyError, TypeError or AttributeError for a damaged one.
    """
    if not record.get("facts") or not record.get("decision"):
        return None
    facts = replace(facts_from_dict({**record["facts"], "fleet": ()}), fleet=fleet)
    policy: Mapping[str, Any] = record.get("policy") or {}
    attempts: list[dict[str, Any]] = list(record.get("attempts", ()))
    tried = tuple(
        (str(a["candidate"]), a["outcome"] == "ok", float(a["seconds"]), float(a["list_usd"]), float(a["cost_usd"]))
        for a in attempts
        if a["role"] == "worker" and a["outcome"] != "cancelled"
    )
    came = Came(
        answered="error" not in record,
        seconds=sum(t[2] for t in tried),
        list_usd=sum(t[3] for t in tried),
        paid_usd=sum(t[4] for t in tried),
        director_tokens=sum(int(a["input_tokens"] + a["output_tokens"]) for a in attempts if a["directs"]),
    )
    decision = decision_from_dict(record["decision"])
    name, hashed = str(policy.get("name", "")), str(policy.get("hash", ""))
    return Recorded(str(record["id"]), facts, decision, name, hashed, came, tried)


@dataclass(slots=True)
class Outcomes:
    """Of one candidate for one intent."""

    calls: int = 0
    accepted: int = 0
    seconds: float = 0.0
    list_usd: float = 0.0
    paid_usd: float = 0.0


@dataclass(slots=True)
class Sum:
    """Of several tasks. A mean of none is 0."""

    tasks: int = 0
    answered: float = 0.0
    seconds: float = 0.0
    list_usd: float = 0.0
    paid_usd: float = 0.0

    def add(self, answered: float, seconds: float, list_usd: float, paid_usd: float) -> None:
        self.tasks += 1
        self.answered += answered
        self.seconds += seconds
        self.list_usd += list_usd
        self.paid_usd += paid_usd

    def to_dict(self) -> dict[str, float]:
        n = self.tasks or 1
        return {
            "tasks": self.tasks,
            "answered": round(self.answered / n, 4),
            "seconds": round(self.seconds / n, 4),
            "list_usd": round(self.list_usd, 6),
            "paid_usd": round(self.paid_usd, 6),
        }


@dataclass(slots=True)
class Weighted:
    """Self-normalised importance weights over the tasks whose propensity is known. effective: tasks' worth of them."""

    tasks: int = 0
    matched: int = 0
    weight: float = 0.0
    squares: float = 0.0
    came: Sum = field(default_factory=Sum)

    def add(self, propensity: float, came: Came, *, matches: bool) -> None:
        self.tasks += 1
        if not matches:
            return
        w = 1 / propensity
        self.matched += 1
        self.weight += w
        self.squares += w * w
        self.came.add(w * came.answered, w * came.seconds, w * came.list_usd, w * came.paid_usd)

    def to_dict(self) -> dict[str, float] | None:
        """None: nobody explored, or nothing it did would have been done."""
        if not self.matched:
            return None
        names = ("answered", "seconds", "list_usd", "paid_usd")
        means = {name: round(getattr(self.came, name) / self.weight, 6) for name in names}
        return {
            "tasks": self.tasks,
            "matched": self.matched,
            "effective": round(self.weight**2 / self.squares, 1),
            **means,
        }


@dataclass(slots=True)
class Replayed:
    """same: decided as before. known and unknown: of the others, whether what they come to is known."""

    tasks: int = 0
    undecided: int = 0  # ended before anything was decided, or damaged
    same: int = 0
    same_first: int = 0  # of those that differ
    broken: tuple[str, ...] = ()  # ids: decided otherwise by the very version that decided them
    groups: Counter[tuple[str, ...]] = field(default_factory=Counter[tuple[str, ...]])
    intents: Counter[tuple[str, bool]] = field(default_factory=Counter[tuple[str, bool]])  # (intent, same)
    was: Sum = field(default_factory=Sum)  # all of them, as they were
    was_known: Sum = field(default_factory=Sum)  # those that differ and are known, as they were
    would_be: Sum = field(default_factory=Sum)  # the same ones, as they would be
    unknown: int = 0
    director_tokens: int = 0  # as it was
    weighted: Weighted = field(default_factory=Weighted)

    @property
    def differ(self) -> int:
        return self.tasks - self.same


def replay(
    recorded: Iterable[Recorded],
    decide: Callable[[Facts], Decision],
    *,
    name: str = "",
    hash: str = "",  # noqa: A002
) -> Replayed:
    """Every recorded task through a policy. name and hash: its own, to see whether it still decides what it decided."""
    every = list(recorded)
    known = outcomes_of(every)
    sums = Replayed()
    broken: list[str] = []
    for one in every:
        decision = decide(one.facts)
        came = one.came
        sums.tasks += 1
        sums.director_tokens += came.director_tokens
        sums.was.add(came.answered, came.seconds, came.list_usd, came.paid_usd)
        same = decision == one.decision
        if not same and (one.policy, one.hash) == (name, hash):
            broken.append(one.id)
        changed = changes(one.decision, decision, one.facts)
        sums.intents[str(one.facts.intent), not changed] += 1
        first = decision.chain[0].domain if decision.chain else ""
        matches = first == (one.decision.chain[0].domain if one.decision.chain else "")
        if one.decision.propensity < 1:
            sums.weighted.add(one.decision.propensity, came, matches=matches)
        if not changed:  # words that only explain do not count as another decision
            sums.same += 1
            continue
        sums.groups[changed] += 1
        sums.same_first += matches
        expected = _expected(decision, one, known, matches=matches)
        if expected is None:
            sums.unknown += 1
            continue
        sums.was_known.add(came.answered, came.seconds, came.list_usd, came.paid_usd)
        sums.would_be.add(*expected)
    sums.broken = tuple(broken)
    return sums


def outcomes_of(recorded: Iterable[Recorded]) -> dict[tuple[str, str], Outcomes]:
    """By intent and candidate."""
    known: dict[tuple[str, str], Outcomes] = {}
    for one in recorded:
        for name, accepted, seconds, listed, paid in one.tried:
            sums = known.setdefault((str(one.facts.intent), name), Outcomes())
            sums.calls += 1
            sums.accepted += accepted
            sums.seconds += seconds
            sums.list_usd += listed
            sums.paid_usd += paid
    return known


def _expected(
    decision: Decision, one: Recorded, known: Mapping[tuple[str, str], Outcomes], *, matches: bool
) -> tuple[float, float, float, float] | None:
    """(chance of an answer, seconds, list dollars, paid dollars) along the chain; None: it is not known."""
    if matches and len(one.tried) <= 1 and one.came.answered:  # the same one answered at once, and would again
        return 1.0, one.came.seconds, one.came.list_usd, one.came.paid_usd
    names = {c.domain: c.name for c in one.facts.fleet}
    ready = [link.domain for link in decision.chain if link.domain not in one.facts.resting]
    chain = list(dict.fromkeys(names[d] for d in ready or [link.domain for link in decision.chain]))
    chance, answered, seconds, listed, paid = 1.0, 0.0, 0.0, 0.0, 0.0
    for name in chain[: decision.max_attempts]:
        outcomes = known.get((str(one.facts.intent), name))
        if outcomes is None or outcomes.calls < ENOUGH:
            return None
        accepted = outcomes.accepted / outcomes.calls
        answered += chance * accepted
        seconds += chance * outcomes.seconds / outcomes.calls
        listed += chance * outcomes.list_usd / outcomes.calls
        paid += chance * outcomes.paid_usd / outcomes.calls
        chance *= 1 - accepted
        if chance < UNLIKELY:
            break
    return answered, seconds, listed, paid
