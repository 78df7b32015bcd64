"""Policy named: the caller has said who is to answer. The fleet it is given is that candidate at all its accounts.

Released: this file never changes again (its hash is pinned by a test).
"""

from __future__ import annotations

from understudy.types import Decision, Facts, Link

NAME = "named"
MAX_ATTEMPTS = 3
OUTPUT_CAP = 4096  # tokens, where the caller gives none


def decide(facts: Facts) -> Decision:
    """The accounts in turn, those that rest behind the others. Text may pass on while it is written."""
    ready = [c for c in facts.fleet if c.domain not in facts.resting]
    start = facts.rotation % len(ready) if ready else 0
    ordered = [*ready[start:], *ready[:start], *(c for c in facts.fleet if c.domain in facts.resting)]
    checks = ["not_empty", "not_error", "not_truncated"]
    if facts.has_schema:
        checks.append("schema")
    if facts.max_tokens is not None:
        checks.append("length")
    return Decision(
        agent="named",
        chain=tuple(Link(c.domain, "named by the caller") for c in ordered),
        checks=tuple(checks),
        output_cap=facts.max_tokens or OUTPUT_CAP,
        max_attempts=MAX_ATTEMPTS,
        deadline=facts.deadline,
        why="named by the caller",
        live=True,
    )
