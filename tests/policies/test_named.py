"""Policy named, and what holds for every conversation that is handed on; neither of them ever changes."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from understudy.policies import named, registry
from understudy.policies.handing import hand_on
from understudy.types import Candidate, Decision, Facts, Intent, Link, Sensitivity

ACCOUNTS = tuple(Candidate("groq", "groq", name, "m") for name in "abcd")
DOMAINS = [c.domain for c in ACCOUNTS]
facts = st.builds(
    Facts,
    intent=st.just(Intent.QUICK_QA),
    probability=st.just(1.0),
    sensitivity=st.sampled_from(Sensitivity),
    input_tokens=st.integers(0, 1_000_000),
    max_tokens=st.none() | st.integers(1, 100_000),
    has_schema=st.booleans(),
    handed=st.booleans(),
    has_tools=st.booleans(),
    sticky=st.sampled_from(["", "elsewhere", *DOMAINS]),
    rotation=st.integers(0, 10**9),
    fleet=st.lists(st.sampled_from(ACCOUNTS), unique=True, max_size=4).map(tuple),
    resting=st.sets(st.sampled_from(DOMAINS)).map(lambda found: tuple(sorted(found))),
)
decisions = st.builds(
    Decision,
    agent=st.just("x"),
    chain=st.lists(st.sampled_from(DOMAINS), unique=True).map(lambda ds: tuple(Link(d, "why") for d in ds)),
    checks=st.just(("not_empty", "language")),
    output_cap=st.integers(1, 9000),
    max_attempts=st.integers(1, 9),
    deadline=st.just(60.0),
    judge=st.sampled_from(["none", "cheap", "director"]),
    plan=st.booleans(),
    live=st.booleans(),
)


def test_the_released_files_are_what_they_were() -> None:
    assert registry.load("named").hash == "8905c9e980f188f4"
    assert registry.source_hash("handing") == "1a476b73c6a06d9d"


@given(facts)
def test_everybody_once_and_who_rests_last(known: Facts) -> None:
    decision = named.decide(known)
    domains = [link.domain for link in decision.chain]
    assert sorted(domains) == sorted(c.domain for c in known.fleet)
    rests = [domain in known.resting for domain in domains]
    assert rests == sorted(rests)
    assert decision == named.decide(known)
    assert decision.output_cap == (known.max_tokens or named.OUTPUT_CAP)
    assert ("schema" in decision.checks) == known.has_schema
    assert {"not_empty", "not_error", "not_truncated"} <= set(decision.checks)
    assert decision.judge == "none"
    assert not decision.plan


def test_accounts_take_turns() -> None:
    base = Facts(Intent.QUICK_QA, 1.0, Sensitivity.PUBLIC, 5, fleet=ACCOUNTS)
    assert [named.decide(replace(base, rotation=n)).chain[0].domain for n in range(4)] == DOMAINS


@given(decisions, facts)
def test_what_is_handed_on(decision: Decision, known: Facts) -> None:
    made = hand_on(decision, known)
    if not known.handed:
        assert made is decision
        return
    assert {link.domain for link in made.chain} == {link.domain for link in decision.chain}, (
        "nobody joins, nobody leaves"
    )
    assert len(made.chain) == len(decision.chain)
    stays = known.sticky in {link.domain for link in decision.chain} and known.sticky not in known.resting
    rest = [link.domain for link in made.chain if not (stays and link.domain == known.sticky)]
    assert rest == [link.domain for link in decision.chain if not (stays and link.domain == known.sticky)]
    if stays:
        assert made.chain[0].domain == known.sticky
    assert made.live == (decision.live and not known.has_tools and not known.has_schema)
    assert ("tool_calls" in made.checks) == known.has_tools
    assert ("schema" in made.checks) == known.has_schema
    assert ("not_truncated" in made.checks) == (known.max_tokens is None), "a cap of the caller's is told, not refused"
    assert (made.judge, made.plan) == ("none", False)
    assert made.max_attempts == decision.max_attempts


def test_every_policy_hands_on() -> None:
    known = Facts(Intent.TOOL_CALLING, 1.0, Sensitivity.PUBLIC, 5, fleet=ACCOUNTS, handed=True, has_tools=True)
    for name in (*registry.RELEASED, registry.NAMED):
        assert "tool_calls" in registry.load(name).decide(known).checks, name
