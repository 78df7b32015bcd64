"""Two models under a budget for one, and everybody gets a turn."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace

import psutil
import pytest

from tests.agents.llama_setup import CHORES, SPEC, ask, needs_llama
from understudy.agents.llama.gguf import read_header
from understudy.agents.llama.process import ModelProcess, ModelSpec, Order
from understudy.agents.llama.shelf import Shelf
from understudy.errors import CallFailed
from understudy.types import Failure

pytestmark = needs_llama
FIRST, SECOND, THIRD = (replace(SPEC, name=f"local/{n}") for n in ("one", "two", "three"))
NEED = read_header(CHORES).memory(2048)


async def add(shelf: Shelf, spec: ModelSpec, number: int) -> tuple[str, int]:
    async with shelf.borrow(spec, 20.0) as process:
        written = await process.write(Order(ask(f"add: {number}+1"), 8, 10.0))
        return written.text, process.pid


async def test_the_least_recently_used_goes_first() -> None:
    shelf = Shelf(2 * NEED)
    try:
        _, first = await add(shelf, FIRST, 1)
        _, second = await add(shelf, SECOND, 1)
        assert (await add(shelf, FIRST, 2)) == ("3", first)  # still there, and now the fresher one
        await add(shelf, THIRD, 1)
        assert shelf.loaded == (FIRST, THIRD)
        assert psutil.pid_exists(first)
        assert not psutil.pid_exists(second)
        assert (await add(shelf, SECOND, 4))[0] == "5"
        assert shelf.loaded == (THIRD, SECOND)
    finally:
        await shelf.close()
    assert not psutil.pid_exists(first)
    assert shelf.loaded == ()


async def test_two_models_in_room_for_one_serve_everybody() -> None:
    most = 0

    async def start(spec: ModelSpec) -> ModelProcess:
        nonlocal most
        process = await ModelProcess.start(spec)
        most = max(most, len([c for c in psutil.Process().children() if c.status() != psutil.STATUS_ZOMBIE]))
        return process

    before = len(psutil.Process().children())
    shelf = Shelf(NEED + NEED // 2, start)
    try:
        jobs = [(FIRST if i % 2 else SECOND, i) for i in range(4)]
        answers = await asyncio.gather(*(add(shelf, spec, i) for spec, i in jobs))
        assert [a for a, _ in answers] == [str(i + 1) for _, i in jobs]
        assert most == before + 1  # never both at once
    finally:
        await shelf.close()


async def test_a_model_larger_than_the_budget_is_refused() -> None:
    shelf = Shelf(NEED - 1)
    with pytest.raises(CallFailed, match="memory_gib") as caught:
        await add(shelf, FIRST, 1)
    assert (caught.value.failure, caught.value.charged) == (Failure.UNAVAILABLE, False)
    assert shelf.loaded == ()


async def test_a_dead_model_is_loaded_again() -> None:
    shelf = Shelf(NEED)
    try:
        _, pid = await add(shelf, FIRST, 1)
        os.kill(pid, signal.SIGKILL)
        psutil.Process(pid).wait(5) if psutil.pid_exists(pid) else None
        text, again = "", pid
        for _ in range(2):  # the end may be noticed before the call or by it
            try:
                text, again = await add(shelf, FIRST, 6)
                break
            except CallFailed as error:
                failure = error.failure
                assert failure is Failure.TRANSPORT
        assert text == "7"
        assert again != pid
    finally:
        await shelf.close()


async def test_who_waits_too_long_is_told_so_and_the_load_goes_on() -> None:
    gate = asyncio.Event()
    loads = 0

    async def start(spec: ModelSpec) -> ModelProcess:
        nonlocal loads
        loads += 1
        await gate.wait()
        return await ModelProcess.start(spec)

    shelf = Shelf(NEED, start)
    try:
        with pytest.raises(CallFailed, match="still being loaded") as caught:
            async with shelf.borrow(FIRST, 0.02):
                pass
        assert (caught.value.failure, caught.value.charged) == (Failure.OVERLOAD, False)
        gate.set()
        assert (await add(shelf, FIRST, 1))[0] == "2"
        assert loads == 1
        async with shelf.borrow(FIRST, 1.0):
            with pytest.raises(CallFailed, match="is busy"):
                async with shelf.borrow(FIRST, 0.02):
                    pass
            with pytest.raises(CallFailed, match="is busy"):
                async with shelf.borrow(SECOND, 0.02):  # no room while the first is in use
                    pass
        assert (await add(shelf, SECOND, 1))[0] == "2"
    finally:
        await shelf.close()


async def test_a_load_that_fails_is_tried_again() -> None:
    tries = 0

    async def start(spec: ModelSpec) -> ModelProcess:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise CallFailed(Failure.UNAVAILABLE, "no", charged=False)
        return await ModelProcess.start(spec)

    shelf = Shelf(NEED, start)
    try:
        with pytest.raises(CallFailed, match="no"):
            await add(shelf, FIRST, 1)
        assert (await add(shelf, FIRST, 1))[0] == "2"
    finally:
        await shelf.close()
