"""Policy advisor: a cheap executor works; the frontier model only advises, a few times at most.

Released: this file never changes again (its hash is pinned by a test).

The executor may ask for advice, and what its checks reject is mended by advice; each costs the director's budget a
bounded question. The frontier model itself stands at the very end of the chain. Who is away, rests or cannot hold the
task goes back. Private work stays on this machine, and gets no advice from elsewhere.
"""

from __future__ import annotations

from understudy.types import Candidate, Decision, Facts, Intent, Link, Quality, Sensitivity, Standing

NAME = "advisor"
MAX_ATTEMPTS = 6
ADVICE = 2  # times at most
ADVICE_TOKENS = 500  # one advice: a digest, instructions and 160 tokens of answer; 400 to 700 are published for others
ANSWER = 256  # tokens of answer a window must have room for
PATIENCE = 3.0  # seconds that a wait is no reason to go back
BASE_CHECKS = ("not_empty", "not_error", "not_truncated", "not_refusal", "language", "format")

# intent: agent, cap of the answer in tokens, checks of its own, the quality below which an executor needs more help
# than it saves, the words of models that stand in front.
TABLE = {
    Intent.QUICK_QA: ("quick", 1024, (), 0, ("8b", "flash")),
    Intent.REASONING: ("reasoner", 2048, (), 50, ("qwen3-32b", "gpt-oss-120b", "70b")),
    Intent.TOOL_CALLING: ("tool-caller", 1024, (), 45, ("scout", "maverick")),
    Intent.CODING: ("coder", 4096, ("python_compiles",), 55, ("gpt-oss-120b", "kimi", "coder")),
    Intent.LONG_CONTEXT: ("long-context", 4096, (), 50, ("flash",)),
    Intent.CODE_REVIEW: ("reviewer", 2048, (), 55, ("gpt-oss-120b", "kimi", "coder")),
    Intent.SUMMARIZATION: ("summarizer", 1024, (), 0, ("8b", "ministral")),
    Intent.MEMORY: ("memory", 1024, (), 0, ("flash", "ministral")),
    Intent.WEB_RESEARCH: ("researcher", 2048, (), 45, ("flash",)),
    Intent.PRIVATE: ("private", 2048, (), 0, ()),
}
AGENTS = {
    **{row[0]: row for row in TABLE.values()},
    "planner": ("planner", 1024, (), 45, ("70b",)),
    "tester": ("tester", 4096, ("python_compiles", "tests_pass"), 0, ("8b", "coder")),
}


def decide(facts: Facts) -> Decision:
    """Executors, cheapest first, the frontier model last. Total: every intent, with any fleet, gets a decision."""
    private = facts.sensitivity is Sensitivity.PRIVATE
    row = TABLE[Intent.PRIVATE if private and not facts.explicit_intent else facts.intent]
    agent, cap, own, floor, words = AGENTS.get(facts.agent or "", row)
    fleet = [c for c in facts.fleet if c.local] if private else list(facts.fleet)
    adviser = next((c for c in fleet if c.domain == facts.director), None)
    standings = {s.domain: s for s in facts.standings}
    cap = min(cap, facts.max_tokens or cap)

    def place(candidate: Candidate) -> tuple[object, ...]:
        preferred = next((n for n, word in enumerate(words) if word in candidate.model.lower()), len(words))
        wish = {Quality.FAST: -candidate.speed, Quality.BEST: -candidate.quality}.get(facts.quality, 0)
        return (
            _is_stopped(candidate, facts, standings.get(candidate.domain), cap),
            adviser is not None and (candidate.kind, candidate.model) == (adviser.kind, adviser.model),
            candidate.quality < floor,
            not candidate.free,
            wish,
            preferred,
            candidate.input_price + candidate.output_price if not candidate.free else 0,
            -candidate.quality,
        )

    start = facts.rotation % len(fleet) if fleet else 0
    # Among equals, which are accounts of one model, in turn.
    ordered = sorted((*fleet[start:], *fleet[:start]), key=place)
    checks = ["not_empty", "not_error", "not_truncated", "schema"] if facts.has_schema else [*BASE_CHECKS, *own]
    if facts.max_tokens is not None:
        checks.append("length")
    advised = adviser is not None and bool(ordered) and ordered[0] is not adviser
    return Decision(
        agent=agent,
        chain=tuple(
            Link(c.domain, "the adviser itself, when nobody else could" if c is adviser else "executor")
            for c in ordered
        ),
        checks=tuple(checks),
        output_cap=cap,
        max_attempts=MAX_ATTEMPTS,
        deadline=facts.deadline,
        why="the executor first; the frontier model advises",
        advice=min(ADVICE, facts.director_left // ADVICE_TOKENS) if advised else 0,
    )


def _is_stopped(candidate: Candidate, facts: Facts, standing: Standing | None, cap: int) -> bool:
    """Whether it cannot run now, or can never hold the task."""
    window = min(candidate.context, candidate.tokens_per_minute or candidate.context)
    if window - facts.input_tokens < min(cap, ANSWER):
        return True
    if standing is None:
        return candidate.domain in facts.resting
    return standing.breaker == "open" or standing.wait > min(PATIENCE, facts.deadline / 4)
