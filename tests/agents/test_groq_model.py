"""A plain question to Groq goes past the SDK, and says and hears the same as through it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest
from groq import AsyncGroq
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models.groq import GroqModel
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.providers.groq import GroqProvider

from tests.agents.stub import Reply, Stub
from tests.agents.wires import GROQ
from understudy.agents.conversation import messages_of
from understudy.agents.groq_model import PlainGroqModel
from understudy.agents.guarded import usage_of
from understudy.agents.worker import NO_TAGS, ModelWorker, Traits
from understudy.errors import CallFailed
from understudy.types import Call, Candidate, Failure, Turn

PLAIN = Candidate("p", "groq", "a", "llama-3.1-8b-instant")
PROFILE = ModelProfile(supports_json_object_output=True, thinking_tags=NO_TAGS)
CALL = Call(prompt="Say hello", instructions="Be brief.", output_cap=64, timeout=10.0)


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


def both(stub: Stub, http: httpx.AsyncClient, candidate: Candidate = PLAIN) -> tuple[PlainGroqModel, GroqModel]:
    provider = GroqProvider(groq_client=AsyncGroq(api_key="k", base_url=stub.url, max_retries=0, http_client=http))
    ours = PlainGroqModel(candidate, http, provider=provider, profile=PROFILE)
    return ours, GroqModel(candidate.model, provider=provider, profile=PROFILE)


async def asked(model: GroqModel, call: Call, **more: Any) -> ModelResponse:
    worker = ModelWorker(PLAIN, lambda: pytest.fail("not connected here"), Traits(json_mode=True))
    settings, parameters = worker._settings(call), worker._parameters(call, ())
    messages = model.prepare_messages(messages_of(call), parameters)
    return await model.request(messages, {**settings, "max_tokens": call.output_cap, **more}, parameters)


@pytest.mark.parametrize(
    "call",
    [
        CALL,
        replace(CALL, instructions="", temperature=0.0),
        replace(CALL, temperature=0.7, history=(Turn("earlier", "so it was"), Turn("lost", ""))),
        replace(CALL, schema={"type": "object", "properties": {"a": {"type": "integer"}}}),
        replace(CALL, prompt="naïve – 日本語 \U0001f600 <|eot_id|>"),
    ],
)
@pytest.mark.parametrize("model", ["llama-3.1-8b-instant", "openai/gpt-oss-120b", "qwen/qwen3-32b"])
async def test_it_sends_what_the_sdk_sends(call: Call, model: str, stub: Stub, http: httpx.AsyncClient) -> None:
    stub.answer = GROQ.good("Hello")
    call = replace(call, output_cap=2048)  # room to think: nothing is said about it
    ours, sdks = both(stub, http, replace(PLAIN, model=model))
    await asked(ours, call)
    await asked(sdks, call)
    plain, full = stub.seen
    left_out = {"n": 1, "stream": False}
    assert {**left_out, **plain.json} == {**left_out, **full.json}
    assert plain.path == full.path == GROQ.path
    same = ("authorization", "content-type", "accept")
    assert [plain.headers.get(name) for name in same[:2]] == [full.headers.get(name) for name in same[:2]]
    assert "x-stainless-lang" not in plain.headers, "this one was to go past the SDK"


@pytest.mark.parametrize(
    "reply",
    [
        GROQ.good("Hello there"),
        GROQ.good("cut", finish="length"),
        GROQ.good("no", finish="content_filter"),
        GROQ.good("", finish="tool_calls", tool_calls=[{"id": "1", "function": {"name": "f", "arguments": "{}"}}]),
        GROQ.good("42", reasoning="let me see"),
        GROQ.good("no usage", used=None),
        GROQ.good("odd", finish="eos"),
    ],
)
async def test_it_reads_what_the_sdk_reads(reply: Reply, stub: Stub, http: httpx.AsyncClient) -> None:
    stub.answer = reply
    ours, theirs = [await asked(model, CALL) for model in both(stub, http)]
    assert [(p.part_kind, getattr(p, "content", "")) for p in ours.parts] == [
        (p.part_kind, getattr(p, "content", "")) for p in theirs.parts
    ]
    assert (ours.finish_reason, ours.model_name) == (theirs.finish_reason, theirs.model_name)
    assert usage_of(ours) == usage_of(theirs)


async def test_what_is_more_than_a_question_is_the_sdks(stub: Stub, http: httpx.AsyncClient) -> None:
    stub.answer = GROQ.good("Hello")
    for model, more in (
        ("openai/gpt-oss-120b", {"thinking": False}),
        ("qwen/qwen3-32b", {"groq_reasoning_format": "parsed"}),
        ("llama-3.1-8b-instant", {"seed": 1}),
    ):
        await asked(both(stub, http, replace(PLAIN, model=model))[0], CALL, **more)
    assert all("x-stainless-lang" in seen.headers for seen in stub.seen)


async def test_a_refusal_has_its_class_and_its_headers(stub: Stub, http: httpx.AsyncClient) -> None:
    stub.answer = Reply(429, {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, {"retry-after": "7"})
    with pytest.raises(CallFailed) as caught:
        await asked(both(stub, http)[0], CALL)
    assert (caught.value.failure, caught.value.retry_after) == (Failure.MINUTE_QUOTA, 7.0)
    assert not caught.value.charged
