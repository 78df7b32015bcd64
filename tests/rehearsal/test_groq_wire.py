"""The chat-completions wire through the real groq and openai SDKs."""

from __future__ import annotations

import json
import time
from typing import Any

import groq
import openai
import pytest

from tests.rehearsal.conftest import Play
from understudy.rehearsal.server import Server

ASK: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "What is 12*7?"}]}


@pytest.fixture
def sdk():
    made: list[Any] = []

    def make(server: Server, key: str = "k", timeout: float = 5.0) -> Any:
        if server.plays == "groq":
            made.append(groq.Groq(api_key=key, base_url=server.url, max_retries=0, timeout=timeout))
        else:
            made.append(openai.OpenAI(api_key=key, base_url=server.base_url, max_retries=0, timeout=timeout))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.mark.parametrize("plays", ["groq", "openai", "local"])
def test_an_answer_has_text_and_usage(play: Play, sdk: Any, plays: str):
    answer = sdk(play(plays)).chat.completions.create(**ASK)
    assert answer.choices[0].message.content == "(simulated m) 84"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@pytest.mark.parametrize("plays", ["groq", "openai", "local"])
def test_a_stream_joins_to_the_same_text_and_ends_with_usage(play: Play, sdk: Any, plays: str):
    client = sdk(play(plays))
    whole = client.chat.completions.create(**ASK)
    options = {} if plays == "groq" else {"stream_options": {"include_usage": True}}
    extra = {"extra_body": {"stream_options": {"include_usage": True}}} if plays == "groq" else {}
    chunks = list(client.chat.completions.create(**ASK, stream=True, **options, **extra))
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == whole.choices[0].message.content
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_no_usage_chunk_unless_asked_for_but_groqs_own(play: Play, sdk: Any):
    chunks = list(sdk(play("groq")).chat.completions.create(**ASK, stream=True))
    assert all(c.choices for c in chunks)
    assert chunks[-1].x_groq.usage.completion_tokens > 0
    assert all(c.choices for c in sdk(play("openai")).chat.completions.create(**ASK, stream=True))


def test_the_stream_ends_with_done(play: Play):
    import httpx

    server = play("groq")
    body = httpx.post(
        f"{server.base_url}/chat/completions", json={**ASK, "stream": True}, headers={"authorization": "Bearer k"}
    ).content
    assert body.endswith(b"data: [DONE]\n\n")


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_is_called_and_its_result_answered(play: Play, sdk: Any, stream: bool):
    client = sdk(play("groq"))
    messages: list[Any] = [{"role": "user", "content": "What is the weather in Oslo?"}]
    answer = client.chat.completions.create(model="m", messages=messages, tools=[WEATHER], stream=stream)
    if stream:
        chunks = list(answer)
        call = next(c.choices[0].delta.tool_calls[0] for c in chunks if c.choices and c.choices[0].delta.tool_calls)
        finish = chunks[-1].choices[0].finish_reason
    else:
        call, finish = answer.choices[0].message.tool_calls[0], answer.choices[0].finish_reason
    assert finish == "tool_calls"
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments) == {"city": "Oslo"}
    function = {"name": call.function.name, "arguments": call.function.arguments}
    messages.append({"role": "assistant", "tool_calls": [{"id": call.id, "type": "function", "function": function}]})
    messages.append({"role": "tool", "tool_call_id": call.id, "content": "rain, 4 degrees"})
    final = client.chat.completions.create(model="m", messages=messages, tools=[WEATHER])
    assert final.choices[0].message.content == "(simulated m) get_weather says rain, 4 degrees"


def test_a_tool_that_has_nothing_to_do_with_it_is_not_called_unless_required(play: Play, sdk: Any):
    client = sdk(play("openai"))
    assert client.chat.completions.create(**ASK, tools=[WEATHER]).choices[0].message.tool_calls is None
    forced = client.chat.completions.create(**ASK, tools=[WEATHER], tool_choice="required")
    assert forced.choices[0].message.tool_calls[0].function.name == "get_weather"


def test_response_format_gives_json(play: Play, sdk: Any):
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}, "required": ["n"]}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    answer = sdk(play("openai")).chat.completions.create(
        model="m", messages=[{"role": "user", "content": "Pick one"}], response_format=form
    )
    assert json.loads(answer.choices[0].message.content)["n"] >= 3


def test_max_tokens_cuts_the_answer(play: Play, sdk: Any):
    answer = sdk(play("groq")).chat.completions.create(**ASK, max_tokens=2)
    assert answer.choices[0].message.content == "(simulat"
    assert (answer.choices[0].finish_reason, answer.usage.completion_tokens) == ("length", 2)


def test_models_are_listed(play: Play, sdk: Any):
    client = sdk(play("groq", context=1234))
    listed = client.models.list().data[0]
    assert (listed.id, listed.context_window) == ("m", 1234)
    assert client.models.retrieve("m").id == "m"
    with pytest.raises(groq.NotFoundError):
        client.models.retrieve("other")


def test_a_wrong_key_is_refused_and_not_recorded(play: Play, sdk: Any):
    server = play("groq")
    with pytest.raises(groq.AuthenticationError) as caught:
        sdk(server, "gsk_secret_of_mine").chat.completions.create(**ASK)
    assert caught.value.body["error"]["code"] == "invalid_api_key"  # type: ignore[index]
    assert len(server.requests) == 1
    assert server.saw("What is 12*7?")
    assert not server.saw("gsk_secret_of_mine")


def test_an_unknown_model_and_path(play: Play, sdk: Any):
    client = sdk(play("groq"))
    with pytest.raises(groq.NotFoundError) as caught:
        client.chat.completions.create(**{**ASK, "model": "nobody"})
    assert caught.value.body["error"]["code"] == "model_not_found"  # type: ignore[index]
    with pytest.raises(groq.NotFoundError):
        client.post("/openai/v1/audio/speech", cast_to=object, body={})


GROQ_FAULTS = [
    ("auth", groq.AuthenticationError, 401, "invalid_api_key", "Invalid API Key"),
    ("payment", groq.APIStatusError, 402, "payment_required", "balance"),
    ("insufficient_quota", groq.RateLimitError, 429, "insufficient_quota", "current quota"),
    ("too_large", groq.APIStatusError, 413, "rate_limit_exceeded", "Request too large for model `m`"),
    ("minute_quota", groq.RateLimitError, 429, "rate_limit_exceeded", "requests per minute (RPM): Limit 30, Used 30"),
    ("day_quota", groq.RateLimitError, 429, "rate_limit_exceeded", "requests per day (RPD)"),
    ("context", groq.BadRequestError, 400, "context_length_exceeded", "reduce the length"),
    ("content_policy", groq.BadRequestError, 400, "content_filter", "content filter"),
    ("tool_use_failed", groq.BadRequestError, 400, "tool_use_failed", "failed_generation"),
    ("server_error", groq.InternalServerError, 500, None, "Internal Server Error"),
    ("overload", groq.InternalServerError, 503, None, "over capacity"),
]


@pytest.mark.parametrize(("kind", "error", "status", "code", "text"), GROQ_FAULTS)
def test_groq_errors_are_the_sdks_own(
    play: Play, sdk: Any, *, kind: str, error: Any, status: int, code: Any, text: str
):
    with pytest.raises(error) as caught:
        sdk(play("groq", faults=[{"kind": kind}])).chat.completions.create(**ASK)
    assert caught.value.status_code == status
    assert caught.value.body["error"].get("code") == code
    assert text in caught.value.body["error"]["message"]


OPENAI_FAULTS = [
    ("auth", openai.AuthenticationError, 401, "invalid_api_key"),
    ("insufficient_quota", openai.RateLimitError, 429, "insufficient_quota"),
    ("minute_quota", openai.RateLimitError, 429, "rate_limit_exceeded"),
    ("too_large", openai.RateLimitError, 429, "rate_limit_exceeded"),
    ("context", openai.BadRequestError, 400, "context_length_exceeded"),
    ("content_policy", openai.BadRequestError, 400, "content_filter"),
    ("overload", openai.InternalServerError, 503, None),
]


@pytest.mark.parametrize(("kind", "error", "status", "code"), OPENAI_FAULTS)
def test_openai_errors_are_the_sdks_own(play: Play, sdk: Any, *, kind: str, error: Any, status: int, code: Any):
    with pytest.raises(error) as caught:
        sdk(play("openai", faults=[{"kind": kind}])).chat.completions.create(**ASK)
    assert (caught.value.status_code, caught.value.code) == (status, code)


def test_retry_after_is_sent_when_scripted_and_only_then(play: Play, sdk: Any):
    with pytest.raises(groq.RateLimitError) as caught:
        sdk(play("groq", faults=[{"kind": "minute_quota", "retry_after": 7.5}])).chat.completions.create(**ASK)
    assert caught.value.response.headers["retry-after"] == "8"
    assert "Please try again in 7.5s" in str(caught.value)
    with pytest.raises(groq.InternalServerError) as bare:
        sdk(play("groq", faults=[{"kind": "overload"}])).chat.completions.create(**ASK)
    assert "retry-after" not in bare.value.response.headers


LOCAL_FAULTS = [
    ("lm_studio", "no_models", 404, "No models loaded"),
    ("llama.cpp", "loading", 503, "Loading model"),
    ("ollama", "not_found", 404, "try pulling it first"),
    ("ollama", "overload", 503, "server busy"),
    ("vllm", "context", 400, "maximum context length is"),
]


@pytest.mark.parametrize(("flavour", "kind", "status", "text"), LOCAL_FAULTS)
def test_local_servers_have_their_own_words(play: Play, sdk: Any, *, flavour: str, kind: str, status: int, text: str):
    with pytest.raises(openai.APIStatusError) as caught:
        sdk(play("local", flavour=flavour, faults=[{"kind": kind}])).chat.completions.create(**ASK)
    assert caught.value.status_code == status
    assert text in caught.value.response.text


def test_a_local_server_with_nothing_loaded(play: Play, sdk: Any):
    client = sdk(play("local", flavour="lm_studio", loaded=False))
    assert client.models.list().data == []
    with pytest.raises(openai.NotFoundError, match="No models loaded"):
        client.chat.completions.create(**ASK)
    with pytest.raises(openai.InternalServerError, match="Loading model"):
        sdk(play("local", loaded=False)).chat.completions.create(**ASK)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["reset", "cut"])
def test_a_broken_connection(play: Play, sdk: Any, kind: str, stream: bool):
    import httpx

    client = sdk(play("groq", faults=[{"kind": kind}]))
    got: list[Any] = []

    def ask() -> None:
        answer = client.chat.completions.create(**ASK, stream=stream)
        got.extend(answer if stream else ())

    with pytest.raises((groq.APIConnectionError, httpx.ReadError, httpx.RemoteProtocolError)):
        ask()
    assert kind == "cut" or not got


@pytest.mark.parametrize("kind", ["silence", "stall"])
def test_silence_ends_by_the_clients_own_clock(play: Play, sdk: Any, kind: str):
    server = play("groq", faults=[{"kind": kind}])
    with pytest.raises(groq.APITimeoutError):
        sdk(server, timeout=0.2).chat.completions.create(**ASK)
    before = time.monotonic()
    server.stop()
    assert time.monotonic() - before < 1.0


@pytest.mark.parametrize("stream", [False, True])
def test_a_malformed_body_or_chunk(play: Play, sdk: Any, stream: bool):
    with pytest.raises((json.JSONDecodeError, groq.APIError)):
        list(sdk(play("groq", faults=[{"kind": "malformed"}])).chat.completions.create(**ASK, stream=stream))


@pytest.mark.parametrize(
    ("kind", "text", "finish"),
    [
        ("empty", "", "stop"),
        ("truncated", "(simulat", "length"),
        ("refusal", "I'm sorry, but I can't help with that.", "stop"),
        ("error_text", "upstream error: 502 Bad Gateway", "stop"),
        ("content_filter", "", "content_filter"),
    ],
)
def test_bad_answers_that_look_like_successes(play: Play, sdk: Any, kind: str, text: str, finish: str):
    choice = sdk(play("groq", faults=[{"kind": kind}])).chat.completions.create(**ASK).choices[0]
    assert (choice.message.content, choice.finish_reason) == (text, finish)


def test_the_fault_plan_counts(play: Play, sdk: Any):
    plan = [
        {"kind": "server_error", "after": 1, "times": 1},
        {"kind": "overload", "after": 3, "flap": 2, "matching": "*7"},
    ]
    client = sdk(play("groq", faults=plan))
    seen: list[int] = []
    for _ in range(9):
        try:
            client.chat.completions.create(**ASK)
            seen.append(200)
        except groq.APIStatusError as error:
            seen.append(error.status_code)
    # The second fault does not see the request that the first one struck.
    assert seen == [200, 500, 200, 200, 503, 503, 200, 200, 503]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'{"model": "m"}',
        b'{"model": "m", "messages": "hello"}',
        b'{"model": "m", "messages": [1]}',
        b'{"model": "m", "messages": [{"role": "wizard", "content": "x"}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": 5}]}',
        b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 0}',
        b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "tools": {"a": 1}}',
        b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "tool_choice": 5}',
        b"\xff\xfe",
    ],
)
def test_a_broken_request_is_a_400(play: Play, body: bytes):
    import httpx

    server = play("groq")
    answer = httpx.post(f"{server.base_url}/chat/completions", content=body, headers={"authorization": "Bearer k"})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_latency_and_pace_are_waited_for(play: Play, sdk: Any):
    client = sdk(play("groq", latency=0.1, first_token=0.05, pace=100))
    before = time.monotonic()
    chunks = list(client.chat.completions.create(**ASK, stream=True))
    assert time.monotonic() - before >= 0.15 + (len(chunks) - 2) / 100


def test_an_answer_does_not_wait_for_the_clients_acknowledgement(play: Play):
    import httpx

    server = play("groq")
    with httpx.Client(headers={"authorization": "Bearer k"}) as client:
        took: list[float] = []
        for _ in range(20):
            before = time.monotonic()
            client.post(f"{server.base_url}/chat/completions", json=ASK)
            took.append(time.monotonic() - before)
    assert sorted(took)[5] < 0.03


def test_starts_fast_binds_loopback_only_and_leaves_no_thread():
    import socket
    import threading

    before = time.monotonic()
    server = Server("groq").start()
    assert time.monotonic() - before < 0.3
    port = int(server.url.rpartition(":")[2])
    threads = threading.active_count()
    others = {i[4][0] for i in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    for address in others:
        with socket.socket() as probe:
            probe.settimeout(0.5)
            assert probe.connect_ex((address, port)) != 0 or address.startswith("127.")
    server.stop()
    server.stop()
    assert threading.active_count() == threads - 1
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
