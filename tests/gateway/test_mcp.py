"""The desk and its tools without a wire, on the servers of the rehearsal."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from tests.e2e.house import House, open_house, script
from understudy import Director
from understudy.errors import ConfigError
from understudy.gateway.delegation import Done, Refusal, Terms
from understudy.gateway.desk import Desk
from understudy.gateway.mcp import DESCRIPTIONS, Tools, make_server
from understudy.gateway.mcp_http import Doorkeeper, Place
from understudy.gateway.stdio import _Lines
from understudy.rehearsal.script import Fault
from understudy.types import Caller

TOP = '[director]\ncandidate = ""\n[classifier]\nenabled = false\n'
FRUIT = {"task": "Name a fruit.", "intent": "quick_qa"}
TERMS = Terms(deadline=60.0)


def desk(house: House, terms: Terms = TERMS, **more: Any) -> Desk:
    return Desk(house.director, terms, **more)


async def test_opening_is_tried_again_when_it_failed(tmp_path: Path) -> None:
    with open_house(tmp_path, {"groq": script("groq")}, top=TOP) as house:
        tried: list[int] = []

        def make() -> Director:
            tried.append(1)
            if len(tried) == 1:
                raise ConfigError("policy is no name.", remedy="Write one.")
            return house.director()

        async with Desk(make, TERMS) as opened:
            first = await asyncio.gather(*(opened.delegate(FRUIT) for _ in range(3)))
            assert [r.kind for r in first if isinstance(r, Refusal)] == ["ConfigError"] * 3
            assert len(tried) == 1, "all of them waited for the same one"
            assert isinstance(await opened.delegate(FRUIT), Done)
        assert len(tried) == 2


async def test_wrong_arguments_wait_for_no_opening(tmp_path: Path) -> None:
    go = threading.Event()
    with open_house(tmp_path, {"groq": script("groq")}, top=TOP) as house:

        def make() -> Director:
            go.wait(60)
            return house.director()

        async with Desk(make, TERMS) as opened:
            refused = await asyncio.wait_for(opened.delegate({"task": 7}), 30)
            assert isinstance(refused, Refusal)
            go.set()
            assert isinstance(await opened.delegate(FRUIT), Done)


async def test_at_most_so_many_at_once_and_in_their_order(tmp_path: Path) -> None:
    slow = script("groq").model_copy()
    slow = slow.model_copy(update={"models": tuple(m.model_copy(update={"latency": 0.05}) for m in slow.models)})
    most = now = 0

    class Counting(Desk):
        async def _delegate(self, *arguments: Any) -> Done | Refusal:
            nonlocal most, now
            now += 1
            most = max(most, now)
            try:
                return await super()._delegate(*arguments)
            finally:
                now -= 1

    with open_house(tmp_path, {"groq": slow}, top=TOP) as house:
        async with Counting(house.director, TERMS, at_once=3) as opened:
            tasks = [{**FRUIT, "task": f"Name fruit {n:03}."} for n in range(12)]
            twice = await asyncio.gather(opened.delegate_many(tasks), opened.delegate_many(tasks))
    for ended in twice:
        assert isinstance(ended, tuple)
        assert [f"{n:03}" in one.text for n, one in enumerate(ended) if isinstance(one, Done)] == [True] * 12
    assert most == 3, "of both together"


async def test_leaving_waits_for_the_records_of_what_it_cancels(tmp_path: Path) -> None:
    faults = {"": [Fault(kind="silence", seconds=60)]}
    with open_house(tmp_path, {"groq": script("groq", faults=faults)}, top=TOP) as house:
        async with desk(house) as opened:
            running = [asyncio.create_task(opened.delegate(FRUIT)) for _ in range(3)]
            while house.received("groq") < 3:  # noqa: ASYNC110  the other end is a thread
                await asyncio.sleep(0.02)
        await asyncio.gather(*running, return_exceptions=True)
        async with house.director() as director:
            kept = await director.parts.store.replies.recent(10)
            assert [r["error"]["type"] for r in kept] == ["Interrupted"] * 3


async def test_a_bug_is_told_in_words(tmp_path: Path) -> None:
    class Broken(Desk):
        async def fleet(self, caller: Caller | None = None) -> Any:
            raise RuntimeError("my password is hunter2")

    with open_house(tmp_path, {"groq": script("groq")}, top=TOP) as house:
        async with Broken(house.director, TERMS) as opened:
            told = await Tools(opened).call("fleet", {}, None, _nobody)
    assert told.failed
    assert "hunter2" not in told.words
    assert "RuntimeError" in told.words


async def _nobody(_progress: float, _total: float | None, _message: str) -> None: ...


async def test_what_the_tools_say_of_themselves_is_true(tmp_path: Path) -> None:
    """The official client reads them, and every argument they name is taken."""
    with open_house(tmp_path, {"groq": script("groq")}, top=TOP) as house:
        async with desk(house) as opened, Client(make_server(Tools(opened), lambda _r: None)) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert list(tools) == list(DESCRIPTIONS)
            assert client.instructions
            whole = {**FRUIT, "sensitivity": "public", "files": [], "schema": {"type": "object"}, "deadline": 30}
            assert set(whole) == set(tools["delegate"].input_schema["properties"])
            done = await client.call_tool("delegate", whole)
            assert not done.is_error
            # It stands in every request of a Claude Code that has it.
            assert len(json.dumps(tools["delegate"].input_schema) + (tools["delegate"].description or "")) < 1700
            about = tools["delegate"].description or ""
            assert "you have already read" in about, "privacy comes too late for what a cloud model has read"


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"one\ntwo\n", ["one", "two"]),
        ("größer\n".encode(), ["größer"]),
        (b"\xff\n", ["\ufffd"]),
        (b"x" * 200_000 + b"\ny\n", ["x" * 200_000, "y"]),
        (b"cut off", []),
    ],
)
async def test_lines_come_whole(data: bytes, lines: list[str]) -> None:
    reading, writing = os.pipe()

    def write() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(data)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert [line async for line in _Lines(reading)] == lines
    finally:
        await asyncio.to_thread(writer.join)
        os.close(reading)


def test_open_is_for_this_machine_only() -> None:
    for host in ("127.0.0.1", "localhost", "::1"):
        Place(host, 0, open=True).check()
    for host in ("0.0.0.0", "::", "192.168.1.2", "example.org", ""):
        with pytest.raises(Exception, match="not only this machine"):
            Place(host, 0, open=True).check()


async def test_nobody_gets_past_the_door_without_a_key() -> None:
    """Unplugged (keys None), the same request goes through: it is the door that stops it."""
    let_in: list[str] = []
    sent: list[Any] = []

    async def inner(scope: Any, _receive: Any, _send: Any) -> None:
        let_in.append(scope["path"])

    class NoKeys:
        async def who(self, header: str | None, scope: str | None = None) -> Caller:
            from understudy.errors import Unauthorized

            raise Unauthorized("There is no key.", remedy="Send one.")

    async def receive() -> Any: ...

    async def send(message: Any) -> None:
        sent.append(message)

    request = {"type": "http", "path": "/mcp", "headers": []}
    send_: Callable[[Any], Awaitable[None]] = send
    await Doorkeeper(inner, NoKeys())(dict(request), receive, send_)  # type: ignore[arg-type]
    assert (let_in, sent[0]["status"]) == ([], 401)
    await Doorkeeper(inner, None)(dict(request), receive, send_)
    assert let_in == ["/mcp"]


STRAY = """
import os
from understudy.gateway.stdio import _claimed
with _claimed() as (_, wire):
    print("stray", flush=True)
    os.system("echo child")
    os.write(wire, b"wire")
print("after")
"""


def test_nothing_but_the_protocol_is_on_standard_output() -> None:
    done = subprocess.run([sys.executable, "-c", STRAY], capture_output=True, text=True, check=True)
    assert done.stdout == "wireafter\n"
    assert done.stderr == "stray\nchild\n"
