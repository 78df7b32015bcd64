"""Several steps: a plan by the director, each step by the same way, results by reference."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.house import open_house, script
from understudy import Finished, Stage, Task, Text
from understudy.rehearsal.script import Fault, ScriptedReply
from understudy.types import Role

PLAN = {
    "steps": [
        {"id": "a", "task": "Name three fruits of the north.", "needs": []},
        {"id": "b", "task": "Name three fruits of the south.", "needs": []},
        {"id": "c", "task": "Write one sentence that joins both lists.", "needs": ["a", "b"]},
    ]
}
TASK = Task(
    "First list fruits of the north, then list fruits of the south, and finally write a sentence that joins both."
)
EVERYONE = ("groq", "gemini", "anthropic")


def scripts(**faults: dict[str, list[Fault]]) -> dict:  # type: ignore[type-arg]
    replies = (
        ScriptedReply(contains="fruits of the north.", text="Apples, pears and plums grow there."),
        ScriptedReply(contains="fruits of the south.", text="Figs, dates and lemons grow there."),
    )
    plan = (ScriptedReply(contains="fruits of the north, then", json=PLAN),)
    return {
        name: script(name, faults=faults.get(name), replies=plan if name == "anthropic" else replies)  # type: ignore[arg-type]
        for name in EVERYONE
    }


async def test_a_plan_is_made_and_carried_out(tmp_path: Path) -> None:
    with open_house(tmp_path, scripts()) as house:
        async with house.director() as director:
            reply = await director.run(TASK)
            economics = await director.parts.store.replies.economics()
    assert len(reply.steps) == 3
    assert [a.role for a in reply.attempts].count(Role.DIRECTOR) == 1
    joined = b"".join(r.body for n in ("groq", "gemini") for r in house.servers[n].requests)
    assert b"result of step a" in joined
    assert b"Figs, dates and lemons" in joined
    assert 0 < reply.director.spent.tokens <= 2000
    assert economics.total.tokens == reply.total_tokens, "a step's tokens are counted once"


async def test_without_a_director_the_planner_plans(tmp_path: Path) -> None:
    top = '[director]\ncandidate = "anthropic/opus"\n'
    with open_house(tmp_path, scripts(anthropic={"": [Fault(kind="overload")]}), top=top) as house:
        async with house.director() as director:
            reply = await director.run(TASK)
    assert reply.text
    planning = [a for a in reply.attempts if a.role is not Role.CLASSIFIER]
    assert planning[0].outcome == "overload"
    assert planning[1].provider == "groq"


async def test_a_broken_step_falls_back_to_one_step(tmp_path: Path) -> None:
    struck = [Fault(kind="refusal", matching="joins both lists")]
    with open_house(tmp_path, scripts(groq={"": struck}, gemini={"": struck}, anthropic={"": struck})) as house:
        async with house.director() as director:
            reply = await director.run(TASK)
    assert reply.steps == ()
    assert any("plan broke" in n for n in reply.notes)


@pytest.mark.parametrize(
    "plan",
    [
        {"steps": [{"id": "a", "task": "x", "needs": ["b"]}, {"id": "b", "task": "y", "needs": ["a"]}]},
        {"steps": [{"id": str(n), "task": "x", "needs": []} for n in range(9)]},
        {"steps": [{"id": "a", "task": "x", "needs": ["nobody"]}, {"id": "b", "task": "y"}]},
        {"steps": "none"},
        {"steps": [{"id": "a", "task": ["x"]}, 3]},
        [],
    ],
)
def test_a_bad_plan_is_no_plan(plan: object) -> None:
    import json

    from understudy.director.acts import read_plan

    assert read_plan(json.dumps(plan)) == ()


async def test_events_in_their_order(tmp_path: Path) -> None:
    with open_house(tmp_path, scripts()) as house:
        async with house.director() as director:
            events = [e async for e in director.stream(Task("What is the capital of France?", intent="quick_qa"))]
    assert [e.name for e in events if isinstance(e, Stage)][:4] == ["gate", "classify", "decide", "dispatch"]
    assert isinstance(events[-2], Text)
    assert isinstance(events[-1], Finished)
    assert events[-2].text == events[-1].reply.text


async def test_closing_the_stream_stops_the_task(tmp_path: Path) -> None:
    slow = {"": [Fault(kind="silence", seconds=30)]}
    with open_house(tmp_path, scripts(groq=slow)) as house:
        async with house.director() as director:
            stream = director.stream(Task("What is the capital of France?", intent="quick_qa"))
            async for event in stream:
                if isinstance(event, Stage) and event.name == "dispatch":
                    break
            await stream.aclose()  # type: ignore[attr-defined]
        assert house.received("gemini") == 0
