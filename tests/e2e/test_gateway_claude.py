"""The real claude CLI with understudy as its model: it asks, its tool runs, it reads the answer."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gateway_rig import TOP, Gateway, gateway
from tests.e2e.house import House, open_house, script
from tests.tools.claude_rig import Rig, find_claude
from understudy.rehearsal.script import Fault

pytestmark = [
    pytest.mark.claude,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(find_claude() is None, reason="no claude; scripts/install_claude.sh installs it"),
]
ASK = "What does the canary in notes.txt sing of?"
READS = {"contains": "canary", "tool": "Bash", "arguments": {"command": "cat notes.txt", "description": "Read it"}}


def unlimited(house: House, capable: str = "") -> Path:
    """Its requests are of 15,000 tokens and more, for which most free tiers have no room. capable: can use tools."""
    ids = [model.id for server in house.servers.values() for model in server.script.models]
    text = house.config.read_text()
    for id_ in ids:
        more = ', capabilities = ["tools"], context = 131072' if id_ == capable else ""
        free = "limits = { rpm = false, rpd = false, tpm = false, tpd = false }"
        text = text.replace(f'{{ id = "{id_}" }}', f'{{ id = "{id_}", {free}{more} }}')
    house.config.write_text(text)
    return house.config


async def claude(folder: Path, server: Gateway, key: str, *arguments: str, prompt: str = ASK, **more: str) -> Any:
    """Its result, and how it ended."""
    rig = Rig(folder, server.url)
    process = await asyncio.create_subprocess_exec(
        rig.command, "-p", "--output-format", "json", *arguments,
        stdin=-1, stdout=-1, stderr=-1, cwd=folder,
        env={
            **rig.environ, "ANTHROPIC_BASE_URL": server.url, "ANTHROPIC_API_KEY": key,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1", "DISABLE_AUTOUPDATER": "1", **more,
        },
    )  # fmt: skip
    try:
        out, err = await asyncio.wait_for(process.communicate(prompt.encode()), 120)
    finally:
        if process.returncode is None:
            process.kill()
    assert out, err.decode()
    return json.loads(out), process.returncode


@pytest.mark.parametrize("model", ["understudy/auto", "groq/openai/gpt-oss-120b"])
async def test_its_tool_is_called_and_answered(tmp_path: Path, model: str) -> None:
    (tmp_path / "notes.txt").write_text("The canary sings of apples.")
    with open_house(tmp_path / "house", {"groq": script("groq", replies=[READS])}, top=TOP) as house:
        async with gateway(unlimited(house), tmp_path / "server") as server:
            secret = await server.key()
            said, code = await claude(tmp_path, server, secret, "--model", model, "--allowedTools", "Bash")
            assert (code, said["is_error"]) == (0, False), said
            assert "sings of apples" in said["result"]
            assert said["num_turns"] == 2
            assert said["permission_denials"] == []
            lines = [line for line in server.audit() if line["what"] == "/v1/messages"]
            assert {line["status"] for line in lines} == {200}
            assert len(lines) >= 2
            last = json.loads(house.servers["groq"].requests[-1].body)
            calls = [c for m in last["messages"] for c in m.get("tool_calls") or ()]
            results = [m for m in last["messages"] if m["role"] == "tool"]
            assert [c["id"] for c in calls] == [r["tool_call_id"] for r in results]
            assert "sings of apples" in str(results)
            assert said["usage"]["output_tokens"] > 0
            sessions = {r["session"] for r in await server.director.parts.store.replies.recent(10)}
            assert sessions == {f"bot:{said['session_id']}"}, "its own name for the conversation"


async def test_a_private_text_is_refused_once(tmp_path: Path) -> None:
    private = "My card is 4111 1111 1111 1111. What does the canary sing of?"
    with open_house(tmp_path / "house", {"groq": script("groq")}, top=TOP) as house:
        async with gateway(unlimited(house), tmp_path / "server") as server:
            secret = await server.key()
            said, code = await claude(tmp_path, server, secret, "--model", "understudy/auto", prompt=private)
            assert (code, said["is_error"], said["api_error_status"]) == (1, True, 403), said
            assert "private" in said["result"]
            assert house.received("groq") == 0
            assert [line["status"] for line in server.audit()] == [403], "it is told not to try again, and does not"


async def test_with_a_model_at_home_its_private_text_stays_there(tmp_path: Path) -> None:
    private = "My card is 4111 1111 1111 1111. What does the canary sing of?"
    (tmp_path / "notes.txt").write_text("The canary sings of apples.")
    scripts = {"groq": script("groq"), "local": script("local", replies=[READS])}
    with open_house(tmp_path / "house", scripts, top=TOP) as house:
        config = unlimited(house, scripts["local"].models[0].id)
        async with gateway(config, tmp_path / "server") as server:
            said, code = await claude(
                tmp_path,
                server,
                await server.key(),
                "--model",
                "understudy/auto",
                "--allowedTools",
                "Bash",
                prompt=private,
            )
            assert (code, said["is_error"]) == (0, False), said
            assert "sings of apples" in said["result"]
            assert house.received("groq") == 0
            assert house.received("local") >= 2


async def test_a_used_up_budget_and_a_wrong_key_are_named(tmp_path: Path) -> None:
    with open_house(tmp_path / "house", {"groq": script("groq")}, top=TOP) as house:
        async with gateway(unlimited(house), tmp_path / "server") as server:
            poor = await server.key(tokens_per_day=100)
            quick = {"CLAUDE_CODE_MAX_RETRIES": "0"}
            said, code = await claude(tmp_path, server, poor, "--model", "understudy/auto", **quick)
            assert (code, said["api_error_status"]) == (1, 429), said
            said, code = await claude(tmp_path, server, "sk-wrong", "--model", "understudy/auto", **quick)
            assert (code, said["api_error_status"]) == (1, 401), said
            assert house.received("groq") == 0


async def test_who_fails_is_followed_by_another_and_it_notices_nothing(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("The canary sings of apples.")
    broken = [Fault(kind="cut", times=1), Fault(kind="server_error")]
    scripts = {"groq": script("groq", faults={"": broken}), "gemini": script("gemini", replies=[READS])}
    with open_house(tmp_path / "house", scripts, top=TOP) as house:
        async with gateway(unlimited(house), tmp_path / "server") as server:
            said, code = await claude(
                tmp_path, server, await server.key(), "--model", "understudy/auto", "--allowedTools", "Bash"
            )
            assert (code, said["is_error"]) == (0, False), said
            assert "sings of apples" in said["result"]
            assert house.received("groq") > 0
