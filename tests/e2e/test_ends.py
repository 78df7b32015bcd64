"""I6: every end of a task leaves a record, also one that nobody's typed error brings about."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.house import House, open_house, script
from understudy import Director, Task
from understudy.director.budget import conversation_scope
from understudy.errors import NoCandidate
from understudy.rehearsal.script import Fault

STALL = Fault(kind="stall", seconds=60, after=0)
TOP = '[director]\ncandidate = "anthropic/opus"\n[classifier]\nenabled = false\n'


async def last_record(director: Director) -> dict[str, Any]:
    (record,) = await director.parts.store.replies.recent(1)
    return await director.explain(record["id"])


async def until_received(house: House, name: str) -> None:
    async with asyncio.timeout(30):
        while not house.received(name):  # noqa: ASYNC110  a server in a thread is watched
            await asyncio.sleep(0.02)


async def test_a_deadline_that_something_forgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def forget(*_: object) -> None:
        await asyncio.sleep(60)

    with open_house(tmp_path / "before", {"groq": script("groq")}, top=TOP) as house:
        async with house.director() as director:
            await director.run(Task("Say hello.", intent="quick_qa"))  # importing an SDK takes longer than the deadline
    monkeypatch.setattr("understudy.director.validators.validate", forget)
    with open_house(tmp_path / "home", {"groq": script("groq")}, top=TOP) as house:
        async with house.director() as director:
            with pytest.raises(NoCandidate, match="deadline") as caught:
                await director.run(Task("Say hello.", intent="quick_qa", deadline=1.0))
            record = await last_record(director)
            economics = await director.parts.store.replies.economics()
    assert caught.value.reply_id == record["id"]
    assert record["error"]["type"] == "NoCandidate"
    assert record["decision"]["chain"]
    (made,) = record["attempts"]
    assert made["outcome"] == "cancelled"
    assert made["output_tokens"] > 0
    assert economics.total.output_tokens == made["output_tokens"]
    assert [a.outcome for a in caught.value.attempts] == ["cancelled"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_cancelled_task_is_known_with_its_call_in_flight(tmp_path: Path, streamed: bool) -> None:
    with open_house(tmp_path, {"groq": script("groq", faults={"": [STALL]})}, top=TOP) as house:
        async with house.director() as director:
            task = Task("Say hello.", intent="quick_qa", session="talk")

            async def follow() -> None:
                async for _ in director.stream(task):
                    pass

            running = asyncio.ensure_future(follow() if streamed else director.run(task))
            await until_received(house, "groq")
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            record = await last_record(director)
    assert record["error"]["type"] == "Interrupted"
    assert record["session"] == "talk"
    assert [a["outcome"] for a in record["attempts"]] == ["cancelled"]


async def test_a_directors_act_in_flight_is_charged_and_told(tmp_path: Path) -> None:
    judged = script("groq", faults={"": [Fault(kind="empty", matching="ANSWER:")]})  # so that the director has to
    scripts = {"groq": judged, "anthropic": script("anthropic", faults={"": [STALL]})}
    with open_house(tmp_path, scripts, top=TOP) as house:
        async with house.director() as director:
            task = Task("Prove it.", intent="reasoning", quality="best", session="talk")
            running = asyncio.ensure_future(director.run(task))
            await until_received(house, "anthropic")
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            record = await last_record(director)
            balance = await director.parts.store.ledger.balance(conversation_scope("talk"))
    act = next(a for a in record["attempts"] if a["directs"])
    assert act["outcome"] == "cancelled"
    assert balance.reserved.tokens == 0
    assert balance.spent.tokens > 0
    assert record["director"]["spent"] == balance.spent.tokens


async def test_steps_of_a_plan_that_is_cancelled_leave_theirs(tmp_path: Path) -> None:
    plan = "First list three rivers, then sort them by length, and finally write a report about them."
    with open_house(tmp_path, {"groq": script("groq", faults={"": [STALL]})}, top=TOP) as house:
        async with house.director() as director:
            running = asyncio.ensure_future(director.run(Task(plan)))
            await until_received(house, "groq")
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            record = await last_record(director)
    assert record["error"]["type"] == "Interrupted"
    assert record["attempts"]


async def test_a_bug_leaves_a_record_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("understudy.director.loop.work", broken)
    with open_house(tmp_path, {"groq": script("groq")}, top=TOP) as house:
        async with house.director() as director:
            with pytest.raises(ZeroDivisionError):
                await director.run(Task("Say hello.", intent="quick_qa"))
            record = await last_record(director)
    assert "ZeroDivisionError" in record["error"]["message"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_is_stopped_can_be_explained(tmp_path: Path, number: signal.Signals) -> None:
    with open_house(tmp_path, {"groq": script("groq", faults={"": [STALL]})}, top=TOP) as house:
        env = {**os.environ, "UNDERSTUDY_HOME": str(tmp_path / "home"), "UNDERSTUDY_CONFIG": str(house.config)}
        command = [sys.executable, "-m", "understudy"]
        asking = subprocess.Popen([*command, "ask", "hello"], env=env, stdout=-1, stderr=-1)
        until = time.monotonic() + 30
        while not house.received("groq") and time.monotonic() < until:
            time.sleep(0.05)
        asking.send_signal(number)
        asking.communicate(timeout=20)
        assert asking.returncode == 128 + number
        listed = subprocess.run([*command, "explain"], env=env, capture_output=True, text=True, check=True).stdout
        name = next(word for word in listed.split() if word.startswith("r-"))
        told = subprocess.run([*command, "explain", name], env=env, capture_output=True, text=True, check=True).stdout
    assert "failed: Interrupted" in told
    assert "cancelled" in told
