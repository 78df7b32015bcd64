"""A table laid over a policy: rows put candidates first, and say otherwise what the policy under them says.

Pure, like a policy, and part of the hash of every table. Released: it never changes. What lies under decides who may be
asked at all; a table only orders them, so what holds there of privacy holds here.

A selector is `head/part`. head: the kind or the name of a provider, `local`, `free`, `paid` or `*`; part: a part of the
model's id, or `*`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from understudy.types import Candidate, Decision, Facts, Intent, Link, Quality, Sensitivity


@dataclass(frozen=True, slots=True)
class Laid:
    """What one row says. None, or no selectors: nothing; then the policy under it says it."""

    agent: str | None = None
    primary: tuple[str, ...] = ()
    fallback: tuple[str, ...] = ()
    last: tuple[str, ...] = ()  # behind everybody else
    cap: int | None = None  # tokens of an answer
    checks: tuple[str, ...] | None = None
    why: str = ""
    judge: str | None = None
    plan: bool | None = None  # True leaves it to the policy under it: a plan needs a director
    hedge: bool | None = None
    live: bool | None = None
    advice: int | None = None
    max_attempts: int | None = None


NOTHING = Laid()


@dataclass(frozen=True, slots=True)
class Table:
    """explore: the share of tasks for which somebody else is put first, drawn evenly, so that outcomes become known."""

    rows: Mapping[Intent, Laid] = field(default_factory=dict[Intent, Laid])
    agents: Mapping[str, Laid] = field(default_factory=dict[str, Laid])
    all: Laid = NOTHING
    explore: float = 0.0


def lay(table: Table, under: Callable[[Facts], Decision]) -> Callable[[Facts], Decision]:
    """The policy that the table makes of the one under it."""

    def decide(facts: Facts) -> Decision:
        decision = under(facts)
        row = _row(table, facts)
        for laid in (table.all, row):
            if laid is not NOTHING:
                decision = _changed(decision, laid, facts)
        rows = (row, table.all)
        primary = next((r.primary for r in rows if r.primary), ())
        fallback = next((r.fallback for r in rows if r.fallback), ())
        last = next((r.last for r in rows if r.last), ())
        why = row.why or table.all.why
        if primary or fallback or last:
            decision = replace(decision, chain=_ordered(decision.chain, primary, fallback, last, why, facts))
        return _explored(decision, table.explore, facts)

    return decide


def _row(table: Table, facts: Facts) -> Laid:
    """The agent's own when the caller names one; else the private row; else the intent's."""
    if facts.agent:
        found = table.agents.get(facts.agent)
        return found or next((row for row in table.rows.values() if row.agent == facts.agent), NOTHING)
    if facts.sensitivity is Sensitivity.PRIVATE and not facts.explicit_intent:
        return table.rows.get(Intent.PRIVATE, NOTHING)
    return table.rows.get(facts.intent, NOTHING)


def _changed(decision: Decision, laid: Laid, facts: Facts) -> Decision:
    checks = decision.checks
    if laid.checks is not None and not facts.has_schema:  # of an object its schema is asked, whatever the row
        checks = (*laid.checks, *(("length",) if facts.max_tokens is not None else ()))
        checks = tuple(dict.fromkeys(checks))
    cap = decision.output_cap if laid.cap is None else min(laid.cap, facts.max_tokens or laid.cap)
    return replace(
        decision,
        agent=decision.agent if laid.agent is None or facts.agent else laid.agent,
        checks=checks,
        output_cap=cap,
        why=laid.why or decision.why,
        judge=decision.judge if laid.judge is None or facts.has_schema else laid.judge,
        plan=decision.plan and laid.plan is not False,
        hedge=decision.hedge if laid.hedge is None else laid.hedge,
        live=decision.live if laid.live is None else laid.live,
        advice=decision.advice if laid.advice is None else laid.advice,
        max_attempts=decision.max_attempts if laid.max_attempts is None else laid.max_attempts,
    )


def _ordered(
    chain: tuple[Link, ...],
    primary: tuple[str, ...],
    fallback: tuple[str, ...],
    last: tuple[str, ...],
    why: str,
    facts: Facts,
) -> tuple[Link, ...]:
    """Those the row names first, in its order; those that fit one selector in the order of the policy under it."""
    by = {c.domain: c for c in facts.fleet}
    named: list[Link] = []
    for label, selectors in (("primary", primary), ("fallback", fallback)):
        for selector in selectors:
            taken = {link.domain for link in named}
            found = [k for k in chain if k.domain not in taken and k.domain in by and fits(selector, by[k.domain])]
            named += [Link(link.domain, f"{label}: {why}" if why else label) for link in found]
    if facts.quality is Quality.BEST:
        named = []  # the best there is goes before any table
    elif facts.quality is Quality.FAST:
        named.sort(key=lambda link: -by[link.domain].speed)
    taken = {link.domain for link in named}
    others = [link for link in chain if link.domain not in taken]
    back = [k for k in others if k.domain in by and any(fits(selector, by[k.domain]) for selector in last)]
    return (*named, *(link for link in others if link not in back), *back)


def fits(selector: str, candidate: Candidate) -> bool:
    """Whether a selector means this candidate."""
    head, _, part = selector.partition("/")
    match head:
        case "*":
            right = True
        case "local":
            right = candidate.local
        case "free":
            right = candidate.free
        case "paid":
            right = not candidate.free
        case _:
            right = head in (candidate.kind, candidate.provider)
    return right and (part == "*" or part.lower() in candidate.model.lower())


def _explored(decision: Decision, share: float, facts: Facts) -> Decision:
    """Somebody else first, for a share of the tasks; how likely whoever stands there now was to stand there."""
    count = len(decision.chain)
    if share <= 0 or count < 2 or facts.handed:  # a conversation stays with who answered it last
        return decision
    if facts.draw >= share:
        return replace(decision, propensity=1 - share + share / count)
    drawn = decision.chain[min(count - 1, int(facts.draw / share * count))]
    if drawn == decision.chain[0]:
        return replace(decision, propensity=1 - share + share / count)
    rest = tuple(link for link in decision.chain if link is not drawn)
    return replace(decision, chain=(Link(drawn.domain, "explored"), *rest), propensity=share / count)
