"""What holds for conversations that are handed on, whatever policy decides who answers.

Pure, like a policy, and part of the decision wherever the facts say `handed`. Released: it never changes.
"""

from __future__ import annotations

from dataclasses import replace

from understudy.types import Decision, Facts, Link

OUTPUT_CAP = 4096  # tokens, where the caller gives none


def hand_on(decision: Decision, facts: Facts) -> Decision:
    """The same chain, with the one that gave the last answer first: tool ids, caches and manners are its own.

    The text of the last question says little of what an agent's turn should look like, so only what holds for any turn
    is checked. The cap is the caller's: an answer that ends at it says so in its finish_reason. Text may pass on while
    it is written if the policy lets it, tool calls and JSON never: they are looked at first.
    """
    if not facts.handed:
        return decision
    checks = ["not_empty", "not_error"]
    if facts.max_tokens is None:
        checks.append("not_truncated")
    if facts.has_schema:
        checks.append("schema")
    if facts.has_tools:
        checks.append("tool_calls")
    return replace(
        decision,
        chain=_stuck(decision.chain, facts),
        checks=tuple(checks),
        output_cap=facts.max_tokens or OUTPUT_CAP,
        judge="none",
        plan=False,
        live=decision.live and not facts.has_schema and not facts.has_tools,
    )


def _stuck(chain: tuple[Link, ...], facts: Facts) -> tuple[Link, ...]:
    stays = next((link for link in chain if link.domain == facts.sticky), None)
    if stays is None or facts.sticky in facts.resting:
        return chain
    return (Link(stays.domain, "gave the last answer"), *(link for link in chain if link is not stays))
