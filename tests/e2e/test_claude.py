"""The real claude CLI, on a loopback server, as the coder and as the director's brain."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import psutil
import pytest

from tests.e2e.house import open_house, script
from tests.tools.claude_rig import find_claude
from understudy import Task
from understudy.rehearsal.script import Fault
from understudy.types import Role

CLAUDE = find_claude()
pytestmark = [pytest.mark.claude, pytest.mark.skipif(CLAUDE is None, reason="the claude CLI is not installed")]


def with_claude(base_url: str, key: Path) -> str:
    return (
        f'\n[providers.claude_code]\nkind = "claude_code"\ncommand = ["{CLAUDE}"]\nlogin = "key"\n'
        f'base_url = "{base_url}"\naccounts = [ {{ keys = ["file:{key}"] }} ]\n'
    )


TOP = '[director]\ncandidate = "claude_code/opus"\n[classifier]\nenabled = false\n'


async def test_it_codes_and_leaves_no_process(tmp_path: Path) -> None:
    from understudy.rehearsal.server import Server

    before = {p.pid for p in psutil.Process().children(recursive=True)}
    with (
        Server("anthropic", script("anthropic")) as claude,
        open_house(
            tmp_path, {"groq": script("groq")}, top=TOP, extra=with_claude(claude.url, tmp_path / "key")
        ) as house,
    ):
        async with house.director() as director:
            reply = await director.run(Task("Write a function that sorts a list, in Python.", intent="coding"))
        assert house.received("groq") == 0
    assert [(a.provider, a.outcome) for a in reply.attempts] == [("claude_code", "ok")]
    assert reply.attempts[0].input_tokens > 0
    assert "def " in reply.text
    assert {p.pid for p in psutil.Process().children(recursive=True)} - before == set()


async def test_it_fails_and_groq_codes(tmp_path: Path) -> None:
    from understudy.rehearsal.server import Server

    faults = {"": [Fault(kind="overload")]}
    with (
        Server("anthropic", script("anthropic", faults=faults)) as claude,
        open_house(
            tmp_path, {"groq": script("groq")}, top=TOP, extra=with_claude(claude.url, tmp_path / "key")
        ) as house,
    ):
        async with house.director() as director:
            reply = await director.run(Task("Write a function that sorts a list, in Python.", intent="coding"))
    assert [(a.provider, a.outcome) for a in reply.attempts] == [("claude_code", "overload"), ("groq", "ok")]
    assert "gpt-oss-120b" in reply.attempts[1].model


async def test_it_directs_within_its_budget(tmp_path: Path) -> None:
    """A plan by the real CLI, charged to the conversation; the steps are done by others."""
    from understudy.rehearsal.server import Server

    with (
        Server("anthropic", script("anthropic")) as claude,
        open_house(
            tmp_path,
            {"groq": script("groq"), "gemini": script("gemini")},
            top=TOP,
            extra=with_claude(claude.url, tmp_path / "key"),
        ) as house,
    ):
        async with house.director() as director:
            task = Task("First list three fruits, then sort them, and finally write a haiku about the first.")
            reply = await director.run(task)
    directed = [a for a in reply.attempts if a.role is Role.DIRECTOR]
    assert [a.outcome for a in directed] == ["ok"]
    assert len(reply.steps) >= 2
    assert 0 < reply.director.spent.tokens <= 2000
    assert reply.director.reserved.tokens == 0


async def test_the_other_key_codes_and_none_is_among_the_arguments(tmp_path: Path) -> None:
    """The dead key costs one start of the CLI. The machine's other users see its arguments."""
    from understudy.rehearsal.server import Server

    seen: set[str] = set()
    played = script("anthropic").model_copy(update={"accounts": {"a": ("sk-canary-good",)}})
    for name in ("dead", "good"):
        (tmp_path / name).write_text(f"sk-canary-{name}")
    with (
        Server("anthropic", played) as claude,
        open_house(
            tmp_path, {"groq": script("groq")}, top=TOP, extra=with_claude(claude.url, tmp_path / "dead")
        ) as house,
    ):
        text = house.config.read_text()
        head, mark, tail = text.partition("[providers.claude_code]")
        dead, good = tmp_path / "dead", tmp_path / "good"
        house.config.write_text(head + mark + tail.replace(f'"file:{dead}"', f'"file:{dead}", "file:{good}"'))
        async with house.director() as director:
            running = asyncio.create_task(director.run(Task("Write a function that sorts a list.", intent="coding")))
            while not running.done():
                for child in psutil.Process().children(recursive=True):
                    with contextlib.suppress(psutil.Error):
                        seen.add(" ".join(child.cmdline()))
                await asyncio.sleep(0.02)
            reply = await running
        assert house.received("groq") == 0
    assert [(a.provider, a.outcome) for a in reply.attempts] == [("claude_code", "ok")]
    assert any("--system-prompt-file" in line for line in seen)
    assert not any("canary" in line for line in seen)
