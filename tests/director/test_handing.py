"""What stands between a conversation that is handed on and its reader: prefix, ties, fitting, checks of tool calls."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.director import ties
from understudy.director.fitting import fit_for, named
from understudy.director.prefix import HELD, Prefix
from understudy.director.ties import Ties
from understudy.director.validators import calls as calls_of
from understudy.director.validators.calls import tool_calls
from understudy.errors import UnknownCandidate, UsageError
from understudy.types import Answer, Candidate, Chat, Piece, Task, ToolCall


def heard(*pieces: str) -> tuple[Prefix, list[str]]:
    out: list[str] = []
    prefix = Prefix(lambda piece: out.append(piece.text))
    for piece in pieces:
        prefix.hear(Piece(piece))
    return prefix, out


@pytest.mark.parametrize("text", ["The sky is blue.", "Yes", "  Paris", "42 is it", "Ärger"])
def test_what_looks_good_passes_at_once(text: str) -> None:
    prefix, out = heard(text)
    assert (out, prefix.released) == ([text], True)


@pytest.mark.parametrize(
    "text",
    [
        "Error: x",
        "{",
        "<html>",
        "HTTP 502",
        "Rate limit",
        "upstream connect",
        "You've hit",
        "Sorry",
        "   ",
        "502 Bad",
        "data: {",
        "up",
        "Th",
        "Error: ",
        "no heal",
        "('Conn",
        "50",
    ],
)
def test_what_may_be_an_error_is_held_back(text: str) -> None:
    prefix, out = heard(text)
    assert (out, prefix.released) == ([], False)
    prefix.forget()
    prefix.hear(Piece("Good day."))
    assert out == ["Good day."], "another's answer begins anew"


def test_what_was_held_back_passes_in_its_order_when_it_is_too_long_or_good() -> None:
    prefix, out = heard("Sorry", " to ", "x" * HELD)
    assert "".join(out) == "Sorry to " + "x" * HELD
    prefix, out = heard("Sorry", " to hear.")
    prefix.end()
    assert out == ["Sorry", " to hear."]


@given(st.lists(st.text(max_size=50), max_size=30))
def test_nothing_is_lost_or_said_twice(pieces: list[str]) -> None:
    prefix, out = heard(*pieces)
    assert "".join(pieces).startswith("".join(out))
    prefix.end()
    assert out == pieces


def test_thoughts_alone_release_nothing() -> None:
    out: list[Piece] = []
    prefix = Prefix(out.append)
    prefix.hear(Piece(thought="hm"))
    assert out == []
    prefix.hear(Piece("Good."))
    assert [p.thought or p.text for p in out] == ["hm", "Good."]


def test_ties_know_the_last_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ties, "MOST", 3)
    kept = Ties()
    for name in "abc":
        kept.keep(name, f"d-{name}")
    kept.keep("a", "d-new")
    kept.keep("d", "d-d")
    kept.keep("", "nobody's")
    assert [kept.of(name) for name in ("a", "b", "c", "d", "")] == ["d-new", "", "d-c", "d-d", ""]


def candidate(name: str, *abilities: str, **more: Any) -> Candidate:
    kind, _, model = name.partition("/")
    return Candidate(more.pop("provider", kind), kind, "a", model, capabilities=frozenset(abilities), **more)


FLEET = (
    candidate("groq/a", "tools"),
    candidate("groq/b", "tools", "vision"),
    candidate("anthropic/c", "tools", "vision"),
    candidate("openai_compatible/d", "tools", "vision", provider="home", local=True),
    candidate("claude_code/e", "tools"),
    candidate("openai/f", "embeddings"),
)


def fits(needs: str = "", **more: Any) -> str:
    chat = Chat("openai", {}, 5, 9, frozenset(needs.split()), remote=more.pop("remote", False))
    return "".join(c.model for c in fit_for(FLEET, Task("x", chat=chat, **more)))


def test_who_can_do_it() -> None:
    assert fits() == "abcde"
    assert fits("tools") == "abcd", "the CLI is told a conversation in words, and has no tools of the caller's"
    assert fits("tools vision") == "bcd"
    assert fits("vision", remote=True) == "bc", "a server at home would fetch what only this machine may"
    assert fits("documents") == "c"
    assert fits("tools", candidate="home/d") == "d"
    assert fits("tools", candidate="openai_compatible/d") == "d"
    assert [c.model for c in fit_for(FLEET, Task("x"))] == list("abcde")


@pytest.mark.parametrize(
    ("needs", "more", "says"),
    [
        ("vision", {"candidate": "groq/a"}, "vision"),
        ("logprobs", {}, "Nobody here can"),
        ("vision", {"candidate": "home/d", "remote": True}, "images by their address"),
        ("tools", {"candidate": "openai/f"}, "embeds"),
    ],
)
def test_who_cannot_is_told_what(needs: str, more: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        fits(needs, **more)


def test_a_name_nobody_has() -> None:
    with pytest.raises(UnknownCandidate, match="Did you mean groq/b"):
        named(FLEET, "grog/b")
    with pytest.raises(UnknownCandidate):
        named(FLEET, "")


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
OPENAI = {"tools": [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]}
ANTHROPIC = {"tools": [{"name": "weather", "input_schema": SCHEMA}]}
RIGHT = '{"city": "Riga"}'


async def verdict(body: dict[str, Any], *calls: tuple[str, str]) -> str:
    answer = Answer("", calls=tuple(ToolCall("c", name, arguments) for name, arguments in calls))
    said = tool_calls(answer, Task("x", chat=Chat("openai", body, 1, 1)))
    return said if isinstance(said, str) else await said


@pytest.mark.parametrize("body", [OPENAI, ANTHROPIC])
async def test_calls(body: dict[str, Any]) -> None:
    assert await verdict(body, ("weather", RIGHT)) == ""
    assert await verdict(body) == ""
    assert "no tool 'other'" in await verdict(body, ("other", RIGHT))
    assert "do not fit" in await verdict(body, ("weather", "{}"))
    assert "do not fit" in await verdict(body, ("weather", RIGHT), ("weather", '{"city": 3}'))
    assert "no JSON" in await verdict(body, ("weather", '{"city": NaN}'))
    assert "no JSON" in await verdict(body, ("weather", "[" * 100_000))
    assert "no object" in await verdict(body, ("weather", json.dumps([1])))


@pytest.mark.parametrize(
    ("choice", "calls", "wrong"),
    [
        ("none", True, True),
        ("none", False, False),
        ("required", False, True),
        ("auto", False, False),
        ({"type": "any"}, False, True),
        ({"type": "none"}, True, True),
        ({"type": "auto"}, True, False),
        ({"type": "tool", "name": "weather"}, True, False),
        ({"type": "tool", "name": "weather"}, False, True),
        ({"type": "function", "function": {"name": "other"}}, True, True),
    ],
)
async def test_the_choice_is_kept_to(choice: Any, calls: bool, wrong: bool) -> None:
    said = await verdict({**OPENAI, "tool_choice": choice}, *([("weather", RIGHT)] if calls else []))
    assert bool(said) == wrong, said


async def test_a_schema_nobody_can_use_is_the_callers_own_affair() -> None:
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "nonsense"}}}
    assert await verdict({"tools": [tool]}, ("weather", RIGHT)) == ""
    assert await verdict({"tools": [{"name": "weather"}]}, ("weather", "")) == ""


async def test_a_thousand_calls_cost_as_little_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[object] = []
    monkeypatch.setattr(calls_of, "check_schema", looked.append)
    assert "more than 128" in await verdict(OPENAI, *[("weather", RIGHT)] * 10_000)
    assert looked == []
    assert await verdict(OPENAI, *[("weather", RIGHT)] * 128) == ""
    assert len(looked) == 1
