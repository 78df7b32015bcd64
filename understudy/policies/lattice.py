"""The fact space, laid out to be walked: every discrete fact with every other, and marked values of the numbers.

The numbers' marks are the ends, what lies between, and for one's own policies every number in its source with its
neighbours: where a policy changes its mind at a threshold, both sides are looked at.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from understudy.policies.vocabulary import AGENTS
from understudy.types import Candidate, Facts, Intent, Quality, Sensitivity, Standing

TOOLS = frozenset({"tools", "json"})


def _of(kind: str, model: str, quality: int, speed: int, **more: Any) -> Candidate:
    known: dict[str, Any] = {"capabilities": TOOLS, "context": 131_072, "output_cap": 8_192, **more}
    return Candidate(kind, kind, "a", model, quality=quality, speed=speed, **known)


def _local(model: str, quality: int, speed: int, **more: Any) -> Candidate:
    known: dict[str, Any] = {"capabilities": TOOLS, "context": 32_768, "output_cap": 4_096, **more}
    return Candidate("gpu", "llama_cpp", "default", model, local=True, quality=quality, speed=speed, **known)


# The fleet of the founding plans: free clouds, a subscription, models of one's own, and some that cost money.
GROQ_8B = _of("groq", "llama-3.1-8b-instant", 35, 98, tokens_per_minute=6_000)
GROQ_8B_TOO = replace(GROQ_8B, account="b")
GROQ_70B = _of("groq", "llama-3.3-70b-versatile", 62, 85, tokens_per_minute=12_000)
QWEN = _of("groq", "qwen/qwen3-32b", 66, 88, tokens_per_minute=6_000)
SCOUT = _of("groq", "meta-llama/llama-4-scout-17b-16e-instruct", 54, 93, tokens_per_minute=30_000)
OSS = _of("groq", "openai/gpt-oss-120b", 72, 92, tokens_per_minute=8_000)
FLASH = _of("gemini", "gemini-2.5-flash", 68, 80, context=1_048_576, capabilities=TOOLS | {"grounding"})
PRO = _of("gemini", "gemini-2.5-pro", 84, 50, context=1_048_576, capabilities=TOOLS | {"grounding"})
OPUS = _of(
    "claude_code", "opus", 99, 35, context=200_000, input_price=4_000_000, output_price=20_000_000,
    capabilities=frozenset({"agentic", "json"}),
)  # fmt: skip
HAIKU = _of("claude_code", "haiku", 82, 65, context=200_000, capabilities=frozenset({"agentic", "json"}))
SONNET = _of("anthropic", "claude-sonnet-5-5", 95, 62, free=False, input_price=2_000_000, output_price=10_000_000)
GPT = _of("openai", "gpt-4o", 85, 70, free=False, input_price=2_500_000, output_price=10_000_000)
HOSTED = _of(
    "openai_compatible", "meta-llama-3.1-8b-instruct", 35, 90, free=False, input_price=180_000, output_price=180_000
)
MINISTRAL = _local("ministral-3b", 38, 75)
NEMOTRON = _local("nemotron-12b", 52, 55)
CODER = _local("qwen3-coder-30b-a3b", 60, 60, context=262_144)
LLAMA_70B = _local("llama3.1-70b-q4", 62, 20)

FLEET = (
    GPT, GROQ_8B, GROQ_70B, QWEN, SCOUT, OSS, FLASH, PRO, OPUS, HAIKU, SONNET, HOSTED, MINISTRAL, NEMOTRON, CODER,
    LLAMA_70B, GROQ_8B_TOO,
)  # fmt: skip
FLEETS: tuple[tuple[Candidate, ...], ...] = (
    FLEET,
    (),
    (GROQ_8B,),
    (MINISTRAL,),
    (OPUS, MINISTRAL, CODER),
    (GPT, SONNET),
    (GROQ_8B, GROQ_8B_TOO, FLASH, OPUS),
)
INTENTS, QUALITIES, LABELS = tuple(Intent), tuple(Quality), tuple(Sensitivity)
FLAGS: tuple[str, ...] = ("has_schema", "has_files", "multi_step", "handed", "has_tools", "explicit_intent")
TOKENS = (0, 79, 500, 7_000, 40_000, 3_000_000)
CAPS = (None, 1, 100_000)
DEADLINES = (0.5, 20.0, 3_600.0)
LEFT = (0, 450, 100_000)
MOST_MARKS = 60  # of numbers in a source; a policy with more is a table, and its numbers are caps


def _standing(c: Candidate, **more: Any) -> Standing:
    return Standing(c.domain, **more)


# Nothing is known; all rest; all are away; some are slow, some nearly used up.
STANDINGS: tuple[tuple[Standing, ...], ...] = (
    (),
    tuple(_standing(c, wait=60.0) for c in FLEET),
    tuple(_standing(c, wait=60.0, breaker="open", latency=9.0) for c in FLEET),
    (
        _standing(OPUS, latency=30.0),
        _standing(GROQ_8B, left=0.01, latency=0.5),
        _standing(OSS, wait=2.0, left=0.4, latency=2.0),
        _standing(MINISTRAL, latency=4_000.0),
        _standing(FLASH, breaker="half-open", latency=1.5, first_token=0.4),
    ),
)


def walk(*, whole: bool = True, marks: Iterable[float] = ()) -> Iterator[Facts]:
    """Every fact: some 70,000 of them; whole=False: some 2,000, for each time one's own policy is loaded."""
    yield from _discrete(whole=whole)
    yield from _numbers(whole=whole)
    yield from _one_by_one(marks)


def _discrete(*, whole: bool) -> Iterator[Facts]:
    agents = (None, *AGENTS) if whole else (None, "tester")
    for fleet in FLEETS if whole else FLEETS[:1] + FLEETS[3:5]:
        for agent in agents if fleet is FLEET else (None,):
            for flags in _flags(whole=whole and agent is None):
                qualities = QUALITIES if whole or not any(flags.values()) else (Quality.BALANCED,)
                for intent, label, quality in itertools.product(INTENTS, LABELS, qualities):
                    yield _fact(intent, label, quality, fleet, agent=agent, **flags)


def _flags(*, whole: bool) -> list[dict[str, bool]]:
    if whole:
        every = itertools.product((False, True), repeat=len(FLAGS))
        return [dict(zip(FLAGS, values, strict=True)) for values in every]
    none = dict.fromkeys(FLAGS, False)
    return [none, dict.fromkeys(FLAGS, True), *({**none, name: True} for name in FLAGS)]


def _numbers(*, whole: bool) -> Iterator[Facts]:
    qualities = QUALITIES if whole else (Quality.BALANCED,)
    tokens, caps, deadlines, left = (TOKENS, CAPS, DEADLINES, LEFT) if whole else (TOKENS[2:7:2], (1,), (20.0,), (450,))
    for standings in STANDINGS:
        resting = tuple(s.domain for s in standings if s.wait > 0)
        for size, cap, deadline, rest in itertools.product(tokens, caps, deadlines, left):
            for intent, label, quality in itertools.product(INTENTS, LABELS, qualities):
                yield _fact(
                    intent, label, quality, FLEET,
                    input_tokens=size, max_tokens=cap, deadline=deadline, director_left=rest,
                    standings=standings, resting=resting, multi_step=whole and size > 100,
                    explicit_intent=whole and size > 10_000,
                )  # fmt: skip


def _one_by_one(marks: Iterable[float]) -> Iterator[Facts]:
    """The numbers nothing else depends on, and those a source names."""
    named: list[dict[str, Any]] = [{"rotation": n} for n in (1, 7, 20, 100, 10**9)]
    named += [{"draw": n} for n in (0.0, 0.01, 0.049, 0.5, 0.999)]
    named += [{"probability": n} for n in (0.0, 0.3, 0.9)]
    named += [{"phase": n, "hour": 473_000 + 4 * n} for n in range(5)]
    named += [{"resting": tuple(c.domain for c in FLEET)}, {"sticky": MINISTRAL.domain, "handed": True}]
    named += [
        *({"director": name} for name in ("", SONNET.domain, CODER.domain, "not/there/at all")),
    ]
    for mark in list(dict.fromkeys(marks))[:MOST_MARKS]:
        if isinstance(mark, int) and 0 <= mark <= 10**9:
            for near in (max(0, mark - 1), mark, mark + 1):
                named += [{name: near} for name in ("input_tokens", "director_left", "rotation")]
                named.append({"max_tokens": max(1, near)})
        if 0 < mark <= 86_400:
            named += [{"deadline": mark * near} for near in (0.999, 1.0, 1.001)]
        if 0 <= mark <= 1:
            named += [
                {name: mark + near} for name in ("probability", "draw") for near in (-1e-6, 0.0) if mark + near >= 0
            ]
    for changed in named:
        for intent, label in itertools.product(INTENTS, LABELS):
            yield _fact(intent, label, Quality.BALANCED, FLEET, **changed)


def _fact(intent: Intent, label: Sensitivity, quality: Quality, fleet: tuple[Candidate, ...], **more: Any) -> Facts:
    known: dict[str, Any] = {
        "probability": 0.9, "input_tokens": 120, "director_left": 2_000, "rotation": 3,
        "director": OPUS.domain if OPUS in fleet else "", **more,
    }  # fmt: skip
    return Facts(intent=intent, sensitivity=label, quality=quality, fleet=fleet, **known)
