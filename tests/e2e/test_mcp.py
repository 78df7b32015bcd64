"""understudy mcp as a program, over the standard streams, with the official client on the other side."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult, TextContent

from tests.e2e.house import House, open_house, script
from understudy.rehearsal.script import Fault

ROOT = Path(__file__).parents[2]
TOP = '[director]\ncandidate = ""\n[classifier]\nenabled = false\n'
FRUIT = {"task": "Name a fruit.", "intent": "quick_qa"}
SCHEMA = {"type": "object", "properties": {"fruit": {"type": "string"}}, "required": ["fruit"]}


def environment(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "UNDERSTUDY_HOME": str(home), "PYTHONPATH": str(ROOT)}


def command(house: House, *more: str) -> list[str]:
    return ["-m", "understudy", "mcp", "--config", str(house.config), *more]


@asynccontextmanager
async def served(house: House, *more: str, **client: Any) -> AsyncIterator[Client]:
    parameters = StdioServerParameters(
        command=sys.executable, args=command(house, *more), env=environment(house.home), cwd=str(house.home)
    )
    async with Client(parameters, **client) as found:
        yield found


def words(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


async def records(house: House) -> list[dict[str, Any]]:
    """What the store has of every task, newest first."""
    async with house.director() as director:
        return list(await director.parts.store.replies.recent(100))


async def until(true: Callable[[], object], seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_every_tool(tmp_path: Path, mode: str) -> None:
    (tmp_path / "notes.txt").write_text("Apples are red.")
    with open_house(tmp_path, {"groq": script("groq"), "gemini": script("gemini")}, top=TOP) as house:
        async with served(house, mode=mode) as client:
            assert [t.name for t in (await client.list_tools()).tools] == [
                "delegate",
                "delegate_many",
                "fleet",
                "budget",
                "explain",
            ]
            done = await client.call_tool("delegate", {**FRUIT, "files": ["notes.txt"]})
            told = done.structured_content
            assert not done.is_error
            assert told["text"]
            assert words(done).startswith(told["text"])
            assert told["reply_id"] in words(done)
            assert told["tokens"] > 0
            assert told["candidate"].split("/")[0] in ("groq", "gemini")

            shaped = await client.call_tool("delegate", {**FRUIT, "schema": SCHEMA})
            assert isinstance(shaped.structured_content["data"]["fruit"], str)
            assert json.loads(words(shaped).partition("\n\n[understudy")[0]) == shaped.structured_content["data"]

            many = await client.call_tool(
                "delegate_many", {"tasks": [FRUIT, {"task": ""}, {**FRUIT, "schema": SCHEMA}, FRUIT]}
            )
            first, second, third, fourth = many.structured_content["results"]
            assert first["text"]
            assert fourth["text"]
            assert third["data"]["fruit"]
            assert "needs a task" in second["refused"]["message"]
            assert (many.structured_content["answered"], many.structured_content["refused"]) == (3, 1)
            assert json.loads(words(many)) == many.structured_content

            fleet = (await client.call_tool("fleet", {})).structured_content["fleet"]
            assert {row["model"].split("/")[0] for row in fleet} == {"groq", "gemini"}
            assert all(row["ready"] for row in fleet)
            budget = (await client.call_tool("budget")).structured_content
            assert budget["director_today"]["limit"] == 100_000
            assert budget["money_today"]["unit"] == "usd"

            why = (await client.call_tool("explain", {"id": told["reply_id"]})).structured_content
            assert why["id"] == told["reply_id"]
            assert why["attempts"][0]["outcome"] == "ok"
        assert b"Apples are red." in house.bytes_at("groq") + house.bytes_at("gemini")


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("delegate", {}, "needs a task"),
    ("delegate", {"task": 7}, "needs a task"),
    ("delegate", {**FRUIT, "sensitivity": "secret"}, "sensitivity"),
    ("delegate", {**FRUIT, "intent": "poetry"}, "intent"),
    ("delegate", {**FRUIT, "schema": "{}"}, "schema"),
    ("delegate", {**FRUIT, "schema": {"type": "nothing"}}, "schema"),
    ("delegate", {**FRUIT, "deadline": "soon"}, "deadline"),
    ("delegate", {**FRUIT, "deadline": -1}, "deadline"),
    ("delegate", {**FRUIT, "files": "a.txt"}, "files"),
    ("delegate", {**FRUIT, "files": ["none.txt"]}, "no file none.txt"),
    ("delegate", {**FRUIT, "files": ["/dev/zero"]}, "is no file"),
    ("delegate", {**FRUIT, "private": True}, "'private'"),
    ("delegate_many", {}, "needs tasks"),
    ("delegate_many", {"tasks": []}, "needs tasks"),
    ("delegate_many", {"tasks": "x"}, "needs tasks"),
    ("delegate_many", {"tasks": [FRUIT] * 51}, "more than 50"),
    ("delegate_many", {"tasks": ["x", 7]}, "no object"),
    ("explain", {}, "needs an id"),
    ("explain", {"id": 7}, "needs an id"),
    ("explain", {"id": "r-0000000000"}, "There is no reply"),
    ("explain", {"id": "r-0000000000", "offset": 5}, "no answer is kept"),
    ("explain", {"id": "../../key", "offset": 0}, "no answer is kept"),
    ("explain", {"id": "x", "offset": "a"}, "offset"),
    ("nothing", {}, "no tool 'nothing'"),
]


async def test_bad_arguments_are_refused_in_words(tmp_path: Path) -> None:
    with open_house(tmp_path, {"groq": script("groq")}, top=TOP) as house:
        async with served(house) as client:
            for tool, arguments, says in WRONG:
                result = await client.call_tool(tool, arguments)
                assert result.is_error or tool == "delegate_many", (tool, arguments)
                assert says in words(result), (tool, arguments)
                assert "Traceback" not in words(result)
            assert not (await client.call_tool("delegate", FRUIT)).is_error, "it lives"
        assert house.received("groq") == 1


async def test_progress_is_told_to_those_who_ask(tmp_path: Path) -> None:
    told: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    with open_house(tmp_path, {"groq": script("groq")}, top=TOP) as house:
        async with served(house) as client:
            await client.call_tool("delegate", FRUIT, progress_callback=hear)
            await until(lambda: told)
            alone = list(told)
            told.clear()
            await client.call_tool("delegate_many", {"tasks": [FRUIT] * 3}, progress_callback=hear)
            await until(lambda: len(told) == 3)
    assert [p for p, _, _ in alone] == sorted({p for p, _, _ in alone}), "it only grows"
    assert {"gate", "classify"} <= {(m or "").partition(":")[0] for _, _, m in alone}
    assert sorted(told) == [(n, 3.0, f"{n:.0f} of 3 done") for n in (1.0, 2.0, 3.0)]


SILENT = {"": [Fault(kind="silence", seconds=60, matching="fruit")]}


async def test_cancelling_a_call_cancels_the_task(tmp_path: Path) -> None:
    with open_house(tmp_path, {"groq": script("groq", faults=SILENT)}, top=TOP) as house:
        async with served(house, "--deadline", "50") as client:
            call = asyncio.create_task(client.call_tool("delegate", FRUIT))
            await until(lambda: house.received("groq"))
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            many = asyncio.create_task(client.call_tool("delegate_many", {"tasks": [FRUIT] * 3}))
            await until(lambda: house.received("groq") == 4)
            many.cancel()
            with pytest.raises(asyncio.CancelledError):
                await many
            done = await client.call_tool("delegate", {**FRUIT, "task": "Name a colour."})
            assert not done.is_error, "and the server goes on"
            fleet = (await client.call_tool("fleet")).structured_content["fleet"]
            assert not any(row["waiting_tasks"] for row in fleet)
        ends = [r for r in await records(house) if r.get("error")]
        assert [r["error"]["type"] for r in ends] == ["Interrupted"] * 4
        assert {a["outcome"] for r in ends for a in r["attempts"]} == {"cancelled"}


async def test_a_call_ends_before_its_client_gives_up(tmp_path: Path) -> None:
    with open_house(tmp_path, {"groq": script("groq", faults=SILENT)}, top=TOP) as house:
        async with served(house, "--deadline", "3") as client:
            for tool, arguments in (
                ("delegate", {**FRUIT, "deadline": 600}),
                ("delegate_many", {"tasks": [{**FRUIT, "deadline": 600}] * 12}),
            ):
                started = time.monotonic()
                result = await client.call_tool(tool, arguments, read_timeout_seconds=60)
                assert result.is_error
                assert "NoCandidate" in words(result)
                assert time.monotonic() - started < 30, "and not 600"
            results = result.structured_content["results"]
            assert len(results) == 12
            assert all("refused" in one for one in results)


async def test_many_at_once_each_have_their_own_answer(tmp_path: Path) -> None:
    with open_house(tmp_path, {"groq": script("groq")}, top=TOP) as house:
        async with served(house, "--deadline", "100") as client:
            tasks = [{**FRUIT, "task": f"Name fruit number {n:03}."} for n in range(40)]
            alone = asyncio.gather(*(client.call_tool("delegate", task) for task in tasks[:20]))
            together = await client.call_tool("delegate_many", {"tasks": tasks[20:]})
            texts = [r.structured_content["text"] for r in await alone]
            texts += [r["text"] for r in together.structured_content["results"]]
    assert [f"{n:03}" in text for n, text in enumerate(texts)] == [True] * 40


async def test_a_private_task_reaches_no_server(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the canary sings")
    top = f'private_paths = ["{secret}"]\n{TOP}'
    with open_house(tmp_path, {"groq": script("groq"), "gemini": script("gemini")}, top=top) as house:
        async with served(house) as client:
            for arguments in (
                {"task": "What does the canary do?", "sensitivity": "private"},
                {"task": "What is the canary?", "files": [str(secret)]},
                {"task": "What is the canary?", "files": ["secret.txt"]},
                {"task": "The canary's card is 4111 1111 1111 1111."},
            ):
                result = await client.call_tool("delegate", arguments)
                assert result.is_error
                assert "PrivacyRefused" in words(result)
                assert result.structured_content["refused"]["retry_after"] is None
        async with served(house, "--private") as client:
            assert "PrivacyRefused" in words(await client.call_tool("delegate", {"task": "Name a canary."}))
        sent = house.bytes_at("groq") + house.bytes_at("gemini")
    assert house.received("groq") == house.received("gemini") == 0
    assert b"canary" not in sent
    assert "canary" not in (tmp_path / "log" / "understudy.jsonl").read_text()


async def test_a_private_task_is_done_at_home(tmp_path: Path) -> None:
    with open_house(tmp_path, {"groq": script("groq"), "local": script("local")}, top=TOP) as house:
        async with served(house) as client:
            result = await client.call_tool("delegate", {"task": "Name a canary.", "sensitivity": "private"})
        assert result.structured_content["private"] is True
        assert result.structured_content["candidate"].startswith("local/")
        assert b"canary" not in house.bytes_at("groq")


LONG = "".join(f"{n:05} " for n in range(2700))  # 16,200 characters, as many as there is room for


async def test_a_long_answer_is_cut_and_the_rest_can_be_had(tmp_path: Path) -> None:
    played = script("gemini", replies=[{"contains": "fruit", "text": LONG}])
    with open_house(tmp_path, {"gemini": played}, top=TOP) as house:
        async with served(house, "--deadline", "100") as client:
            essay = {"task": "Think long about fruit.", "intent": "long_context"}
            result = await client.call_tool("delegate", essay)
            told = result.structured_content
            assert not result.is_error, words(result)
            assert len(json.dumps(told)) <= 15_000
            assert len(words(result)) <= 15_000
            (file,) = (tmp_path / "answers" / "own").iterdir()
            assert str(file) in told["cut"]
            assert str(file) in words(result)
            assert file.read_text() == LONG.strip()
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
            text = told["text"]
            while True:
                more = await client.call_tool("explain", {"id": told["reply_id"], "offset": len(text)})
                assert len(words(more)) <= 15_000
                text += more.structured_content["text"]
                if not more.structured_content["left"]:
                    break
            assert text == LONG.strip()
            many = await client.call_tool("delegate_many", {"tasks": [essay, {"task": "Name a colour."}, essay]})
            assert len(words(many)) <= 15_000
            first, second, third = many.structured_content["results"]
            assert min(len(first["text"]), len(third["text"])) > 5000
            assert "cut" not in second


async def test_a_configuration_that_is_mended_needs_no_new_server(tmp_path: Path) -> None:
    with open_house(tmp_path, {"groq": script("groq")}, top=TOP) as house:
        right = house.config.read_text()
        house.config.write_text("policy = 7\n")
        async with served(house) as client:
            broken = await client.call_tool("delegate", FRUIT)
            assert "ConfigError" in words(broken)
            assert "policy" in words(broken)
            house.config.write_text(right)
            assert not (await client.call_tool("delegate", FRUIT)).is_error


HANDSHAKE = [
    {
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    },
    {"method": "notifications/initialized"},
    {"id": 2, "method": "tools/call", "params": {"name": "delegate", "arguments": FRUIT}},
]


@asynccontextmanager
async def raw(house: House, *more: str) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A server in the middle of a task, with nothing but pipes on the other side."""
    process = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, *command(house, "--deadline", "60", *more)],
        stdin=-1, stdout=-1, stderr=-1, env=environment(house.home), cwd=house.home,
    )  # fmt: skip
    try:
        assert process.stdin
        for message in HANDSHAKE:
            process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        process.stdin.flush()
        await until(lambda: house.received("groq"))
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("how", "code"), [("eof", 0), (signal.SIGTERM, 143), (signal.SIGINT, 130)])
async def test_every_end_is_an_orderly_one(tmp_path: Path, how: str | signal.Signals, code: int) -> None:
    with open_house(tmp_path, {"groq": script("groq", faults=SILENT)}, top=TOP) as house:
        async with raw(house) as process:
            if isinstance(how, signal.Signals):
                process.send_signal(how)  # its input stays open, and nobody writes into it
                await until(lambda: process.poll() is not None)
            out, err = await asyncio.to_thread(process.communicate, timeout=40)
        (record,) = await records(house)
    assert process.returncode == code
    assert b"Traceback" not in err
    assert err in (b"", b"interrupted\n")
    assert [json.loads(line)["jsonrpc"] for line in out.splitlines()], "nothing but the protocol"
    assert record["error"]["type"] == "Interrupted"


CLIENT = """
import asyncio, json, sys
from mcp import Client, StdioServerParameters
told = json.loads(sys.stdin.readline())
async def main():
    async with Client(StdioServerParameters(**told)) as client:
        await client.call_tool("delegate", {"task": "Name a fruit.", "intent": "quick_qa"})
asyncio.run(main())
"""


async def test_a_killed_client_leaves_nothing_behind(tmp_path: Path) -> None:
    with open_house(tmp_path, {"groq": script("groq", faults=SILENT)}, top=TOP) as house:
        told = {"command": sys.executable, "args": command(house, "--deadline", "60"), "env": environment(tmp_path)}
        client = subprocess.Popen([sys.executable, "-c", CLIENT], stdin=-1, stderr=-3)  # noqa: ASYNC220
        assert client.stdin
        client.stdin.write(json.dumps(told).encode() + b"\n")
        client.stdin.flush()
        try:
            await until(lambda: house.received("groq"))
            left = psutil.Process(client.pid).children(recursive=True)
            assert any("understudy" in " ".join(process.cmdline()) for process in left)
        finally:
            client.kill()
            client.communicate()
        _, alive = await asyncio.to_thread(psutil.wait_procs, left, timeout=40)
        assert not alive
        (record,) = await records(house)
        assert record["error"]["type"] == "Interrupted"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--port", "1"], "--port belongs to --http"),
        (["--open"], "--open belongs to --http"),
        (["--http", "--open", "--host", "0.0.0.0"], "everybody who reaches 0.0.0.0"),
        (["--http", "--port", "70000"], "no port"),
        (["--http", "--host", "no.such.host.invalid"], "Nothing can be served"),
        (["--deadline", "0"], "--deadline"),
        (["--deadline", "nan"], "--deadline"),
        (["--files", "/no/such/folder"], "no folder"),
    ],
)
def test_what_cannot_be_served_is_told(tmp_path: Path, arguments: list[str], says: str) -> None:
    with open_house(tmp_path, {"groq": script("groq")}, top=TOP) as house:
        done = subprocess.run(
            [sys.executable, *command(house, *arguments)],
            input=b"", capture_output=True, env=environment(tmp_path), timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert says in done.stderr.decode()
    assert b"Traceback" not in done.stderr
    assert done.stdout == b""
