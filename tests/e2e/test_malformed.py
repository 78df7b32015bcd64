"""Ten thousand bodies that are wrong in some way, at every path that takes one: refused or answered, never a bug."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.agents.stub import Stub
from tests.e2e.gateway_rig import CLOUD, HOME, SUM, WEATHER, Says, gateway, hello, plays, write_config
from understudy.gateway.app import application
from understudy.telemetry import log

COUNT = 10_000
CANARY = "xyzzyquokka"
FREE = "limits = { rpm = false, rpd = false, tpm = false, tpd = false }"
_CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}
_CHAT: dict[str, Any] = {
    "model": CLOUD,
    "messages": [
        {"role": "system", "content": CANARY},
        *hello(CANARY),
        {"role": "assistant", "content": None, "tool_calls": [_CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": CANARY},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": CANARY},
                {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{CANARY}"}},
            ],
        },
    ],
    "tools": [WEATHER, SUM],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "x", "schema": {"type": "object", "properties": {CANARY: {"type": "string"}}}},
    },
    "logit_bias": {"1": 2},
    "stop": ["a", "b"],
    "seed": 1,
    "temperature": 0.5,
    "max_tokens": 9,
    "stream": True,
    "stream_options": {"include_usage": True},
    "metadata": {"session": "s", "sensitivity": "public", "deadline": "20"},
}
_MESSAGES: dict[str, Any] = {
    "model": "understudy/auto",
    "max_tokens": 9,
    "system": [{"type": "text", "text": CANARY, "cache_control": {"type": "ephemeral"}}],
    "messages": [
        *hello(CANARY),
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": CANARY, "signature": "s"},
                {"type": "tool_use", "id": "t", "name": "weather", "input": {"city": CANARY}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": CANARY}]},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": CANARY}},
            ],
        },
    ],
    "tools": [{"name": "weather", "description": CANARY, "input_schema": WEATHER["function"]["parameters"]}],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "stop_sequences": ["x"],
    "stream": True,
    "metadata": {"user_id": CANARY},
    "top_k": 3,
}
_RESPONSES: dict[str, Any] = {
    "model": HOME,
    "instructions": CANARY,
    "input": [
        {"role": "user", "content": [{"type": "input_text", "text": CANARY}]},
        {"type": "function_call", "call_id": "c1", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": CANARY},
        {"type": "reasoning", "summary": []},
    ],
    "tools": [{"type": "function", **WEATHER["function"]}],
    "tool_choice": {"type": "function", "name": "weather"},
    "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}}},
    "reasoning": {"effort": "low"},
    "max_output_tokens": 9,
    "stream": True,
}
SEEDS: dict[str, list[dict[str, Any]]] = {
    "/v1/chat/completions": [_CHAT, {"model": "understudy/auto", "messages": hello(CANARY)}],
    "/v1/messages": [_MESSAGES, {"model": HOME, "messages": hello(CANARY), "max_tokens": 5}],
    "/v1/messages/count_tokens": [_MESSAGES],
    "/v1/responses": [_RESPONSES, {"model": "understudy/auto", "input": CANARY}],
    "/v1/embeddings": [{"model": CLOUD, "input": [CANARY, "b"], "encoding_format": "float", "dimensions": 3}],
    "/v1/jobs": [
        {"task": CANARY, "intent": "quick_qa", "deadline": 9, "schema": {"type": "object"}, "priority": "batch"},
        {"messages": hello(CANARY)},
    ],
}
ODD: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    1,
    1.5,
    10**30,
    -(10**30),
    1e308,
    "",
    " ",
    "\0",
    "\ud800",
    "\u202e",
    CANARY,
    "a" * 3000,
    [],
    {},
    [[]],
    [{}],
    [None],
    {"": None},
    {"type": CANARY},
    {"$ref": "#"},
    [CANARY],
    {CANARY: CANARY},
    "null",
    "auto",
    "understudy/",
    "understudy/none",
    "understudy/auto@v9",
    "@",
    "groq/",
    "user",
    "tool",
    "http://127.0.0.1/x",
    "data:,",
    {"type": "object", "properties": {"a": {"$ref": "#"}}},
    {"type": "string", "pattern": "(a+)+$"},
    "2026-01-01",
]
HEADERS = ("session", "sensitivity", "role", "policy", "deadline")


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in it."""
    items = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    for key, below in items:
        yield value, key
        yield from places(below)


def body(rng: random.Random, seeds: list[dict[str, Any]]) -> bytes:
    value: Any = json.loads(json.dumps(rng.choice(seeds)))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        container, key = rng.choice(list(places(value)))
        what = rng.random()
        if what < 0.6:
            container[key] = copy.deepcopy(rng.choice(ODD))
        elif what < 0.75:
            del container[key]
        elif what < 0.85 and isinstance(container, dict):
            container[str(rng.choice(ODD))[:50]] = copy.deepcopy(rng.choice(ODD))
        else:
            deep: Any = container[key]
            for _ in range(rng.choice((3, 70, 1500))):
                deep = [deep] if rng.random() < 0.5 else {"a": deep}
            container[key] = deep
            break
        if not list(places(value)):
            break
    try:
        raw = json.dumps(value).encode("utf-8", "surrogatepass")
    except RecursionError:
        raw = b"[" * 3000 + b"]" * 3000
    if rng.random() < 0.2:  # and as bytes
        at = rng.randrange(len(raw) + 1)
        raw = rng.choice(
            (raw[:at], raw[:at] + bytes([rng.randrange(256)]) + raw[at:], raw + raw, b"\xef\xbb\xbf" + raw, b"")
        )
    return raw


@pytest.mark.slow
@pytest.mark.timeout(400)
async def test_ten_thousand_bodies(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    rng = random.Random(20261121)
    seen: dict[int, int] = {}
    async with Stub() as stub:
        plays(stub, Says("Good day.", calls=[("weather", {"city": "Riga"}, "c1")]))
        config = write_config(
            tmp_path,
            {"groq": stub.url, "local": stub.url},
            top='deadline = 5\npatience = 0\n[director]\ncandidate = "none/none"\n[classifier]\nenabled = false\n',
            model="limits = { rpm = false, rpd = false, tpm = false, tpd = false }",
        )
        path = log.configure(tmp_path, "debug")
        async with gateway(config, tmp_path, most_queued=5) as server:
            secret = await server.key()
            app = application(lambda: server.service, lambda: "")
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://x", headers={"x-api-key": secret}
            ) as http:

                async def one(number: int) -> None:
                    where = list(SEEDS)[number % len(SEEDS)]
                    raw = body(rng, SEEDS[where])
                    headers = {}
                    if rng.random() < 0.1:
                        said = str(rng.choice(ODD)).encode("utf-8", "replace")[:300].replace(b"\0", b"0")
                        headers[f"x-understudy-{rng.choice(HEADERS)}"] = said
                    answer = await http.post(where, content=raw, headers=headers)
                    seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
                    shown = (where, raw[:3000], answer.text[:500])
                    assert answer.status_code < 500, shown
                    assert "Traceback" not in answer.text, shown
                    assert "bug" not in answer.text, shown
                    if answer.status_code >= 400:
                        assert answer.json()["error"]["message"], shown

                for start in range(0, COUNT, 8):
                    await asyncio.gather(*(one(start + n) for n in range(8)))
        written = path.read_text() + caplog.text
    assert CANARY not in written
    assert "Traceback" not in written
    assert '"bug"' not in written
    assert sum(seen.values()) == COUNT
    assert seen[200] > COUNT / 50, "some of them are right, and answered"
    assert seen[400] > COUNT / 5
