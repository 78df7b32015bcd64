"""I3: a reply is validated or it is a typed failure. Error text, truncation, refusal and emptiness never pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.house import open_house, script
from understudy import Task
from understudy.errors import UsageError, ValidationFailed
from understudy.rehearsal.script import Fault, ScriptedReply

QUESTION = Task("What is the capital of France?", intent="quick_qa")


@pytest.mark.parametrize(
    ("kind", "text", "check"),
    [
        ("refusal", "", "not_refusal"),
        ("error_text", "", "not_error"),
        ("error_text", "You have run out of credits. Please upgrade your plan.", "not_error"),
        ("error_text", '{"error": {"message": "Rate limit reached", "type": "tokens"}}', "not_error"),
        ("truncated", "", "not_truncated"),
    ],
)
async def test_a_bad_answer_goes_back_once_and_then_to_the_next(
    tmp_path: Path, kind: str, text: str, check: str
) -> None:
    faults = {"8b": [Fault(kind=kind, text=text)]}  # type: ignore[arg-type]
    with open_house(tmp_path, {"groq": script("groq", faults=faults), "gemini": script("gemini")}) as house:
        async with house.director() as director:
            reply = await director.run(QUESTION)
    assert [(a.provider, a.outcome) for a in reply.attempts] == [
        ("groq", "rejected"),
        ("groq", "rejected"),
        ("gemini", "ok"),
    ]
    assert reply.attempts[0].error.startswith(check)  # type: ignore[union-attr]
    assert b"Your last answer was rejected" in house.servers["groq"].requests[-1].body


async def test_a_mended_answer_is_taken(tmp_path: Path) -> None:
    faults = {"8b": [Fault(kind="truncated", times=1)]}
    with open_house(tmp_path, {"groq": script("groq", faults=faults), "gemini": script("gemini")}) as house:
        async with house.director() as director:
            reply = await director.run(QUESTION)
    assert [(a.provider, a.outcome) for a in reply.attempts] == [("groq", "rejected"), ("groq", "ok")]


async def test_rejected_everywhere_is_exit_code_5(tmp_path: Path) -> None:
    scripts = {name: script(name, faults={"": [Fault(kind="refusal")]}) for name in ("groq", "gemini")}  # type: ignore[arg-type]
    with open_house(tmp_path, scripts) as house:
        async with house.director() as director:
            with pytest.raises(ValidationFailed) as caught:
                await director.run(QUESTION)
            record = await director.explain(caught.value.reply_id)  # type: ignore[attr-defined]
    assert caught.value.exit_code == 5
    assert {a.outcome for a in caught.value.attempts} == {"rejected"}
    assert [a["outcome"] for a in record["attempts"]] == [a.outcome for a in caught.value.attempts]


async def test_json_against_the_schema(tmp_path: Path) -> None:
    schema = {"type": "object", "required": ["city", "people"], "properties": {"people": {"type": "integer"}}}
    wrong = ScriptedReply(contains="largest city", text='{"city": "Paris", "people": "many"}')
    with open_house(tmp_path, {"groq": script("groq", replies=(wrong,)), "gemini": script("gemini")}) as house:
        async with house.director() as director:
            reply = await director.run(Task("The largest city of France?", intent="quick_qa", schema=schema))
    assert [(a.provider, a.outcome) for a in reply.attempts] == [
        ("groq", "rejected"),
        ("groq", "rejected"),
        ("gemini", "ok"),
    ]
    assert isinstance(reply.data["people"], int)


async def test_a_broken_schema_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    with open_house(tmp_path, {"groq": script("groq")}) as house:
        async with house.director() as director:
            with pytest.raises(UsageError):
                await director.run(Task("x", schema={"type": "nonsense"}))
        assert house.received("groq") == 0


async def test_code_must_compile_and_tests_must_pass(tmp_path: Path) -> None:
    replies = (
        ScriptedReply(contains="broken", text="```python\ndef f(:\n    pass\n```"),
        ScriptedReply(
            contains="failing", text="```python\ndef f():\n    return 1\n\ndef test_f():\n    assert f() == 2\n```"
        ),
    )
    with open_house(tmp_path, {"groq": script("groq", replies=replies), "gemini": script("gemini")}) as house:
        async with house.director() as director:
            code = await director.run(Task("Write the broken function", intent="coding"))
            tests = await director.run(Task("Test the failing function", agent="tester", intent="coding"))
    assert code.attempts[0].error.startswith("python_compiles")  # type: ignore[union-attr]
    assert tests.attempts[0].error.startswith("tests_pass")  # type: ignore[union-attr]
    assert (code.attempts[-1].outcome, tests.attempts[-1].outcome) == ("ok", "ok")


async def test_unplugged_the_error_text_would_be_the_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests are worth: without the validators "out of credits" is what the caller gets."""

    async def nothing(*_: object, **__: object) -> tuple[()]:
        return ()

    monkeypatch.setattr("understudy.director.validators.validate", nothing)
    faults = {"8b": [Fault(kind="error_text", text="You are out of credits.")]}
    with open_house(tmp_path, {"groq": script("groq", faults=faults), "gemini": script("gemini")}) as house:
        async with house.director() as director:
            reply = await director.run(QUESTION)
    assert "out of credits" in reply.text
