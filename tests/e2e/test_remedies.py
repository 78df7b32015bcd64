"""When nobody is sure and when nothing works: what a person with one key is given, and told to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.house import open_house, script
from understudy import Task
from understudy.errors import BudgetRefused, NoCandidate, ValidationFailed
from understudy.rehearsal.script import Fault


@pytest.mark.parametrize("text", ["hello", "thanks!", "ok"])
async def test_a_greeting_nobody_is_sure_of_gets_an_answer_and_no_call(tmp_path: Path, text: str) -> None:
    with open_house(tmp_path, {"gemini": script("gemini")}) as house:
        async with house.director() as director:
            reply = await director.run(text)
    assert (reply.agent, reply.intent.by, reply.intent.abstain) == ("quick", "local", True)


async def test_an_action_that_is_plainly_one_is_still_a_call(tmp_path: Path) -> None:
    with open_house(tmp_path, {"gemini": script("gemini")}) as house:
        async with house.director() as director:
            reply = await director.run("Turn on the lights in the kitchen and set a timer for 10 minutes")
    assert reply.agent == "tool-caller"


async def test_too_little_room_is_what_the_remedy_names(tmp_path: Path) -> None:
    faults = {"": [Fault(kind="truncated")]}
    with open_house(tmp_path, {"groq": script("groq", faults=faults)}) as house:
        async with house.director() as director:
            with pytest.raises(ValidationFailed) as small:
                await director.run(Task("Tell me of the sea.", intent="quick_qa", max_tokens=5))
            with pytest.raises(ValidationFailed) as plain:
                await director.run(Task("Tell me of the sea.", intent="quick_qa"))
    assert small.value.remedy == "Give it more room than 5 tokens: --max-tokens."
    assert "max-tokens" not in plain.value.remedy


async def test_too_little_time_is_what_the_remedy_names(tmp_path: Path) -> None:
    faults = {"": [Fault(kind="silence")]}
    with open_house(tmp_path, {"groq": script("groq", faults=faults)}) as house:
        async with house.director() as director:
            with pytest.raises(NoCandidate) as short:
                await director.run(Task("Why is the sky blue?", intent="quick_qa", deadline=0.3))
    assert short.value.remedy == "Give it more time: --deadline."


@pytest.mark.parametrize(
    ("unit", "scope", "told", "remedy"),
    [
        ("tokens", "director:conversation:s", "is 2,000 tokens: 1,900 spent", ", or start a new conversation."),
        ("tokens", "director:day:x", "is 2,000 tokens: 1,900 spent", ", or wait for the next day."),
        ("micro-dollars", "money:day:x", "is $0.0020: $0.0019 spent", ", or wait for the next day."),
    ],
)
def test_a_refused_budget_says_what_would_help_it(unit: str, scope: str, told: str, remedy: str) -> None:
    refused = BudgetRefused(unit=unit, scope=scope, limit=2000, spent=1900, reserved=0, asked=400)
    assert told in refused.message
    assert refused.remedy == f"Raise the limit in the configuration{remedy}"
