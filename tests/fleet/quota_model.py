"""A campaign through the book against a server that counts for itself, in virtual time."""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass, field, replace
from typing import Literal

from understudy.fleet.book import Book, Cost, Tab
from understudy.fleet.form import PageForm
from understudy.fleet.page import Page, Wait
from understudy.rehearsal.limits import Shape
from understudy.rehearsal.limits import Window as ServerWindow
from understudy.rehearsal.virtual import LoopClock, run_virtually
from understudy.store.pages import MemoryPages
from understudy.types import Candidate, Failure, Limits, Reading, Usage, Window

Headers = Literal["full", "left", "none"]


@dataclass(frozen=True, slots=True)
class Scene:
    shape: Shape = "fixed"
    headers: Headers = "full"
    limit: int = 30  # requests, as the server has it
    factor: float = 1.0  # by which the catalogue is wrong
    tokens: int | None = None  # a second window; each request takes 200, of which 150 are used
    token_factor: float = 1.0
    seconds: float = 60.0
    phase: float = 0.37  # of a window, when the campaign begins
    used: int = 0  # requests of somebody else before us
    latency: float = 0.5  # seconds, mean
    calls: int = 200
    workers: int = 16
    seed: int = 1

    @property
    def best(self) -> float:
        """Seconds the campaign takes at the least, were every answer immediate."""
        more = self.calls - (self.limit - self.used)
        if more <= 0:
            return 0.0
        if self.shape == "bucket":
            return more * self.seconds / self.limit
        first = (1 - self.phase % 1) * self.seconds if self.shape == "fixed" else self.seconds
        return first + (math.ceil(more / self.limit) - 1) * self.seconds


@dataclass(slots=True)
class Outcome:
    refused: list[float] = field(default_factory=list[float])  # seconds since the start
    seconds: float = 0.0
    short: float = 0.0  # requests or shares of tokens by which the book counted less than the server, at the worst
    page: Page = field(default_factory=Page)


class Server:
    """Counts when a request arrives, and settles when it answers."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.requests = ServerWindow(scene.limit, scene.seconds, scene.shape)
        self.tokens = ServerWindow(scene.tokens or 10**12, scene.seconds, scene.shape)

    def readings(self, now: float) -> tuple[Reading, ...]:
        if self.scene.headers == "none":
            return ()
        full = self.scene.headers == "full"
        windows = [("requests", self.requests)] + ([("tokens", self.tokens)] if self.scene.tokens else [])
        return tuple(
            Reading(counts, w.limit, max(0, w.limit - w.used(now)), w.reset(now) if full else None)  # type: ignore[arg-type]
            for counts, w in windows
        )


def play(scene: Scene) -> Outcome:
    start = 1_760_000_000 // scene.seconds * scene.seconds + scene.phase * scene.seconds
    return run_virtually(_play(scene), start)


def candidate_of(scene: Scene) -> Candidate:
    windows = [Window("RPM", "requests", max(1, int(scene.limit * scene.factor)), scene.seconds)]
    if scene.tokens:
        windows.append(Window("TPM", "tokens", int(scene.tokens * scene.token_factor), scene.seconds))
    return Candidate("g", "groq", "a", "m", limits=Limits(tuple(windows), "cap"))


async def _play(scene: Scene) -> Outcome:
    clock, rng, outcome = LoopClock(), random.Random(scene.seed), Outcome()
    pages = MemoryPages(PageForm(), clock)
    book, server, candidate = Book(pages, random.Random(scene.seed)), Server(scene), candidate_of(scene)
    begun, left, turn = clock.now(), scene.calls, asyncio.Lock()
    if scene.used:
        server.requests.take(begun, scene.used)

    def compare() -> None:
        now = clock.now()
        for real in pages_of(pages)[candidate.quota].gauges:
            gauge = replace(real, taken=[list(piece) for piece in real.taken])  # looking must not age it
            theirs = server.requests if gauge.counts == "requests" else server.tokens
            # A bucket tells of itself in whole numbers.
            slack = 1.0 if gauge.shape == "bucket" else 1e-6
            outcome.short = max(outcome.short, theirs.used(now) - gauge.used(now) - slack)

    async def send(tab: Tab) -> bool:
        sent = clock.now()
        await clock.sleep(scene.latency * rng.uniform(0.1, 0.3))
        now = clock.now()
        wait = max(server.requests.wait(now, 1), server.tokens.wait(now, 200))
        if wait > 0:
            outcome.refused.append(now - begun)
            readings = server.readings(now)
            await clock.sleep(scene.latency * rng.uniform(0.01, 0.1))
            tab.holds = dict.fromkeys(tab.holds, "nothing")
            await book.close(tab, Failure.MINUTE_QUOTA, retry_after=wait, readings=readings)
            return False
        server.requests.take(now, 1)
        entry = server.tokens.take(now, 200)
        if not scene.used:
            compare()
        readings = server.readings(now)
        await clock.sleep(scene.latency * rng.uniform(0.5, 1.5))
        server.tokens.settle(entry, clock.now(), 150)
        await book.close(tab, "ok", usage=Usage(100, 50), readings=readings, seconds=clock.now() - sent)
        if not scene.used:
            compare()
        return True

    async def reserve() -> Tab:
        async with turn:  # first come, first served
            while isinstance(got := await book.reserve(candidate, Cost(100, 100, 100), seconds=30), Wait):
                assert got.seconds < math.inf, got
                await clock.sleep(min(max(got.seconds, 0.001), scene.seconds / 240))
            return got

    async def work() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            while not await send(await reserve()):
                assert len(outcome.refused) < 500, "it never learns"

    await asyncio.gather(*(work() for _ in range(scene.workers)))
    outcome.seconds, outcome.page = clock.now() - begun, pages_of(pages)[candidate.quota]
    return outcome


def pages_of(pages: MemoryPages[Page]) -> dict[str, Page]:
    return pages._pages  # a look without a turn of the loop
