"""Catalogue, candidates, discovery of servers, roster."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

from tests.agents.stub import Reply, Stub
from tests.agents.wires import ANTHROPIC, GEMINI, GROQ, KEY, LOCAL, OPENAI, Ledger, Wire
from understudy.agents.catalogue import entries
from understudy.agents.roster import adapter, roster, worker_for
from understudy.config.load import parse
from understudy.errors import CallFailed, ConfigError
from understudy.types import Call, Candidate, Failure


def table(**providers: dict[str, Any]) -> dict[str, Any]:
    return {"providers": providers}


async def test_accounts_multiply_and_settings_override() -> None:
    keys = ["env:UNDERSTUDY_TEST_KEY"]
    settings = parse(
        table(
            groq={
                "kind": "groq",
                "accounts": [
                    {"name": "a", "keys": keys},
                    {"name": "b", "keys": keys},
                    {"name": "c", "keys": ["env:X_NO"]},
                ],
                "models": [
                    {"id": "gpt-oss-20b", "quality": 1, "input_usd": 9.5, "free": False},
                    {"id": "brand-new", "context": 1000},
                ],
            }
        ),
        "test",
    )
    found = await roster(settings)
    assert [c.domain for c in found.candidates] == [
        "groq/a/openai/gpt-oss-20b",
        "groq/b/openai/gpt-oss-20b",
        "groq/a/brand-new",
        "groq/b/brand-new",
    ]
    first, new = found.candidates[0], found.candidates[2]
    assert (first.quality, first.input_price, first.output_price, first.free) == (1, 9_500_000, 300_000, False)
    assert (first.tokens_per_minute, first.context) == (None, 131072)  # the free plan's limits are not a paid one's
    assert (new.context, new.output_cap, new.free, new.local) == (1000, 1000, True, False)
    assert len(found.notes) == 1
    assert "X_NO" in found.notes[0]


async def test_every_catalogue_model_without_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    found = await roster(parse(table(g={"kind": "gemini"}, a={"kind": "anthropic"}, q={"kind": "groq"}), "test"))
    assert [c.model for c in found.candidates if c.provider == "g"] == [e.model for e in entries("gemini")]
    assert all(c.free and not c.local for c in found.candidates if c.provider == "g")
    assert {c.free for c in found.candidates if c.provider == "a"} == {False}
    assert len(found.notes) == 1
    assert "GROQ_API_KEY" in found.notes[0]
    assert KEY not in f"{found}"


@pytest.mark.parametrize(
    ("wire", "written"),
    [
        *((GROQ, s) for s in ("", "/", "/openai", "/openai/v1", "/openai/v1/")),
        *((GEMINI, s) for s in ("", "/", "/v1beta", "/v1beta/")),
        *((ANTHROPIC, s) for s in ("", "/v1", "/v1/", "/v1/messages")),
        *((OPENAI, s) for s in ("", "/", "/v1", "/v1/", "/v1/chat/completions")),
        *((LOCAL, s) for s in ("", "/v1", "/v1/")),
    ],
    ids=lambda v: v if isinstance(v, str) else v.kind,
)
async def test_an_address_may_be_written_as_the_user_likes(wire: Wire, written: str, stub: Stub) -> None:
    stub.answer = wire.good("ok")
    accounts = [] if wire is LOCAL else [{"keys": ["env:UNDERSTUDY_TEST_KEY"]}]
    provider = {"kind": wire.kind, "base_url": stub.url + written, "accounts": accounts, "models": [{"id": wire.model}]}
    settings = parse(table(p=provider), "test")
    ((candidate,), _) = (await roster(settings)).candidates, None
    worker = worker_for(candidate, settings)
    assert (await worker.work(Call(prompt="x", timeout=5), Ledger())).text == "ok"
    await worker.close()
    assert stub.seen[0].path.split("?")[0] == wire.path


async def test_models_of_a_local_server_are_found(stub: Stub) -> None:
    listed = [
        {"id": "qwen3:8b", "object": "model"},
        {"id": "gpt-oss:120b-cloud"},
        {"id": "nomic-embed-text"},
        {"id": "vllm/x", "max_model_len": 4096},
        {"id": "gguf", "meta": {"n_ctx": 2048}},
        {"id": 5},
        "junk",
    ]
    stub.answer = Reply(200, {"object": "list", "data": listed})
    found = await roster(parse(table(o={"kind": "openai_compatible", "base_url": f"{stub.url}/v1"}), "test"))
    by_model = {c.model: c for c in found.candidates}
    assert set(by_model) == {"qwen3:8b", "gpt-oss:120b-cloud", "vllm/x", "gguf"}
    assert by_model["qwen3:8b"].local
    assert by_model["qwen3:8b"].free
    assert not by_model["gpt-oss:120b-cloud"].local
    assert not by_model["gpt-oss:120b-cloud"].free
    assert (by_model["vllm/x"].context, by_model["gguf"].context) == (4096, 2048)


NO_MODEL = [
    Reply(200, {"object": "list", "data": []}),
    Reply(200, {"object": "list", "data": None}),
    Reply(200, b"not json"),
    Reply(400, {"error": "No models loaded"}),
    Reply(404, {"error": {"message": "No models loaded. Please load a model."}}),
    Reply(503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}),
    Reply(500, b"<html>oops</html>"),
    Reply(drop=True),
    Reply(hang=20),
    Reply(401, {"error": {"message": "key needed", "code": "invalid_api_key"}}),
]


@pytest.mark.parametrize("reply", NO_MODEL, ids=lambda r: f"{r.status} {r.body or r.hang or r.drop}"[:40])
async def test_a_server_without_a_model_is_passed_over_within_a_second(reply: Reply, stub: Stub) -> None:
    stub.answer = reply
    settings = parse(table(l={"kind": "openai_compatible", "base_url": f"{stub.url}/v1"}), "test")
    begun = time.perf_counter()
    with pytest.raises(CallFailed) as caught:
        await adapter("openai_compatible").candidates("l", settings.providers["l"], settings)
    assert time.perf_counter() - begun < 1.0
    assert caught.value.failure is Failure.UNAVAILABLE
    assert caught.value.remedy
    assert not caught.value.charged
    found = await roster(settings)
    assert found.candidates == ()
    assert len(found.notes) == 1


async def test_one_broken_provider_does_not_hide_the_others(stub: Stub) -> None:
    stub.answer = Reply(200, {"data": [{"id": "m"}]})
    settings = parse(
        table(
            down={"kind": "openai_compatible", "base_url": "http://127.0.0.1:9/v1"},
            up={"kind": "openai_compatible", "base_url": stub.url},
            off={"kind": "groq", "enabled": False},
        ),
        "test",
    )
    found = await roster(settings)
    assert [c.name for c in found.candidates] == ["up/m"]
    assert len(found.notes) == 1
    assert found.notes[0].startswith("down")
    with pytest.raises(ConfigError):
        worker_for(Candidate("off", "groq", "a", "m"), settings)
    with pytest.raises(ConfigError):
        worker_for(Candidate("nobody", "groq", "a", "m"), settings)


async def test_a_missing_key_is_a_typed_error() -> None:
    provider = {"kind": "groq", "accounts": [{"name": "a", "keys": ["env:X_NOT_THERE"]}]}
    settings = parse(table(p=provider), "test")
    with pytest.raises(CallFailed) as caught:
        await adapter("groq").candidates("p", settings.providers["p"], settings)
    assert caught.value.failure is Failure.UNAVAILABLE
    with pytest.raises(ConfigError, match="X_NOT_THERE"):
        worker_for(Candidate("p", "groq", "a", "m"), settings).load(Call(""))


def test_listing_loads_no_sdk() -> None:
    code = (
        "import asyncio, os, sys; os.environ['GROQ_API_KEY']='k'\n"
        "from understudy.agents.roster import roster, worker_for\n"
        "from understudy.config.load import parse\n"
        "s = parse({'providers': {'g': {'kind': 'groq'}, 'm': {'kind': 'gemini'}}}, 't')\n"
        "r = asyncio.run(roster(s)); w = worker_for(r.candidates[0], s); assert len(r.candidates) == 8\n"
        "from understudy.types import Call; assert w.bound(Call('hello')) > 0\n"
        "bad = {'pydantic_ai', 'groq', 'openai', 'anthropic', 'google.genai', 'httpx', 'httpx2', 'genai_prices'}\n"
        "print(sorted(bad & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_the_first_import_is_not_the_servers_slowness(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    from understudy.agents.providers import openai_compatible

    made = openai_compatible.client_for

    def slow(*arguments: Any) -> Any:
        time.sleep(0.5)  # on a busy machine importing the HTTP library takes longer than the listing may
        return made(*arguments)

    monkeypatch.setattr(openai_compatible, "client_for", slow)
    monkeypatch.setattr(openai_compatible, "DISCOVERY_SECONDS", 0.4)
    stub.answer = Reply(200, {"data": [{"id": "m"}]})
    settings = parse(table(lm={"kind": "openai_compatible", "base_url": f"{stub.url}/v1"}), "test")
    found = await roster(settings)
    assert [c.model for c in found.candidates] == ["m"], found.notes


async def test_an_sdk_that_is_too_old_leaves_its_provider_out_with_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the environment of nanobot, which holds it below 1."""
    import importlib.metadata

    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: "0.125.0")
    found = await roster(parse(table(anthropic={"kind": "anthropic"}), "test"))
    assert found.candidates == ()
    assert "anthropic 0.125.0" in found.notes[0]
    assert "claude_code" in found.notes[0]
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: "1.15.0rc1")
    assert (await roster(parse(table(anthropic={"kind": "anthropic"}), "test"))).candidates
