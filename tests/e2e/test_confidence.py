"""The confidence cascade: a small model's answer is accepted when it is sure, else the next in the chain is asked."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.house import House, open_house, script
from understudy import Task
from understudy.errors import UsageError
from understudy.policies import registry
from understudy.policies.registry import NamedPolicy
from understudy.rehearsal.script import Fault, ScriptedReply
from understudy.types import Confidence, Decision, Facts, Role

SAMPLES = Confidence(("samples",), threshold=0.8, samples=3)
RIGHT = tuple(ScriptedReply(contains=f"number {n} ", text=f"The answer is {n * 7}.") for n in range(40))
TOP = "[classifier]\nenabled = false\n"


def ask(number: int, **more: Any) -> Task:
    return Task(f"What is number {number} times seven?", intent="quick_qa", **more)


def wavering(*numbers: int, times: int | None = None) -> list[Fault]:
    """A small model that is wrong on these, and says something else each other time."""
    return [
        Fault(kind="error_text", text="The answer is 5.", matching=f"number {n} ", flap=1, times=times) for n in numbers
    ]


@pytest.fixture
def wish(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets the policy ask for a confidence, with a chain of no more than so many links."""
    load = registry.load

    def wished(confidence: Confidence | None, links: int = 9) -> None:
        def loaded(name: str) -> NamedPolicy:
            policy = load(name)

            def decide(facts: Facts) -> Decision:
                decision = policy.decide(facts)
                return replace(decision, confidence=confidence, chain=decision.chain[:links])

            return replace(policy, decide=decide)

        monkeypatch.setattr(registry, "load", loaded)

    return wished


def two(tmp_path: Path, *, small: dict[str, list[Fault]] | None = None, **more: Any) -> Any:
    scripts = {
        "groq": script("groq", faults=small or {}, replies=RIGHT),
        "gemini": script("gemini", replies=RIGHT, **more),
    }
    return open_house(tmp_path, scripts, top=TOP)


async def test_it_escalates_the_wrong_and_accepts_the_right(tmp_path: Path, wish: Any) -> None:
    """A small model wrong on a third of the tasks, and unsteady where it is wrong: no wrong answer comes through."""
    wish(SAMPLES)
    wrong = range(0, 9, 3)
    with two(tmp_path, small={"": wavering(*wrong)}) as house:
        async with house.director() as director:
            replies = [await director.run(ask(n)) for n in range(9)]
    assert [f"{n * 7}" in r.text for n, r in enumerate(replies)] == [True] * 9
    assert {n for n, r in enumerate(replies) if r.attempts[-1].provider == "gemini"} == set(wrong)
    for number, reply in enumerate(replies):
        workers = [a for a in reply.attempts if a.role is Role.WORKER]
        if number in wrong:
            assert [a.outcome for a in workers] == ["rejected", "ok"]
            assert workers[0].error.startswith("confidence: 0.50 by samples")  # type: ignore[union-attr]
        else:
            told = next(c.reason for c in reply.checks if c.name == "confidence")
            assert told.startswith("0.80 by samples, 2 calls")


async def test_every_sample_is_an_attempt_and_its_tokens_are_in_the_reply(tmp_path: Path, wish: Any) -> None:
    wish(SAMPLES)
    with two(tmp_path) as house:
        async with house.director() as director:
            reply = await director.run(ask(3))
            record = await director.explain(reply.id)
        assert house.received("groq") == 3
    assert [(a.role, a.outcome) for a in reply.attempts] == [
        (Role.WORKER, "ok"),
        (Role.JUDGE, "ok"),
        (Role.JUDGE, "ok"),
    ]
    assert reply.total_tokens == sum(a["input_tokens"] + a["output_tokens"] for a in record["attempts"])
    assert len(record["attempts"]) == 3
    assert record["decision"]["confidence"]["samples"] == 3


async def test_without_a_wish_nothing_is_asked_twice(tmp_path: Path, wish: Any) -> None:
    """What these tests are worth: unplugged, the wrong answer of the small model is the reply."""
    wish(None)
    with two(tmp_path, small={"": wavering(3)}) as house:
        async with house.director() as director:
            reply = await director.run(ask(3))
        assert house.received("groq") == 1
    assert "5" in reply.text
    assert not any(c.name == "confidence" for c in reply.checks)


async def test_a_self_score_is_one_small_question(tmp_path: Path, wish: Any) -> None:
    wish(Confidence(("self_score",), threshold=0.7))
    sure = ScriptedReply(contains="number 8 times seven?\n\nANSWER", text="9")
    unsure = ScriptedReply(contains="number 9 times seven?\n\nANSWER", text="2")
    scripts = {"groq": script("groq", replies=(sure, unsure, *RIGHT)), "gemini": script("gemini", replies=RIGHT)}
    with open_house(tmp_path, scripts, top=TOP) as house:
        async with house.director() as director:
            accepted, escalated = await director.run(ask(8)), await director.run(ask(9))
    assert accepted.attempts[-1].provider == "groq"
    assert len(accepted.attempts) == 2
    assert [a.provider for a in escalated.attempts if a.outcome == "ok" and a.role is Role.WORKER] == ["gemini"]


async def test_where_nobody_can_tell_the_answer_is_accepted_with_a_note(tmp_path: Path, wish: Any) -> None:
    wish(Confidence(("logprobs", "self_score")))
    with two(tmp_path) as house:  # the simulated model answers the question of the self-score with no digit
        async with house.director() as director:
            reply = await director.run(ask(3))
    assert "21" in reply.text
    assert any("how sure" in n for n in reply.notes)


async def test_when_nobody_else_can_answer_the_unsure_answer_is_given_and_said_to_be(tmp_path: Path, wish: Any) -> None:
    wish(SAMPLES, links=2)
    scripts = {
        "groq": script("groq", faults={"": wavering(3)}, replies=RIGHT),
        "gemini": script("gemini", faults={"": [Fault(kind="server_error")]}),
    }
    with open_house(tmp_path, scripts, top=TOP) as house:
        async with house.director() as director:
            reply = await director.run(ask(3))
    assert "5" in reply.text
    assert any("not sure" in n for n in reply.notes)
    assert [c.passed for c in reply.checks if c.name == "confidence"] == [False]
    assert [a.provider for a in reply.attempts if a.role is Role.WORKER and a.outcome == "ok"] == ["groq"]


async def test_samples_that_could_not_be_had_are_no_doubt(tmp_path: Path, wish: Any) -> None:
    """The quota book has no room for a second sample: what was sure so far is accepted, and said not to be weighed."""
    wish(SAMPLES)
    with two(tmp_path) as house:
        async with house.director() as director:
            replies = [await director.run(ask(n)) for n in range(10, 20)]  # 30 requests of groq's minute
            last = await director.run(ask(20, patience=0.0))
    assert all(r.attempts[0].provider == "groq" for r in replies)
    assert last.attempts[0].provider == "gemini"
    assert last.attempts[0].outcome == "ok"


async def test_a_private_task_escalates_to_nobody_that_is_not_local(tmp_path: Path, wish: Any) -> None:
    wish(Confidence(("samples", "second", "self_score"), threshold=0.6))
    secret = "My card is 4111 1111 1111 1111. What is number 3 times seven?"
    scripts = {
        "groq": script("groq", replies=RIGHT),
        "gemini": script("gemini", replies=RIGHT),
        "local": script("local", faults={"": wavering(3)}, replies=RIGHT),
    }
    with open_house(tmp_path, scripts, top=TOP) as house:
        async with house.director() as director:
            reply = await director.run(Task(secret, intent="quick_qa", quality="fast"))
        assert house.received("groq") == house.received("gemini") == 0
        assert b"4111" not in house.bytes_at("groq") + house.bytes_at("gemini")
        assert house.received("local") > 1, "nothing was weighed: the test shows nothing"
    assert {a.provider for a in reply.attempts} == {"local"}


async def test_the_money_holds_with_samples(tmp_path: Path, wish: Any) -> None:
    """I1: samples of a paid model are reserved like any call; forty tasks at once never pass the day's limit."""
    wish(Confidence(("samples",), threshold=0.8, samples=5))
    top = TOP + '[money]\nusd_per_day = 0.02\n[director]\ncandidate = "none/none"\n'
    scripts = {"openai": script("openai", replies=RIGHT)}
    with open_house(tmp_path, scripts, top=top) as house:
        async with house.director() as director:
            done = await asyncio.gather(
                *(director.run(ask(n, max_tokens=64)) for n in range(40)), return_exceptions=True
            )
            replies = [r for r in done if not isinstance(r, BaseException)]
            paid = sum(a.cost_usd for r in replies for a in r.attempts)
            left = await money(house, director)
        assert 0 < paid <= 0.02
        assert left.reserved.micro_usd == 0
        assert left.spent.micro_usd <= 20_000
        assert any(a.role is Role.JUDGE for r in replies for a in r.attempts), "no sample was taken"


async def money(house: House, director: Any) -> Any:
    from understudy.director.budget import money_scope

    return await director.parts.store.ledger.balance(money_scope(director.parts.clock.now()))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (Confidence(("gut",)), "no estimator 'gut'"),
        (Confidence(()), "names no estimator"),
        (Confidence(("samples",), threshold=1.5), "not between 0 and 1"),
        (Confidence(("samples",), threshold=0.9), "never reached"),
        (Confidence(("samples",), samples=50), "it takes 2 to 9"),
        (Confidence(("logprobs",), curves=(("logprobs", ((0.9, 0.5), (0.1, 0.9))),)), "does not rise"),
    ],
)
async def test_a_wish_nobody_can_meet_is_said_before_anything_is_sent(
    tmp_path: Path, wish: Any, wrong: Confidence, told: str
) -> None:
    wish(wrong)
    with two(tmp_path) as house:
        async with house.director() as director:
            with pytest.raises(UsageError) as caught:
                await director.run(ask(3))
        assert house.received("groq") == 0
    assert told in str(caught.value) + caught.value.remedy
