"""The simulated fleet behind the real adapters."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from understudy.agents.providers import rehearsal
from understudy.config.load import parse
from understudy.config.settings import Settings
from understudy.errors import CallFailed, ConfigError
from understudy.rehearsal.fleet import rehearsal_table
from understudy.types import Answer, Call, Failure, Hold, Usage

pytest.importorskip("understudy.agents.providers.groq")


class OpenGuard:
    """Lets everything through and remembers what was used."""

    def __init__(self) -> None:
        self.used: list[Usage | None] = []

    async def before(self, input_tokens: int, output_cap: int) -> Hold | None:
        return None

    async def after(self, hold: Hold | None, usage: Usage | None) -> None:
        self.used.append(usage)

    async def unsent(self, hold: Hold | None) -> None: ...


def settings_of(**tables: Any) -> Settings:
    return parse({"providers": {name: {"kind": "rehearsal", **t} for name, t in tables.items()}}, "the test")


async def ask(settings: Settings, name: str, model: str, prompt: str = "What is 12*7?") -> tuple[Answer, OpenGuard]:
    provider, guard = settings.providers[name], OpenGuard()
    found = await rehearsal.candidates(name, provider, settings)
    candidate = next(c for c in found if c.model.endswith(model))
    worker = rehearsal.worker(candidate, provider, settings)
    try:
        return await worker.work(Call(prompt, timeout=20), guard), guard
    finally:
        await worker.close()


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("groq", "qwen3-32b"),
        ("groq", "llama-3.1-8b-instant"),
        ("gemini", "gemini-2.5-flash"),
        ("local", "ministral-3b"),
    ],
)
async def test_the_default_fleet_answers_through_the_real_sdks(name: str, model: str):
    settings = parse(rehearsal_table(), "the test")
    answer, guard = await ask(settings, name, model)
    assert answer.text.startswith("(simulated ")
    assert answer.text.endswith(") 84")
    assert guard.used
    assert guard.used[0]
    assert guard.used[0].measured
    server = rehearsal.servers()[name]
    assert server.saw("What is 12*7?")
    assert not server.saw("rehearsal-key")


async def test_candidates_say_what_they_play_and_that_they_are_simulated():
    settings = parse(rehearsal_table(), "the test")
    groq = await rehearsal.candidates("groq", settings.providers["groq"], settings)
    local = await rehearsal.candidates("local", settings.providers["local"], settings)
    assert {(c.kind, c.local, c.simulated, c.free) for c in groq} == {("groq", False, True, True)}
    assert {(c.kind, c.local, c.simulated, c.free) for c in local} == {("openai_compatible", True, True, True)}
    assert (len(groq), len(local)) == (8, 3)
    assert {c.tokens_per_minute for c in groq if c.model == "llama-3.1-8b-instant"} == {6000}


async def test_a_paid_provider_that_is_played_costs_nothing():
    settings = settings_of(a={"plays": "anthropic"})
    found = await rehearsal.candidates("a", settings.providers["a"], settings)
    assert {(c.kind, c.free) for c in found} == {("anthropic", True)}


async def test_the_servers_are_shared_stop_with_the_last_worker_and_remember_limits(tmp_path: Path):
    script = tmp_path / "s.toml"
    script.write_text('[accounts]\nx = ["k"]\n[[models]]\nid = "m"\nlimits = { tpm = 60 }\n')
    settings = settings_of(g={"plays": "groq", "script": str(script)})
    provider = settings.providers["g"]
    (candidate,) = await rehearsal.candidates("g", provider, settings)
    assert candidate.account == "x"
    first, second = (rehearsal.worker(candidate, provider, settings) for _ in range(2))
    address = rehearsal.servers()["g"].url
    await first.work(Call("hello", output_cap=40), OpenGuard())
    await first.close()
    assert "(simulated)" in await second.check()
    assert rehearsal.servers()["g"].url == address
    await second.close()
    await second.close()
    third = rehearsal.worker(candidate, provider, settings)
    with pytest.raises(CallFailed) as caught:
        await third.work(Call("hello", output_cap=40), OpenGuard())
    assert caught.value.failure is Failure.MINUTE_QUOTA
    await third.close()


async def test_a_broken_script_is_a_configuration_error(tmp_path: Path):
    (tmp_path / "s.toml").write_text("modles = []")
    settings = settings_of(g={"plays": "groq", "script": str(tmp_path / "s.toml")})
    with pytest.raises(ConfigError, match="unknown key modles"):
        await rehearsal.candidates("g", settings.providers["g"], settings)


async def test_accounts_have_keys_and_limits_of_their_own_in_private_files(tmp_path: Path):
    settings = settings_of(
        g={"plays": "groq", "accounts": [{"name": "a"}, {"name": "b"}], "models": [{"id": "gpt-oss-20b"}]}
    )
    stand_in: Callable[..., Any] = rehearsal._stand_in  # pyright: ignore[reportPrivateUsage]
    accounts = stand_in(settings.providers["g"], "http://127.0.0.1:9/v1").accounts
    paths = [Path(a.keys[0].removeprefix("file:")) for a in accounts]
    assert len(set(paths)) == 2
    for path in paths:
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(path.parent).st_mode) == 0o700


def test_a_script_that_takes_any_key_is_not_given_a_real_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GROQ_API_KEY", "gsk_a_real_one")
    (tmp_path / "s.toml").write_text('[[models]]\nid = "llama-3.1-8b-instant"\n')
    stand_in: Callable[..., Any] = rehearsal._stand_in  # pyright: ignore[reportPrivateUsage]
    for accounts in ([], [{"name": "a"}]):
        settings = settings_of(g={"plays": "groq", "script": str(tmp_path / "s.toml"), "accounts": accounts})
        (account,) = stand_in(settings.providers["g"], "http://127.0.0.1:9/v1").accounts
        (source,) = account.keys
        assert Path(source.removeprefix("file:")).read_text() == "rehearsal-key"


async def test_claude_code_runs_the_simulated_cli():
    pytest.importorskip("understudy.agents.providers.claude_code")
    settings = parse(rehearsal_table(), "the test")
    answer, guard = await ask(settings, "claude_code", "opus")
    assert answer.text == "(simulated opus) 84"
    assert guard.used[0]
    found = await rehearsal.candidates("claude_code", settings.providers["claude_code"], settings)
    assert {(c.kind, c.local, c.simulated) for c in found} == {("claude_code", False, True)}
