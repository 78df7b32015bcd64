"""Policy orchestra: many models of one's own, hosted ones behind them, premium ones to validate; four phases.

Released: this file never changes again (its hash is pinned by a test).

Tiers: models on this machine work first (95% of the requests); managed hosts stand behind them, in front only for what
no local model can hold or look up (below 5%); premium models stand last, and judge one task of a hundred (below 1%).
Phases: each has models that are always loaded, and a pool that takes turns every 12, 6 or 4 hours; the fourth is fixed.
The phase and the hour are facts. Which models are in memory is not this policy's to say: it names who goes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from understudy.types import Candidate, Decision, Facts, Intent, Link, Quality, Sensitivity

NAME = "orchestra"
MAX_ATTEMPTS = 6
PREMIUM = ("anthropic", "claude_code", "openai")  # kinds
PREMIUM_WORDS = ("gpt-4", "gemini-2.5-pro", "gemini-3-pro", "405b")
VALIDATED = 100  # one task of so many is judged by the premium tier
ANSWER = 256  # tokens of answer a window must have room for
BASE_CHECKS = ("not_empty", "not_error", "not_truncated", "not_refusal", "language", "format")
TESTERS = ("tester", "reviewer")


@dataclass(frozen=True, slots=True)
class Phase:
    """Parts of models' ids. hours: between two turns of the pools; 0: there is none."""

    always: tuple[str, ...]
    pool: tuple[str, ...] = ()
    hours: int = 0
    tests_always: tuple[str, ...] = ()
    tests_pool: tuple[str, ...] = ()


LLAMA, DEEPSEEK, MISTRAL = "llama3.1-70b", "deepseek-r1-70b", "mistral-large"
PHASES = {
    1: Phase((LLAMA, DEEPSEEK, MISTRAL), ("qwen2.5-coder-14b", "starcoder2-15b", "yi-coder-9b"), 12),
    2: Phase((LLAMA, MISTRAL), ("phi-4", "llama3.1-8b", "codellama-7b", "qwen"), 6),
    3: Phase(
        (LLAMA, DEEPSEEK),
        ("starcoder2-15b", "yi-coder-9b", "granite-code-20b", "codestral", "qwen2.5-coder-32b"),
        4,
        ("codet5-large", "graphcodebert"),
        ("testing-llama-7b", "bug-detection-specialist", "codet5-base"),
    ),
    4: Phase((LLAMA, DEEPSEEK), (), 0, ("codet5-large", "graphcodebert")),
}
# intent: agent, cap of the answer in tokens, checks of its own, words of models made for it.
TABLE = {
    Intent.QUICK_QA: ("quick", 1024, (), ()),
    Intent.REASONING: ("reasoner", 2048, (), ("deepseek-r1", "phi-4")),
    Intent.TOOL_CALLING: ("tool-caller", 1024, (), ("nemotron", "kimi")),
    Intent.CODING: (
        "coder",
        4096,
        ("python_compiles",),
        ("coder", "starcoder", "codestral", "codellama", "granite-code"),
    ),
    Intent.LONG_CONTEXT: ("long-context", 4096, (), ("llama4",)),
    Intent.CODE_REVIEW: ("reviewer", 2048, (), ("coder", "codestral")),
    Intent.SUMMARIZATION: ("summarizer", 1024, (), ()),
    Intent.MEMORY: ("memory", 1024, (), ()),
    Intent.WEB_RESEARCH: ("researcher", 2048, (), ()),
    Intent.PRIVATE: ("private", 2048, (), ()),
}
AGENTS = {
    **{row[0]: row for row in TABLE.values()},
    "planner": ("planner", 1024, (), ()),
    "tester": ("tester", 4096, ("python_compiles", "tests_pass"), ()),
}


def decide(facts: Facts) -> Decision:
    """Local, managed, premium. Total: every intent, with any fleet, gets a decision."""
    private = facts.sensitivity is Sensitivity.PRIVATE
    row = TABLE[Intent.PRIVATE if private and not facts.explicit_intent else facts.intent]
    agent, cap, own, words = AGENTS.get(facts.agent or "", row)
    cap = min(cap, facts.max_tokens or cap)
    local = _local([c for c in facts.fleet if c.local], agent, words, facts)
    elsewhere = [] if private else [c for c in facts.fleet if not c.local]
    managed = [c for c in elsewhere if not _is_premium(c)]
    premium = [c for c in elsewhere if _is_premium(c)]
    for tier in (managed, premium):
        tier.sort(key=lambda c: (not c.free, c.input_price + c.output_price, -c.quality))
    holds = [c for c in local if _holds(c, facts, cap)]
    searches = facts.intent is Intent.WEB_RESEARCH and not private and not facts.agent
    beyond = not holds or searches  # no local model can do this one
    tiers = [(local, "tier 1: on this machine"), (managed, "tier 2: managed"), (premium, "tier 3: premium")]
    if beyond:
        tiers = [*tiers[1:], tiers[0]]
        if searches:
            managed.sort(key=lambda c: "grounding" not in c.capabilities)
    checks = ["not_empty", "not_error", "not_truncated", "schema"] if facts.has_schema else [*BASE_CHECKS, *own]
    if facts.max_tokens is not None:
        checks.append("length")
    validated = facts.quality is Quality.BEST or facts.rotation % VALIDATED == 0
    chain = [Link(c.domain, why) for tier, why in tiers for c in sorted(tier, key=lambda c: not _holds(c, facts, cap))]
    return Decision(
        agent=agent,
        chain=tuple(chain),
        checks=tuple(checks),
        output_cap=cap,
        max_attempts=MAX_ATTEMPTS,
        deadline=facts.deadline,
        judge="director" if validated and not facts.has_schema and not private else "none",
        why=f"phase {_phase(facts)}: local first, managed where it cannot, premium to validate",
    )


def _phase(facts: Facts) -> int:
    return facts.phase if facts.phase in PHASES else 4


def _local(fleet: list[Candidate], agent: str, words: Sequence[str], facts: Facts) -> list[Candidate]:
    """By speed, by quality, by specialisation, else the always-loaded ones in turn; then the pool's of these hours."""
    if facts.quality is Quality.FAST:
        return sorted(fleet, key=lambda c: (-c.speed, c.domain))
    if facts.quality is Quality.BEST:
        return sorted(fleet, key=lambda c: (-c.quality, c.domain))
    phase = PHASES[_phase(facts)]
    tests = agent in TESTERS and bool(phase.tests_always)
    always = phase.tests_always if tests else phase.always
    pool = phase.tests_pool if tests else phase.pool
    there = [word for word in always if any(word in c.model.lower() for c in fleet)]
    turn = facts.rotation % len(there) if there else 0
    order = [*there[turn:], *there[:turn]]
    if pool and phase.hours:
        order.append(pool[facts.hour // phase.hours % len(pool)])
    special = [word for word in order if any(mark in word for mark in words)]
    order = [*special, *(word for word in order if word not in special)]

    def place(candidate: Candidate) -> tuple[int, bool, int, str]:
        model = candidate.model.lower()
        turn = next((n for n, word in enumerate(order) if word in model), len(order))
        return turn, not any(word in model for word in words), -candidate.quality, candidate.domain

    return sorted(fleet, key=place)


def _is_premium(candidate: Candidate) -> bool:
    return candidate.kind in PREMIUM or any(word in candidate.model.lower() for word in PREMIUM_WORDS)


def _holds(candidate: Candidate, facts: Facts, cap: int) -> bool:
    window = min(candidate.context, candidate.tokens_per_minute or candidate.context)
    return window - facts.input_tokens >= min(cap, ANSWER)
