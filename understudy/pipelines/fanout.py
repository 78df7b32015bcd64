"""One question, several models: keep all answers, the first valid one, the majority's, or the judge's choice."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from understudy.director.director import Director
from understudy.errors import NoCandidate, UnderstudyError, UsageError
from understudy.pipelines.orders import is_meant
from understudy.pipelines.step import Step
from understudy.types import Reply, Sensitivity, Task

LONGEST = 4_000  # characters of an answer that the judge sees
CHOICE = {"type": "object", "required": ["choice"], "properties": {"choice": {"type": "integer", "minimum": 1}}}

Answers = Sequence[Mapping[str, Any]]  # model, text or data, reply: what each said, for looking at later


async def asked(director: Director, step: Step, task: Task) -> tuple[Any, Answers]:
    """The step's value, and what everybody said. Raises what a director raises when nobody's answer was valid."""
    if not step.models:
        reply = await director.run(task)
        return _value(reply), [_told(reply)]
    running = [asyncio.create_task(director.run(replace(task, among=names))) for names in _who(director, step)]
    try:
        if step.keep == "first":
            reply = await _first(running)
            return _value(reply), [_told(reply)]
        ended = await asyncio.gather(*running, return_exceptions=True)
    finally:
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    replies = [one for one in ended if isinstance(one, Reply)]
    if not replies:
        raise next(one for one in ended if isinstance(one, BaseException))
    answers = [_told(reply) for reply in replies]
    match step.keep:
        case "all":
            return [_value(reply) for reply in replies], answers
        case "majority":
            return _majority([_value(reply) for reply in replies]), answers
        case _:
            seen = task if not any(told["private"] for told in answers) else replace(task, sensitivity="private")
            return await _judged(director, seen, [_value(reply) for reply in replies]), answers


def _who(director: Director, step: Step) -> list[tuple[str, ...]]:
    fleet = director.parts.fleet
    found = [tuple(dict.fromkeys(c.name for c in fleet if is_meant(c, name))) for name in step.models]
    if missing := [name for name, names in zip(step.models, found, strict=True) if not names]:
        raise UsageError(f"{step.name}: there is no model {missing[0]}.", remedy="understudy models lists them.")
    return found


async def _first(running: Sequence[asyncio.Task[Reply]]) -> Reply:
    failure: UnderstudyError | None = None
    for one in asyncio.as_completed(running):
        try:
            return await one
        except UnderstudyError as error:
            failure = error
    raise failure or NoCandidate("No model was asked.")


def _majority(values: Sequence[Any]) -> Any:
    """What most of them say, blanks and case aside; among equals the model that was named first."""
    same = [" ".join(json.dumps(v, sort_keys=True).lower().split()) for v in values]
    most = Counter(same).most_common(1)[0][0]
    return values[same.index(most)]


async def _judged(director: Director, task: Task, values: Sequence[Any]) -> Any:
    """The answer another model finds best; where it makes no choice, the first."""
    if len(values) == 1:
        return values[0]
    listed = "\n\n".join(f"ANSWER {n}:\n{_text(v)[:LONGEST]}" for n, v in enumerate(values, 1))
    text = f"Which answer does the task best? Give its number as choice.\n\nTASK:\n{task.text[:LONGEST]}\n\n{listed}"
    judge = Task(text, schema=CHOICE, intent="reasoning", sensitivity=task.sensitivity, plan=False)
    try:
        chosen = (await director.run(judge)).data["choice"]
    except (NoCandidate, KeyError, TypeError):
        return values[0]
    return values[chosen - 1] if isinstance(chosen, int) and 1 <= chosen <= len(values) else values[0]


def _value(reply: Reply) -> Any:
    return reply.text if reply.data is None else reply.data


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _told(reply: Reply) -> dict[str, Any]:
    model = next((a.candidate for a in reversed(reply.attempts) if a.outcome == "ok"), "")
    private = reply.sensitivity.sensitivity is Sensitivity.PRIVATE
    return {"model": model, "value": _value(reply), "reply": reply.id, "private": private}
