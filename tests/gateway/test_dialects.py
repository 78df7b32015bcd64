"""Requests of each dialect as they are read: which lane they take, what they mean, and what is refused by its name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.agents.relays.translation import anthropic_request, openai_request
from understudy.errors import (
    BudgetRefused,
    CallFailed,
    Forbidden,
    NoCandidate,
    PrivacyRefused,
    RateRefused,
    StoreError,
    Unauthorized,
    UnknownCandidate,
    UsageError,
    ValidationFailed,
)
from understudy.gateway.asking import Marks, aimed, marks_of, session_of
from understudy.gateway.dialects import chat, embeddings, messages, responses
from understudy.gateway.dialects.refusals import refusal_of
from understudy.gateway.fields import DEEPEST, BadField, parse, seconds
from understudy.types import Attempt, Caller, Failure, Intent, Role, Sensitivity, Task, Turn

NONE = Marks()
HI: list[dict[str, Any]] = [{"role": "user", "content": "Hi"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def read(**body: Any) -> Any:
    return chat.read({"model": "understudy/auto", "messages": HI, **body}, NONE)


def test_plain_text_takes_the_whole_way_and_all_else_is_handed_on() -> None:
    turns = [{"role": "developer", "content": "Be brief."}, *HI, {"role": "assistant", "content": "Yes?"}, *HI]
    task = read(messages=turns, max_tokens=9).task
    assert task.chat is None
    assert (task.text, task.instructions, task.history) == ("Hi", "Be brief.", (Turn("Hi", "Yes?"),))
    assert (task.max_tokens, task.remember, task.plan) == (9, False, False)
    image = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]
    for more, needs in (
        ({"tools": [TOOL]}, {"tools"}),
        ({"logprobs": True}, {"logprobs"}),
        ({"messages": [{"role": "user", "content": image}]}, {"vision"}),
        ({"model": "groq/x"}, set()),
        ({"messages": [{"role": "assistant", "content": "I begin."}]}, set()),
    ):
        found = read(**more).task
        assert found.chat is not None, more
        assert found.chat.needs == needs


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("model", {"model": None}),
        ("model", {"model": 3}),
        ("n", {"n": 2}),
        ("messages", {"messages": "x"}),
        ("messages", {"messages": []}),
        ("messages[0]", {"messages": ["x"]}),
        ("temperature", {"temperature": 3}),
        ("messages[0].role", {"messages": [{"role": "function", "content": "x"}]}),
        ("seed", {"seed": 1.5}),
        ("messages[0].content", {"messages": [{"role": "user"}]}),
        ("stop", {"stop": [1]}),
        ("messages[0].tool_call_id", {"messages": [{"role": "tool", "content": "x"}]}),
        ("messages[0].content[0].type", {"messages": [{"role": "user", "content": [{"type": "input_audio"}]}]}),
        ("tools[0].type", {"tools": [{"type": "custom"}]}),
        ("tools[0].function.name", {"tools": [{**TOOL, "function": {}}]}),
        ("tool_choice", {"tools": [TOOL], "tool_choice": "any"}),
        ("stream", {"stream": "yes"}),
        ("tool_choice.function.name", {"tools": [TOOL], "tool_choice": {"function": {"name": "other"}}}),
        ("response_format.json_schema", {"response_format": {"type": "json_schema"}}),
        ("max_tokens", {"max_tokens": 0}),
        ("logit_bias", {"logit_bias": {"1": 200}}),
        ("reasoning_effort", {"reasoning_effort": "huge"}),
    ],
)
def test_what_is_wrong_is_named(field: str, body: dict[str, Any]) -> None:
    with pytest.raises(BadField) as caught:
        read(**body)
    assert caught.value.field == field


def test_a_limit_is_told_as_people_write_it() -> None:
    with pytest.raises(BadField, match=r"from 1 to 1,000,000\."):
        read(max_tokens=0)


def test_anthropic_needs_a_cap_and_knows_its_blocks() -> None:
    body = {"model": "understudy/auto", "messages": HI}
    with pytest.raises(BadField, match="max_tokens"):
        messages.read(body, NONE)
    assert messages.count(body, NONE) > 0
    system = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}]
    task = messages.read({**body, "max_tokens": 5, "system": system, "tools": []}, NONE).task
    assert (task.chat, task.instructions, task.text) == (None, "Be brief.", "Hi")
    odd = [{"role": "user", "content": [{"type": "video"}]}]
    with pytest.raises(BadField, match=r"messages\[0\].content\[0\].type"):
        messages.read({**body, "messages": odd, "max_tokens": 5}, NONE)


def test_responses_and_embeddings() -> None:
    found = responses.read({"model": "understudy/auto", "input": "Hi", "instructions": "Be brief."}, NONE).task
    assert (found.text, found.instructions) == ("Hi", "Be brief.")
    for name, value in (("previous_response_id", "r"), ("conversation", {}), ("background", True), ("input", [])):
        with pytest.raises(BadField) as caught:
            responses.read({"model": "understudy/auto", "input": "Hi", name: value}, NONE)
        assert caught.value.field == name
    for value in (None, "", [], [""], [1], ["a"] * (embeddings.MOST + 1), [[1, 2]]):
        with pytest.raises(BadField) as caught:
            embeddings.read({"model": "openai/e", "input": value}, NONE)
        assert caught.value.field == "input"
    with pytest.raises(BadField):
        embeddings.read({"model": "understudy/auto", "input": "a"}, NONE)


def test_marks() -> None:
    marks = marks_of({"x-understudy-session": "h"}, {"metadata": {"session": "b", "deadline": 3, "other": [1]}})
    assert (marks.session, marks.deadline) == ("h", "3"), "a header goes before"
    assert marks_of({"x-claude-code-session-id": "s"}, {}).session == "s"
    for metadata in ("x", {"session": []}, {"policy": "x" * 201}, {"deadline": True}):
        with pytest.raises(BadField):
            marks_of({}, {"metadata": metadata})
    for typo in ("sensitivty", "privacy", "session-id"):  # a wish for privacy must not go unheard
        with pytest.raises(BadField, match=f"x-understudy-{typo}.*X-Understudy-Sensitivity"):
            marks_of({f"x-understudy-{typo}": "private"}, {})
    private = Task("x", sensitivity=Sensitivity.PRIVATE)
    assert aimed(private, "understudy/auto", Marks(sensitivity="public")).sensitivity is Sensitivity.PRIVATE
    assert aimed(Task("x"), "understudy/coder@v1", NONE) == Task("x", agent="coder", policy="v1")
    assert aimed(Task("x"), "groq/a/b@c", NONE).candidate == "groq/a/b@c"
    assert aimed(Task("x"), "understudy/auto", Marks(role="dream")).intent is Intent.MEMORY
    assert aimed(Task("x"), "understudy/auto", Marks(role="anything")).intent is None
    for text in ("0", "-1", "nan", "inf", "x", "1e9"):
        with pytest.raises(BadField):
            seconds(text, "deadline")


@given(st.text(min_size=1), st.text(min_size=1))
def test_a_session_is_its_callers_own(one: str, other: str) -> None:
    a, b = Caller("a"), Caller("b")
    names = {session_of(caller, Marks(session=text)) for caller in (a, b) for text in (one, other)}
    assert len(names) == (2 if one == other else 4)
    assert all(name and len(name) <= 100 and name.isascii() for name in names)


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"3", b"null", b"{", b"\xff", b'{"a": NaN}', b"[" * 100_000, b'{"a":' * 500]
)
def test_bodies_that_are_none(raw: bytes) -> None:
    with pytest.raises(BadField) as caught:
        parse(raw)
    assert caught.value.field == "body"


def test_a_body_may_be_deep_and_not_too_deep() -> None:
    assert parse(b'{"a":' * (DEEPEST - 1) + b"1" + b"}" * (DEEPEST - 1))
    with pytest.raises(BadField, match="deep"):
        parse(b'{"a":' * (DEEPEST + 2) + b"1" + b"}" * (DEEPEST + 2))


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (BadField("x", "wrong"), 400, "invalid_value"),
        (UsageError("x"), 400, "invalid_request"),
        (UnknownCandidate("x"), 404, "model_not_found"),
        (Unauthorized("x"), 401, "invalid_api_key"),
        (Forbidden("x"), 403, "forbidden"),
        (PrivacyRefused("x"), 403, "privacy_refused"),
        (ValidationFailed("x"), 422, "validation_failed"),
        (StoreError("x"), 503, "unavailable"),
        (NoCandidate("x"), 503, "no_candidate"),
        (NoCandidate("x", retry_after=0.2), 429, "rate_limit_exceeded"),
        (RateRefused("x", retry_after=7.2), 429, "rate_limit_exceeded"),
    ],
)
def test_refusals(error: Any, status: int, code: str) -> None:
    refusal = refusal_of(error, lambda _: None)
    assert (refusal.status, refusal.code) == (status, code)
    assert ("x-should-retry" in refusal.headers) == isinstance(error, PrivacyRefused)
    retry = getattr(error, "retry_after", None)
    assert refusal.headers.get("retry-after") == (None if retry is None else str(max(1, -int(-retry // 1))))
    assert chat.failure(refusal)["error"]["param"] == ("x" if isinstance(error, BadField) else None)
    assert messages.failure(refusal)["type"] == "error"


@pytest.mark.parametrize(
    ("outcomes", "status", "code"),
    [
        (["unsuited"], 400, "unsupported_content"),
        (["unsuited", "context"], 400, "context_length_exceeded"),
        (["overload", "content_filter"], 400, "content_filter"),
        (["unsuited", "overload"], 503, "no_candidate"),
    ],
)
def test_what_no_other_moment_would_change_is_not_asked_for_again(outcomes: list[str], status: int, code: str) -> None:
    attempts = [Attempt("a/b", "a", "x", "b", Role.WORKER, o) for o in outcomes]
    refusal = refusal_of(NoCandidate("x", attempts=attempts), lambda _: None)
    assert (refusal.status, refusal.code) == (status, code)


def test_what_can_never_be_held_is_refused_for_good() -> None:
    refusal = refusal_of(NoCandidate("x", too_large=True), lambda _: None)
    assert (refusal.status, refusal.code) == (400, "context_length_exceeded")


def test_a_budget_says_when_there_is_more() -> None:
    refused = BudgetRefused(unit="tokens", scope="caller:bot:day:2026-11-21", limit=1, spent=1, reserved=0, asked=1)
    refusal = refusal_of(refused, lambda _: 12.1)
    assert (refusal.status, refusal.headers["retry-after"]) == (429, "13")


CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Riga"}'}}
TURNS: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Hi"},
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}},
        ],
    },
    {"role": "assistant", "content": "Let me look.", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "c1", "content": "rain"},
    {"role": "user", "content": "And now?"},
]


def test_openai_in_anthropics_words_and_back() -> None:
    said = {
        "messages": TURNS,
        "tools": [TOOL],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "stop": "x",
        "temperature": 1.7,
    }
    theirs = anthropic_request(said)
    assert theirs["system"] == "Be brief."
    assert [m["role"] for m in theirs["messages"]] == ["user", "assistant", "user"]
    assert [b["type"] for b in theirs["messages"][1]["content"]] == ["text", "tool_use"]
    assert [b["type"] for b in theirs["messages"][2]["content"]] == ["tool_result", "text"]
    assert theirs["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    assert (theirs["temperature"], theirs["stop_sequences"]) == (1.0, ["x"])
    back = openai_request(theirs)
    assert [m["role"] for m in back["messages"]] == ["system", "user", "assistant", "tool", "user"]
    assert back["messages"][1] == TURNS[1]
    assert back["messages"][2]["tool_calls"] == [CALL]
    assert back["messages"][3:] == TURNS[3:]
    assert (back["tool_choice"], back["parallel_tool_calls"], back["stop"]) == ("required", False, ["x"])
    assert back["tools"][0]["function"]["parameters"] == {"type": "object"}


def test_documents_of_text_are_told_as_text_and_others_are_refused() -> None:
    paper = {
        "type": "document",
        "title": "Rain",
        "source": {"type": "text", "media_type": "text/plain", "data": "Wet."},
    }
    found = {"type": "search_result", "title": "Riga", "source": "x", "content": [{"type": "text", "text": "Dry."}]}
    pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AA"}}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": [paper, {"type": "text", "text": "!"}]}
    thought = {"type": "thinking", "thinking": "hm", "signature": ""}
    made = openai_request({"messages": [{"role": "user", "content": [result, paper, thought, found]}]})
    assert [m["content"] for m in made["messages"]] == ["Rain\n\nWet.!", "Rain\n\nWet.\nRiga\n\nDry."]
    for content in ([pdf], [{**result, "content": [pdf]}]):
        with pytest.raises(CallFailed) as caught:
            openai_request({"messages": [{"role": "user", "content": content}]})
        assert (caught.value.failure, caught.value.charged) == (Failure.UNSUITED, False)
