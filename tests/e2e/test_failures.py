"""Each failure class of each provider, from real bodies over HTTP: the right class, the right next candidate."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.house import open_house, script
from understudy import Task
from understudy.cli.ending import lines_of
from understudy.errors import NoCandidate, UsageError, ValidationFailed
from understudy.rehearsal.script import Fault, ScriptedReply
from understudy.types import Role

GROQ_FAULTS = {
    "auth": "auth",
    "forbidden": "unavailable",
    "payment": "payment",
    "minute_quota": "minute_quota",
    "day_quota": "day_quota",
    "too_large": "too_large",
    "context": "context",
    "not_found": "unavailable",
    "server_error": "overload",
    "overload": "overload",
    "reset": "transport",
    "cut": "transport",
    "malformed": "malformed",
    "empty": "malformed",
}
GEMINI_FAULTS = {
    "auth": "auth",
    "minute_quota": "minute_quota",
    "day_quota": "day_quota",
    "no_quota": "unavailable",
    "server_error": "overload",
    "overload": "overload",
    "reset": "transport",
    "empty": "malformed",
}


@pytest.mark.parametrize(("kind", "outcome"), GROQ_FAULTS.items())
async def test_groq_fails_and_gemini_answers(tmp_path: Path, kind: str, outcome: str) -> None:
    faults = {"8b": [Fault(kind=kind, retry_after=30 if "quota" in kind else None)]}  # type: ignore[arg-type]
    with open_house(tmp_path, {"groq": script("groq", faults=faults), "gemini": script("gemini")}) as house:
        async with house.director() as director:
            reply = await director.run(Task("What is the capital of France?", intent="quick_qa"))
    assert [(a.provider, a.outcome) for a in reply.attempts] == [("groq", outcome), ("gemini", "ok")]
    assert house.received("groq") == 1, "an SDK retried on its own"
    assert reply.attempts[0].error.startswith(outcome)  # type: ignore[union-attr]


@pytest.mark.parametrize(("kind", "outcome"), GEMINI_FAULTS.items())
async def test_gemini_fails_and_the_local_model_answers(tmp_path: Path, kind: str, outcome: str) -> None:
    faults = {"": [Fault(kind=kind, retry_after=27 if kind == "minute_quota" else None)]}  # type: ignore[arg-type]
    with open_house(tmp_path, {"gemini": script("gemini", faults=faults), "local": script("local")}) as house:
        async with house.director() as director:
            reply = await director.run(Task("What do my notes say of Lyon?", intent="memory"))
    assert [(a.model, a.outcome) for a in reply.attempts] == [("gemini-2.5-flash", outcome), ("ministral-3b", "ok")]
    assert house.received("gemini") == 1


async def test_a_resting_domain_is_not_asked_again_before_its_time(tmp_path: Path) -> None:
    faults = {"8b": [Fault(kind="minute_quota", retry_after=30)]}
    with open_house(tmp_path, {"groq": script("groq", faults=faults), "gemini": script("gemini")}) as house:
        for _ in range(2):  # the rest survives a restart
            async with house.director() as director:
                reply = await director.run(Task("What is the capital of France?", intent="quick_qa"))
        assert house.received("groq") == 1
    assert [a.provider for a in reply.attempts] == ["gemini"]
    assert "resting" in dict(reply.skipped)["groq/a/llama-3.1-8b-instant"]


async def test_nobody_can_answer_and_the_error_says_when(tmp_path: Path) -> None:
    faults = {"": [Fault(kind="minute_quota", retry_after=20)]}
    with open_house(tmp_path, {"groq": script("groq", faults=faults)}) as house:
        async with house.director() as director:
            with pytest.raises(NoCandidate) as caught:
                await director.run(Task("What is the capital of France?", intent="quick_qa"))
    assert caught.value.exit_code == 3
    assert caught.value.retry_after == pytest.approx(20, abs=1)
    assert len(caught.value.attempts) <= 6


async def test_nobody_can_answer_and_it_is_said_where_more_is_told(tmp_path: Path) -> None:
    faults = {"": [Fault(kind="overload")]}
    only = script("local", faults=faults)
    only = only.model_copy(update={"models": only.models[:1]})
    with open_house(tmp_path, {"local": only}) as house:
        async with house.director() as director:
            with pytest.raises(NoCandidate) as caught:
                await director.run(Task("What is the capital of France?", intent="quick_qa"))
    assert len(caught.value.attempts) == 2
    assert caught.value.message.count("overload") == 1
    assert "overload (twice)" in caught.value.message
    assert lines_of(caught.value)[-1] == f"understudy explain {caught.value.reply_id} shows what the servers said."


async def test_a_content_filter_is_reported_not_routed_around(tmp_path: Path) -> None:
    faults = {"8b": [Fault(kind="content_filter")]}
    with open_house(tmp_path, {"groq": script("groq", faults=faults), "gemini": script("gemini")}) as house:
        async with house.director() as director:
            with pytest.raises(NoCandidate) as caught:
                await director.run(Task("What is the capital of France?", intent="quick_qa"))
        assert house.received("gemini") == 0
    assert [a.outcome for a in caught.value.attempts] == ["content_filter"]


@pytest.mark.parametrize("flavour", ["lm_studio", "ollama", "llama.cpp"])
async def test_a_server_without_a_model_is_passed_over(tmp_path: Path, flavour: str) -> None:
    kind = "loading" if flavour == "llama.cpp" else "no_models"
    local = script("local", faults={"": [Fault(kind=kind)]}, flavour=flavour)  # type: ignore[arg-type]
    with open_house(tmp_path, {"local": local, "groq": script("groq")}) as house:
        async with house.director() as director:
            reply = await director.run(Task("hello", agent="tester", intent="coding", deadline=20))
    assert reply.attempts[0].provider == "local"
    assert reply.attempts[0].outcome == "unavailable"
    assert reply.attempts[0].seconds < 1.0
    assert reply.attempts[-1].outcome == "ok"


async def test_a_classifier_that_cannot_be_read_is_no_success(tmp_path: Path) -> None:
    top = '[classifier]\ncandidate = "groq/llama-3.1-8b-instant"\n'
    with open_house(
        tmp_path, {"groq": script("groq", replies=(ScriptedReply(contains="fnord", text="Hm."),))}, top=top
    ) as house:
        async with house.director() as director:
            reply = await director.run(Task("blorp the fnord gently"))
    asked = reply.attempts[0]
    assert (asked.role, asked.outcome) == (Role.CLASSIFIER, "rejected")
    assert "JSON" in (asked.error or "")
    assert reply.intent.by == "local"


async def test_a_single_answer_is_not_called_all(tmp_path: Path) -> None:
    faults = {"": [Fault(kind="empty")]}
    with open_house(tmp_path, {"local": script("local", faults=faults)}) as house:
        async with house.director() as director:
            with pytest.raises(ValidationFailed) as caught:
                await director.run(Task("hello", intent="quick_qa"))
    said = caught.value.message
    assert ".." not in said
    assert "All 1" not in said
    assert said.endswith("the answer is empty.")


async def test_an_empty_session_is_no_session(tmp_path: Path) -> None:
    with open_house(tmp_path, {"local": script("local")}) as house:
        async with house.director() as director:
            with pytest.raises(UsageError, match="session"):  # a script's unset variable, not a new conversation
                await director.run(Task("hello", session="", intent="quick_qa"))
