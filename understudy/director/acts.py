"""The director's three acts: decide, plan, judge. Bounded questions with bounded, parsed answers.

It sees a digest of a task or of an answer (head, tail, counts), never a transcript.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from understudy.types import Guess, Intent

MAX_STEPS = 8

_INTENTS = "|".join(i.value for i in Intent if i is not Intent.PRIVATE)
DECIDE = f'Name the type of the task. JSON only: {{"intent": "{_INTENTS}", "confidence": 0.9}}'
JUDGE = (
    "Does the answer do what the task asks? You see digests: judge what you see. The reason has at most 15 words. "
    'JSON only: {"verdict": "accept|reject|unsure", "reason": "..."}'
)
PLAN = (
    f"Split the task into 2 to {MAX_STEPS} steps for other workers, only where steps truly differ. A step sees its own "
    "task and the results it needs, nothing else; the last one gives the whole answer. "
    'JSON only, like {"steps": [{"id": "a", "task": "list them", "needs": []}, '
    '{"id": "b", "task": "sort the list", "needs": ["a"]}]}'
)
PLAN_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "required": ["steps"],
    "properties": {
        "steps": {
            "type": "array",
            "minItems": 1,
            "maxItems": MAX_STEPS,
            "items": {
                "type": "object",
                "required": ["id", "task"],
                "properties": {
                    "id": {"type": "string"},
                    "task": {"type": "string"},
                    "needs": {"type": "array", "items": {"type": "string"}},
                },
            },
        }
    },
}


@dataclass(frozen=True, slots=True)
class Step:
    """One node of a plan."""

    id: str
    task: str
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    verdict: Literal["accept", "reject", "unsure"]
    reason: str = ""


def read_guess(text: str, by: str) -> Guess | None:
    """The decided intent, or None when the answer is unusable."""
    record = read_object(text)
    try:
        intent = Intent(str(record["intent"]).strip().lower())
        probability = float(record.get("confidence", 0.6))
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
    if intent is Intent.PRIVATE or not 0.0 <= probability <= 1.0:
        return None  # sensitivity is the gate's to say
    return Guess(intent, probability, by)


def read_judgement(text: str) -> Judgement:
    """Unusable answers are unsure: a judge that cannot be read accepts nothing and rejects nothing."""
    record = read_object(text)
    verdict = str(record.get("verdict", "")).strip().lower()
    if verdict not in ("accept", "reject"):
        return Judgement("unsure")
    return Judgement(verdict, str(record.get("reason", ""))[:200])


def read_plan(text: str) -> tuple[Step, ...]:
    """The steps, or () when there is no usable plan: not JSON, too many, unknown needs, a cycle, one step."""
    import networkx as nx

    steps: list[Step] = []
    listed = read_object(text).get("steps")
    for raw in cast(list[Any], listed)[: MAX_STEPS + 1] if isinstance(listed, list) else ():
        if not isinstance(raw, dict):
            return ()
        record = cast(dict[str, Any], raw)
        task, needs = record.get("task"), record.get("needs") or ()
        if not isinstance(task, str) or not task.strip() or not isinstance(needs, (list, tuple)):
            return ()
        steps.append(Step(str(record.get("id", "")), task.strip(), tuple(str(n) for n in cast(list[Any], needs))))
    ids = {s.id for s in steps}
    if not 2 <= len(steps) <= MAX_STEPS or len(ids) != len(steps) or "" in ids:
        return ()
    if any(n not in ids for s in steps for n in s.needs):
        return ()
    graph: Any = nx.DiGraph([(n, s.id) for s in steps for n in s.needs])
    return tuple(steps) if nx.is_directed_acyclic_graph(graph) else ()


def read_object(text: str) -> Mapping[str, Any]:
    """The first JSON object in a text, or an empty one."""
    decoder, text = json.JSONDecoder(), text[:20_000]
    start = text.find("{")
    while start != -1:
        try:
            value, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            start = text.find("{", start + 1)
            continue
        return cast(Mapping[str, Any], value) if isinstance(value, dict) else {}
    return {}
