"""The real claude CLI directs, on a scripted server, and understudy does what it hands down."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.house import House, open_house, script
from tests.e2e.test_mcp import SILENT, TOP, command, environment, records
from tests.e2e.test_mcp_http import CHAT, key, serving
from tests.tools.anthropic_stub import AnthropicStub, Says
from tests.tools.claude_rig import Rig, find_claude
from understudy.types import Caller

pytestmark = [
    pytest.mark.claude,
    pytest.mark.slow,
    pytest.mark.skipif(find_claude() is None, reason="no claude; scripts/install_claude.sh installs it"),
]
FRUIT = {"task": "Name a fruit.", "intent": "quick_qa"}


def claude(rig: Rig, folder: Path, *arguments: str, prompt: str = "", **more: str) -> str:
    """What it says. Its output is in its words: this is the transcript of docs/mcp.md."""
    done = subprocess.run(
        [rig.command, *arguments],
        input=prompt,
        capture_output=True,
        text=True,
        cwd=folder,
        timeout=100,
        check=False,
        env={
            **rig.environ,
            "ANTHROPIC_BASE_URL": rig.url,
            "ANTHROPIC_API_KEY": "dummy",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "MCP_CONNECTION_NONBLOCKING": "0",  # tools are in the first request, not in the one after
            **more,
        },
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def handed_down(stub: AnthropicStub) -> dict[str, Any]:
    """The result of the tool as the director's model is given it."""
    blocks = [b for m in stub.messages[-1].json["messages"] if isinstance(m["content"], list) for b in m["content"]]
    (result,) = [b for b in blocks if b.get("type") == "tool_result"]
    return result


def ask(rig: Rig, folder: Path, *more: str, **environ: str) -> str:
    arguments = ("-p", "--output-format", "json", "--model", "opus", "--allowedTools", "mcp__understudy", *more)
    return json.loads(claude(rig, folder, *arguments, prompt="Have a fruit named.", **environ))["result"]


def house_at(tmp_path: Path, **more: Any) -> Any:
    (tmp_path / "understudy").mkdir()
    return open_house(tmp_path / "understudy", {"groq": script("groq", **more)}, top=TOP)


def told_to_add(house: House) -> list[str]:
    own = environment(house.home)
    given = [part for name in ("UNDERSTUDY_HOME", "PYTHONPATH") for part in ("-e", f"{name}={own[name]}")]
    return ["mcp", "add", "understudy", *given, "--", sys.executable, *command(house)]


async def test_it_is_added_and_its_work_is_done(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("The canary sings of apples.")
    call = Says(tool="mcp__understudy__delegate", tool_input={**FRUIT, "files": ["notes.txt"]})
    answers = [{"contains": "fruit", "text": "An apple."}]
    with house_at(tmp_path, replies=answers) as house, AnthropicStub(call, Says("It is an apple.")) as stub:
        rig = Rig(tmp_path, stub.url)
        assert "Added stdio MCP server understudy" in claude(rig, tmp_path, *told_to_add(house))
        assert "✔ Connected" in claude(rig, tmp_path, "mcp", "list")
        assert ask(rig, tmp_path) == "It is an apple."
        assert house.received("groq") == 1
        answer = json.loads(handed_down(stub)["content"])
        assert answer["text"] == "An apple."
        assert answer["candidate"].startswith("groq/")
        assert b"The canary sings" in house.bytes_at("groq"), "understudy read the file"
        assert not any(b"The canary sings" in request.body for request in stub.requests), "and the director did not"
        tools = {tool["name"] for tool in stub.messages[0].json["tools"]}
        assert "mcp__understudy__delegate" in tools, "without a search for it"
        assert b"Hand down what is bulky" in stub.messages[0].body
        (record,) = await records(house)
        assert record["id"] == answer["reply_id"]
        assert rig.all_gone(20), rig.running()


async def test_the_transcript_in_the_docs(tmp_path: Path) -> None:
    """What docs/mcp.md says to type is typed, and says what it says."""
    page = (Path(__file__).parents[2] / "docs" / "mcp.md").read_text(encoding="utf-8")
    typed = re.search(r"```console\n(\$ claude .*?)```", page, re.DOTALL)
    assert typed is not None
    call = Says(tool="mcp__understudy__delegate", tool_input={"task": "Name a fruit."})
    with house_at(tmp_path) as house, AnthropicStub(call, Says("An apple is a fruit.")) as stub:
        rig = Rig(tmp_path, stub.url)
        programs = tmp_path / "bin"
        programs.mkdir()
        own = {**environment(house.home), "UNDERSTUDY_CONFIG": str(house.config)}
        exports = "".join(f"export {name}='{value}'\n" for name, value in own.items())
        (programs / "understudy").write_text(f'#!/bin/sh\n{exports}exec {sys.executable} -m understudy "$@"\n')
        (programs / "understudy").chmod(0o700)
        path = f"{programs}:{rig.environ['PATH']}"
        for typing in re.split(r"^\$ ", typed[1], flags=re.MULTILINE)[1:]:
            line, *says = typing.splitlines()
            program, *arguments = shlex.split(line.partition(" < ")[0])
            assert program == "claude"
            said = claude(rig, tmp_path, *arguments, prompt="Name a fruit.", PATH=path)
            for expected in filter(None, says):
                assert expected in said, (line, said)
        assert house.received("groq") == 1


async def test_many_by_a_configuration_of_its_own(tmp_path: Path) -> None:
    tasks = [{**FRUIT, "task": f"Name fruit {n}."} for n in range(5)]
    call = Says(tool="mcp__understudy__delegate_many", tool_input={"tasks": tasks})
    with house_at(tmp_path) as house, AnthropicStub(call, Says("Five fruits.")) as stub:
        served = {"command": sys.executable, "args": command(house), "env": environment(house.home)}
        file = tmp_path / "mcp.json"
        file.write_text(json.dumps({"mcpServers": {"understudy": served}}))
        rig = Rig(tmp_path, stub.url)
        assert ask(rig, tmp_path, "--mcp-config", str(file), "--strict-mcp-config") == "Five fruits."
        results = json.loads(handed_down(stub)["content"])["results"]
    assert [f"fruit {n}" in one["text"] for n, one in enumerate(results)] == [True] * 5


async def test_a_refusal_reaches_the_director_in_words(tmp_path: Path) -> None:
    call = Says(tool="mcp__understudy__delegate", tool_input={**FRUIT, "sensitivity": "private"})
    with house_at(tmp_path) as house, AnthropicStub(call, Says("It is private.")) as stub:
        rig = Rig(tmp_path, stub.url)
        claude(rig, tmp_path, *told_to_add(house))
        ask(rig, tmp_path)
        assert house.received("groq") == 0
        result = handed_down(stub)
    assert result["is_error"] is True
    assert "PrivacyRefused" in result["content"]


async def test_a_call_it_gives_up_is_cancelled(tmp_path: Path) -> None:
    call = Says(tool="mcp__understudy__delegate", tool_input=FRUIT)
    with house_at(tmp_path, faults=SILENT) as house, AnthropicStub(call, Says("No fruit.")) as stub:
        rig = Rig(tmp_path, stub.url)
        claude(rig, tmp_path, *told_to_add(house), "--deadline", "60")
        ask(rig, tmp_path, MCP_TOOL_TIMEOUT="8000")
        assert "timed out" in handed_down(stub)["content"]
        (record,) = await records(house)
    assert record["error"]["type"] == "Interrupted"


async def test_over_http_with_a_key(tmp_path: Path) -> None:
    call = Says(tool="mcp__understudy__delegate", tool_input=FRUIT)
    with house_at(tmp_path) as house, AnthropicStub(call, Says("It is an apple.")) as stub:
        rig = Rig(tmp_path, stub.url)
        secret = await key(house, Caller("claude", scopes=CHAT))
        async with serving(house) as url:
            added = ["--transport", "http", "understudy", url, "--header", f"Authorization: Bearer {secret}"]
            claude(rig, tmp_path, "mcp", "add", *added)
            assert ask(rig, tmp_path) == "It is an apple."
        (record,) = await records(house)
    assert record["caller"] == "claude"
