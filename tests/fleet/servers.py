"""A model of a provider that counts in windows, and a campaign against it in virtual time."""

from __future__ import annotations

import asyncio
import math
import random
from dataclasses import dataclass, field

from understudy.fleet.book import Book, Cost, Tab
from understudy.fleet.form import PageForm
from understudy.rehearsal.limits import Shape
from understudy.rehearsal.limits import Window as ServerWindow
from understudy.rehearsal.virtual import START, LoopClock, run_virtually
from understudy.store.pages import MemoryPages
from understudy.types import Candidate, Failure, Limits, Reading, Usage, Window

LIMIT = 30


@dataclass
class Campaign:
    """`calls` requests on three accounts of LIMIT requests a window each. headers: full, left, or none."""

    shape: Shape = "fixed"
    headers: str = "full"
    seconds: float = 60.0
    phase: float = 0.37  # of a window, at the start
    catalogue: float = 1.0  # factor by which the book is told a wrong limit
    used: int = 0  # of each account, before the start
    calls: int = 600
    latency: float = 0.5
    at_once: int = 48
    seed: int = 1
    refused: int = 0
    answered: int = 0
    span: float = 0.0
    worst: int = 0  # most requests a server has counted in a window at once
    clock: LoopClock = field(default_factory=LoopClock)

    def run(self) -> Campaign:
        start = math.ceil(START / self.seconds) * self.seconds + self.phase * self.seconds
        run_virtually(self._run(), start)
        return self

    @property
    def least(self) -> float:
        """Seconds that the server's own windows force on anybody."""
        each = math.ceil(self.calls / 3) - (LIMIT - self.used)
        if self.shape == "bucket":
            return each * self.seconds / LIMIT
        whole = math.ceil(each / LIMIT) * self.seconds
        return whole - self.phase * self.seconds if self.shape == "fixed" else whole

    async def _run(self) -> None:
        chance, clock = random.Random(self.seed), self.clock
        book = Book(MemoryPages(PageForm(), clock), random.Random(2))
        window = Window("RPM", "requests", max(1, int(LIMIT * self.catalogue)), self.seconds)
        fleet = [Candidate("g", "groq", a, "m", limits=Limits((window,), "cap")) for a in "abc"]
        servers = {c.domain: ServerWindow(LIMIT, self.seconds, self.shape) for c in fleet}
        for server in servers.values():
            for _ in range(self.used):
                server.take(clock.now(), 1)
        left, head, began = self.calls, asyncio.Lock(), clock.now()

        async def admitted() -> Tab:
            async with head:
                while True:
                    waits: list[float] = []
                    for candidate in sorted(fleet, key=lambda _: chance.random()):
                        got = await book.reserve(candidate, Cost(100, 100), seconds=30)
                        if isinstance(got, Tab):
                            return got
                        waits.append(got.seconds)
                    await clock.sleep(min(max(min(waits), 0.001), 0.25))

        async def call(tab: Tab) -> bool:
            server = servers[tab.candidate.domain]
            await clock.sleep(self.latency * chance.uniform(0.1, 0.2))
            now = clock.now()
            wait = server.wait(now, 1)
            if wait > 0:
                self.refused += 1
                tab.holds = dict.fromkeys(tab.holds, "nothing")
                await book.close(tab, Failure.MINUTE_QUOTA, retry_after=wait, readings=self._said(server, now))
                return False
            server.take(now, 1)
            self.worst = max(self.worst, server.used(now))
            said = self._said(server, now)
            await clock.sleep(self.latency * chance.uniform(0.5, 1))
            await book.close(tab, "ok", usage=Usage(100, 50), readings=said, seconds=self.latency)
            return True

        async def worker() -> None:
            nonlocal left
            while left > 0:
                left -= 1
                while not await call(await admitted()):
                    pass
                self.answered += 1

        await asyncio.gather(*(worker() for _ in range(self.at_once)))
        self.span = clock.now() - began

    def _said(self, server: ServerWindow, now: float) -> tuple[Reading, ...]:
        if self.headers == "none":
            return ()
        reset = server.reset(now) if self.headers == "full" else None
        return (Reading("requests", LIMIT, LIMIT - server.used(now), reset),)
