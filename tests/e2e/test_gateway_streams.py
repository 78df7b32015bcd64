"""Streams through the gateway: what passes at once, what is held back, and how each of them ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e import raw_wires as wires
from tests.e2e.gateway_rig import TOP, Gateway, frames, gateway, hello, until
from tests.e2e.raw_server import Exchange, Fault, RawServer
from understudy.gateway import exchange

MODEL = "groq/openai/gpt-oss-20b"
TEXT = "It is a fine day for a walk along the river, they say."
PATHS = ("/v1/chat/completions", "/v1/messages", "/v1/responses")


def request(path: str, model: str = MODEL, text: str = "Hello") -> dict[str, Any]:
    said: dict[str, Any] = {"model": model, "stream": True}
    if path == "/v1/responses":
        return {**said, "input": text}
    return {**said, "messages": hello(text), "max_tokens": 200}


@asynccontextmanager
async def house(
    tmp_path: Path, *faults: Fault, accounts: int = 1, text: str = TEXT
) -> AsyncGenerator[tuple[Gateway, RawServer]]:
    async with RawServer("groq", text, *faults) as server:
        names = "ab"[:accounts]
        for name in names:
            (tmp_path / name).write_text(f"key-{name}")
            (tmp_path / name).chmod(0o600)
        keys = ", ".join(f'{{ name = "{n}", keys = ["file:{tmp_path / n}"] }}' for n in names)
        config = tmp_path / "config.toml"
        config.write_text(
            f'{TOP}[providers.groq]\nkind = "groq"\nbase_url = "{server.url}"\naccounts = [ {keys} ]\n'
            'models = [ { id = "openai/gpt-oss-20b" } ]\n'
        )
        async with gateway(config, tmp_path / "home") as found:
            yield found, server


def held(gate: asyncio.Event, before: int) -> Fault:
    """So many frames, and the others once the gate is open."""

    async def fault(x: Exchange) -> None:
        said = [*wires.pieces(x.wire, x.text), *wires.ends(x.wire)]
        if not x.streamed:  # who buffers asks for all of it
            await gate.wait()
            await x.say(200, {}, wires.whole(x.wire, x.text))
            return
        await x.begin()
        await x.pieces(said[:before])
        await gate.wait()
        await x.pieces(said[before:])
        await x.end()

    return fault


async def read(response: httpx.Response, raw: bytearray) -> None:
    async for piece in response.aiter_bytes():
        raw += piece


def text_in(path: str, raw: bytes) -> str:
    said = ""
    for _, data in frames(raw):
        if data == "[DONE]":
            continue
        if path == "/v1/chat/completions":
            said += "".join(c["delta"].get("content") or "" for c in data.get("choices", ()))
        elif data.get("type") == "content_block_delta":
            said += data["delta"].get("text", "")
        elif data.get("type") == "response.output_text.delta":
            said += data["delta"]
    return said


@pytest.mark.parametrize("path", PATHS)
async def test_a_named_candidate_is_heard_at_once(tmp_path: Path, path: str) -> None:
    gate = asyncio.Event()
    async with house(tmp_path, held(gate, 2)) as (server, _):
        http, raw = server.http(await server.key()), bytearray()
        async with http.stream("POST", path, json=request(path)) as response:
            assert response.status_code == 200
            reading = asyncio.create_task(read(response, raw))
            await until(lambda: text_in(path, bytes(raw)))
            assert TEXT.startswith(text_in(path, bytes(raw)))
            assert not gate.is_set()
            told = {name: response.headers[f"x-understudy-{name}"] for name in ("reply-id", "candidate", "policy")}
            gate.set()
            await reading
        assert text_in(path, bytes(raw)) == TEXT, "each piece once"
        await until(server.audit)  # a thread writes it
        assert told == {"reply-id": server.audit()[-1]["reply"], "candidate": MODEL, "policy": "named"}


@pytest.mark.parametrize("path", PATHS)
async def test_whoever_the_policy_chose_is_heard_when_the_answer_is_whole(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "QUIET", 0.05)
    gate = asyncio.Event()
    async with house(tmp_path, held(gate, 3)) as (server, _):
        http, raw = server.http(await server.key()), bytearray()
        async with http.stream("POST", path, json=request(path, "understudy/auto")) as response:
            reading = asyncio.create_task(read(response, raw))
            await until(lambda: len(frames(bytes(raw))) > 3)  # it is alive, and says so
            assert text_in(path, bytes(raw)) == ""
            gate.set()
            await reading
        assert text_in(path, bytes(raw)) == TEXT


ERROR = "Error: 429 Too Many Requests: rate limit exceeded, try again later."


@pytest.mark.parametrize("path", PATHS)
async def test_an_error_in_disguise_does_not_pass(tmp_path: Path, path: str) -> None:
    async with house(tmp_path, text=ERROR) as (server, upstream):
        answer = await server.http(await server.key()).post(path, json=request(path))
        assert answer.status_code == 422, "nothing had been said, so its status could be"
        assert answer.headers["content-type"] == "application/json"
        assert "not_error" in answer.text
        assert len(upstream.got) == 2, "once more with the reason, and it said the same"


def dies_after(count: int) -> Fault:
    async def fault(x: Exchange) -> None:
        await x.begin()
        await x.pieces(wires.pieces(x.wire, x.text)[:count])
        await asyncio.sleep(0.2)  # the pieces are on their way before the connection is gone
        x.reset()

    return fault


@pytest.mark.parametrize("path", PATHS)
async def test_who_dies_in_the_middle_is_told_and_nobody_else_goes_on(tmp_path: Path, path: str) -> None:
    async with house(tmp_path, dies_after(4), accounts=2) as (server, upstream):
        answer = await server.http(await server.key()).post(path, json=request(path))
        assert answer.status_code == 200
        said = text_in(path, answer.content)
        assert said
        assert TEXT.startswith(said)
        assert said != TEXT
        assert len(upstream.got) == 1, "half of one answer and half of another are none"
        last = [data for _, data in frames(answer.content) if data != "[DONE]"][-1]
        if path == "/v1/responses":
            assert last["type"] == "response.failed"
        else:
            assert last["error"]["message"]
        spent = await server.spent()
        assert spent.spent.tokens > 0
        assert spent.reserved.tokens == 0
        await until(server.audit)
        assert server.audit()[-1]["status"] == 200


async def test_who_dies_before_a_word_is_followed_by_the_next(tmp_path: Path) -> None:
    async def answers(x: Exchange) -> None:
        await x.begin()
        await x.pieces([*wires.pieces(x.wire, x.text), *wires.ends(x.wire)])
        await x.end()

    async with house(tmp_path, dies_after(1), answers, accounts=2) as (server, upstream):
        answer = await server.http(await server.key()).post(PATHS[0], json=request(PATHS[0]))
        assert text_in(PATHS[0], answer.content) == TEXT
        assert len(upstream.got) == 2


@pytest.mark.parametrize("path", PATHS)
async def test_an_error_after_keep_alives_is_a_frame(
    tmp_path: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "QUIET", 0.05)

    async def late(x: Exchange) -> None:
        await asyncio.sleep(0.3)
        await x.say(*wires.error(x.wire, 500))

    async with house(tmp_path, late) as (server, _):
        answer = await server.http(await server.key()).post(path, json=request(path))
        assert answer.status_code == 200
        told = frames(answer.content)
        kinds = [data if data == "[DONE]" else data.get("type", data.get("object", "error")) for _, data in told]
        expected = {
            "/v1/chat/completions": ("chat.completion.chunk", "[DONE]"),
            "/v1/messages": ("message_start", "error"),
            "/v1/responses": ("response.created", "response.failed"),
        }[path]
        assert (kinds[0], kinds[-1]) == expected
        assert "overload" in answer.text


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("said", [0, 3])
async def test_who_leaves_is_not_worked_for_any_longer(tmp_path: Path, stream: bool, said: int) -> None:
    """The task is cancelled, the server is hung up on, and the call is charged."""

    async def slow(x: Exchange) -> None:
        if x.streamed:
            await x.begin()
            await x.pieces(wires.pieces(x.wire, x.text)[:said])
        await x.silence(30)

    async with house(tmp_path, slow) as (server, upstream):
        http = server.http(await server.key())
        asking = asyncio.create_task(http.post(PATHS[0], json={**request(PATHS[0]), "stream": stream}))
        await until(lambda: upstream.got)
        if said and stream:
            await asyncio.sleep(0.2)
        assert (await server.spent()).reserved.tokens > 0
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        await until(lambda: upstream.got[0].hung_up, 10)
        await until(lambda: not server.service.under_way)
        spent = await server.spent()
        assert (spent.reserved.tokens, spent.spent.tokens > 0) == (0, True)
        await until(server.audit)
        assert server.audit()[-1]["status"] == (200 if said and stream else 499)


async def test_the_log_of_a_stream_that_failed_names_no_bug(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from understudy.telemetry.log import configure

    configure(tmp_path / "home", "info")
    async with house(tmp_path, dies_after(4)) as (server, _):
        await server.http(await server.key()).post(PATHS[0], json=request(PATHS[0]))
    written = "".join(p.read_text() for p in (tmp_path / "home").rglob("*.jsonl")) + "".join(capsys.readouterr())
    assert "NoCandidate" in written
    assert "bug" not in written, json.dumps(written[-500:])
