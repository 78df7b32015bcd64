"""The server goes away in the middle of work, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.fakes import FakeClock
from tests.store.servers import Server
from tests.store.test_pages import Sum, SumForm, wipe
from understudy.clock import WallClock
from understudy.errors import StoreError
from understudy.fleet.book import Book, Cost, Tab
from understudy.fleet.form import PageForm
from understudy.store.pages import MemoryPages
from understudy.store.shelves import open_pages
from understudy.store.standby_pages import StandbyPages
from understudy.types import Candidate, Limits, Reading, Usage, Window


class Shaky:
    """A server that can be switched off."""

    def __init__(self) -> None:
        self.ahead, self.on = 100.0, True
        self.kept: MemoryPages[Sum] = MemoryPages(SumForm(), FakeClock(2_000_000_000.0))

    async def turn(self, key: str, entry: Any) -> Any:
        await self._be()
        return await self.kept.turn(key, entry)

    async def look(self) -> tuple[Mapping[str, Sum], float]:
        await self._be()
        return await self.kept.look()

    def known(self) -> Mapping[str, Sum]:
        return self.kept._pages

    async def close(self) -> None: ...

    async def _be(self) -> None:
        await asyncio.sleep(0)
        if not self.on:
            raise StoreError("gone", remedy="bring it back")


class Lines:
    def __init__(self) -> None:
        self.events: list[str] = []

    def warning(self, event: str, **_fields: Any) -> None:
        self.events.append(event)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    lines = Lines()
    monkeypatch.setattr("understudy.store.standby_pages.log", lambda: lines)
    return lines


async def test_work_goes_on_in_memory_and_is_told_when_the_server_is_back(lines: Lines) -> None:
    server, clock = Shaky(), FakeClock(1_000.0)
    pages = StandbyPages(server, SumForm(), clock, again=0.05)
    assert await pages.turn("a", 60) == 60
    server.on = False
    assert await asyncio.gather(*(pages.turn("a", 10) for _ in range(3))) == [70, 80, 90], "seeded from what was seen"
    assert await pages.turn("a", 20) == "full"
    assert pages.away
    found, now = await pages.look()
    assert (found["a"].total, now) == (90, 1_100.0), "the server's time, as this clock tells it"
    assert server.kept._pages["a"].total == 60
    server.on = True
    assert await pages.turn("a", 1) == 91, "not tried again at once"
    assert pages.away
    await asyncio.sleep(0.06)
    assert await pages.turn("a", 1) == 92, "and then beside the work"
    await asyncio.sleep(0.01)
    assert not pages.away
    assert server.kept._pages["a"].total == 92
    assert lines.events == ["book_server_away", "book_server_back"]


class Fleeting(SumForm):
    """Even numbers are soon of no interest."""

    def passes(self, entry: int) -> bool:
        return entry % 2 == 0


async def test_what_passes_is_not_told_to_a_server_that_comes_back(lines: Lines) -> None:
    server = Shaky()
    pages = StandbyPages(server, Fleeting(), FakeClock(), again=0.0)
    server.on = False
    assert [await pages.turn("a", amount) for amount in (1, 2, 3)] == [1, 3, 6]
    server.on = True
    await pages.look()
    await pages.close()
    assert server.kept._pages["a"].total == 4


async def test_one_that_keeps_falling_loses_and_doubles_nothing(lines: Lines) -> None:
    server = Shaky()
    pages = StandbyPages(server, SumForm(), FakeClock(), again=0.0)
    for number in range(60):
        server.on = number % 7 < 4
        assert await pages.turn("a", 1) == number + 1
    server.on = True
    await pages.close()
    assert server.kept._pages["a"].total == 60


@pytest.mark.server
@pytest.mark.xdist_group("servers")
@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_a_real_outage(kind: str, servers: Callable[[str], Server], lines: Lines) -> None:
    server = servers(kind)
    await wipe(kind, server.url)
    pages = await open_pages(server.url, None, PageForm(), WallClock())  # type: ignore[arg-type]
    other = await open_pages(server.url, None, PageForm(), WallClock())  # type: ignore[arg-type]
    assert isinstance(pages, StandbyPages)
    assert isinstance(other, StandbyPages)
    pages._again = 0.1
    book = Book(pages)
    window = Window("RPD", "requests", 1000, 86_400.0, "UTC")
    candidate = Candidate("g", "groq", "a", "m", limits=Limits((window,), "cap"))

    async def once() -> None:
        tab = await book.reserve(candidate, Cost(10, 10), seconds=5)
        assert isinstance(tab, Tab)
        await book.close(tab, "ok", usage=Usage(10, 10), readings=(Reading("requests", 1000, None, None, 86_400.0),))

    async def used(pages: StandbyPages[Any]) -> int:
        return (await Book(pages).states([candidate]))[candidate.domain].levels[0].used

    try:
        for _ in range(3):
            await once()
        flying = await book.reserve(candidate, Cost(10, 10), seconds=5)
        assert isinstance(flying, Tab)
        server.stop()
        for _ in range(4):
            await once()
        assert pages.away
        assert await used(pages) == 8
        server.start()
        for _ in range(100):
            await asyncio.sleep(0.11)
            await used(pages)
            if not pages.away:
                break
        assert not pages.away
        await book.settle(flying, Usage(10, 10))
        await once()
        # What was sent as the server died may be counted twice, and never less than it was.
        assert 9 <= await used(pages) <= 10
        assert await used(other) == await used(pages)
        assert lines.events == ["book_server_away", "book_server_back"]
    finally:
        await pages.close()
        await other.close()


@pytest.mark.server
@pytest.mark.xdist_group("servers")
async def test_a_server_that_lost_its_data_is_given_back_what_was_last_seen(servers: Callable[[str], Server]) -> None:
    server = servers("redis")
    await wipe("redis", server.url)
    one, two = [await open_pages(server.url, None, SumForm(), WallClock()) for _ in range(2)]  # type: ignore[arg-type]
    assert await one.turn("a", 40) == 40
    assert await two.turn("a", 5) == 45
    await wipe("redis", server.url)
    assert await two.turn("a", 1) == 46
    assert await one.turn("a", 1) == 47
    await one.close()
    await two.close()
