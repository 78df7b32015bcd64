# ruff: noqa: ASYNC110 - programs in async tests; what is waited for happens in other processes
"""I6 for jobs: several real processes, some of them killed; every job ends once, and only its own caller sees it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.house import House, open_house, script
from tests.e2e.test_callers import TOP
from understudy import Director, Task
from understudy.clock import WallClock
from understudy.director.budget import caller_scope
from understudy.errors import NoJob, QueueFull
from understudy.gateway.jobs import Jobs
from understudy.rehearsal.script import Script
from understudy.store.jobs import Job
from understudy.types import Caller

LEASE = 3.0  # seconds
PATIENT = 60.0
JOBS = 20


def slow(seconds: float = 0.4, plays: Any = "groq") -> Script:
    """Every answer takes so long."""
    written = script(plays)
    return written.model_copy(
        update={"models": tuple(m.model_copy(update={"latency": seconds}) for m in written.models)}
    )


def task(number: int, **more: Any) -> Task:
    return Task(f"Name fruit {number:06}.", intent="quick_qa", plan=False, **more)


@asynccontextmanager
async def asking(house: House, **more: Any) -> AsyncIterator[tuple[Director, Jobs]]:
    """A process that asks and looks, and runs nothing itself."""
    async with house.director() as director:
        yield director, Jobs(director, WallClock(), **more)


async def key(director: Director, name: str = "bot", **more: Any) -> Caller:
    return (await director.parts.store.callers.add(Caller(name, scopes=frozenset({"jobs"}), **more)))[0].caller


@contextmanager
def worker(house: House) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.e2e.job_worker", str(house.config), str(house.home), str(LEASE)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin
    assert process.stdout
    try:
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


async def all_ended(jobs: Jobs, caller: Caller, asked: Sequence[Job]) -> list[Job]:
    async with asyncio.timeout(PATIENT):
        while True:
            found = [await jobs.get(caller, job.id, "s") for job in asked]
            if all(job.has_ended for job in found):
                return found
            await asyncio.sleep(0.1)


async def until_running(jobs: Jobs, number: int) -> None:
    async with asyncio.timeout(PATIENT):
        while jobs.counts()["running"] < number:
            await asyncio.sleep(0.02)


def ends(director: Director, job: Job) -> list[str]:
    """The states its events tell of, in order."""
    _, events = director.parts.store.jobs.since(job.id, 0)
    return [e["state"] for e in events if e["type"] == "state"]


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("beside", [False, True], ids=["a restart", "another one lives on"])
async def test_a_kill_loses_no_job_and_ends_none_twice(tmp_path: Path, beside: bool) -> None:
    with open_house(tmp_path, {"groq": slow()}, top=TOP) as house:
        async with asking(house) as (director, jobs):
            bot = await key(director)
            with worker(house) as first, worker(house) if beside else nullcontext():
                asked = [await jobs.submit(bot, task(n), "s") for n in range(JOBS)]
                await until_running(jobs, 8 if beside else 4)
                first.send_signal(signal.SIGKILL)
                if beside:
                    await all_ended(jobs, bot, asked)
                else:
                    first.wait()
                    assert jobs.counts()["queued"] > 0
            with nullcontext() if beside else worker(house):
                done = await all_ended(jobs, bot, asked)
            assert [job.state for job in done] == ["done"] * JOBS
            assert all(job.result and job.result["text"] for job in done)
            assert {job.attempts for job in done} == {1, 2}
            assert all(ends(director, job).count("done") == 1 for job in done)
            again = [job for job in done if job.attempts == 2]
            assert len(again) <= 4, "no more than ran there"
            assert all(ends(director, job) == ["queued", "running"] * 2 + ["done"] for job in again)
    assert house.received("groq") <= JOBS + len(again)


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_job_that_kills_its_process_is_begun_twice_and_no_more(tmp_path: Path) -> None:
    with open_house(tmp_path, {"groq": slow(30.0)}, top=TOP) as house:
        async with asking(house) as (director, jobs):
            bot = await key(director)
            job = await jobs.submit(bot, task(1), "s")
            for number in range(2):
                with worker(house) as process:
                    async with asyncio.timeout(PATIENT):
                        while house.received("groq") <= number:
                            await asyncio.sleep(0.05)
                    process.send_signal(signal.SIGKILL)
            with worker(house):
                (failed,) = await all_ended(jobs, bot, [job])
            assert failed.error
            assert (failed.state, failed.error["reason"], failed.attempts) == ("failed", "lost", 2)
    assert house.received("groq") == 2


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_a_server_that_is_stopped_gives_its_jobs_to_the_next(tmp_path: Path) -> None:
    with open_house(tmp_path, {"groq": slow(1.5)}, top=TOP) as house:
        async with asking(house) as (director, jobs):
            bot = await key(director)
            asked = [await jobs.submit(bot, task(n), "s") for n in range(6)]
            with worker(house) as process:
                await until_running(jobs, 4)
                assert process.stdin
                process.stdin.close()
                assert await asyncio.to_thread(process.wait, PATIENT) == 0
                assert jobs.counts() == {"queued": 6, "running": 0}
            with worker(house):
                done = await all_ended(jobs, bot, asked)
            assert [(job.state, job.attempts) for job in done] == [("done", 1)] * 6


@pytest.mark.timeout(180)
async def test_events_and_a_cancellation_from_another_process(tmp_path: Path) -> None:
    with open_house(tmp_path, {"groq": slow(1.0)}, top=TOP) as house:
        async with asking(house) as (director, jobs):
            bot = await key(director)
            with worker(house):
                job = await jobs.submit(bot, task(1), "s")
                async with asyncio.timeout(PATIENT):
                    events = [event async for event in jobs.events(bot, job.id, "s")]
                stages = [e["name"] for e in events if e["type"] == "stage"]
                assert stages[:3] == ["gate", "classify", "decide"]
                assert stages[-1] == "validate"
                assert [e["n"] for e in events] == sorted({e["n"] for e in events})
                assert events[-1]["job"]["result"]["candidate"].startswith("groq/")

                before = (await balance(director)).spent.tokens
                job = await jobs.submit(bot, task(2), "s")
                async with asyncio.timeout(PATIENT):
                    while house.received("groq") < 2:
                        await asyncio.sleep(0.02)
                await jobs.cancel(bot, job.id, "s")
                (ended,) = await all_ended(jobs, bot, [job])
                assert ended.state == "cancelled"
            spent = await balance(director)
    assert spent.spent.tokens > before, "a call in flight is charged"
    assert spent.reserved.tokens == 0


async def balance(director: Director) -> Any:
    return await director.parts.store.ledger.balance(caller_scope("bot", director.parts.clock.now()))


async def test_two_tenants_and_two_sessions_see_nothing_of_each_other(tmp_path: Path) -> None:
    own = {"groq": script("groq"), "local": script("local")}
    with open_house(tmp_path, own, top=TOP) as house:
        async with house.director() as director, Jobs(director, WallClock()) as jobs:
            one, two = await key(director, "one"), await key(director, "two", private=True)
            asked: list[tuple[Caller, str, Job]] = []
            for caller in (one, two):
                for session in ("a", "b"):
                    words = f"Say {caller.name}-{session}-canary"
                    job = await jobs.submit(caller, Task(words, intent="quick_qa", plan=False), session)
                    asked.append((caller, session, job))
            for caller, session, job in asked:
                async with asyncio.timeout(PATIENT):
                    last = [event async for event in jobs.events(caller, job.id, session)][-1]
                assert last["job"]["state"] == "done"
                for other, elsewhere, _ in asked:
                    if (other, elsewhere) == (caller, session):
                        continue
                    for ask in (jobs.get, jobs.cancel):
                        with pytest.raises(NoJob):
                            await ask(other, job.id, elsewhere)
                    with pytest.raises(NoJob):
                        await anext(jobs.events(other, job.id, elsewhere))
                    assert f"{other.name}-{elsewhere}-canary" not in str(last)
            assert b"two-a-canary" in house.bytes_at("local")
            assert b"two-" not in house.bytes_at("groq"), "a private key's jobs stay here"


async def fill(jobs: Jobs, caller: Caller) -> None:
    for number in range(30):
        await jobs.submit(caller, task(100 + number), "s")


@pytest.mark.timeout(180)
async def test_a_full_queue_says_truly_when_there_is_room(tmp_path: Path) -> None:
    with open_house(tmp_path, {"groq": slow(0.5)}, top=TOP) as house:
        async with house.director() as director, Jobs(director, WallClock(), most_queued=40, at_once=2) as jobs:
            bot = await key(director)
            asked = [await jobs.submit(bot, task(n), "s") for n in range(10)]
            await all_ended(jobs, bot, asked[:6])
            with pytest.raises(QueueFull) as caught:
                await fill(jobs, bot)
            assert 1.0 <= caught.value.retry_after < 20.0
            for _ in range(3):  # a pace of late is no promise on a machine that others use: two may be too early
                await asyncio.sleep(caught.value.retry_after)
                with suppress(QueueFull):
                    await jobs.submit(bot, task(200), "s")
                    break
            else:
                pytest.fail("there was no room when it was said to be there")
