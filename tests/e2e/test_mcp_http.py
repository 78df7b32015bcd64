"""understudy mcp --http as a program: whose request it is, from where, and what each key may see."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from tests.e2e.house import House, open_house, script
from tests.e2e.test_mcp import FRUIT, SILENT, TOP, command, environment, records, until, words
from understudy.types import Caller

CHAT = frozenset({"chat"})
HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
WANTS = {"accept": "application/json, text/event-stream"}


@asynccontextmanager
async def serving(house: House, *more: str) -> AsyncIterator[str]:
    """Its address."""
    process = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, *command(house, "--http", "--port", "0", *more)],
        stdout=-1, stderr=-1, stdin=-3, env=environment(house.home), cwd=house.home,
    )  # fmt: skip
    try:
        assert process.stdout
        url = (await asyncio.to_thread(process.stdout.readline)).decode().strip()
        assert url.startswith("http://127.0.0.1:"), process.communicate()
        yield url
        process.terminate()
        out, err = await asyncio.to_thread(process.communicate, timeout=40)
        assert (process.returncode, out) == (143, b"")
        assert b"Traceback" not in err
    finally:
        process.kill()
        process.wait()


async def key(house: House, caller: Caller) -> str:
    async with house.director() as director:
        return (await director.parts.store.callers.add(caller))[1].reveal()


@asynccontextmanager
async def client_of(url: str, secret: str | None, **more: Any) -> AsyncIterator[Client]:
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as http,
        Client(streamable_http_client(url, http_client=http), **more) as client,
    ):
        yield client


def audit(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted((home / "audit").iterdir()) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_key_opens_it(tmp_path: Path, mode: str) -> None:
    with open_house(tmp_path, {"groq": script("groq")}, top=TOP) as house:
        secret = await key(house, Caller("bot", scopes=CHAT, tokens_per_day=5000))
        async with serving(house) as url, client_of(url, secret, mode=mode) as client:
            done = await client.call_tool("delegate", FRUIT)
            assert not done.is_error, words(done)
            told = done.structured_content
            assert (await client.call_tool("explain", {"id": told["reply_id"]})).structured_content["attempts"]
            budget = (await client.call_tool("budget")).structured_content
            assert list(budget) == ["key_today"], "of its own, and of nobody else"
            assert budget["key_today"]["spent"] == told["tokens"]
            fleet = await client.call_tool("fleet")
            assert "does not allow fleet" in words(fleet)
        (record,) = await records(house)
        assert record["caller"] == "bot"
    uses = audit(tmp_path)
    assert [u["what"] for u in uses] == ["/mcp delegate", "/mcp explain", "/mcp budget", "/mcp fleet"]
    assert (uses[0]["key"], uses[0]["reply"], uses[0]["tokens"]) == ("bot", told["reply_id"], told["tokens"])
    assert secret not in json.dumps(uses)


async def test_without_a_right_key_nothing_is_done(tmp_path: Path) -> None:
    with open_house(tmp_path, {"groq": script("groq")}, top=TOP) as house:
        other = await key(house, Caller("other", scopes=frozenset({"embeddings"})))
        slow = await key(house, Caller("slow", scopes=CHAT, requests_per_minute=1))
        async with serving(house) as url, httpx.AsyncClient() as http:
            for header, status in (
                (None, 401),
                ("Bearer us-000000000000-" + "0" * 64, 401),
                (f"Bearer {other}x", 401),
                (f"Bearer {other}", 403),
                (f"Bearer {slow}", 200),
                (f"Bearer {slow}", 429),
            ):
                headers = {**WANTS, **({"authorization": header} if header else {})}
                answer = await http.post(url, json=HELLO, headers=headers)
                assert answer.status_code == status, header
                if status != 200:
                    assert answer.json()["error"]["remedy"]
                    assert (header or "none").removeprefix("Bearer ") not in answer.text
            assert answer.headers["retry-after"]
            bare = {**WANTS, "x-api-key": other}
            assert (await http.post(url, json=HELLO, headers=bare)).status_code == 403
        assert house.received("groq") == 0
    assert [u["status"] for u in audit(tmp_path)] == [401, 401, 401, 403, 429, 403]


async def test_one_caller_sees_nothing_of_another(tmp_path: Path) -> None:
    long = "apples " * 2300
    played = script("gemini", replies=[{"contains": "fruit", "text": long}])
    essay = {"task": "Think long about fruit.", "intent": "long_context"}
    with open_house(tmp_path, {"gemini": played}, top=TOP) as house:
        one, two = [await key(house, Caller(name, scopes=CHAT)) for name in ("one", "two")]
        async with serving(house) as url:
            async with client_of(url, one) as first, client_of(url, two) as second:
                told = (await first.call_tool("delegate", essay)).structured_content
                assert "cut" in told
                mine = await first.call_tool("explain", {"id": told["reply_id"], "offset": 14_000})
                assert "apples" in mine.structured_content["text"]
                for arguments in (
                    {"id": told["reply_id"]},
                    {"id": told["reply_id"], "offset": 0},
                    {"id": told["reply_id"][:4]},
                    {"id": "r-"},
                ):
                    theirs = await second.call_tool("explain", arguments)
                    assert theirs.is_error
                    assert "apples" not in words(theirs)
                    assert theirs.structured_content["refused"]["type"] == "UsageError"
            async with httpx.AsyncClient() as http:
                opened = await http.post(url, json=HELLO, headers={**WANTS, "authorization": f"Bearer {one}"})
                session = {**WANTS, "mcp-session-id": opened.headers["mcp-session-id"]}
                ping = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
                for secret, status in ((two, 404), (one, 200)):
                    answer = await http.post(url, json=ping, headers={**session, "authorization": f"Bearer {secret}"})
                    assert answer.status_code == status


async def test_a_key_pays_for_what_it_cancels_and_never_more_than_it_has(tmp_path: Path) -> None:
    with open_house(tmp_path, {"groq": script("groq", faults=SILENT)}, top=TOP) as house:
        secret = await key(house, Caller("bot", scopes=CHAT, tokens_per_day=3000))
        async with serving(house, "--deadline", "50") as url, client_of(url, secret) as client:
            call = asyncio.create_task(client.call_tool("delegate", FRUIT))
            await until(lambda: house.received("groq"))
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

            async def charged() -> int:
                own = (await client.call_tool("budget")).structured_content["key_today"]
                return 0 if own["reserved"] else own["spent"]

            while not (spent := await charged()):  # noqa: ASYNC110  the other end is a program
                await asyncio.sleep(0.05)
            assert spent > 500, "all that was reserved for it: nobody knows what the server did"
            colours = {"tasks": [{**FRUIT, "task": f"Name colour {n}."} for n in range(50)]}
            many = (await client.call_tool("delegate_many", colours)).structured_content
            assert many["answered"] > 0
            refused = [one["refused"]["type"] for one in many["results"] if "refused" in one]
            assert set(refused) <= {"BudgetRefused"}
            assert await charged() <= 3000


async def test_files_of_this_machine_are_not_for_callers(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "a.txt").write_text("apples")
    (tmp_path / "secret.txt").write_text("canary")
    with open_house(tmp_path, {"groq": script("groq")}, top=TOP) as house:
        secret = await key(house, Caller("bot", scopes=CHAT))
        for more, allowed in ((), False), (("--files", str(shared)), True):
            async with serving(house, *more) as url, client_of(url, secret) as client:
                for file in ("secret.txt", str(tmp_path / "secret.txt"), str(shared / "../secret.txt"), "/etc/passwd"):
                    result = await client.call_tool("delegate", {**FRUIT, "files": [file]})
                    assert "not among the files" in words(result)
                result = await client.call_tool("delegate", {**FRUIT, "files": [str(shared / "a.txt")]})
                assert result.is_error is not allowed
        assert b"canary" not in house.bytes_at("groq")
        assert b"apples" in house.bytes_at("groq")


async def test_open_on_this_machine_asks_for_no_key_and_lets_no_page_in(tmp_path: Path) -> None:
    with open_house(tmp_path, {"groq": script("groq")}, top=TOP) as house:
        async with serving(house, "--open") as url:
            async with client_of(url, None) as client:
                assert not (await client.call_tool("delegate", FRUIT)).is_error
                assert (await client.call_tool("fleet")).structured_content["fleet"]
            before = house.received("groq")
            port = httpx.URL(url).port
            async with httpx.AsyncClient() as http:
                for headers, status in (
                    ({"host": "evil.example"}, 421),
                    ({"host": f"evil.example:{port}"}, 421),
                    ({"host": f"127.0.0.1.evil.example:{port}"}, 421),
                    ({"origin": "https://evil.example"}, 403),
                    ({"origin": "null"}, 403),
                    ({"host": f"localhost:{port}", "origin": f"http://localhost:{port}"}, 200),
                ):
                    for version in ({}, {"mcp-protocol-version": "2026-07-28"}):
                        answer = await http.post(url, json=HELLO, headers={**WANTS, **headers, **version})
                        expected = status if status != 200 or not version else answer.status_code
                        assert answer.status_code == expected, (headers, version)
                        assert "access-control-allow-origin" not in answer.headers
            assert house.received("groq") == before


async def test_a_taken_port_is_told(tmp_path: Path) -> None:
    with open_house(tmp_path, {"groq": script("groq")}, top=TOP) as house:
        async with serving(house, "--open") as url:
            done = await asyncio.to_thread(
                subprocess.run,
                [sys.executable, *command(house, "--http", "--port", str(httpx.URL(url).port))],
                capture_output=True, env=environment(tmp_path), timeout=60, check=False,
            )  # fmt: skip
    assert done.returncode == 2
    assert b"Nothing can be served" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_rehearsal_says_that_it_is_one(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("")
    process = subprocess.Popen(
        [sys.executable, "-m", "understudy", "mcp", "--config", str(config), "--http", "--open", "--port", "0"],
        stdout=-1, stderr=-1, stdin=-3, env=environment(tmp_path), cwd=tmp_path,
    )  # fmt: skip
    try:
        assert process.stdout
        assert process.stdout.readline().startswith(b"http://")
        process.terminate()
        assert b"its models are simulated" in process.communicate(timeout=40)[1]
    finally:
        process.kill()
        process.wait()
