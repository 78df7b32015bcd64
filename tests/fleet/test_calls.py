"""One call to one candidate: a local server that was down is asked first, and room nobody used is given back."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace

import pytest

from tests.fakes import FakeClock, FakeWorker, FreeLedger
from understudy.errors import CallFailed
from understudy.fleet import calls
from understudy.fleet.admission import Doorman
from understudy.fleet.book import Book, Cost, State, Tab
from understudy.fleet.calls import Caller, TooLate
from understudy.fleet.errand import Timing
from understudy.fleet.form import PageForm
from understudy.fleet.guards import SendGuard
from understudy.store.pages import MemoryPages
from understudy.types import Call, Candidate, Failure, Limits, Sensitivity, Usage, Window

WINDOWS = (Window("RPM", "requests", 30, 60.0), Window("TPM", "tokens", 6_000, 60.0))
CLOUD = Candidate("groq", "groq", "a", "m", context=8_000, limits=Limits(WINDOWS))
LOCAL = replace(CLOUD, provider="gpu", kind="openai_compatible", local=True)
COST, CALL = Cost(100, 100), Call("hello", output_cap=100, timeout=5)


@dataclass
class Asked(FakeWorker):
    """health: what it says when it is asked whether it is there; None: nothing at all."""

    health: CallFailed | str | None = "fine"
    checks: int = 0

    async def check(self) -> str:
        self.checks += 1
        if self.health is None:
            await asyncio.Event().wait()
        if isinstance(self.health, CallFailed):
            raise self.health
        return str(self.health)


class Scene:
    def __init__(self, candidate: Candidate, health: CallFailed | str | None = "fine") -> None:
        self.clock = FakeClock()
        self.book = Book(MemoryPages(PageForm(), self.clock))
        self.candidate = candidate
        self.worker = Asked(candidate, ["hi"], health=health)
        self.caller = Caller(lambda c: self.worker, Doorman(self.book, self.clock), self.clock)

    async def reserve(self) -> Tab:
        tab = await self.book.reserve(self.candidate, COST, seconds=5)
        assert isinstance(tab, Tab)
        return tab

    async def after_an_outage(self) -> Tab:
        """The one call that feels whether it is back."""
        for _ in range(3):
            await self.book.close(await self.reserve(), Failure.OVERLOAD, usage=Usage(0, 0))
        self.clock.time += 100  # the window is empty again
        tab = await self.reserve()
        assert tab.probe
        return tab

    async def send(self, tab: Tab, *, deadline: float = math.inf) -> str:
        guard = SendGuard(self.candidate, Sensitivity.PUBLIC, FreeLedger(), ("s",))
        return (await self.caller.send(tab, CALL, guard, Timing(), deadline=deadline)).text

    async def state(self) -> State:
        return (await self.book.states([self.candidate]))[self.candidate.domain]

    async def used(self) -> list[int]:
        state = await self.state()
        assert state.in_flight == 0
        return [level.used for level in state.levels]


GONE = CallFailed(Failure.TRANSPORT, "gpu/m: nobody is there.", charged=False)


@pytest.mark.parametrize("health", [GONE, None], ids=["refuses", "is silent"])
async def test_a_local_server_that_is_not_there_is_sent_nothing(
    monkeypatch: pytest.MonkeyPatch, health: CallFailed | None
) -> None:
    monkeypatch.setattr(calls, "PING", 0.05)
    scene = Scene(LOCAL, health)
    tab = await scene.after_an_outage()
    with pytest.raises(CallFailed) as caught:
        await scene.send(tab)
    assert (caught.value.failure, caught.value.charged) == (Failure.TRANSPORT, False)
    assert (scene.worker.checks, scene.worker.calls) == (1, [])
    assert await scene.used() == [0, 0]
    assert (await scene.state()).breaker == "open"


async def test_one_that_is_back_is_asked_once_and_works() -> None:
    scene = Scene(LOCAL)
    assert await scene.send(await scene.after_an_outage()) == "hi"
    assert await scene.send(await scene.reserve()) == "hi"
    assert (scene.worker.checks, len(scene.worker.calls)) == (1, 2)


async def test_in_the_cloud_the_probe_is_the_task_itself() -> None:
    scene = Scene(CLOUD, GONE)  # a check would be a request, too
    assert await scene.send(await scene.after_an_outage()) == "hi"
    assert scene.worker.checks == 0


async def test_room_that_was_granted_and_not_used_is_given_back() -> None:
    scene = Scene(CLOUD)
    with pytest.raises(TooLate):
        await scene.send(await scene.reserve(), deadline=scene.clock.now())
    assert (await scene.used(), scene.worker.calls) == ([0, 0], [])


async def test_room_of_a_worker_that_cannot_be_loaded_is_given_back() -> None:
    def gone(_: Call) -> None:
        raise CallFailed(Failure.UNAVAILABLE, "its key is gone", charged=False)

    scene = Scene(CLOUD)
    scene.worker.load = gone  # type: ignore[method-assign]
    with pytest.raises(CallFailed):
        await scene.send(await scene.reserve())
    assert (await scene.used(), scene.worker.calls) == ([0, 0], [])


@pytest.mark.parametrize(("free", "tokens"), [(True, 50), (False, 110)])
async def test_cached_tokens_are_free_where_the_provider_says_so(free: bool, tokens: int) -> None:
    scene = Scene(replace(CLOUD, limits=replace(CLOUD.limits, cached_free=free)))
    await scene.book.close(await scene.reserve(), "ok", usage=Usage(100, 10, cached_tokens=60))
    assert await scene.used() == [1, tokens]
