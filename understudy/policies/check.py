"""What every policy owes, for all facts: an answer, privacy, no candidate twice or unknown, caps that can be kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from understudy.policies.vocabulary import AGENTS, CHECKS, JUDGES, MOST_ADVICE, MOST_ATTEMPTS, MOST_OUTPUT, NEEDED
from understudy.types import Decision, Facts, Link, Sensitivity

_AGENTS, _CHECKS = frozenset({*AGENTS, "named"}), frozenset(CHECKS)


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that a decision breaks, and the first facts for which it does."""

    rule: str
    what: str
    facts: Facts
    error: BaseException | None = None


def violation(decide: Callable[[Facts], Decision], facts: Facts) -> Violation | None:
    """The first rule that the decision for these facts breaks."""
    found = examined(decide, facts)
    return found if isinstance(found, Violation) else None


def examined(decide: Callable[[Facts], Decision], facts: Facts) -> Decision | Violation:
    """The decision, if it breaks no rule."""
    try:
        decision = decide(facts)
    except Exception as error:  # noqa: BLE001  the policy may be anybody's
        return Violation("total", f"it raises {type(error).__name__}", facts, error)
    if type(decision) is not Decision:
        return Violation("total", f"it returns {type(decision).__name__}, which is no Decision", facts)
    rule, what = _broken(decision, facts)
    return Violation(rule, what, facts) if rule else decision


def first_violation(
    decide: Callable[[Facts], Decision], space: Iterable[Facts], *, twice: bool = False
) -> tuple[Violation | None, int]:
    """The first one in the whole space, and how many facts were looked at.

    twice: the space is gone through again from its end, so that a policy that remembers or draws lots is found out.
    """
    seen: list[tuple[Facts, int]] = []
    count = 0
    for facts in space:
        count += 1
        found = examined(decide, facts)
        if isinstance(found, Violation):
            return found, count
        if twice:
            seen.append((facts, hash(found)))
    for facts, before in reversed(seen):
        if hash(decide(facts)) != before:
            return Violation("deterministic", "it decides otherwise when asked again", facts), count
    return None, count


def _broken(decision: Decision, facts: Facts) -> tuple[str, str]:
    chain = decision.chain
    if not isinstance(chain, tuple) or not all(isinstance(link, Link) for link in chain):  # pyright: ignore[reportUnnecessaryIsInstance]
        return "total", "its chain is no tuple of Links"
    domains = [link.domain for link in chain]
    known = {c.domain: c for c in facts.fleet}
    if unknown := next((d for d in domains if d not in known), None):
        return "known", f"its chain has {unknown}, which is not in the fleet"
    if facts.sensitivity is Sensitivity.PRIVATE and (left := next((d for d in domains if not known[d].local), None)):
        return "private", f"its chain has {left}, which is not on this machine"
    if len(set(domains)) != len(domains):
        return "once", "its chain has a candidate twice"
    private = facts.sensitivity is Sensitivity.PRIVATE
    if not chain and any(c.local or not private for c in facts.fleet):
        return "answered", "its chain is empty, and there is somebody who may be asked"
    return _unsound(decision, facts)


def _unsound(decision: Decision, facts: Facts) -> tuple[str, str]:
    return _unworkable(decision, facts) or _uncapped(decision, facts)


def _unworkable(decision: Decision, facts: Facts) -> tuple[str, str] | None:
    agent, checks = decision.agent, decision.checks
    if agent not in _AGENTS:
        return "agent", f"there is no agent {str(agent)[:40]!r}"
    if facts.agent in _AGENTS and facts.agent not in (None, agent, "named"):
        return "agent", f"the caller named {facts.agent}, and it chooses {agent}"
    if not isinstance(checks, tuple) or not NEEDED <= set(checks) <= _CHECKS:  # pyright: ignore[reportUnnecessaryIsInstance]
        return "checks", f"its checks must have {' and '.join(sorted(NEEDED))}, and know no others than validators"
    if facts.has_schema and "schema" not in checks:
        return "checks", "the caller gave a schema, and it is not checked"
    if decision.judge not in JUDGES:
        return "judge", f"there is no judge {str(decision.judge)[:40]!r}"
    if not all(type(v) is bool for v in (decision.plan, decision.hedge, decision.live)):
        return "flags", "plan, hedge and live are true or false"
    return None


def _uncapped(decision: Decision, facts: Facts) -> tuple[str, str]:
    caps = (
        (decision.output_cap, 1, facts.max_tokens or MOST_OUTPUT, "output_cap"),
        (decision.max_attempts, 1, MOST_ATTEMPTS, "max_attempts"),
        (decision.advice, 0, MOST_ADVICE, "advice"),
    )
    for value, least, most, name in caps:
        if type(value) is not int or not least <= value <= most:
            return "caps", f"its {name} is {value!r}, not a whole number from {least} to {most:,}"
    if not 0 < decision.deadline <= facts.deadline:
        return "caps", f"its deadline is {decision.deadline!r}, of {facts.deadline:g} seconds there are"
    if not 0 < decision.propensity <= 1:
        return "caps", f"its propensity is {decision.propensity!r}, not above 0 and at most 1"
    return "", ""


def in_words(facts: Facts) -> str:
    """The facts that matter, for the reader: those that are not what they are by default."""
    plain = Facts(facts.intent, 0.9, Sensitivity.PUBLIC, 120)
    names = ("quality", "agent", "input_tokens", "max_tokens", "deadline", "director_left", "rotation", "draw", "phase")
    flags = ("has_schema", "has_files", "multi_step", "handed", "has_tools", "explicit_intent")
    said = [f"intent={facts.intent}", str(facts.sensitivity)]
    said += [f"{name}={getattr(facts, name)}" for name in names if getattr(facts, name) != getattr(plain, name)]
    said += [name for name in flags if getattr(facts, name)]
    if facts.resting or facts.standings:
        said.append("some of the fleet rest or are slow")
    return f"{', '.join(said)}, a fleet of {len(facts.fleet)}"
