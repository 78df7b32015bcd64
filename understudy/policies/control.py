"""Policy control: no delegation; what the same work comes to when the frontier model does all of it.

Released: this file never changes again (its hash is pinned by a test).

Everything goes to the director's own model; where there is none, to the best that costs money; where there is none of
those, to the best there is. The others stand behind, so that a task is still answered when it cannot. Private work
stays on this machine here, too.
"""

from __future__ import annotations

from understudy.types import Candidate, Decision, Facts, Intent, Link, Sensitivity

NAME = "control"
MAX_ATTEMPTS = 6
BASE_CHECKS = ("not_empty", "not_error", "not_truncated", "not_refusal", "language", "format")

# Who works: intent, agent, cap of the answer in tokens, checks of its own. As in v1, so that the two can be compared.
TABLE = {
    Intent.QUICK_QA: ("quick", 1024, ()),
    Intent.REASONING: ("reasoner", 2048, ()),
    Intent.TOOL_CALLING: ("tool-caller", 1024, ()),
    Intent.CODING: ("coder", 4096, ("python_compiles",)),
    Intent.LONG_CONTEXT: ("long-context", 4096, ()),
    Intent.CODE_REVIEW: ("reviewer", 2048, ()),
    Intent.SUMMARIZATION: ("summarizer", 1024, ()),
    Intent.MEMORY: ("memory", 1024, ()),
    Intent.WEB_RESEARCH: ("researcher", 2048, ()),
    Intent.PRIVATE: ("private", 2048, ()),
}
AGENTS = {
    **{row[0]: row for row in TABLE.values()},
    "planner": ("planner", 1024, ()),
    "tester": ("tester", 4096, ("python_compiles", "tests_pass")),
}


def decide(facts: Facts) -> Decision:
    """The frontier model, then whoever else there is. Total: every intent, with any fleet, gets a decision."""
    private = facts.sensitivity is Sensitivity.PRIVATE
    agent, cap, own = TABLE[Intent.PRIVATE if private and not facts.explicit_intent else facts.intent]
    if facts.agent in AGENTS:
        agent, cap, own = AGENTS[facts.agent]
    fleet = [c for c in facts.fleet if c.local] if private else list(facts.fleet)
    frontier = next((c for c in fleet if c.domain == facts.director), None)
    if frontier is None:
        frontier = max((c for c in fleet if not c.free), key=_worth, default=max(fleet, key=_worth, default=None))
    checks = ["not_empty", "not_error", "not_truncated", "schema"] if facts.has_schema else [*BASE_CHECKS, *own]
    if facts.max_tokens is not None:
        checks.append("length")
    return Decision(
        agent=agent,
        chain=_chain(frontier, fleet, facts.rotation),
        checks=tuple(checks),
        output_cap=min(cap, facts.max_tokens or cap),
        max_attempts=MAX_ATTEMPTS,
        deadline=facts.deadline,
        why="the control arm: nothing is delegated",
    )


def _chain(frontier: Candidate | None, fleet: list[Candidate], rotation: int) -> tuple[Link, ...]:
    """The model's accounts in turn, then the others, best first."""
    if frontier is None:
        return ()
    same = [c for c in fleet if (c.provider, c.model) == (frontier.provider, frontier.model)]
    start = rotation % len(same)
    others = sorted((c for c in fleet if c not in same), key=_worth, reverse=True)
    return (
        *(Link(c.domain, "the frontier model does it itself") for c in (*same[start:], *same[:start])),
        *(Link(c.domain, "the frontier model could not") for c in others),
    )


def _worth(candidate: Candidate) -> tuple[int, int]:
    return candidate.quality, candidate.output_price
