"""The Messages wire through the real anthropic SDK."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import anthropic
import httpx
import pytest

from tests.rehearsal.conftest import Play
from understudy.rehearsal.clock import VirtualClock
from understudy.rehearsal.server import Server

ASK: dict[str, Any] = {"model": "m", "max_tokens": 200, "messages": [{"role": "user", "content": "What is 12*7?"}]}


@pytest.fixture
def sdk():
    made: list[anthropic.Anthropic] = []

    def make(server: Server, key: str = "k") -> anthropic.Anthropic:
        made.append(anthropic.Anthropic(api_key=key, base_url=server.base_url, max_retries=0, timeout=5))
        return made[-1]

    yield make
    for client in made:
        client.close()


def test_an_answer_has_text_and_usage(play: Play, sdk: Any):
    answer = sdk(play("anthropic")).messages.create(**ASK)
    assert answer.content[0].text == "(simulated m) 84"
    assert (answer.stop_reason, answer.role, answer.model) == ("end_turn", "assistant", "m")
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens == 4


def test_a_stream_joins_to_the_same_message(play: Play, sdk: Any):
    with sdk(play("anthropic")).messages.stream(**ASK) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert text == final.content[0].text == "(simulated m) 84"
    assert (final.stop_reason, final.usage.output_tokens) == ("end_turn", 4)


TOOL = {
    "name": "get_weather",
    "description": "The weather in a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}


@pytest.mark.parametrize("streamed", [False, True])
def test_a_tool_is_called_and_answered(play: Play, sdk: Any, streamed: bool):
    client = sdk(play("anthropic"))
    ask: dict[str, Any] = {"model": "m", "max_tokens": 100, "tools": [TOOL]}
    messages: list[Any] = [{"role": "user", "content": [{"type": "text", "text": "The weather in Oslo?"}]}]
    if streamed:
        with client.messages.stream(**ask, messages=messages) as stream:
            answer = stream.get_final_message()
    else:
        answer = client.messages.create(**ask, messages=messages)
    call = answer.content[0]
    assert (answer.stop_reason, call.name, call.input) == ("tool_use", "get_weather", {"city": "Oslo"})
    messages.append({"role": "assistant", "content": [call.model_dump(include={"type", "id", "name", "input"})]})
    result = {"type": "tool_result", "tool_use_id": call.id, "content": [{"type": "text", "text": "rain"}]}
    messages.append({"role": "user", "content": [result]})
    assert client.messages.create(**ask, messages=messages).content[0].text == "(simulated m) get_weather says rain"


def test_what_the_cli_sends_is_tolerated(play: Play):
    body = {
        **ASK,
        "system": [{"type": "text", "text": "Be exact.", "cache_control": {"type": "ephemeral"}}],
        "metadata": {"user_id": "u"},
        "tools": [],
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "low"},
        "context_management": {"edits": []},
        "messages": [{"role": "system", "content": ""}, *ASK["messages"]],
        "stream": True,
    }
    server = play("anthropic")
    headers = {"authorization": "Bearer k"}
    answer = httpx.post(f"{server.url}/v1/messages?beta=true", json=body, headers=headers)
    assert answer.status_code == 200
    assert answer.text.rstrip().endswith('data: {"type":"message_stop"}')


def test_tokens_are_counted_and_models_listed(play: Play, sdk: Any):
    client = sdk(play("anthropic"))
    counted = client.messages.count_tokens(model="m", messages=ASK["messages"]).input_tokens
    assert counted == client.messages.create(**ASK).usage.input_tokens
    assert [m.id for m in client.models.list()] == ["m"]
    assert client.models.retrieve("m").id == "m"


FAULTS = [
    ("auth", anthropic.AuthenticationError, 401, "authentication_error"),
    ("payment", anthropic.APIStatusError, 402, "billing_error"),
    ("insufficient_quota", anthropic.BadRequestError, 400, "invalid_request_error"),
    ("forbidden", anthropic.PermissionDeniedError, 403, "permission_error"),
    ("not_found", anthropic.NotFoundError, 404, "not_found_error"),
    ("too_large", anthropic.APIStatusError, 413, "request_too_large"),
    ("minute_quota", anthropic.RateLimitError, 429, "rate_limit_error"),
    ("context", anthropic.BadRequestError, 400, "invalid_request_error"),
    ("server_error", anthropic.InternalServerError, 500, "api_error"),
    ("overload", anthropic.APIStatusError, 529, "overloaded_error"),
]


@pytest.mark.parametrize(("kind", "error", "status", "type_"), FAULTS)
def test_errors_are_the_sdks_own(play: Play, sdk: Any, *, kind: str, error: Any, status: int, type_: str):
    with pytest.raises(error) as caught:
        sdk(play("anthropic", faults=[{"kind": kind, "retry_after": 12}])).messages.create(**ASK)
    assert caught.value.status_code == status
    assert caught.value.body["error"]["type"] == type_
    assert caught.value.response.headers["retry-after"] == "12"


def test_a_refusal_and_a_missing_max_tokens(play: Play, sdk: Any):
    filtered = play("anthropic", faults=[{"kind": "content_filter"}])
    assert sdk(filtered).messages.create(**ASK).stop_reason == "refusal"
    answer = httpx.post(
        f"{filtered.url}/v1/messages",
        json={k: v for k, v in ASK.items() if k != "max_tokens"},
        headers={"x-api-key": "k"},
    )
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "max_tokens: Field required")


def test_limit_headers(play: Play, sdk: Any):
    clock = VirtualClock(1_765_000_000.0)
    client = sdk(play("anthropic", clock=clock, limits={"rpm": 2, "tpm": 1000, "charges": "input"}))
    answer = client.messages.with_raw_response.create(**ASK)
    headers = answer.headers
    assert headers["anthropic-ratelimit-requests-remaining"] == "1"
    reset = datetime.fromisoformat(headers["anthropic-ratelimit-requests-reset"])
    assert reset.timestamp() == clock.now() + 60
    assert int(headers["anthropic-ratelimit-input-tokens-remaining"]) < 1000
    client.messages.create(**ASK)
    with pytest.raises(anthropic.RateLimitError) as caught:
        client.messages.create(**ASK)
    assert caught.value.response.headers["retry-after"] == "60"
    assert "2 requests per minute" in json.dumps(caught.value.body)
