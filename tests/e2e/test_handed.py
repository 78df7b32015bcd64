"""A conversation that is handed on is decided like any task: from recorded facts, and again from them (I5)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.house import open_house, script
from understudy import Task
from understudy.policies import registry
from understudy.policies.record import decision_to_dict, facts_from_dict
from understudy.types import Chat

TOOL: dict[str, Any] = {"name": "get_weather", "description": "the weather of a city", "parameters": {"type": "object"}}
PLAIN: dict[str, Any] = {"messages": [{"role": "user", "content": "What is the weather in Paris?"}]}


def chat(**more: Any) -> Chat:
    needs = frozenset({"tools"} if "tools" in more else ())
    return Chat("openai", {**PLAIN, **more}, 20, 60, needs, ("What is the weather in Paris?",), tie="one")


@pytest.mark.parametrize("candidate", ["groq/llama-3.1-8b-instant", None])
async def test_its_decision_is_made_again_from_its_facts(tmp_path: Path, candidate: str | None) -> None:
    asked = chat(tools=[{"type": "function", "function": TOOL}])
    scripts = {"groq": script("groq"), "gemini": script("gemini")}
    with open_house(tmp_path, scripts, top='[director]\ncandidate = "none/none"\n') as house:
        async with house.director() as director:
            task = Task("What is the weather in Paris?", candidate=candidate, chat=asked, remember=False)
            first, second = await director.run(task), await director.run(task)
            for reply in (first, second):
                assert [call.name for call in reply.answer.calls] == ["get_weather"] if reply.answer else False
                record = await director.explain(reply.id)
                fleet = await director.parts.store.replies.fleet(record["facts"]["fleet"])
                facts = facts_from_dict({**record["facts"], "fleet": fleet})
                again = registry.load(record["policy"]["name"]).decide(facts)
                assert json.loads(json.dumps(decision_to_dict(again))) == record["decision"]
    stayed = [next(a for a in reply.attempts if a.outcome == "ok").candidate for reply in (first, second)]
    assert stayed[0] == stayed[1], "a conversation stays with who answered it"
