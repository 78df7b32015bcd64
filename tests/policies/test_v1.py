"""Policy v1: the task table comes out, privacy holds over the whole fact space, the released file never changes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.errors import UsageError
from understudy.policies import record, registry, v1
from understudy.types import Candidate, Decision, Facts, Intent, Quality, Sensitivity


def candidate(name: str, **more: object) -> Candidate:
    kind, _, model = name.partition("/")
    return Candidate(provider=kind, kind=kind, account="a", model=model, **more)  # type: ignore[arg-type]


GROQ_8B = candidate("groq/llama-3.1-8b-instant", quality=40, speed=95)
GROQ_70B = candidate("groq/llama-3.3-70b-versatile", quality=65, speed=80)
QWEN = candidate("groq/qwen/qwen3-32b", quality=66, speed=82)
SCOUT = candidate("groq/meta-llama/llama-4-scout-17b-16e-instruct", quality=55, speed=85)
MAVERICK = candidate("groq/meta-llama/llama-4-maverick-17b-128e-instruct", quality=60, speed=84)
OSS = candidate("groq/openai/gpt-oss-120b", quality=72, speed=78)
FLASH = candidate("gemini/gemini-2.5-flash", quality=70, speed=75, context=1_000_000)
PRO = candidate("gemini/gemini-2.5-pro", quality=88, speed=40, context=1_000_000)
OPUS = candidate("claude_code/opus", quality=97, speed=25)
MINISTRAL = Candidate("gpu", "llama_cpp", "default", "ministral-3b", local=True, quality=30, speed=60)
NEMOTRON = Candidate("gpu", "llama_cpp", "default", "nemotron-12b", local=True, quality=48, speed=40)
QWEN_CODER = Candidate("gpu", "llama_cpp", "default", "qwen3-coder-30b-a3b", local=True, quality=58, speed=30)
PAID = candidate("openai/gpt-4o", quality=85, free=False, input_price=1_100_000)
FLEET = (
    PAID, GROQ_8B, GROQ_70B, QWEN, SCOUT, MAVERICK, OSS, FLASH, PRO, OPUS, MINISTRAL, NEMOTRON, QWEN_CODER,
)  # fmt: skip


def decide(intent: Intent, **more: object) -> Decision:
    facts = {"probability": 1.0, "sensitivity": Sensitivity.PUBLIC, "input_tokens": 100, "fleet": FLEET, **more}
    return v1.decide(Facts(intent=intent, **facts))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("intent", "first", "then"),
    [
        (Intent.QUICK_QA, GROQ_8B, FLASH),
        (Intent.REASONING, QWEN, GROQ_70B),
        (Intent.TOOL_CALLING, SCOUT, MAVERICK),
        (Intent.CODING, OPUS, OSS),
        (Intent.LONG_CONTEXT, FLASH, PRO),
        (Intent.CODE_REVIEW, OPUS, QWEN_CODER),
        (Intent.SUMMARIZATION, GROQ_8B, MINISTRAL),
        (Intent.MEMORY, FLASH, MINISTRAL),
        (Intent.WEB_RESEARCH, FLASH, PRO),
        (Intent.PRIVATE, QWEN_CODER, NEMOTRON),
    ],
)
def test_the_ten_rows(intent: Intent, first: Candidate, then: Candidate) -> None:
    sensitivity = Sensitivity.PRIVATE if intent is Intent.PRIVATE else Sensitivity.PUBLIC
    chain = [link.domain for link in decide(intent, sensitivity=sensitivity).chain]
    assert chain[:2] == [first.domain, then.domain]


def test_paid_candidates_stand_last() -> None:
    for intent, quality in itertools.product(set(Intent) - {Intent.PRIVATE}, Quality):
        chain = decide(intent, quality=quality).chain
        assert chain[-1].domain == PAID.domain


def test_every_fact_gets_a_decision_and_private_ones_stay_local() -> None:
    """The whole space of the discrete facts, with every fleet of up to two members."""
    fleets = [(), *itertools.combinations(FLEET, 1), *itertools.combinations(FLEET, 2), FLEET]
    agents = [None, *v1.AGENTS, *{r.agent for r in v1.TABLE.values()}]
    local = {c.domain for c in FLEET if c.local}
    for fleet, intent, agent in itertools.product(fleets, Intent, agents):
        for quality, explicit, schema, steps in itertools.product(Quality, (True, False), (True, False), (True, False)):
            facts = Facts(
                intent,
                0.9,
                Sensitivity.PRIVATE,
                10,
                quality=quality,
                agent=agent,
                explicit_intent=explicit,
                has_schema=schema,
                multi_step=steps,
                fleet=fleet,
            )
            chain = {link.domain for link in v1.decide(facts).chain}
            assert chain <= local
            assert chain == local & {c.domain for c in fleet}


def test_wishes() -> None:
    fast = decide(Intent.REASONING, quality=Quality.FAST).chain
    assert fast[0].domain == QWEN.domain
    assert decide(Intent.REASONING, quality=Quality.BEST).chain[0].domain == OPUS.domain
    assert decide(Intent.REASONING, quality=Quality.BEST).judge == "director"


def test_accounts_of_one_model_take_turns() -> None:
    accounts = tuple(Candidate("groq", "groq", name, "llama-3.1-8b-instant") for name in ("a", "b", "c"))
    first = [decide(Intent.QUICK_QA, fleet=accounts, rotation=n).chain[0].domain for n in range(4)]
    assert [d.split("/")[1] for d in first] == ["a", "b", "c", "a"]


def test_one_key_is_enough_for_every_public_intent() -> None:
    for only, intent in itertools.product(FLEET, set(Intent) - {Intent.PRIVATE}):
        assert [link.domain for link in decide(intent, fleet=(only,)).chain] == [only.domain]


def test_plan_needs_a_director_with_budget() -> None:
    assert not decide(Intent.CODING, multi_step=True, director_left=100).plan
    assert decide(Intent.CODING, multi_step=True, director_left=2000).plan
    assert not decide(Intent.CODING, multi_step=True, director_left=2000, has_schema=True).plan


def test_the_released_policy_never_changes() -> None:
    assert registry.load("v1").hash == "45b278632081e972"


def test_an_unknown_policy_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="v1"):
        registry.load("v11")


@settings(max_examples=200)
@given(
    st.builds(
        Facts,
        intent=st.sampled_from(Intent),
        probability=st.floats(0, 1),
        sensitivity=st.sampled_from(Sensitivity),
        input_tokens=st.integers(0, 10**7),
        max_tokens=st.none() | st.integers(1, 10**5),
        quality=st.sampled_from(Quality),
        deadline=st.floats(0.1, 1e5),
        has_schema=st.booleans(),
        multi_step=st.booleans(),
        rotation=st.integers(0, 1000),
        director_left=st.integers(0, 10**5),
        fleet=st.lists(st.sampled_from(FLEET), unique=True, max_size=6).map(tuple),
        resting=st.lists(st.sampled_from([c.domain for c in FLEET]), max_size=3).map(tuple),
    )
)
def test_recorded_facts_decide_the_same(facts: Facts) -> None:
    import json

    again = record.facts_from_dict(json.loads(json.dumps(record.facts_to_dict(facts))))
    assert again == facts
    decision = v1.decide(facts)
    assert v1.decide(again) == decision
    assert record.decision_from_dict(json.loads(json.dumps(record.decision_to_dict(decision)))) == decision
    assert decision.output_cap >= 1
