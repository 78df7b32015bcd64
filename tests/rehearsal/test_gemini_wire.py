"""The Gemini wire through the real google-genai SDK."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import errors, types

from tests.rehearsal.conftest import Play
from understudy.rehearsal.clock import VirtualClock
from understudy.rehearsal.server import Server


@pytest.fixture
def sdk():
    made: list[genai.Client] = []

    def make(server: Server, key: str = "k") -> genai.Client:
        options = types.HttpOptions(base_url=server.base_url, retry_options=types.HttpRetryOptions(attempts=1))
        made.append(genai.Client(api_key=key, http_options=options))
        return made[-1]

    yield make
    for client in made:
        client.close()


def test_an_answer_has_text_and_usage(play: Play, sdk: Any):
    answer = sdk(play("gemini")).models.generate_content(model="m", contents="What is 12*7?")
    assert answer.text == "(simulated m) 84"
    assert answer.candidates[0].finish_reason == types.FinishReason.STOP
    usage = answer.usage_metadata
    assert usage.total_token_count == usage.prompt_token_count + usage.candidates_token_count > 0


def test_a_stream_joins_to_the_same_text(play: Play, sdk: Any):
    chunks = list(sdk(play("gemini")).models.generate_content_stream(model="m", contents="What is 12*7?"))
    assert len(chunks) > 1
    assert "".join(c.text for c in chunks) == "(simulated m) 84"
    assert chunks[-1].candidates[0].finish_reason == types.FinishReason.STOP


def test_system_instruction_schema_and_cap(play: Play, sdk: Any):
    config = types.GenerateContentConfig(
        system_instruction="Be exact.",
        response_mime_type="application/json",
        response_schema=types.Schema(
            type=types.Type.OBJECT,
            properties={"n": types.Schema(type=types.Type.INTEGER), "s": types.Schema(type=types.Type.STRING)},
            required=["n", "s"],
        ),
    )
    client = sdk(play("gemini"))
    answer = client.models.generate_content(model="m", contents="Give me 5 things", config=config)
    assert json.loads(answer.text) == {"n": 5, "s": "simulated"}
    short = client.models.generate_content(
        model="m", contents="hello", config=types.GenerateContentConfig(max_output_tokens=2)
    )
    assert short.candidates[0].finish_reason == types.FinishReason.MAX_TOKENS


def test_a_tool_is_called_and_answered(play: Play, sdk: Any):
    declared = types.FunctionDeclaration(
        name="get_weather",
        description="The weather in a city",
        parameters=types.Schema(type=types.Type.OBJECT, properties={"city": types.Schema(type=types.Type.STRING)}),
    )
    config = types.GenerateContentConfig(tools=[types.Tool(function_declarations=[declared])])
    client = sdk(play("gemini"))
    ask = types.Content(role="user", parts=[types.Part(text="What is the weather in Oslo?")])
    answer = client.models.generate_content(model="m", contents=[ask], config=config)
    call = answer.function_calls[0]
    assert (call.name, call.args) == ("get_weather", {"city": "Oslo"})
    result = types.Part.from_function_response(name="get_weather", response={"sky": "rain"})
    told = [ask, answer.candidates[0].content, types.Content(role="user", parts=[result])]
    final = client.models.generate_content(model="m", contents=told, config=config)
    assert "get_weather says" in final.text
    assert "rain" in final.text


def test_grounding_metadata_comes_with_the_search_tool_only(play: Play, sdk: Any):
    client = sdk(play("gemini"))
    config = types.GenerateContentConfig(tools=[types.Tool(google_search=types.GoogleSearch())])
    answer = client.models.generate_content(model="m", contents="the latest on x?", config=config)
    assert answer.candidates[0].grounding_metadata.grounding_chunks[0].web.uri.startswith("https://")
    assert client.models.generate_content(model="m", contents="hi").candidates[0].grounding_metadata is None


def test_tokens_are_counted_and_models_listed(play: Play, sdk: Any):
    client = sdk(play("gemini", context=777))
    assert client.models.count_tokens(model="m", contents="x" * 400).total_tokens >= 100
    assert [(m.name, m.input_token_limit) for m in client.models.list()] == [("models/m", 777)]
    assert client.models.get(model="m").name == "models/m"


def test_a_safety_block(play: Play, sdk: Any):
    answer = sdk(play("gemini", faults=[{"kind": "content_filter"}])).models.generate_content(model="m", contents="x")
    assert answer.prompt_feedback.block_reason == types.BlockedReason.SAFETY
    assert not answer.candidates


FAULTS = [
    ("auth", errors.ClientError, 400, "INVALID_ARGUMENT"),
    ("forbidden", errors.ClientError, 403, "PERMISSION_DENIED"),
    ("not_found", errors.ClientError, 404, "NOT_FOUND"),
    ("minute_quota", errors.ClientError, 429, "RESOURCE_EXHAUSTED"),
    ("context", errors.ClientError, 400, "INVALID_ARGUMENT"),
    ("server_error", errors.ServerError, 500, "INTERNAL"),
    ("overload", errors.ServerError, 503, "UNAVAILABLE"),
]


@pytest.mark.parametrize(("kind", "error", "status", "name"), FAULTS)
def test_errors_are_the_sdks_own(play: Play, sdk: Any, *, kind: str, error: Any, status: int, name: str):
    with pytest.raises(error) as caught:
        sdk(play("gemini", faults=[{"kind": kind}])).models.generate_content(model="m", contents="x")
    assert (caught.value.code, caught.value.status) == (status, name)


def details_of(caught: Any) -> dict[str, Any]:
    return {d["@type"].rpartition(".")[2]: d for d in caught.value.details["error"]["details"]}


def test_a_wrong_key_is_an_api_key_invalid(play: Play, sdk: Any):
    server = play("gemini")
    with pytest.raises(errors.ClientError) as caught:
        sdk(server, "AIza-secret-of-mine").models.generate_content(model="m", contents="x")
    assert details_of(caught)["ErrorInfo"]["reason"] == "API_KEY_INVALID"
    answer = httpx.post(f"{server.url}/v1beta/models/m:generateContent?key=AIza-secret-of-mine", json={})
    assert answer.status_code == 400
    assert not server.saw("AIza-secret-of-mine")


def test_minute_and_day_quota_on_a_virtual_clock(play: Play, sdk: Any):
    clock = VirtualClock(1_765_000_000.0)  # 2025-12-05 21:46:40 in Los Angeles is 05:46:40 UTC on the 6th
    client = sdk(
        play("gemini", clock=clock, limits={"rpm": 2, "rpd": 3, "charges": "input", "day": "America/Los_Angeles"})
    )

    def ask() -> None:
        client.models.generate_content(model="m", contents="x")

    ask()
    clock.advance(20)
    ask()
    with pytest.raises(errors.ClientError) as minute:
        ask()
    found = details_of(minute)
    assert found["RetryInfo"]["retryDelay"] == "40s"
    assert "PerMinute" in found["QuotaFailure"]["violations"][0]["quotaId"]
    clock.advance(40)
    ask()
    clock.advance(61)
    with pytest.raises(errors.ClientError) as day:
        ask()
    assert "PerDay" in details_of(day)["QuotaFailure"]["violations"][0]["quotaId"]
    wait = float(details_of(day)["RetryInfo"]["retryDelay"].rstrip("s"))
    # Midnight in Los Angeles is 08:00 UTC; what is left from 05:48:41 UTC.
    assert wait == 1_765_008_000 - clock.now()
    clock.advance(wait)
    ask()


def test_a_project_that_may_never_use_the_model(play: Play, sdk: Any):
    with pytest.raises(errors.ClientError, match="limit: 0") as caught:
        sdk(play("gemini", limits={"rpd": 0})).models.generate_content(model="m", contents="x")
    assert "RetryInfo" not in details_of(caught)
