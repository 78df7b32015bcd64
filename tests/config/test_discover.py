"""Discovery without a configuration."""

from __future__ import annotations

import socket
import time

from understudy.config.discover import discover, listens
from understudy.config.load import parse

SECRET = "sk-canary-0815"


def test_everything_is_found_and_paid_keys_stay_off() -> None:
    names = ("GROQ_API_KEY", "GOOGLE_API_KEY", "ANTHROPIC_API_KEY", "OPENAI_API_KEY")
    table, notes = discover(
        dict.fromkeys(names, SECRET), lambda name: f"/bin/{name}", lambda port: port in (11434, 8000)
    )
    settings = parse(table, "discovery")
    assert {name: p.kind for name, p in settings.providers.items()} == {
        "groq": "groq",
        "gemini": "gemini",
        "claude_code": "claude_code",
        "ollama": "openai_compatible",
        "vllm": "openai_compatible",
    }
    assert settings.director.candidate == "claude_code/opus"
    assert settings.providers["gemini"].accounts[0].keys == ("env:GOOGLE_API_KEY",)
    assert settings.providers["ollama"].base_url == "http://127.0.0.1:11434/v1"
    assert len(notes) == 2
    assert SECRET not in f"{table}{notes}"


def test_nothing_is_found() -> None:
    table, notes = discover({"GROQ_API_KEY": " "}, lambda _: None, lambda _: False)
    settings = parse(table, "discovery")
    assert settings.providers == {}
    assert "director" not in table  # the settings name one; without claude it is not in the fleet
    assert notes == ()


def test_gemini_prefers_its_own_name() -> None:
    table, _ = discover({"GEMINI_API_KEY": "a", "GOOGLE_API_KEY": "b"}, lambda _: None, lambda _: False)
    assert table["providers"]["gemini"]["accounts"][0]["keys"] == ["env:GEMINI_API_KEY"]


def test_probe() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        assert not listens(port)
        server.listen()
        begun = time.perf_counter()
        assert listens(port)
        assert time.perf_counter() - begun < 0.5
