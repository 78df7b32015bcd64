"""I2: each of the layers alone keeps a private task on this machine, with the others taken away."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.house import House, open_house, script
from understudy import Sensitivity, Task
from understudy.director import plan, way
from understudy.director.acts import Step
from understudy.director.brain import ask
from understudy.director.judging import cheap_judge
from understudy.director.parts import Parts
from understudy.director.trail import Trail
from understudy.errors import UnderstudyError
from understudy.fleet.dispatch import Dispatcher, Errand, Walk
from understudy.policies import registry
from understudy.types import Call, Decision, Facts, Link

PRIVATE = Task("Tell me about zanzibarquokka", sensitivity=Sensitivity.PRIVATE)


@pytest.fixture
async def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[House, Parts, Trail]]:
    """A house with a guard that lets everything through."""
    guard = Parts.guard

    def blind(self: Parts, candidate: Any, _sensitivity: Sensitivity, *rest: Any, **named: Any) -> Any:
        return guard(self, candidate, Sensitivity.PUBLIC, *rest, **named)

    monkeypatch.setattr(Parts, "guard", blind)
    with open_house(tmp_path, {name: script(name) for name in ("groq", "local")}) as house:  # type: ignore[arg-type]
        async with house.director() as director:
            now = director.parts.clock.now()
            yield house, director.parts, Trail("r-1", "s-1", now, now + 60)


async def test_the_chain_is_filtered_whatever_the_policy_says(
    opened: tuple[House, Parts, Trail], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Careless:
        name, hash = "careless", "0"

        def decide(self, facts: Facts) -> Decision:
            chain = tuple(Link(c.domain, "") for c in facts.fleet)
            return Decision("quick", chain, (), 100, 3, 30.0)

    monkeypatch.setattr(registry, "load", lambda _name: Careless())
    _, parts, trail = opened
    decided = await way.decide(parts, trail, PRIVATE, session_private=False)
    local = {c.domain for c in parts.fleet if c.local}
    assert {link.domain for link in decided.decision.chain} == local
    public = await way.decide(parts, trail, Task("Hello"), session_private=False)
    assert len(public.decision.chain) == len(parts.fleet)


async def test_the_walker_passes_over_the_cloud_without_a_guard(
    opened: tuple[House, Parts, Trail], monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = Dispatcher.walk

    async def everywhere(self: Dispatcher, errand: Errand) -> Walk:
        cloud = tuple(c for c in parts.fleet if not c.local)
        return await walk(self, replace(errand, chain=cloud))

    monkeypatch.setattr(Dispatcher, "walk", everywhere)
    house, parts, trail = opened
    decided = await way.decide(parts, trail, PRIVATE, session_private=False)
    with pytest.raises(UnderstudyError):
        await way.work(parts, trail, decided)
    assert house.received("groq") == 0
    assert trail.skipped


async def test_no_tool_that_reaches_the_network_is_even_asked_for(
    opened: tuple[House, Parts, Trail], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Call] = []

    async def looked_at(_self: Dispatcher, errand: Errand) -> Walk:
        calls.append(errand.call)
        return Walk()

    monkeypatch.setattr(Dispatcher, "walk", looked_at)
    _, parts, trail = opened
    for sensitivity in Sensitivity:
        task = Task("Search the web for tea", agent="researcher", sensitivity=sensitivity)
        decided = await way.decide(parts, trail, task, session_private=False)
        with pytest.raises(UnderstudyError):
            await way.work(parts, trail, decided)
    public, private = calls
    assert public.tools
    assert private.tools == ()


async def test_nobody_in_the_cloud_is_asked_a_small_question(opened: tuple[House, Parts, Trail]) -> None:
    house, parts, trail = opened
    cloud = next(c for c in parts.fleet if not c.local)
    for sensitivity, answered in ((Sensitivity.PRIVATE, False), (Sensitivity.PUBLIC, True)):
        call = Call("Say something", sensitivity=sensitivity, timeout=10.0)
        assert (await ask(parts, trail, cloud, call, directs=False) is not None) is answered
        assert (house.received("groq") > 0) is answered


async def test_thecheap_judge_of_a_private_answer_is_local(opened: tuple[House, Parts, Trail]) -> None:
    _, parts, trail = opened
    decided = await way.decide(parts, trail, PRIVATE, session_private=False)
    judge = cheap_judge(parts, decided, None)
    assert judge is not None
    assert judge.local


async def test_the_steps_of_a_private_plan_are_private_twice(opened: tuple[House, Parts, Trail]) -> None:
    _, parts, trail = opened
    decided = await way.decide(parts, trail, PRIVATE, session_private=False)
    seen: list[tuple[Sensitivity | str, bool]] = []

    async def go(_parts: Parts, _trail: Trail, task: Task, *, session_private: bool = False) -> Any:
        seen.append((task.sensitivity, session_private))
        return type("Done", (), {"text": "done"})

    await plan._run(parts, trail, decided, (Step("a", "one"), Step("b", "two", ("a",))), go)
    assert seen == [(Sensitivity.PRIVATE, True)] * 2
