"""The answer engine and the schema sampler."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from understudy.rehearsal.engine import Ask, answer
from understudy.rehearsal.prose import arithmetic, steps
from understudy.rehearsal.schema import find_schema, sample

INTENTS = "quick_qa, reasoning, tool_calling, coding, long_context, code_review, summarization, memory, web_research"


def say(user: str, system: str = "", **more: Any) -> str:
    return answer(Ask(model="m", user=user, system=system, **more)).text


def source_of(text: str) -> str:
    found = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert found
    return found[1]


SCHEMAS: list[Any] = [
    {"type": "string", "minLength": 20, "maxLength": 22},
    {"type": "string", "maxLength": 3},
    {"type": "string", "format": "date-time"},
    {"type": "integer", "minimum": 7, "maximum": 7},
    {"type": "integer", "exclusiveMinimum": 7, "multipleOf": 5},
    {"type": "integer", "maximum": -4},
    {"type": "number", "minimum": 0, "maximum": 1},
    {"type": "number", "exclusiveMaximum": 0},
    {"type": ["null", "string"]},
    {"type": "null"},
    {"enum": ["x", 2]},
    {"const": {"a": 1}},
    {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 3, "uniqueItems": True},
    {"type": "array", "items": {"type": "string"}, "maxItems": 0},
    {"type": "array", "prefixItems": [{"type": "integer"}, {"type": "boolean"}], "items": False},
    {
        "type": "object",
        "required": ["a"],
        "properties": {"a": {"$ref": "#/$defs/n"}},
        "$defs": {"n": {"type": "integer"}},
    },
    {"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 2},
    {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"b": {"type": "boolean"}}, "required": ["b"]}]},
    {"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"type": "integer"}}}]},
    {
        "$defs": {
            "node": {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/node"}}}}
        },
        "$ref": "#/$defs/node",
    },
    {
        "$defs": {
            "tree": {
                "type": "object",
                "properties": {
                    "left": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]},
                    "v": {"type": "integer"},
                },
                "required": ["left", "v"],
            }
        },
        "$ref": "#/$defs/tree",
    },
]


@pytest.mark.parametrize("schema", SCHEMAS, ids=[str(i) for i in range(len(SCHEMAS))])
def test_a_sample_is_valid(schema: Any):
    jsonschema.validate(sample(schema), schema)
    jsonschema.validate(json.loads(say("Tell me about Oslo, 5 of them", schema=schema)), schema)


leaves = st.one_of(
    st.builds(
        lambda a, b: {"type": "integer", "minimum": min(a, b), "maximum": max(a, b)},
        st.integers(-99, 99),
        st.integers(-99, 99),
    ),
    st.builds(
        lambda a, b: {"type": "string", "minLength": a, "maxLength": a + b}, st.integers(0, 30), st.integers(0, 9)
    ),
    st.just({"type": "boolean"}),
    st.lists(st.text(max_size=5), min_size=1, max_size=3).map(lambda e: {"enum": e}),
)
names = st.sampled_from(["answer", "score", "passed", "reason", "city", "steps", "n"])
trees = st.recursive(
    leaves,
    lambda s: st.one_of(
        st.builds(lambda i, n: {"type": "array", "items": i, "minItems": n, "maxItems": n + 1}, s, st.integers(0, 3)),
        st.dictionaries(names, s, min_size=1, max_size=3).map(
            lambda p: {"type": "object", "properties": p, "required": sorted(p), "additionalProperties": False}
        ),
    ),
    max_leaves=6,
)


@given(
    schema=trees,
    user=st.sampled_from(["What is 12*7?", "Is Ada in Oslo? Answer: yes", "Task: write code, then test it"]),
)
def test_any_schema_gets_a_valid_answer(schema: Any, user: str):
    jsonschema.validate(json.loads(say(user, schema=schema)), schema)


def test_the_same_request_gets_the_same_answer():
    assert say("What is the sea?") == say("What is the sea?")


@pytest.mark.parametrize(
    ("user", "text"),
    [
        ("What is 12*7?", "84"),
        ("What is 12 plus 7 times 2?", "26"),
        ("what's (3 + 4) * 2", "14"),
        ("What is 7 divided by 2?", "3.5"),
        ("What is the capital of France?", "The capital of France is Paris."),
    ],
)
def test_plain_answers_say_that_they_are_simulated(user: str, text: str):
    assert say(user) == f"(simulated m) {text}"


def test_what_it_does_not_know_it_does_not_pretend_to_know():
    assert say("Why is the sky blue?").startswith("(simulated m) A stand-in for the answer to: Why is the sky blue?")


def test_arithmetic_is_not_seen_in_dates_or_code():
    assert arithmetic("on 2026-11-20 at 10") is None
    assert arithmetic("2**99999999") is None
    assert arithmetic("1/0") is None


def test_arithmetic_is_not_seen_in_names_and_versions():
    for text in ("(simulated llama-3.1-8b-instant) Rome", "model-2.0-6.9x", "3+4kg", "version 0.1.0-2"):
        assert arithmetic(text) is None
    assert arithmetic("(simulated llama-3.1-8b-instant) what is 2+2?") == 4


def test_code_compiles_runs_and_has_the_asked_for_name():
    text = say("Write a Python function called fib(n) that returns Fibonacci numbers.")
    assert text.startswith("(simulated m) ")
    scope: dict[str, Any] = {}
    exec(compile(source_of(text), "x", "exec"), scope)  # noqa: S102
    assert [scope["fib"](n) for n in range(7)] == [0, 1, 1, 2, 3, 5, 8]


@pytest.mark.parametrize("what", ["mixes paint", 'says "hi" \\ and """quotes"""', "déjà vu"])
def test_unknown_code_still_compiles(what: str):
    compile(source_of(say(f"Write a Python function that {what}")), "x", "exec")


def test_tests_run_by_themselves():
    source = "def factorial(n):\n    return 1 if n < 2 else n * factorial(n - 1)"
    text = source_of(say(f"Write unit tests for this:\n```python\n{source}\n```"))
    scope: dict[str, Any] = {}
    exec(compile(text, "x", "exec"), scope)  # noqa: S102
    tests = [f for name, f in scope.items() if name.startswith("test_")]
    for test in tests:
        test()
    assert len(tests) == 2


def test_a_review_finds_what_is_there():
    source = "import os\ndef f(a=[]):\n    try:\n        return a == None\n    except:\n        pass"
    text = say(f"Review this code:\n```python\n{source}\n```")
    assert "4 findings" in text
    assert "line 5: a bare except" in text
    assert "does not parse" in say("Review this code:\n```python\ndef f(:\n```")


def test_a_summary_is_taken_from_the_text():
    body = (
        "The harbour of Oslo froze in the winter. Ships waited outside the harbour. A dog barked somewhere. "
        "The harbour opened again in spring. Nobody counted the birds."
    )
    text = say(f"Summarize this:\n{body}").removeprefix("(simulated m) ")
    assert len(text) < len(body)
    assert all(sentence.rstrip(".") in body for sentence in text.split(". "))
    assert "harbour" in text


@pytest.mark.parametrize(
    ("task", "intent"),
    [
        ("Write a Python function that parses dates", "coding"),
        ("Summarize the meeting notes", "summarization"),
        ("Review my pull request", "code_review"),
        ("What is the latest news on fusion?", "web_research"),
        ("Who wrote Hamlet?", "quick_qa"),
        ("Remember that I like tea", "memory"),
        ("Book a table for two", "tool_calling"),
        ("Prove that there are infinitely many primes", "reasoning"),
    ],
)
@pytest.mark.parametrize("frame", ["{}", "Task: {}", "<task>{}</task>"])
def test_a_classification_prompt_is_answered_by_key_words(task: str, intent: str, frame: str):
    system = f"Choose the intent of the user's task out of {INTENTS}. Answer with JSON: intent, probability."
    found = json.loads(say(frame.format(task), system))
    assert found["intent"] == intent
    assert 0 <= found["probability"] <= 1


def test_an_example_in_the_prompt_is_followed():
    system = 'Answer like this: {"verdict": "accept|reject", "reason": "..."} as JSON.'
    assert json.loads(say("Question: what is 2+2?\nAnswer: 4", system))["verdict"] == "accept"
    assert json.loads(say("Question: what is 2+2?\nAnswer: I'm sorry, I can't help.", system))["verdict"] == "reject"


class Verdict(BaseModel):
    passed: bool
    reason: str
    score: int


def test_a_judge_passes_an_answer_and_fails_a_refusal():
    schema = json.dumps(Verdict.model_json_schema())
    system = f"Judge. Always respond with a JSON object that's compatible with this schema:\n\n{schema}"
    assert Verdict.model_validate_json(say("Task: x\nAnswer: it is done", system)).passed
    assert not Verdict.model_validate_json(say("Task: x\nAnswer: Internal server error", system)).passed


class Step(BaseModel):
    id: str
    task: str
    intent: str
    needs: list[str] = []


class Plan(BaseModel):
    steps: list[Step]


def test_a_plan_is_a_valid_graph():
    """The nested model is behind a $ref, as pydantic writes it."""
    system = f"Plan. Schema: {json.dumps(Plan.model_json_schema())}"
    plan = Plan.model_validate_json(say("Find the data, then write a script, then test it.", system))
    assert [s.id for s in plan.steps] == ["s1", "s2", "s3"]
    assert [s.needs for s in plan.steps] == [[], ["s1"], ["s2"]]
    assert plan.steps[1].task == "write a script"
    assert len(steps("\n".join(f"{i}. do thing {i}" for i in range(20)))) == 8


def test_fields_are_extracted_from_the_text():
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
    assert json.loads(say("Ada Lovelace is 36 years old.", schema=schema)) == {"name": "Ada Lovelace", "age": 36}


def test_the_last_schema_in_a_prompt_counts():
    assert find_schema('{"a": 1} {"type": "object"} and {"type": "string"} {"b"') == {"type": "string"}
    assert find_schema("{" * 5000) is None
