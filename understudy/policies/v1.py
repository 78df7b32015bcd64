"""Policy v1: the ten-row task table, the four specialists of the agent table, and one pure function.

Released: this file never changes again (its hash is pinned by a test); a better idea is v2.

A selector is `kind/model`: the kind of adapter and a part of the model's id; `local/...` means any candidate on this
machine, `*` any model. Behind the table's own entries stand the candidates it does not name, best first, so that
somebody with one key gets answers too; those of them that cost money stand last of all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from understudy.types import Candidate, Decision, Facts, Intent, Link, Quality, Sensitivity

NAME = "v1"
MAX_ATTEMPTS = 6
PLAN_TOKENS = 500  # what the director needs to plan: digest, instructions and a short DAG
BASE_CHECKS = ("not_empty", "not_error", "not_truncated", "not_refusal", "language", "format")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    agent: str
    primary: tuple[str, ...]
    fallback: tuple[str, ...]
    why: str
    output_cap: int  # tokens
    checks: tuple[str, ...] = ()
    judged: bool = False  # a judge may be asked when the caller wants the best


TABLE: Mapping[Intent, Row] = {
    Intent.QUICK_QA: Row("quick", ("groq/llama-3.1-8b",), ("gemini/gemini-2.5-flash", "local/*"), "speed", 1024),
    Intent.REASONING: Row(
        "reasoner",
        ("groq/qwen3-32b", "groq/llama-3.3-70b"),
        ("gemini/gemini-2.5-pro", "local/*"),
        "quality",
        2048,
        judged=True,
    ),
    Intent.TOOL_CALLING: Row(
        "tool-caller",
        ("groq/llama-4-scout", "groq/llama-4-maverick"),
        ("local/nemotron", "local/*"),
        "tool format support",
        1024,
    ),
    Intent.CODING: Row(
        "coder",
        ("claude_code/opus",),
        ("groq/gpt-oss-120b", "local/coder", "local/*"),
        "the subscription costs nothing more",
        4096,
        ("python_compiles",),
        judged=True,
    ),
    Intent.LONG_CONTEXT: Row(
        "long-context",
        ("gemini/gemini-2.5-flash",),
        ("gemini/gemini-2.5-pro",),
        "only Gemini takes a million tokens",
        4096,
    ),
    Intent.CODE_REVIEW: Row(
        "reviewer", ("claude_code/opus",), ("local/coder", "local/*"), "quality", 2048, judged=True
    ),
    Intent.SUMMARIZATION: Row(
        "summarizer", ("groq/llama-3.1-8b",), ("local/ministral", "local/*"), "fast and cheap", 1024
    ),
    Intent.MEMORY: Row("memory", ("gemini/gemini-2.5-flash",), ("local/ministral", "local/*"), "bulk processing", 1024),
    Intent.WEB_RESEARCH: Row(
        "researcher",
        ("gemini/gemini-2.5-flash", "gemini/gemini-2.5-pro"),
        ("groq/llama-3.3-70b", "groq/gpt-oss-120b"),
        "Gemini searches; the others fetch pages",
        2048,
    ),
    Intent.PRIVATE: Row("private", ("local/*",), (), "private work never leaves the machine", 2048),
}

AGENTS: Mapping[str, Row] = {
    "planner": Row(
        "planner",
        ("local/70b", "groq/llama-3.3-70b"),
        ("claude_code/opus", "gemini/gemini-2.5-pro"),
        "structured extraction, medium complexity",
        1024,
    ),
    "tester": Row(
        "tester",
        ("local/8b", "local/coder", "groq/llama-3.1-8b"),
        ("local/*", "groq/gpt-oss-120b", "claude_code/opus"),
        "its output verifies itself, so small models will do",
        4096,
        ("python_compiles", "tests_pass"),
    ),
}


def row_for(facts: Facts) -> Row:
    """The agent's own row when the caller names one; else the private row; else the intent's."""
    if facts.agent:
        if facts.agent in AGENTS:
            return AGENTS[facts.agent]
        for row in TABLE.values():
            if row.agent == facts.agent:
                return row
    if facts.sensitivity is Sensitivity.PRIVATE and not facts.explicit_intent:
        return TABLE[Intent.PRIVATE]
    return TABLE[facts.intent]


def decide(facts: Facts) -> Decision:
    """An ordered chain for these facts. Total: every intent, with any fleet, gets a decision."""
    row = row_for(facts)
    private = facts.sensitivity is Sensitivity.PRIVATE
    fleet = [c for c in facts.fleet if c.local] if private else list(facts.fleet)
    chain: list[Link] = []
    for candidates, why in _stages(row, fleet, facts):
        known = {link.domain for link in chain}
        chain += [Link(c.domain, why) for c in _in_turn(candidates, facts.rotation) if c.domain not in known]
    checks = [*BASE_CHECKS, *row.checks]
    if facts.has_schema:
        # Code fences and lists are not asked of an object; its schema is.
        checks = ["not_empty", "not_error", "not_truncated", "schema"]
    if facts.max_tokens is not None:
        checks.append("length")
    return Decision(
        agent=row.agent,
        chain=tuple(chain),
        checks=tuple(checks),
        output_cap=min(row.output_cap, facts.max_tokens or row.output_cap),
        max_attempts=MAX_ATTEMPTS,
        deadline=facts.deadline,
        judge="director" if row.judged and facts.quality is Quality.BEST and not facts.has_schema else "none",
        plan=facts.multi_step and not facts.has_schema and (private or facts.director_left >= PLAN_TOKENS),
        why=row.why,
    )


def _stages(row: Row, fleet: Sequence[Candidate], facts: Facts) -> Iterable[tuple[list[Candidate], str]]:
    named: list[Candidate] = []
    stages: list[tuple[list[Candidate], str]] = []
    for label, selectors in (("primary", row.primary), ("fallback", row.fallback)):
        for selector in selectors:
            found = [c for c in fleet if _matches(selector, c) and c not in named]
            found.sort(key=lambda c: -c.quality)
            named += found
            stages.append((found, f"{label}: {row.why}"))
    others = sorted((c for c in fleet if c.free and c not in named), key=lambda c: -c.quality)
    paid = sorted((c for c in fleet if not c.free and c not in named), key=lambda c: c.input_price + c.output_price)
    if facts.quality is Quality.FAST:
        stages = [(sorted(named, key=lambda c: -c.speed), f"the fastest of {row.agent}")]
    elif facts.quality is Quality.BEST:
        stages = [(sorted([*named, *others], key=lambda c: -c.quality), "the best there is")]
        others = []
    return [*stages, (others, "not in the table, but there"), (paid, "costs money: only when free ones cannot")]


def _matches(selector: str, candidate: Candidate) -> bool:
    kind, _, model = selector.partition("/")
    right_kind = candidate.local if kind == "local" else candidate.kind == kind
    return right_kind and (model == "*" or model in candidate.model.lower())


def _in_turn(candidates: list[Candidate], rotation: int) -> list[Candidate]:
    """Accounts of one model take turns; the order of models stays."""
    models = list(dict.fromkeys((c.provider, c.model) for c in candidates))
    turned: list[Candidate] = []
    for model in models:
        equals = [c for c in candidates if (c.provider, c.model) == model]
        start = rotation % len(equals)
        turned += equals[start:] + equals[:start]
    return turned
