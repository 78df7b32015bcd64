"""The real nanobot on the real gateway: every call of it, its subagents' too, and understudy mcp beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.agents.stub import Reply, Seen, Stub
from tests.e2e.gateway_rig import Gateway, Says, asked, gateway, plays, write_config
from tests.e2e.house import open_house, script
from tests.e2e.nanobot_rig import PATIENCE, Nanobot, find_nanobot, open_nanobot, results
from tests.e2e.test_mcp import TOP as LEAN
from tests.e2e.test_mcp import command, environment
from tests.e2e.test_nanobot import configure
from understudy.gateway import exchange

pytestmark = [
    pytest.mark.nanobot,
    pytest.mark.slow,
    pytest.mark.timeout(3 * PATIENCE),
    pytest.mark.skipif(find_nanobot() is None, reason="nanobot is not installed: scripts/install_nanobot.sh"),
]
FREE = "limits = { rpm = false, rpd = false, tpm = false, tpd = false }"
Answer = Callable[[list[dict[str, Any]], list[str]], Says]


@asynccontextmanager
async def both(tmp_path: Path, *, local: bool = False) -> AsyncGenerator[tuple[Nanobot, Gateway, Stub, Stub, str]]:
    """nanobot, the gateway, the cloud, home, and nanobot's key."""
    async with Stub() as cloud, Stub() as home:
        urls = {"groq": cloud.url, **({"local": home.url} if local else {})}
        config = write_config(tmp_path / "server", urls, model=FREE)
        async with gateway(config, tmp_path / "server") as server, open_nanobot(tmp_path / "bot", config) as bot:
            configure(bot, server)  # type: ignore[arg-type]  its url is all that is wanted of it
            yield bot, server, cloud, home, await server.key("nanobot")


def speaks(stub: Stub, answer: Answer) -> None:
    """By the messages, and by what tools have said since the user spoke."""

    def told(seen: Seen) -> Says:
        messages = seen.json["messages"]
        return answer(messages, results(messages))

    plays(stub, told)


def users(messages: list[dict[str, Any]]) -> str:
    return next(str(m["content"]) for m in reversed(messages) if m["role"] == "user")


async def test_its_tools_are_called_though_ids_repeat(tmp_path: Path) -> None:
    async with both(tmp_path) as (bot, server, cloud, _, secret):
        (bot.workspace / "one.txt").write_text("apples")
        (bot.workspace / "two.txt").write_text("pears")

        def answer(_messages: list[dict[str, Any]], said: list[str]) -> Says:
            reads = [("read_file", {"path": f"{name}.txt"}, "call_1") for name in ("one", "two")]
            return Says(calls=reads) if not said else Says("DONE " + " and ".join(s.strip()[:40] for s in said))

        speaks(cloud, answer)
        for _ in range(2):  # in one session, the ids of the first turn are known by then
            out = await bot.run(*bot.agent("What is in the files?"), UNDERSTUDY_API_KEY=secret)
            assert "DONE" in out
            assert "apples" in out
            assert "pears" in out
        last = asked(cloud)[-1].json
        ids = [c["id"] for m in last["messages"] for c in m.get("tool_calls") or ()]
        assert len(ids) == len(set(ids)) == 4
        assert [m["tool_call_id"] for m in last["messages"] if m["role"] == "tool"] == ids
        lines = server.audit()
        assert {(line["key"], line["status"]) for line in lines} == {("nanobot", 200)}
        assert len(lines) >= 4
        assert (await server.spent("nanobot")).spent.tokens == 15 * len(lines)


async def test_its_subagent_asks_here_too(tmp_path: Path) -> None:
    async with both(tmp_path) as (bot, server, cloud, _, secret):

        def answer(messages: list[dict[str, Any]], said: list[str]) -> Says:
            if "Find the canary" in users(messages) and "Delegate" not in users(messages):
                return Says("The canary sings.")
            if not said:
                return Says(calls=[("spawn", {"task": "Find the canary.", "wait": True}, "call_1")])
            return Says(f"DONE {said[-1]}")

        speaks(cloud, answer)
        out = await bot.run(*bot.agent("Delegate it."), UNDERSTUDY_API_KEY=secret)
        assert "DONE" in out
        assert "The canary sings." in out
        assert len(asked(cloud)) == 3
        assert {line["status"] for line in server.audit()} == {200}


async def test_a_wrong_call_of_a_tool_never_reaches_it(tmp_path: Path) -> None:
    async with both(tmp_path) as (bot, server, cloud, _, secret):
        (bot.workspace / "one.txt").write_text("apples")
        asked_before = 0

        def answer(_messages: list[dict[str, Any]], said: list[str]) -> Says:
            nonlocal asked_before
            asked_before += 1
            if said:
                return Says(f"DONE {said}")
            wrong = asked_before == 1
            return Says(calls=[("read_file", {"file": "one.txt"} if wrong else {"path": "one.txt"}, "c")])

        speaks(cloud, answer)
        out = await bot.run(*bot.agent("What is in the file?"), UNDERSTUDY_API_KEY=secret)
        assert "apples" in out
        assert [line["status"] for line in server.audit()] == [200, 200], "two answers, of three"
        assert len(asked(cloud)) == 3


async def test_a_private_text_goes_home_or_nowhere(tmp_path: Path) -> None:
    private = "My card is 4111 1111 1111 1111. What does the canary sing?"
    for local in (False, True):
        async with both(tmp_path / str(local), local=local) as (bot, server, cloud, home, secret):
            plays(cloud, Says("FROM THE CLOUD"))
            plays(home, Says("FROM HOME"))
            out = await bot.run(*bot.agent(private), UNDERSTUDY_API_KEY=secret)
            assert ("FROM HOME" in out) == local
            assert asked(cloud) == []
            assert bot.stub.seen == []
            if not local:
                assert [line["status"] for line in server.audit()] == [403], "refused once, and not asked again"


async def test_a_slow_model_keeps_it_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """nanobot gives up after 90 s without a chunk; here after 3, and the model takes 6."""
    monkeypatch.setattr(exchange, "QUIET", 0.5)
    async with both(tmp_path) as (bot, server, cloud, _, secret):
        slow = Says("DONE late").reply(Seen("POST", "/", {}, b'{"model": "m", "stream": false}'))
        plays(cloud, Reply(body=slow.body, hang=6.0))
        more = {"UNDERSTUDY_API_KEY": secret, "NANOBOT_STREAM_IDLE_TIMEOUT_S": "3"}
        assert "DONE late" in await bot.run(*bot.agent("Think."), **more)
        assert [line["status"] for line in server.audit()] == [200]


async def test_understudy_mcp_beside_it(tmp_path: Path) -> None:
    """The provider way and the MCP way at once: its model is understudy, and hands work down to understudy."""
    with open_house(tmp_path / "house", {"groq": script("groq")}, top=LEAN) as house:
        async with both(tmp_path) as (bot, _, cloud, _, secret):
            table = json.loads(bot.config.read_text())
            own = environment(house.home)
            table["tools"] = {
                "mcpServers": {
                    "understudy": {
                        "type": "stdio",
                        "command": __import__("sys").executable,
                        "args": command(house),
                        "env": {**own, "UNDERSTUDY_CONFIG": str(house.config)},
                        "toolTimeout": 100,
                        "enabledTools": ["delegate"],
                    }
                }
            }
            await asyncio.to_thread(bot.config.write_text, json.dumps(table))

            def answer(_messages: list[dict[str, Any]], said: list[str]) -> Says:
                call = ("mcp_understudy_delegate", {"task": "Name a fruit.", "intent": "quick_qa"}, "call_1")
                return Says(f"DONE {said[-1]}") if said else Says(calls=[call])

            speaks(cloud, answer)
            out = await bot.run(*bot.agent("A fruit, please."), UNDERSTUDY_API_KEY=secret)
            assert "DONE" in out
            assert "simulated" in out
            assert house.received("groq") == 1
