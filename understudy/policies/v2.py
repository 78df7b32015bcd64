"""Policy v2: the task table of v1, ordered by what is known of each candidate at the moment of deciding.

Released: this file never changes again (its hash is pinned by a test); a better idea is v3.

Beside v1 it does five things. Who cannot hold the task, is away, rests, lacks an ability, is too weak for the type of
task, too slow for the deadline or nearly used up goes back, in this order of gravity. The frontier model does a task
itself where handing it down would lose. A plan is made only where it can pay. A second candidate is asked at the same
time when the deadline is near. Short plain answers may pass on while they are written.

A selector is `kind/model`: the kind of adapter and a part of the model's id; `local/...` means any candidate on this
machine, `*` any model. Behind the table's own entries stand the candidates it does not name, best first; those of them
that cost money stand last, but before those too weak for it, where the difference is worth the price.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from understudy.types import Candidate, Decision, Facts, Intent, Link, Quality, Sensitivity, Standing

NAME = "v2"
MAX_ATTEMPTS = 6
BASE_CHECKS = ("not_empty", "not_error", "not_truncated", "not_refusal", "language", "format")

# Tokens, measured on the director's own prompts: digest of 600 characters, instructions, a bounded answer.
JUDGE_TOKENS = 400  # one judgement
PLAN_TOKENS = 1_000  # a plan, and the judgement of its result: with less left the plan could not be judged
PLAN_FROM = 80  # tokens of a task below which the steps' own instructions outweigh it
ANSWER = 256  # tokens of answer a window must have room for
PATIENCE = 3.0  # seconds that a wait is no reason to go back
SCARCE = 0.05  # share of the tightest window
SLOW = 0.8  # of the deadline, that an answer usually takes
NEAR = 3.0  # times the usual latency: a deadline below that is near
# What a point of quality is worth in one task, in micro-dollars: about half a percent of success (0.35 to 1.1 in the
# tables of benchmarks/economics.py --data), where a wrong answer costs five cents.
POINT = 250


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table. floor: the quality below which a candidate fails such a task too often, 0 to 100."""

    agent: str
    primary: tuple[str, ...]
    fallback: tuple[str, ...]
    why: str
    output_cap: int  # tokens
    checks: tuple[str, ...] = ()
    judged: bool = False  # a judge may be asked when the caller wants the best
    floor: int = 0
    needs: frozenset[str] = frozenset()  # any one of these capabilities
    live: bool = False  # an answer may pass on while it is written


TABLE: Mapping[Intent, Row] = {
    Intent.QUICK_QA: Row(
        "quick", ("groq/llama-3.1-8b",), ("gemini/gemini-2.5-flash", "local/*"), "speed", 1024, live=True
    ),
    Intent.REASONING: Row(
        "reasoner",
        ("groq/qwen3-32b", "groq/gpt-oss-120b", "groq/llama-3.3-70b"),
        ("gemini/gemini-2.5-pro", "local/*"),
        "quality",
        2048,
        judged=True,
        floor=50,
    ),
    Intent.TOOL_CALLING: Row(
        "tool-caller",
        ("groq/llama-4-scout", "groq/llama-4-maverick"),
        ("local/nemotron", "local/*"),
        "tool format support",
        1024,
        floor=45,
        needs=frozenset({"tools"}),
    ),
    Intent.CODING: Row(
        "coder",
        ("claude_code/opus",),
        ("groq/gpt-oss-120b", "local/coder", "local/*"),
        "the subscription costs nothing more",
        4096,
        ("python_compiles",),
        judged=True,
        floor=58,
    ),
    Intent.LONG_CONTEXT: Row(
        "long-context",
        ("gemini/gemini-2.5-flash",),
        ("gemini/gemini-2.5-pro",),
        "only Gemini takes a million tokens",
        4096,
        floor=50,
    ),
    Intent.CODE_REVIEW: Row(
        "reviewer",
        ("claude_code/opus",),
        ("groq/gpt-oss-120b", "local/coder", "local/*"),
        "quality",
        2048,
        judged=True,
        floor=58,
    ),
    Intent.SUMMARIZATION: Row(
        "summarizer", ("groq/llama-3.1-8b",), ("local/ministral", "local/*"), "fast and cheap", 1024, live=True
    ),
    Intent.MEMORY: Row(
        "memory", ("gemini/gemini-2.5-flash",), ("local/ministral", "local/*"), "bulk processing", 1024, live=True
    ),
    Intent.WEB_RESEARCH: Row(
        "researcher",
        ("gemini/gemini-2.5-flash", "gemini/gemini-2.5-pro"),
        ("groq/llama-3.3-70b", "groq/gpt-oss-120b"),
        "Gemini searches; the others fetch pages",
        2048,
        floor=45,
        needs=frozenset({"grounding", "tools"}),
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
        floor=45,
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

BACK = (
    "cannot hold it",
    "is away",
    "rests",
    "lacks an ability it needs",
    "too weak for it",
    "too slow for the deadline",
    "nearly used up",
)


WEAK = BACK.index("too weak for it")


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
    standings = {s.domain: s for s in facts.standings}
    cap = min(row.output_cap, facts.max_tokens or row.output_cap)
    ranked = [
        (_gravity(c, row, facts, standings.get(c.domain), cap), c, why) for c, why in _in_table(row, fleet, facts)
    ]
    if row.floor and facts.quality is not Quality.FAST:
        ranked = _weighed(ranked, row, facts, cap)
    ranked.sort(key=lambda found: found[0])
    wants_judge = row.judged and facts.quality is Quality.BEST and not facts.has_schema
    why, frontier = _undelegated(row, facts, ranked, cap, judged=wants_judge)
    if frontier is not None:
        ranked = [found for found in ranked if found[1] is frontier] + [f for f in ranked if f[1] is not frontier]
    itself = bool(ranked) and ranked[0][1].domain == facts.director
    judge = "none"
    if wants_judge and not itself:
        judge = "director" if facts.director_left >= JUDGE_TOKENS else "cheap"
    checks = [*BASE_CHECKS, *row.checks]
    if facts.has_schema:
        # Code fences and lists are not asked of an object; its schema is.
        checks = ["not_empty", "not_error", "not_truncated", "schema"]
    if facts.max_tokens is not None:
        checks.append("length")
    return Decision(
        agent=row.agent,
        chain=tuple(Link(c.domain, why if c is frontier else _told(grave, said)) for grave, c, said in ranked),
        checks=tuple(checks),
        output_cap=cap,
        max_attempts=MAX_ATTEMPTS,
        deadline=facts.deadline,
        judge=judge,
        plan=_pays_to_plan(facts, private=private, itself=itself),
        why=why or row.why,
        hedge=not private and _is_near(facts, [c for _, c, _ in ranked], standings),
        live=row.live and facts.quality is not Quality.BEST and not facts.has_schema,
    )


Grave = tuple[bool, ...]  # one for each entry of BACK
Ranked = Sequence[tuple[Grave, Candidate, str]]


def _in_table(row: Row, fleet: Sequence[Candidate], facts: Facts) -> list[tuple[Candidate, str]]:
    """In the table's order, with the reason; accounts of one model in turn."""
    named: list[Candidate] = []
    rest = list(fleet)
    stages: list[tuple[list[Candidate], str]] = []
    for label, selectors in (("primary", row.primary), ("fallback", row.fallback)):
        for selector in selectors:
            fits = [_matches(selector, c) for c in rest]
            found = [c for c, fit in zip(rest, fits, strict=True) if fit]
            if not found:
                continue
            rest = [c for c, fit in zip(rest, fits, strict=True) if not fit]
            found.sort(key=lambda c: -c.quality)
            named += found
            stages.append((found, f"{label}: {row.why}"))
    others = sorted((c for c in rest if c.free), key=lambda c: -c.quality)
    paid = sorted((c for c in rest if not c.free), key=lambda c: c.input_price + c.output_price)
    if facts.quality is Quality.FAST:
        stages = [(sorted(named, key=lambda c: -c.speed), f"the fastest of {row.agent}")]
    elif facts.quality is Quality.BEST:
        stages = [(sorted([*named, *others], key=lambda c: -c.quality), "the best there is")]
        others = []
    stages += [(others, "not in the table, but there"), (paid, "costs money: only when free ones cannot")]
    return [(c, why) for found, why in stages for c in _in_turn(found, facts.rotation)]


def _gravity(c: Candidate, row: Row, facts: Facts, standing: Standing | None, cap: int) -> Grave:
    """What speaks against this candidate now, the gravest first. Who is too weak is weighed against the others."""
    window = min(c.context, c.tokens_per_minute or c.context)
    unable = bool(row.needs) and row.needs.isdisjoint(c.capabilities)
    small = window - facts.input_tokens < min(cap, ANSWER)
    if standing is None:
        return small, False, c.domain in facts.resting, unable, False, False, False
    return (
        small,
        standing.breaker == "open",
        standing.wait > min(PATIENCE, facts.deadline / 4),
        unable,
        False,
        standing.latency > SLOW * facts.deadline,
        standing.left < SCARCE,
    )


def _weighed(ranked: Ranked, row: Row, facts: Facts, cap: int) -> list[tuple[Grave, Candidate, str]]:
    """With those marked as too weak who are below the floor, where somebody above it is ready and worth his price."""
    strong = [(_cost(c, facts, cap), c.quality) for grave, c, _ in ranked if c.quality >= row.floor and not any(grave)]
    weighed: list[tuple[Grave, Candidate, str]] = []
    for grave, c, why in ranked:
        cost = _cost(c, facts, cap) if c.quality < row.floor else 0
        if c.quality < row.floor and any(p - cost <= POINT * 1_000_000 * (q - c.quality) for p, q in strong):
            weighed.append(((*grave[:WEAK], True, *grave[WEAK + 1 :]), c, why))
        else:
            weighed.append((grave, c, why))
    return weighed


def _undelegated(row: Row, facts: Facts, ranked: Ranked, cap: int, *, judged: bool) -> tuple[str, Candidate | None]:
    """The frontier model and why it does this task itself; nothing and None where handing it down is no loss."""
    frontier = next((c for grave, c, _ in ranked if c.domain == facts.director and not any(grave)), None)
    if frontier is None or not ranked or ranked[0][1] is frontier:
        return "", None
    grave, worker, _ = ranked[0]
    if judged and facts.input_tokens + min(cap, ANSWER) <= JUDGE_TOKENS:
        return "judging it would cost the frontier model more than doing it", frontier
    if not grave[WEAK] and not worker.free:
        # What it costs, and what the frontier model costs when it fails, against the frontier model at once.
        passes = min(0.98, max(0.1, 0.5 + (worker.quality - row.floor) / 100))
        if _cost(worker, facts, cap) >= passes * _cost(frontier, facts, cap):
            return "handing it down would cost more than doing it", frontier
    return "", None


def _cost(c: Candidate, facts: Facts, cap: int) -> int:
    """Of one answer, in micro-dollars times a million; free ones cost nothing."""
    return 0 if c.free else facts.input_tokens * c.input_price + min(cap, ANSWER) * c.output_price


def _pays_to_plan(facts: Facts, *, private: bool, itself: bool) -> bool:
    """Only a task of some size, for others than the frontier model, with enough left to judge what comes of it."""
    if not facts.multi_step or facts.has_schema or facts.input_tokens < PLAN_FROM:
        return False
    return private or (not itself and facts.director_left >= PLAN_TOKENS)


def _is_near(facts: Facts, chain: Sequence[Candidate], standings: Mapping[str, Standing]) -> bool:
    """Whether the first one's usual latency leaves no time for a second attempt, and somebody elsewhere could help."""
    first = standings.get(chain[0].domain) if chain else None
    if first is None or not first.latency or facts.deadline >= NEAR * first.latency:
        return False
    return any(c.provider != chain[0].provider for c in chain[1:])


def _told(grave: Grave, why: str) -> str:
    return next((f"{why}; goes back: {reason}" for against, reason in zip(grave, BACK, strict=True) if against), why)


def _matches(selector: str, candidate: Candidate) -> bool:
    kind, _, model = selector.partition("/")
    right_kind = candidate.local if kind == "local" else candidate.kind == kind
    return right_kind and (model == "*" or model in candidate.model.lower())


def _in_turn(candidates: list[Candidate], rotation: int) -> list[Candidate]:
    """Accounts of one model take turns; the order of models stays."""
    models: dict[tuple[str, str], list[Candidate]] = {}
    for candidate in candidates:
        models.setdefault((candidate.provider, candidate.model), []).append(candidate)
    turned: list[Candidate] = []
    for equals in models.values():
        start = rotation % len(equals)
        turned += equals[start:] + equals[:start]
    return turned
