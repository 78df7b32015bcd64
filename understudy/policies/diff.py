"""Two policies side by side: for which facts they decide differently, and how, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from understudy.policies.record import decision_to_dict, facts_to_dict
from understudy.types import Decision, Facts

# What is told of a group of facts: each dimension in which it is narrower than all that was looked at.
DIMENSIONS = (
    "intent", "sensitivity", "quality", "agent", "has_schema", "has_files", "multi_step", "handed", "has_tools",
    "explicit_intent", "standings", "input_tokens", "max_tokens", "deadline", "director_left",
)  # fmt: skip
SAYS = ("agent", "judge", "plan", "hedge", "live", "advice", "output_cap", "max_attempts", "deadline", "propensity")
ENOUGH = 20  # facts of a group before it is told which flags none of them has
PLAIN = (None, 120, 120.0, 2_000)  # what most of the facts laid out have
MOST_VALUES = 6  # of a dimension that are told


@dataclass(slots=True)
class Group:
    """Facts for which the same things change. example: the first of them."""

    changes: tuple[str, ...]
    example: Facts
    before: Decision
    after: Decision
    count: int = 0
    seen: dict[str, set[object]] = field(default_factory=dict[str, set[object]])

    def add(self, facts: Facts) -> None:
        self.count += 1
        for name in DIMENSIONS:
            self.seen.setdefault(name, set()).add(_dimension(facts, name))


@dataclass(frozen=True, slots=True)
class Difference:
    """looked: facts in all; differ: those decided differently. everywhere: the values of each dimension among all."""

    looked: int
    differ: int
    groups: tuple[Group, ...]
    everywhere: Mapping[str, frozenset[object]]


def compare(
    before: Callable[[Facts], Decision], after: Callable[[Facts], Decision], space: Iterable[Facts]
) -> Difference:
    """Every fact of the space through both."""
    groups: dict[tuple[str, ...], Group] = {}
    everywhere: dict[str, set[object]] = {name: set() for name in DIMENSIONS}
    looked = 0
    for facts in space:
        looked += 1
        for name, values in everywhere.items():
            values.add(_dimension(facts, name))
        one, other = before(facts), after(facts)
        if changed := changes(one, other, facts):
            groups.setdefault(changed, Group(changed, facts, one, other)).add(facts)
    ordered = tuple(sorted(groups.values(), key=lambda g: -g.count))
    known = {name: frozenset(values) for name, values in everywhere.items()}
    return Difference(looked, sum(g.count for g in ordered), ordered, known)


def changes(before: Decision, after: Decision, facts: Facts) -> tuple[str, ...]:
    """What is decided differently, the weightiest first; nothing of the words that only explain it."""
    names = {c.domain: c.name for c in facts.fleet}
    one, other = ([names.get(link.domain, link.domain) for link in d.chain] for d in (before, after))
    found: list[str] = []
    if one[:1] != other[:1]:
        found.append(f"first {_or_nobody(one)} -> {_or_nobody(other)}")
    elif [link.domain for link in before.chain] != [link.domain for link in after.chain]:
        found.append("the same first, others behind it" if set(one) != set(other) else "the same first, another order")
    for name in SAYS:
        was, is_ = getattr(before, name), getattr(after, name)
        if was != is_:
            found.append(f"{name} {was} -> {is_}")
    if before.checks != after.checks:
        less, more = set(before.checks) - set(after.checks), set(after.checks) - set(before.checks)
        told = [*(f"without {c}" for c in sorted(less)), *(f"with {c}" for c in sorted(more))]
        found.append(f"checks {', '.join(told) or 'in another order'}")
    return tuple(found)


def for_which(group: Group, everywhere: Mapping[str, frozenset[object]]) -> str:
    """The facts of a group in words: where it is narrower than all that was looked at."""
    told: list[str] = []
    for name, values in group.seen.items():
        if len(values) == len(everywhere[name]):
            continue
        listed = sorted(values, key=str)
        if name == "standings":
            told += ["some rest, are away or slow"] * (values == {True})
        elif values <= {True, False}:
            if listed[0] or group.count >= ENOUGH:
                told.append(name if listed[0] else f"not {name}")
        elif name in ("intent", "sensitivity"):
            told.append(_some(listed))
        elif len(values) == 1 and listed[0] not in PLAIN:
            told.append(f"{name} {_some(listed)}")
    return "; ".join(told) or "all facts"


def group_to_dict(group: Group, everywhere: Mapping[str, frozenset[object]]) -> dict[str, Any]:
    """Plain data: the changes, the facts in words and counted, one example whole."""
    return {
        "changes": list(group.changes),
        "facts": group.count,
        "for": for_which(group, everywhere),
        "example": {
            "facts": facts_to_dict(group.example, fleet=[c.name for c in group.example.fleet]),
            "before": decision_to_dict(group.before),
            "after": decision_to_dict(group.after),
        },
    }


def _dimension(facts: Facts, name: str) -> object:
    value = getattr(facts, name)
    return bool(value) if name == "standings" else value


def _or_nobody(names: list[str]) -> str:
    return names[0] if names else "nobody"


def _some(values: list[object]) -> str:
    told = [f"{v:,}" if isinstance(v, int) and not isinstance(v, bool) else str(v) for v in values[:MOST_VALUES]]
    return ", ".join(told) + (f" and {len(values) - MOST_VALUES} more" if len(values) > MOST_VALUES else "")
