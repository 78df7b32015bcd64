"""Another program holds the store's lock: no task outlasts its deadline, the lock is named, and no charge is lost."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.house import House, open_house, script
from understudy import Director, Task
from understudy.director.budget import money_scope
from understudy.errors import StoreError
from understudy.rehearsal.script import Script
from understudy.types import Balance

HOLDER = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""
TOP = '[director]\ncandidate = "none/none"\n[classifier]\nenabled = false\n'
LATE = 3.0  # seconds beyond the deadline; what is allowed is half a second for each of the last turns
DEADLINE = 3.0
PATIENT = 12.0  # of a process that has yet to begin, beside other tests


def ask(deadline: float) -> list[str]:
    return [sys.executable, "-m", "understudy", "ask", "--deadline", str(deadline), "--intent", "quick_qa", "Hello."]


def environment(house: House) -> dict[str, str]:
    return {**os.environ, "UNDERSTUDY_HOME": str(house.home), "UNDERSTUDY_CONFIG": str(house.config)}


@contextmanager
def held(database: Path) -> Iterator[None]:
    """By a process that knows nothing of our turnstile."""
    command = [sys.executable, "-c", HOLDER, str(database)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        yield
    finally:
        holder.kill()
        holder.communicate()


def database(director: Director) -> Path:
    return director.parts.store.database.path


def paid(seconds: float) -> Script:
    """Its price is charged when the answer is back, which takes so long."""
    made = script("openai")
    models = [m.model_copy(update={"latency": seconds}) for m in made.models]
    return made.model_copy(update={"models": tuple(models)})


async def spent(director: Director) -> Balance:
    return await director.parts.store.ledger.balance(money_scope(time.time()))


async def in_flight(house: House, name: str, asking: asyncio.subprocess.Process | None = None) -> None:
    async with asyncio.timeout(90):
        while not house.received(name):
            if asking and asking.returncode is not None:
                pytest.fail(f"ended before it called: {(await asking.communicate())[1].decode()}")
            await asyncio.sleep(0.01)


async def test_a_task_of_a_running_director_ends_in_time_and_names_the_lock(tmp_path: Path) -> None:
    with open_house(tmp_path, {"groq": script("groq")}, top=TOP) as house:
        async with house.director() as director:
            await director.run(Task("Say hello.", intent="quick_qa"))
            with held(database(director)):
                began = time.monotonic()
                with pytest.raises(StoreError, match="lock of the store") as caught:
                    await director.run(Task("Say it again.", intent="quick_qa", deadline=DEADLINE))
                assert DEADLINE - 1 < time.monotonic() - began < DEADLINE + LATE
                assert "fuser" in caught.value.remedy
                assert house.received("groq") == 1, "nothing is sent of which nothing could be noted"
            reply = await director.run(Task("And again.", intent="quick_qa"))
            assert reply.text
            states = await director.parts.book.states(director.parts.fleet)
            assert not any(state.in_flight for state in states.values()), "room nobody waited for was not taken"
            assert (await director.explain(str(caught.value.reply_id)))["error"]["type"] == "StoreError"


async def test_a_charge_is_made_when_the_lock_is_gone(tmp_path: Path) -> None:
    with open_house(tmp_path, {"openai": paid(1.5)}, top=TOP) as house:
        async with house.director() as director:
            running = asyncio.ensure_future(director.run(Task("Say hello.", intent="quick_qa", deadline=8)))
            await in_flight(house, "openai")
            with held(database(director)):
                with pytest.raises(StoreError, match="lock of the store"):
                    await running
                reserved = (await spent(director)).reserved
                assert reserved.micro_usd > 0
            await director.parts.store.ledger.sweep()  # behind it in the line of the store
            balance = await spent(director)
    assert balance.reserved.micro_usd == 0
    assert 0 < balance.spent.micro_usd <= reserved.micro_usd


async def test_a_charge_outlives_a_process_that_ends_while_the_lock_is_held(tmp_path: Path) -> None:
    with open_house(tmp_path, {"openai": paid(1.5)}, top=TOP) as house:
        async with house.director():
            pass
        asking = await asyncio.create_subprocess_exec(*ask(PATIENT), env=environment(house), stdout=-3, stderr=-1)
        await in_flight(house, "openai", asking)
        with held(tmp_path / "store" / "understudy.db"):
            began = time.monotonic()
            _, told = await asking.communicate()
            assert time.monotonic() - began < PATIENT + LATE, "the end does not wait for the lock either"
        async with house.director() as director:
            balance = await spent(director)
    assert asking.returncode == StoreError.exit_code
    assert b"lock of the store" in told
    assert balance.reserved.micro_usd > 0, "charged in full when its lease ends"


def test_a_command_ends_by_its_deadline(tmp_path: Path) -> None:
    with open_house(tmp_path, {"groq": script("groq")}, top=TOP) as house:
        subprocess.run(ask(30), env=environment(house), capture_output=True, check=True, timeout=60)
        with held(tmp_path / "store" / "understudy.db"):
            began = time.monotonic()
            asked = subprocess.run(
                ask(2), env=environment(house), capture_output=True, text=True, check=False, timeout=60
            )
            assert time.monotonic() - began < 15, "opening takes five seconds at the most, the rest is Python's start"
    assert asked.returncode == StoreError.exit_code
    assert "lock of the store" in asked.stderr
