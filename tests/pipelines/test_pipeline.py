"""Pipelines on the real director: what cannot work is refused, what was done stays done."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.pipelines.stand import open_stand, settings_for
from understudy import Director, Pipeline, step
from understudy.agents.providers.rehearsal import staged
from understudy.errors import ConfigError, StepFailed, UsageError
from understudy.pipelines.fanout import _majority
from understudy.pipelines.written import parse_pipeline
from understudy.types import Task


@step(ask=False)
def words(text: str) -> list[str]:
    return text.split()


@step(map="word in words", intent="quick_qa")
def about(word: str) -> str:
    return f"Say something of the {word}."


@step(ask=False)
def joined(about: list[str]) -> str:
    return " | ".join(about)


async def test_steps_run_over_lists_and_join(tmp_path: Path) -> None:
    async with open_stand(tmp_path) as stand:
        said = await Pipeline("p", words, about, joined).run({"text": "plum pear"}, director=stand.director)
    assert said.count("|") == 1
    assert set(stand.asked) == {"Say something of the plum.", "Say something of the pear."}


@step(ask=False)
def head(tail: str) -> str:
    return tail


@step(ask=False)
def tail(head: str) -> str:
    return head


@step(ask=False)
def number(text: str) -> int:
    return len(text)


@step(map="word in number", ask=False)
def over_a_number(word: str) -> str:
    return word


@step(ask=False)
def wants_text(number: str) -> str:
    return number


@step(ask=False, depends_on=["nobody"])
def lonely() -> str:
    return ""


@pytest.mark.parametrize(
    ("steps", "named"),
    [
        ((head, tail), "wait for each other"),
        ((number, over_a_number), "no list"),
        ((number, wants_text), "wants number as str"),
        ((lonely,), "no step"),
        ((words, words), "a name of its own"),
        ((), "needs steps"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_called(steps: tuple[Any, ...], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        Pipeline("p", *steps)


@pytest.mark.parametrize(
    ("inputs", "named"), [({}, "missing"), ({"text": 5}, "is to be str"), ({"text": "a", "more": 1}, "no input more")]
)
def test_inputs_are_checked(inputs: dict[str, Any], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        Pipeline("p", words, about, joined).checked(inputs)


def test_it_is_drawn() -> None:
    pipeline = Pipeline("p", words, about, joined)
    assert "words -->|each| about" in pipeline.draw()
    assert "in_text --> words" in pipeline.draw()
    drawn = ElementTree.fromstring(pipeline.draw("svg"))  # noqa: S314 - it is our own
    assert sum(e.tag.endswith("rect") for e in drawn.iter()) == 3


async def test_killed_at_random_points_it_ends_with_the_same_result_and_asks_nothing_twice(tmp_path: Path) -> None:
    pipeline = Pipeline("p", words, about, joined)
    inputs = {"text": " ".join(f"fruit{n}" for n in range(20))}
    chance = random.Random(7)
    async with open_stand(tmp_path, latency=0.01) as stand:
        whole = await pipeline.run(inputs, director=stand.director, run="whole")
        stand.asked.clear()
        cancelled = 0
        for _ in range(50):
            going = asyncio.create_task(pipeline.run(inputs, director=stand.director, run="broken", at_once=3))
            await asyncio.wait({going}, timeout=chance.uniform(0.01, 0.2))
            if going.done():
                break
            going.cancel()
            await asyncio.gather(going, return_exceptions=True)
            cancelled += 1
        result = await pipeline.run(inputs, director=stand.director, run="broken")
        assert result.replace(" ", "") == whole.replace(" ", "")
        asked = sum(stand.asked.values())
        assert asked <= 20 + 3 * cancelled
        await pipeline.run(inputs, director=stand.director, run="broken")
        assert sum(stand.asked.values()) == asked, "a finished run asks nobody"
        with pytest.raises(UsageError, match="other inputs"):
            await pipeline.run({"text": "else"}, director=stand.director, run="broken")


async def test_a_rejected_result_is_asked_again_and_then_told(tmp_path: Path) -> None:
    seen: list[str] = []

    def never(value: str) -> str:
        seen.append(value)
        return "it is not what was wanted"

    @step(intent="quick_qa", validators=[never], retries=2)
    def ask(text: str) -> str:
        return text

    async with open_stand(tmp_path) as stand:
        with pytest.raises(StepFailed, match="not what was wanted") as caught:
            await Pipeline("p", ask).run({"text": "Name a fruit."}, director=stand.director)
    assert len(seen) == 3
    assert caught.value.step == "ask"


async def test_what_comes_of_private_steps_stays_private(tmp_path: Path) -> None:
    """A private answer in the question of a public step makes that one private too."""

    @step(private=True, intent="quick_qa")
    def secret(text: str) -> str:
        return text

    @step(ask=False)
    def between(secret: str) -> str:
        return secret

    @step(intent="quick_qa")
    def public(between: str) -> str:
        return f"Of this: {between}"

    sent: list[Task] = []
    settings = settings_for(tmp_path)
    provider = settings.providers["groq"].model_copy(update={"plays": "local"})
    settings = settings.model_copy(update={"providers": {"here": provider}})
    async with Director(settings, tmp_path) as director:
        host = None
        for c in director.parts.fleet:
            director.parts.workers[c.domain], host = staged(
                c, provider, director.parts.rings, host, director.parts.clock
            )
        run = director.run

        async def watched(task: Any) -> Any:
            sent.append(task)
            return await run(task)

        director.run = watched  # type: ignore[method-assign]
        for _ in range(2):
            await Pipeline("p", secret, between, public).run({"text": "Name a fruit."}, director=director, run="r")
    assert [str(t.sensitivity) for t in sent] == ["private", "private"]


async def test_several_models_are_asked(tmp_path: Path) -> None:
    @step(intent="quick_qa", models=["llama-3.1-8b-instant", "groq"], keep="all")
    def ask(text: str) -> str:
        return text

    async with open_stand(tmp_path) as stand:
        said = await Pipeline("p", ask).run({"text": "Name a fruit."}, director=stand.director)
        assert len(said) == 2

        @step(intent="quick_qa", models=["gpt-9"])
        def nobody(text: str) -> str:
            return text

        with pytest.raises(UsageError, match="gpt-9"):
            await Pipeline("p", nobody).run({"text": "Name a fruit."}, director=stand.director)
    assert _majority(["Plum", "pear", " plum"]) == "Plum"
    assert _majority([{"a": 1}, {"a": 2}, {"a": 2}]) == {"a": 2}


async def test_the_same_from_yaml(tmp_path: Path) -> None:
    table = {
        "name": "fruit",
        "inputs": {"words": "list", "style": "str"},
        "steps": {
            "about": {"map": "word in words", "prompt": "In {style}: of the {word}. {{}}", "intent": "quick_qa"},
            "report": {"prompt": "Join:\n{about}", "intent": "quick_qa"},
        },
    }
    async with open_stand(tmp_path) as stand:
        pipeline = parse_pipeline(table, "x")
        await pipeline.run({"words": ["plum", "pear"], "style": "verse"}, director=stand.director)
    assert "In verse: of the plum. {}" in stand.asked
    assert len(stand.asked) == 3
    for wrong in (
        [],
        {"steps": 5},
        {"stepz": {}},
        {"steps": {"a": {"prompt": "x", "modelz": 1}}},
        {"steps": {"a": {}}},
    ):
        with pytest.raises((ConfigError, UsageError)):
            parse_pipeline(wrong, "x")
