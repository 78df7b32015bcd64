"""Turns across processes: in order, never more than the places, freed by a crash."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from understudy.tools import turns
from understudy.tools.turns import turn


@pytest.mark.parametrize("places", [1, 3])
async def test_never_more_than_the_places(tmp_path, places):
    inside = most = 0

    async def one() -> None:
        nonlocal inside, most
        async with turn(tmp_path, places):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*(one() for _ in range(8)))
    assert most == places
    assert [p.name for p in tmp_path.iterdir()] == ["order"]


async def test_first_come_first_served(tmp_path):
    order: list[int] = []

    async def one(number: int) -> None:
        async with turn(tmp_path):
            order.append(number)

    async with turn(tmp_path):
        tasks = []
        for number in range(5):
            tasks.append(asyncio.create_task(one(number)))
            await asyncio.sleep(0.005)
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]


async def test_who_gives_up_waiting_blocks_nobody(tmp_path):
    async with turn(tmp_path):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), turn(tmp_path):
                pytest.fail("two at once")
    async with asyncio.timeout(1), turn(tmp_path):
        pass


HOLDER = """
import asyncio, pathlib, sys
from understudy.tools.turns import turn
async def main():
    async with turn(pathlib.Path(sys.argv[1])):
        print("in", flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


async def test_another_process_waits_and_a_crash_frees_the_place(tmp_path):
    env = os.environ | {"PYTHONPATH": str(Path(turns.__file__).parents[2])}
    holder = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", HOLDER, str(tmp_path)], env=env, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"in\n"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3), turn(tmp_path):
                pytest.fail("two at once")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        async with asyncio.timeout(2), turn(tmp_path):
            pass
    finally:
        holder.kill()
        holder.communicate()


async def test_an_heir_of_the_descriptor_keeps_the_place(tmp_path):
    async with turn(tmp_path) as descriptor:
        heir = subprocess.Popen(["sleep", "0.4"], pass_fds=(descriptor,))  # noqa: ASYNC220
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.15), turn(tmp_path):
            pytest.fail("the heir is still there")
    async with asyncio.timeout(2), turn(tmp_path):
        assert heir.wait() == 0
