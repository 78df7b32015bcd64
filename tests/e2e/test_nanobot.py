"""The real nanobot on loopback: understudy as its tool with a script for the main model, and as its provider."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.agents.stub import Reply, Seen, Stub
from tests.e2e.house import open_house, script
from tests.e2e.nanobot_rig import PATIENCE, Message, Nanobot, find_nanobot, open_nanobot, results, spoken
from understudy.cli.main import run
from understudy.rehearsal.script import Fault

pytestmark = [
    pytest.mark.nanobot,
    pytest.mark.slow,
    pytest.mark.timeout(3 * PATIENCE),
    pytest.mark.skipif(find_nanobot() is None, reason="nanobot is not installed: scripts/install_nanobot.sh"),
]
TOP = '[director]\ncandidate = "none/none"\n[classifier]\nenabled = false\n'
CANARY = "zanzibarquokka"
FRUIT = {"task": "Name a fruit.", "intent": "quick_qa"}


def handing(*tasks: dict[str, Any]) -> Any:
    """A main model that hands all of them down at once, then repeats what came back."""

    def answer(messages: list[Message], _seen: Seen) -> Any:
        said = results(messages)
        return "\n".join(["DONE", *said]) if said else [("delegate", task) for task in tasks]

    return answer


def told(bot: Nanobot) -> list[str]:
    """What the tools said to the main model in its last request."""
    return results(bot.stub.seen[-1].json["messages"])


def sessions(bot: Nanobot) -> list[str]:
    """Of the tasks that understudy has done or refused, in its own record."""
    (path,) = (bot.folder / "understudy").rglob("understudy.db")
    with closing(sqlite3.connect(path)) as database:
        return [row[0] for row in database.execute("SELECT session FROM replies")]


async def test_tools_are_listed_without_a_store_a_network_or_a_heavy_import(tmp_path: Path) -> None:
    async with open_nanobot(tmp_path, tmp_path / "none.toml") as bot:
        code = (
            "import sys, importlib.metadata as m\n"
            "from nanobot.agent.tools.base import Tool\n"
            "before = set(sys.modules)\n"
            "(point,) = m.entry_points(group='nanobot.tools', name='delegate')\n"
            "tool = point.load()('.')\n"
            "assert isinstance(tool, Tool) and tool.concurrency_safe and tool._scopes == {'core', 'subagent'}\n"
            "assert tool.validate_params({'task': 'x'}) == [] and tool.validate_params({'task': 'x', 'y': 1})\n"
            "new = {n.split('.')[0] for n in set(sys.modules) - before}\n"
            "heavy = {'pydantic_ai', 'groq', 'openai', 'anthropic', 'google', 'numpy', 'structlog', 'sqlite3'}\n"
            "print(sorted(new & heavy), tool.to_schema()['function']['name'])\n"
        )
        assert (await bot.run(*bot.python(code))).splitlines()[-1] == "[] delegate"
        assert not (bot.folder / "understudy").exists()


async def test_two_at_once_and_one_of_a_subagent(tmp_path: Path) -> None:
    slow, latency = script("groq"), 4.0
    slow = slow.model_copy(update={"models": tuple(m.model_copy(update={"latency": latency}) for m in slow.models)})
    with open_house(tmp_path / "house", {"groq": slow}, top=TOP) as house:
        async with open_nanobot(tmp_path / "bot", house.config) as bot:

            def answer(messages: list[Message], _seen: Seen) -> Any:
                said = results(messages)
                if any(m["role"] == "user" and "SUBTASK" in str(m["content"]) for m in messages):
                    return said[0] if said else [("delegate", {"task": "Name a bird."})]
                if not said:
                    return [("delegate", FRUIT), ("delegate", {"task": "Name a fish."})]
                return [("spawn", {"task": "SUBTASK", "wait": True})] if len(said) == 2 else "ALL DONE"

            bot.speaks(answer)
            out = await bot.run(*bot.agent("Do it.", session="cli:tom@home"))
            said, where = told(bot), sessions(bot)
    assert "ALL DONE" in out
    assert [part in text for part, text in zip(("fruit", "fish", "bird"), said, strict=True)] == [True] * 3
    assert all("groq/" in text and " tokens" in text for text in said)
    first, second, _ = [r.at for r in house.servers["groq"].requests if r.method == "POST"]
    assert second - first < latency, "the second did not wait for the first"
    assert len(set(where)) == 1, "one session, one budget of the director"
    assert re.fullmatch(r"nanobot:cli:tom_home-[0-9a-f]{16}", where[0])


async def test_a_private_task_without_a_local_model_reaches_nobody(tmp_path: Path) -> None:
    everyone = {name: script(name) for name in ("groq", "gemini")}  # type: ignore[arg-type]
    with open_house(tmp_path / "house", everyone, top=TOP) as house:
        async with open_nanobot(tmp_path / "bot", house.config) as bot:
            (bot.workspace / "plan.txt").write_text(f"The plan of {CANARY}.")
            # By its label, by what the gate sees in it, and in a file that the main model has not read.
            tasks = [
                {"task": f"Tell me of {CANARY}.", "sensitivity": "private"},
                {"task": f"Is 4111 1111 1111 1111 the card of {CANARY}?", "sensitivity": "public"},
                {"task": "Summarize it.", "sensitivity": "private", "files": ["plan.txt"]},
            ]
            bot.speaks(handing(*tasks))
            out = await bot.run(*bot.agent("Do it."))
            said = told(bot)
    assert "DONE" in out
    assert [text.split(":")[0] for text in said] == ["PrivacyRefused"] * 3
    assert all("Analyze the error" in text for text in said), "nanobot takes it for an error"
    assert house.received("groq") + house.received("gemini") == 0
    assert CANARY.encode() not in house.bytes_at("groq") + house.bytes_at("gemini")


async def test_files_are_of_the_workspace_alone(tmp_path: Path) -> None:
    with open_house(tmp_path / "house", {"groq": script("groq")}, top=TOP) as house:
        async with open_nanobot(tmp_path / "bot", house.config) as bot:
            (bot.workspace / "a.txt").write_text("Mangoes are ripe.")
            (bot.folder / "outside.txt").write_text(CANARY)
            (bot.workspace / "link.txt").symlink_to(bot.folder / "outside.txt")
            named = (["a.txt"], ["../outside.txt"], ["link.txt"], ["~/outside.txt"], ["/etc/hostname"])
            bot.speaks(handing(*({"task": "Summarize it.", "files": files} for files in named)))
            await bot.run(*bot.agent("Do it."))
            said = told(bot)
    assert "groq/" in said[0]
    assert [text.split(":")[0] for text in said[1:]] == ["UsageError"] * 4
    assert b"Mangoes are ripe" in house.bytes_at("groq")
    assert CANARY.encode() not in house.bytes_at("groq")


@pytest.mark.parametrize("kind", ["config", "store"])
async def test_what_is_dead_is_an_error_the_model_reads(tmp_path: Path, kind: str) -> None:
    with open_house(tmp_path / "house", {"groq": script("groq")}, top=TOP) as house:
        async with open_nanobot(tmp_path / "bot", house.config) as bot:
            if kind == "config":
                house.config.write_text("not = [toml")
            else:
                (bot.folder / "understudy").write_text("a file where the folder belongs")
            bot.speaks(handing(FRUIT, FRUIT))
            out = await bot.run(*bot.agent("Do it."))
            said = told(bot)
    error = "StoreError" if kind == "store" else "ConfigError"
    assert "DONE" in out, "the run goes on"
    assert len(said) == 2
    assert all(text.startswith(f"{error}: ") and "Analyze the error" in text for text in said)
    assert house.received("groq") == 0


CANCEL = """
import asyncio, sys
from nanobot import Nanobot

async def main():
    async with Nanobot.from_config(sys.argv[1]) as bot:
        running = asyncio.create_task(bot.run("Do it.", session_key="sdk:x"))
        await asyncio.to_thread(sys.stdin.readline)
        running.cancel()
        print("CANCELLED" if isinstance((await asyncio.gather(running, return_exceptions=True))[0],
              asyncio.CancelledError) else "NOT", flush=True)
        again = await bot.run("Again.", session_key="sdk:x")
        print(again.content, flush=True)

asyncio.run(main())
"""


async def test_a_turn_that_is_cancelled_cancels_the_task_and_the_next_one_runs(tmp_path: Path) -> None:
    silent = script("groq", faults={"": [Fault(kind="silence", matching="fruit")]})
    with open_house(tmp_path / "house", {"groq": silent}, top=TOP) as house:
        async with open_nanobot(tmp_path / "bot", house.config) as bot:

            def answer(messages: list[Message], _seen: Seen) -> Any:
                asked = next(str(m["content"]) for m in reversed(messages) if m["role"] == "user")
                said = results(messages)
                return said[0] if said else [("delegate", FRUIT if "Do it." in asked else {"task": "Name a bird."})]

            bot.speaks(answer)
            process = await bot.start(*bot.python(CANCEL, str(bot.config)))
            async with asyncio.timeout(PATIENCE):
                while not house.received("groq"):  # noqa: ASYNC110  the server counts in a thread of its own
                    await asyncio.sleep(0.05)
                out, _ = await process.communicate(b"now\n")
    text = out.decode()
    assert process.returncode == 0, text
    assert "CANCELLED" in text
    assert "bird" in text.split("CANCELLED")[1]
    assert "never retrieved" not in text
    assert "was destroyed" not in text


CONFIGURED = """
import asyncio, sys
from nanobot import Nanobot
from nanobot.config.loader import load_config

async def main():
    config = load_config(__import__("pathlib").Path(sys.argv[1]))
    defaults = config.agents.defaults
    print("ACTIVE", defaults.model_preset, "|", defaults.dream.model_override, "|", defaults.fallback_models)
    print("SERVER", config.tools.mcp_servers["understudy"].tool_timeout)
    for preset in ("Understudy", "Understudy dream", "Understudy private"):
        async with Nanobot.from_config(sys.argv[1]) as bot:
            await bot.run("Who are you?", session_key="sdk:x", model_preset=preset)

asyncio.run(main())
"""


def configure(bot: Nanobot, understudy: Stub, *more: str) -> None:
    base = f"{understudy.url}/v1"
    assert run(["nanobot", "init", "--config", str(bot.config), "--api-base", base, "--yes", *more]) == 0


async def test_the_written_configuration_is_taken_and_in_force(tmp_path: Path) -> None:
    async with open_nanobot(tmp_path, tmp_path / "none.toml") as bot, Stub() as understudy:
        configure(bot, understudy, "--mcp")
        understudy.answer = spoken("It is I.")
        out = await bot.run(*bot.python(CONFIGURED, str(bot.config)), UNDERSTUDY_API_KEY="us-1")
        assert "ACTIVE Understudy | Understudy dream | []" in out
        assert "SERVER 600" in out
        asked = [
            (s.json["model"], s.headers["x-understudy-role"], s.headers.get("x-understudy-sensitivity"))
            for s in understudy.seen
        ]
        assert asked == [
            ("understudy/auto", "main", None),
            ("understudy/auto", "dream", None),
            ("understudy/private", "main", "private"),
        ]
        assert {s.headers["authorization"] for s in understudy.seen} == {"Bearer us-1"}
        understudy.seen.clear()
        assert "It is I." in await bot.run(*bot.agent("Who?"), UNDERSTUDY_API_KEY="us-1")
        assert [s.headers["x-understudy-role"] for s in understudy.seen] == ["main"]
        assert bot.stub.seen == [], "who answered before is asked no more"


async def test_what_understudy_refuses_goes_to_nobody_else(tmp_path: Path) -> None:
    refused = Reply(403, {"error": {"message": "private", "type": "private"}}, {"x-should-retry": "false"})
    async with open_nanobot(tmp_path, tmp_path / "none.toml") as bot, Stub() as understudy:
        table = json.loads(bot.config.read_text())
        table["agents"]["defaults"]["fallbackModels"] = ["Main"]
        bot.config.write_text(json.dumps(table))
        configure(bot, understudy)
        for answer in (refused, Reply(drop=True)):  # dropped: as when no server is there
            understudy.answer = answer
            await bot.run(*bot.agent(f"Tell me of {CANARY}."), UNDERSTUDY_API_KEY="us-1")
        assert understudy.seen
        assert bot.stub.seen == []
