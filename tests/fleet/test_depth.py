"""How long the lines are, told to all processes: soon, for as long as they last, and with no ghosts left behind."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.errors import StoreError
from understudy.fleet.admission import Doorman, Wish
from understudy.fleet.book import Book, Cost, Tab
from understudy.fleet.depth import BELIEVED, NOBODY, Depth, Queue, queues
from understudy.fleet.form import PageForm
from understudy.fleet.page import Page, Reserve, Wait
from understudy.rehearsal.virtual import LoopClock, run_virtually
from understudy.store.pages import MemoryPages
from understudy.types import Candidate, Limits, Priority, Usage, Window

NOW = 1_800_000_000.0
WINDOW = 10.0
SCARCE = Candidate("g", "groq", "a", "m", limits=Limits((Window("RPM", "requests", 2, WINDOW),), "cap"))
TWIN = Candidate("g", "groq", "b", "m", limits=SCARCE.limits)
COSTS, SECONDS = {c.domain: Cost(1, 1) for c in (SCARCE, TWIN)}, {c.domain: 5.0 for c in (SCARCE, TWIN)}


class Counted(MemoryPages[Page]):
    """Pages that know how often they were told of a line, and may be away."""

    def __init__(self) -> None:
        super().__init__(PageForm(), LoopClock())
        self.told: list[tuple[float, int]] = []
        self.away = False

    async def turn(self, key: str, entry: object) -> object:
        if isinstance(entry, Depth):
            self.told.append((self.now(), entry.waiting))
            if self.away:
                raise StoreError("The store is away.", remedy="It is a test.")
        return await super().turn(key, entry)

    def said(self) -> int:
        return sum(len(page.depths) for page in self._pages.values())


def door(pages: MemoryPages[Page]) -> Doorman:
    return Doorman(Book(pages, random.Random(1)), LoopClock())


async def queue(pages: MemoryPages[Page], candidate: Candidate = SCARCE) -> Queue:
    return (await Book(pages).states([candidate]))[candidate.domain].queue


async def fill(at: Doorman, among: tuple[Candidate, ...] = (SCARCE,)) -> None:
    """Until nothing is left for a while."""
    for _ in range(2 * len(among)):
        got = await at.admit(among, COSTS, SECONDS, Wish("first", Priority.INTERACTIVE, LoopClock().now() + 60))
        assert isinstance(got, Tab)
        await at.book.settle(got, Usage(1, 1))


async def stand(at: Doorman, seconds: float = 60.0, among: tuple[Candidate, ...] = (SCARCE,)) -> Tab | Wait:
    got = await at.admit(among, COSTS, SECONDS, Wish("s", Priority.INTERACTIVE, LoopClock().now() + seconds))
    if isinstance(got, Tab):
        await at.book.settle(got, Usage(1, 1))
    return got


def test_lines_of_all_processes_are_summed_up_and_the_longest_wait_is_told() -> None:
    async def run() -> None:
        pages = Counted()
        one, other = door(pages), door(pages)
        await fill(one)
        waiting = [asyncio.ensure_future(stand(one)) for _ in range(3)]
        await asyncio.sleep(2)
        waiting += [asyncio.ensure_future(stand(other)) for _ in range(2)]
        await asyncio.sleep(1.5)
        seen = await queue(pages)
        assert seen.waiting == 5
        assert seen.oldest_seconds == pytest.approx(3.5, abs=0.1)
        await asyncio.gather(*waiting)
        await asyncio.sleep(0.01)
        assert await queue(pages) == NOBODY
        assert pages.said() == 0

    run_virtually(run())


def test_it_is_told_once_a_second_and_once_at_the_end() -> None:
    async def run() -> None:
        pages = Counted()
        at = door(pages)
        await fill(at)
        began = LoopClock().now()
        await asyncio.gather(*(stand(at) for _ in range(2)))
        await asyncio.sleep(5)
        seconds = [moment - began for moment, _ in pages.told]
        assert len(seconds) <= WINDOW + 1
        assert all(b - a > 0.9 for a, b in pairwise(seconds[:-1]))
        assert [waiting > 0 for _, waiting in pages.told] == [True] * (len(seconds) - 1) + [False]

    run_virtually(run())


def test_who_waits_less_than_a_second_or_not_at_all_costs_nothing() -> None:
    async def run() -> None:
        pages = Counted()
        at = door(pages)
        await fill(at)
        assert isinstance(await stand(at, seconds=1), Wait)
        async with at.lines[SCARCE.name].place("s", Priority.BATCH, LoopClock().now()) as place:
            at.announcer.watch(SCARCE, at.lines[SCARCE.name])
            await asyncio.sleep(0.5)
            at.lines[SCARCE.name].serve(place)
        await asyncio.sleep(3)
        assert not pages.told
        assert len(asyncio.all_tasks()) == 1

    run_virtually(run())


def test_the_accounts_of_a_model_show_their_one_line() -> None:
    async def run() -> None:
        pages = Counted()
        at = door(pages)
        both = (SCARCE, TWIN)
        await fill(at, both)
        waiting = [asyncio.ensure_future(stand(at, among=both)) for _ in range(3)]
        await asyncio.sleep(2.5)
        assert (await queue(pages, SCARCE)).waiting == (await queue(pages, TWIN)).waiting == 3
        await asyncio.gather(*waiting)

    run_virtually(run())


def test_a_book_that_cannot_be_written_disturbs_nobody_who_waits() -> None:
    async def run() -> None:
        pages = Counted()
        at = door(pages)
        await fill(at)
        pages.away = True
        assert isinstance(await stand(at), Tab)
        assert pages.told

    run_virtually(run())


def test_closing_takes_back_what_was_told() -> None:
    async def run() -> None:
        pages = Counted()
        at = door(pages)
        await fill(at)
        waiting = asyncio.ensure_future(stand(at))
        await asyncio.sleep(2.5)
        assert pages.said() == 1
        await at.announcer.close()
        assert pages.said() == 0
        waiting.cancel()

    run_virtually(run())


def test_the_dead_are_not_believed_and_their_words_leave_the_page_when_it_is_written() -> None:
    page = Page()
    page.apply(Depth("dead", "g/m", 7, 3.0), NOW)
    page.apply(Depth("alive", "g/m", 1, 0.5), NOW + BELIEVED - 1)
    assert queues([page.depths], NOW + BELIEVED - 1)["g/m"].waiting == 8
    assert queues([page.depths], NOW + BELIEVED) == {"g/m": Queue(1, 1.5)}
    page.apply(Reserve("h", "m", 1, 4, 1, 60.0), NOW + BELIEVED)
    assert set(page.depths) == {"alive"}
    assert queues([page.depths], NOW - 3600) == {}, "the clock was set back"


def test_an_entry_packs_and_unpacks() -> None:
    form, page = PageForm(), Page()
    entry = Depth("line", "g/m", 3, 1.5)
    assert form.unpack_entry(form.pack_entry(entry)) == entry
    assert form.apply(page, entry, NOW) == (None, True)
    assert form.unpack(form.pack(page)) == page
    assert form.passes(entry)
    assert not form.asks(entry)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(
    st.integers(0, 1), st.sampled_from(["stays", "cancelled", "impatient", "too large"]), st.floats(0, 6)
), max_size=12))  # fmt: skip
def test_no_ghosts_remain(tasks: list[tuple[int, str, float]]) -> None:
    """Served, cancelled, out of patience or refused for good: nobody is told of who is not there any more."""

    async def run() -> None:
        pages = Counted()
        doors = [door(pages), door(pages)]
        await fill(doors[0])
        waiting: list[asyncio.Future[Tab | Wait]] = []
        for home, fate, pause in tasks:
            await asyncio.sleep(pause)
            small = Candidate("g", "groq", "a", "m", limits=Limits((Window("RPM", "tokens", 1, WINDOW),), "cap"))
            among = (small if fate == "too large" else SCARCE,)
            patience = 11.0 if fate == "impatient" else 500.0
            waiting.append(asyncio.ensure_future(stand(doors[home], patience, among)))
            if fate == "cancelled":
                asyncio.get_running_loop().call_later(pause, waiting[-1].cancel)
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.sleep(0.01)
        assert await queue(pages) == NOBODY
        assert pages.said() == 0
        assert all(not len(line) for at in doors for line in at.lines.values())
        assert len(asyncio.all_tasks()) == 1

    run_virtually(run())
