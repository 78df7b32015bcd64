"""What the fleet's table says of keys: an account without one is not ready, and nobody is asked to find that out."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from understudy.agents.roster import ring_of
from understudy.cli.fleet import fleet_table, state_to_dict
from understudy.cli.keys import keys_left
from understudy.director.director import Director
from understudy.director.parts import Parts

CONFIG = """\
[providers.groq]
kind = "groq"
base_url = "http://127.0.0.1:9"
models = [ { id = "gpt-oss-20b" } ]
accounts = [ { name = "a", keys = ["env:UNDERSTUDY_KEY_ONE", "env:UNDERSTUDY_KEY_TWO"] } ]
[providers.here]
kind = "openai_compatible"
base_url = "http://127.0.0.1:9/v1"
models = [ { id = "m" } ]
"""


@pytest.fixture
def config(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text(CONFIG)
    monkeypatch.setenv("UNDERSTUDY_KEY_ONE", "one")
    monkeypatch.setenv("UNDERSTUDY_KEY_TWO", "two")
    return str(home / "config.toml")


async def refuse(parts: Parts, *sources: str) -> None:
    ring = ring_of(parts.fleet[0], parts.settings, parts.rings)
    assert ring is not None
    await ring.refresh()
    for key in ring.keys:
        if key.source in sources:
            await ring.refuse(key, "gpt-oss-20b", 401)


async def told(parts: Parts) -> tuple[str, list[dict[str, Any]]]:
    states = await parts.book.states(parts.fleet)
    return fleet_table(parts, states), [state_to_dict(c, states[c.domain], keys_left(parts, c)) for c in parts.fleet]


async def test_an_account_without_a_key_is_not_ready(config: str) -> None:
    async with Director.from_config(config) as director:
        assert "ready " in (await told(director.parts))[0]
        await refuse(director.parts, "env:UNDERSTUDY_KEY_ONE", "env:UNDERSTUDY_KEY_TWO")
    async with Director.from_config(config) as director:  # another process: it knows from the store
        table, (groq, here) = await told(director.parts)
    until = groq["keys"]["until"]
    assert f"no key left (set aside until {time.strftime('%H:%M', time.localtime(until))})" in table
    assert time.time() < until < time.time() + 24 * 3600
    assert (groq["keys"]["total"], groq["keys"]["set_aside"]) == (2, 2)
    assert here["keys"] is None
    assert "ready" in table.splitlines()[3]


async def test_an_account_with_a_key_left_is_ready(config: str) -> None:
    async with Director.from_config(config) as director:
        await refuse(director.parts, "env:UNDERSTUDY_KEY_TWO")
        table, (groq, _) = await told(director.parts)
    assert "ready (1 of 2 keys set aside until " in table
    assert (groq["keys"]["total"], groq["keys"]["set_aside"]) == (2, 1)


async def test_a_source_that_cannot_be_read_is_told(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UNDERSTUDY_KEY_TWO")
    async with Director.from_config(config) as director:
        table, (groq, _) = await told(director.parts)
    assert "ready (no key at env:UNDERSTUDY_KEY_TWO)" in table
    assert groq["keys"]["missing"] == ("env:UNDERSTUDY_KEY_TWO",)


async def test_a_vault_is_not_asked(config: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:9")
    monkeypatch.setenv("VAULT_TOKEN", "t")
    text = CONFIG.replace("env:UNDERSTUDY_KEY_TWO", "vault:secret/llm#key")
    Path(config).write_text(text)  # noqa: ASYNC240
    async with Director.from_config(config) as director:
        table, (groq, _) = await told(director.parts)
    assert "ready  " in table
    assert groq["keys"]["unread"] == ("vault:secret/llm#key",)


def test_the_command_says_it_too(config: str, program) -> None:
    (groq, here) = json.loads(program("fleet", "--json", real=True).out)["fleet"]
    assert groq["keys"] == {"total": 2, "set_aside": 0, "until": None, "missing": [], "unread": []}
    assert here["keys"] is None
