"""The gateway and those who must not get what they ask for: private text, keys, budgets, tenants, strange clients."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.agents.stub import Stub
from tests.e2e.gateway_rig import (
    CLOUD,
    HOME,
    WEATHER,
    Gateway,
    Says,
    asked,
    gateway,
    hello,
    plays,
    until,
    write_config,
)
from understudy.gateway import limits, protocol

SECRET = "My card is 4111 1111 1111 1111 and my mail is jane.doe@corp.example."
CANARY = "4111"
CHAT, MESSAGES, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/responses"
ALL = (CHAT, MESSAGES, RESPONSES, "/v1/embeddings", "/v1/messages/count_tokens", "/v1/jobs")


@asynccontextmanager
async def served(tmp_path: Path, *, local: bool = False, **more: Any) -> AsyncGenerator[tuple[Gateway, Stub, Stub]]:
    """The server, the cloud, and home."""
    async with Stub() as cloud, Stub() as home:
        plays(cloud, Says("From the cloud."))
        plays(home, Says("From home."))
        urls = {"groq": cloud.url, **({"local": home.url} if local else {})}
        async with gateway(write_config(tmp_path, urls), tmp_path, **more) as server:
            yield server, cloud, home


def bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    """Something private at every place a model would read."""
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": f'{{"city": "{SECRET}"}}'}}
    said = {**WEATHER["function"], "description": SECRET}
    named = {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"enum": [SECRET]}}}}
    turns = [{"role": "assistant", "content": None, "tool_calls": [call]}]
    result = {"role": "tool", "tool_call_id": "c", "content": SECRET}
    yield CHAT, {"messages": hello(SECRET)}
    yield CHAT, {"messages": hello(SECRET), "stream": True}
    yield CHAT, {"messages": hello(), "tools": [{"type": "function", "function": said}]}
    yield CHAT, {"messages": hello(), "tools": [{"type": "function", "function": named}]}
    yield CHAT, {"messages": [{"role": "system", "content": SECRET}, *hello()], "tools": [WEATHER]}
    yield CHAT, {"messages": [*hello(), *turns, {**result, "content": "rain"}], "tools": [WEATHER]}
    yield CHAT, {"messages": [*hello(), {"role": "assistant", "content": "So."}, *hello(SECRET)]}
    yield CHAT, {"messages": [{"role": "user", "content": [{"type": "text", "text": SECRET}]}], "tools": [WEATHER]}
    yield RESPONSES, {"input": SECRET}
    yield RESPONSES, {"input": "Hello", "instructions": SECRET}
    tool_result = [{"type": "tool_result", "tool_use_id": "c", "content": [{"type": "text", "text": SECRET}]}]
    use = [{"type": "tool_use", "id": "c", "name": "weather", "input": {"city": "Riga"}}]
    tools = [{"name": "weather", "input_schema": {"type": "object"}}]
    conversation = [*hello(), {"role": "assistant", "content": use}, {"role": "user", "content": tool_result}]
    yield MESSAGES, {"messages": hello(SECRET), "max_tokens": 99}
    yield (
        MESSAGES,
        {"messages": hello(), "system": [{"type": "text", "text": SECRET}], "max_tokens": 99, "stream": True},
    )
    yield MESSAGES, {"messages": conversation, "tools": tools, "max_tokens": 99}
    # Names of the wire are names of the client's own too, further down.
    for name in ("data", "id", "type", "role", "detail", "signature", "input", "url", "7"):
        used = [{**use[0], "input": {name: SECRET}}]
        turns = [*hello(), {"role": "assistant", "content": used}, {"role": "user", "content": "So?"}]
        yield MESSAGES, {"messages": turns, "tools": tools, "max_tokens": 99}
        said = {"name": "weather", "parameters": {"type": "object", "default": {name: SECRET}}}
        yield CHAT, {"messages": hello(), "tools": [{"type": "function", "function": said}]}
        yield CHAT, {"messages": [{"role": "user", "content": "Hello", "more": {name: SECRET}}], "tools": [WEATHER]}
    number = [{**use[0], "input": {"card": 4111111111111111}}]
    yield (
        MESSAGES,
        {"messages": [*hello(), {"role": "assistant", "content": number}, *hello()], "tools": tools, "max_tokens": 99},
    )
    for source in (
        {"type": "text", "media_type": "text/plain", "data": SECRET},
        {"type": "content", "content": SECRET},
        {"type": "content", "content": [{"type": "text", "text": SECRET}]},
    ):
        told = [{"type": "document", "source": source}, {"type": "text", "text": "Sum it up."}]
        yield MESSAGES, {"messages": [{"role": "user", "content": told}], "max_tokens": 99}
    for image in (
        {"url": "data:image/png;base64,AAAA", "detail": SECRET},
        {"url": f"data:image/png;name={SECRET};base64,AAAA"},
        {"url": f"data:image/png;base64,{SECRET}"},
    ):
        yield CHAT, {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": image}]}]}
    first = hello(f"data:image/png;base64,AAAA {SECRET}")
    yield CHAT, {"messages": [*first, {"role": "assistant", "content": "So."}, *hello()], "tools": [WEATHER]}
    strange = {**call, "id": SECRET, "function": {"name": "weather", "arguments": "{}"}}
    answered = {**result, "content": "rain", "tool_call_id": SECRET}
    turns = [*hello(), {"role": "assistant", "content": None, "tool_calls": [strange]}, answered]
    yield CHAT, {"messages": turns, "tools": [WEATHER]}
    yield CHAT, {"messages": hello(), "tools": [{"type": "function", "function": {**WEATHER["function"], SECRET: 1}}]}
    escaped = json.dumps({"city": SECRET}).replace("4111", "\\u0034\\u0031\\u0031\\u0031").replace("@", "\\u0040")
    hidden = {**call, "function": {"name": "weather", "arguments": escaped}}
    turns = [*hello(), {"role": "assistant", "content": None, "tool_calls": [hidden]}, {**result, "content": "rain"}]
    yield CHAT, {"messages": turns, "tools": [WEATHER]}
    yield CHAT, {"messages": [*hello(), {**result, "content": escaped}], "tools": [WEATHER]}


@pytest.mark.parametrize("model", [CLOUD, "understudy/auto"])
async def test_what_is_private_reaches_nobody_in_the_cloud(tmp_path: Path, model: str) -> None:
    async with served(tmp_path) as (server, cloud, _):
        http = server.http(await server.key())
        for path, body in bodies():
            answer = await http.post(path, json={"model": model, **body})
            assert answer.status_code == 403, (path, body, answer.text)
            assert answer.headers["x-should-retry"] == "false"
            assert CANARY not in answer.text
            error = answer.json()["error"]
            assert error["type"] == "permission_error"
            assert path == MESSAGES or error["code"] == "privacy_refused"
        assert asked(cloud) == []
        assert {line["status"] for line in server.audit()} <= {403}


async def test_with_a_model_at_home_it_goes_there(tmp_path: Path) -> None:
    async with served(tmp_path, local=True) as (server, cloud, home):
        plays(home, Says("From home."))
        http = server.http(await server.key())
        for path, body in bodies():
            answer = await http.post(path, json={"model": "understudy/auto", **body})
            assert answer.status_code == 200, (path, body, answer.text)
            assert "From home." in answer.text
        assert asked(cloud) == []
        assert asked(home)
        answer = await http.post(CHAT, json={"model": CLOUD, "messages": hello(SECRET)})
        assert answer.status_code == 403, "who is named is not replaced by another"


async def test_private_embeddings_stay_at_home(tmp_path: Path) -> None:
    async with Stub() as cloud:
        config = write_config(tmp_path, {"openai": cloud.url})
        config.write_text(config.read_text().replace('"tools", "json", "vision", "logprobs"', '"embeddings"'))
        async with gateway(config, tmp_path) as server:
            answer = await server.http(await server.key()).post(
                "/v1/embeddings", json={"model": "openai/other-1", "input": ["Hello", SECRET]}
            )
            assert (answer.status_code, answer.headers["x-should-retry"]) == (403, "false")
            assert asked(cloud) == []


async def test_sdks_ask_once_and_say_it_is_not_permitted(tmp_path: Path) -> None:
    from anthropic import PermissionDeniedError as Refused
    from openai import PermissionDeniedError

    async with served(tmp_path) as (server, _, _):
        secret = await server.key()
        with pytest.raises(PermissionDeniedError):
            await server.openai(secret, max_retries=3).chat.completions.create(model=CLOUD, messages=hello(SECRET))  # type: ignore[arg-type]
        with pytest.raises(Refused):
            await server.anthropic(secret, max_retries=3).messages.create(
                model=CLOUD,
                max_tokens=9,
                messages=hello(SECRET),  # type: ignore[arg-type]
            )
        await until(lambda: len(server.audit()) == 2)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({"x-understudy-sensitivity": "private"}, {"model": CLOUD}),
        ({}, {"model": CLOUD, "metadata": {"sensitivity": "PRIVATE"}}),
        ({"x-understudy-sensitivity": "public"}, {"model": "understudy/private"}),
        ({}, {"model": "understudy/private"}),
        ({"x-understudy-sensitivity": "private"}, {"model": "understudy/auto", "metadata": {"sensitivity": "public"}}),
        ({"x-understudy-sensitivity": "public"}, {"model": CLOUD, "metadata": {"sensitivity": "private"}}),
        ({"x-understudy-sensitivity": "public, Private"}, {"model": CLOUD}),
    ],
)
async def test_a_label_is_enough(tmp_path: Path, headers: dict[str, str], body: dict[str, Any]) -> None:
    async with served(tmp_path) as (server, cloud, _):
        http = server.http(await server.key(), **headers)
        for path in (CHAT, MESSAGES):
            answer = await http.post(path, json={**body, "messages": hello(), "max_tokens": 99})
            assert (answer.status_code, answer.headers.get("x-should-retry")) == (403, "false"), answer.text
        assert asked(cloud) == []


async def test_a_label_said_twice_is_the_stricter_one(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, cloud, _):
        label = "x-understudy-sensitivity"
        http = server.http(await server.key())
        for said in ([(label, "public"), (label, "private")], [(label, "private"), (label, "public")]):
            answer = await http.post(CHAT, json={"model": CLOUD, "messages": hello()}, headers=said)
            assert answer.status_code == 403, said
        for body in ({"task": "Hello"}, {"messages": hello(), "model": CLOUD}):
            told = {**body, "sensitivity": "private", "deadline": 20}
            job = (await http.post("/v1/jobs", json=told, headers={label: "public"})).json()["id"]
            events = (await http.get(f"/v1/jobs/{job}/events")).text  # until its end
            assert "PrivacyRefused" in events
        assert asked(cloud) == []


async def test_everything_of_a_private_key_is_private(tmp_path: Path) -> None:
    async with served(tmp_path, local=True) as (server, cloud, _):
        http = server.http(await server.key(private=True), **{"x-understudy-sensitivity": "public"})
        answer = await http.post(CHAT, json={"model": "understudy/auto", "messages": hello()})
        assert answer.headers["x-understudy-candidate"] == HOME
        assert (await http.post(CHAT, json={"model": CLOUD, "messages": hello()})).status_code == 403
        assert asked(cloud) == []


async def test_keys(tmp_path: Path) -> None:
    async with served(tmp_path, age=0.0) as (server, cloud, _):
        right, chat_only = await server.key(), await server.key("c", scopes=frozenset({"chat"}))
        limited = await server.key("l", policy="v1")
        body = {"model": CLOUD, "messages": hello(), "max_tokens": 9}
        for secret in (
            "",
            "nonsense",
            "us-" + "0" * 12 + "-" + "0" * 64,
            right[:-1] + ("0" if right[-1] != "0" else "1"),
        ):
            for path in ALL:
                answer = await server.http(secret).post(path, json=body)
                assert answer.status_code == 401, path
                assert "error" in answer.json()
                assert secret == "" or secret not in answer.text
            assert (await server.http(secret).get("/v1/models")).status_code == 401
        assert (await server.http(chat_only).post("/v1/embeddings", json={**body, "input": "a"})).status_code == 403
        assert (await server.http(chat_only).post("/v1/jobs", json={"task": "a"})).status_code == 403
        named = await server.http(limited).post(CHAT, json=body)
        assert named.status_code == 403, "a key that allows one policy lets nobody choose past it"
        assert asked(cloud) == []
        told = await server.http().post(CHAT, json=body, headers={"x-api-key": right})
        assert told.status_code == 200
        await server.director.parts.store.callers.revoke("bot")
        assert (await server.http(right).post(CHAT, json=body)).status_code == 401
        assert (await server.http(limited).post(CHAT, json={**body, "model": "understudy/auto"})).status_code == 200


async def test_budget_and_rate_say_when_to_come_back(tmp_path: Path) -> None:
    from anthropic import RateLimitError as Limited
    from openai import RateLimitError

    async with served(tmp_path) as (server, cloud, _):
        slow = await server.key("slow", requests_per_minute=1)
        poor = await server.key("poor", tokens_per_day=200)
        client = server.openai(slow)
        ask: Any = {"model": CLOUD, "messages": hello()}
        await client.chat.completions.create(**ask)
        with pytest.raises(RateLimitError) as caught:
            await client.chat.completions.create(**ask)
        assert caught.value.code == "rate_limit_exceeded"
        assert 1 <= int(caught.value.response.headers["retry-after"]) <= 61
        with pytest.raises(Limited) as late:
            await server.anthropic(slow).messages.create(**ask, max_tokens=9)
        assert int(late.value.response.headers["retry-after"]) >= 1
        served_before = len(asked(cloud))
        client = server.openai(poor)

        async def go_on() -> None:
            for _ in range(30):
                await client.chat.completions.create(**ask, max_tokens=20)

        with pytest.raises(RateLimitError) as refused:
            await go_on()
        assert 1 <= int(refused.value.response.headers["retry-after"]) <= 86_400
        done = len(asked(cloud)) - served_before
        assert 5 <= done <= 200 / 15
        spent = await server.spent("poor")
        assert spent.spent.tokens == 15 * done
        assert spent.reserved.tokens == 0


async def test_two_tenants_with_one_session(tmp_path: Path) -> None:
    """Same session, same words: neither budget, nor job, nor tie of the one is the other's."""
    async with served(tmp_path, local=True) as (server, _, _):
        mine = {"x-understudy-session": "work"}
        one, other = [server.http(await server.key(name), **mine) for name in ("one", "other")]
        job = (await one.post("/v1/jobs", json={"task": "Name a fruit.", "intent": "quick_qa"})).json()
        path = f"/v1/jobs/{job['id']}"
        assert (await one.get(path)).status_code == 200
        for asking in (other.get(path), other.delete(path), other.get(f"{path}/events")):
            answer = await asking
            assert answer.status_code == 404
            assert job["id"] not in answer.text
        assert (await one.get(path, headers={"x-understudy-session": "play"})).status_code == 404
        body = {"model": "understudy/auto", "messages": hello("The canary sings."), "tools": [WEATHER]}
        usual = (await other.post(CHAT, json=body, headers={"x-understudy-session": "else"})).headers
        assert usual["x-understudy-candidate"] == HOME
        assert (await one.post(CHAT, json={**body, "model": CLOUD})).status_code == 200
        parts = server.director.parts
        assert parts.ties.of("one\0work")
        assert not parts.ties.of("other\0work")
        again = await one.post(CHAT, json=body)
        assert again.headers["x-understudy-candidate"] == CLOUD, "it stays with who answered it"
        answer = await other.post(CHAT, json=body)
        assert answer.headers["x-understudy-candidate"] == HOME, "the other's conversation was nowhere yet"
        assert (await server.spent("one")).spent.tokens > 0
        records = await parts.store.replies.recent(10)
        assert {r["session"] for r in records} >= {"one:work", "other:work"}


async def test_without_keys_nobody_else_is_let_in(tmp_path: Path) -> None:
    """A page of a browser reaches 127.0.0.1 too: by a form, or by a name that was made to lead there."""
    async with served(tmp_path, is_open=True) as (server, cloud, _):
        body = {"model": CLOUD, "messages": hello()}
        assert (await server.http().post(CHAT, json=body)).status_code == 200
        assert (await server.http("sk-whatever").post(CHAT, json=body)).status_code == 200
        before = len(asked(cloud))
        for headers in (
            {"host": "evil.example:8791"},
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"origin": "http://localhost:1"},
            {"host": "127.0.0.1.evil.example"},
        ):
            for path in ALL:
                answer = await server.http(**headers).post(path, json={**body, "task": "x", "max_tokens": 9})
                assert answer.status_code == 403, (headers, path)
                assert "access-control-allow-origin" not in answer.headers
            assert (await server.http(**headers).get("/v1/models")).status_code == 403
        assert len(asked(cloud)) == before
        port = server.url.rpartition(":")[2]
        for headers in ({"host": f"localhost:{port}"}, {"host": "[::1]"}, {"origin": f"http://127.0.0.1:{port}"}):
            assert (await server.http(**headers).post(CHAT, json=body)).status_code == 200, headers
        key = await server.key()
        named = await server.http(key, host="models.corp.example").post(CHAT, json=body)
        assert named.status_code == 200, "who has a key may come by any name"


async def test_a_body_that_is_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LARGEST_BODY", 1000)

    async def pieces() -> AsyncGenerator[bytes]:
        for _ in range(20):
            yield b" " * 100

    async with served(tmp_path) as (server, _, _):
        http = server.http(await server.key())
        for path in ALL:
            assert (await http.post(path, content=b" " * 1001)).status_code == 413, path
            told = await http.post(path, content=pieces())
            assert told.status_code == 413, path
            assert "error" in told.json()


async def test_too_many_headers_and_too_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with served(tmp_path) as (server, _, _):
        key = await server.key()
        many = {f"x-{n}": "1" for n in range(limits.MOST_HEADERS)}
        assert (await server.http(key, **many).get("/v1/models")).status_code == 431
        assert (await server.http(key, x="1" * limits.LONGEST_HEADERS).get("/v1/models")).status_code == 431
        assert (await server.http(key).get("/v1/models")).status_code == 200
        monkeypatch.setattr(limits, "MOST_AT_ONCE", 0)
        full = await server.http(key).get("/v1/models")
        assert (full.status_code, full.headers["retry-after"]) == (429, "1")


HEAD = "POST {} HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\nauthorization: Bearer KEY\r\n\r\n{{"


@pytest.mark.parametrize("said", ["", "POST / HTTP/1.1\r\nhost: x\r\n", *(HEAD.format(path) for path in ALL)])
async def test_who_sends_too_slowly_is_left(tmp_path: Path, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.2)
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)
    async with served(tmp_path) as (server, _, _):
        key = await server.key()
        reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
        try:
            writer.write(said.replace("KEY", key).encode())
            began = time.monotonic()
            told = await asyncio.wait_for(reader.read(), 10)
            assert time.monotonic() - began < 10
            assert b" 200 " not in told
            assert b" 500 " not in told
        finally:
            writer.close()
            await writer.wait_closed()


async def test_paths_and_methods_that_are_not_there(tmp_path: Path) -> None:
    async with served(tmp_path) as (server, _, _):
        http = server.http(await server.key())
        assert (await http.get("/healthz")).json() == {"status": "ok"}
        assert (await http.get("/readyz")).status_code == 200
        for method, path, status in (("GET", "/nowhere", 404), ("GET", CHAT, 405), ("PUT", "/v1/jobs", 405)):
            answer = await http.request(method, path)
            code = {404: "not_found", 405: "method_not_allowed"}[status]
            assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
            says = {404: "GET /openapi.json", 405: "takes POST alone"}[status]
            assert says in answer.json()["error"]["message"]
            assert answer.headers.get("allow") == (None if status == 404 else "POST")
        assert (await http.request("OPTIONS", CHAT, headers={"origin": "https://a.example"})).status_code == 405
