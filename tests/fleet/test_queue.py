"""The line in front of a scarce model: who goes when, and that nobody waits for ever."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.fleet.admission import Doorman, Wish
from understudy.fleet.book import Book, Cost, Tab
from understudy.fleet.form import PageForm
from understudy.fleet.page import Wait
from understudy.fleet.queue import OWED, Line, Place
from understudy.rehearsal.virtual import LoopClock, run_virtually
from understudy.store.pages import MemoryPages
from understudy.types import Candidate, Limits, Priority, Usage, Window

INTERACTIVE, BATCH = Priority.INTERACTIVE, Priority.BATCH
SCARCE = Candidate("g", "groq", "a", "m", limits=Limits((Window("RPM", "requests", 2, 10.0),), "cap"))


async def order(*wanted: tuple[str, Priority]) -> list[str]:
    """In which order those who stand in a line are served."""
    line, served = Line(), list[str]()

    async def stand(session: str, priority: Priority) -> None:
        async with line.place(session, priority, 0.0) as place:
            while not line.is_head(place):
                place.called.clear()
                await place.called.wait()
            await asyncio.sleep(0)
            if line.is_head(place):
                served.append(session)
                line.serve(place)

    async with line.place("", INTERACTIVE, 0.0) as door:
        standing = [asyncio.ensure_future(stand(*w)) for w in wanted]
        await asyncio.sleep(0.01)
        line.serve(door)
    await asyncio.wait_for(asyncio.gather(*standing), 5)
    assert len(line) == 0
    return served


async def test_a_terminal_goes_before_a_batch_and_sessions_take_turns() -> None:
    wanted = [("b", BATCH), ("one", INTERACTIVE), ("one", INTERACTIVE), ("two", INTERACTIVE)]
    assert await order(*wanted) == ["one", "two", "one", "b"]


async def test_a_batch_is_not_starved() -> None:
    served = await order(("b", BATCH), *[("s", INTERACTIVE)] * 20)
    assert served.index("b") <= OWED


async def test_whoever_leaves_makes_room() -> None:
    line = Line()
    async with line.place("a", INTERACTIVE, 0.0) as first:
        async with line.place("b", INTERACTIVE, 0.0) as second:
            assert line.is_head(first)
            assert not line.is_head(second)
        assert len(line) == 1
    assert len(line) == 0
    assert line.depth == {INTERACTIVE: 0, BATCH: 0}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([INTERACTIVE, BATCH]), st.booleans()), max_size=40))
def test_everybody_is_served_once(wanted: list[tuple[str, Priority, bool]]) -> None:
    line, places = Line(), list[Place]()

    async def run() -> int:
        served = 0
        stack = [line.place(session, priority, 0.0) for session, priority, _ in wanted]
        for context in stack:
            places.append(await context.__aenter__())
        for context, place, (_, _, leaves) in zip(stack, places, wanted, strict=True):
            if leaves:
                await context.__aexit__(None, None, None)
                places[places.index(place)] = Place("", INTERACTIVE, 0.0)
        while len(line):
            head = next(place for place in places if line.is_head(place))
            line.serve(head)
            served += 1
        return served

    assert asyncio.run(run()) == sum(not leaves for _, _, leaves in wanted)


def test_patience_ends_and_the_answer_says_when() -> None:
    async def run() -> None:
        clock = LoopClock()
        door = Doorman(Book(MemoryPages(PageForm(), clock), random.Random(1)), clock)
        costs, seconds = {SCARCE.domain: Cost(1, 1)}, {SCARCE.domain: 5.0}
        for number in range(2):
            tab = await door.admit([SCARCE], costs, seconds, Wish(str(number), INTERACTIVE, clock.now()))
            assert isinstance(tab, Tab)
            await door.book.settle(tab, Usage(1, 1))
        began = clock.now()
        told: list[float] = []
        no = await door.admit([SCARCE], costs, seconds, Wish("x", INTERACTIVE, clock.now() + 3))
        assert isinstance(no, Wait)
        assert 9 < no.seconds <= 10
        assert clock.now() == began, "a wait that is not worth it is not begun"
        yes = await door.admit(
            [SCARCE], costs, seconds, Wish("x", INTERACTIVE, clock.now() + 30, lambda _, s: told.append(s))
        )
        assert isinstance(yes, Tab)
        assert 9 < clock.now() - began < 10.5
        assert len(told) == 1

    run_virtually(run())


class Counting(LoopClock):
    """A clock that notices when somebody who waits does not sleep."""

    def __init__(self) -> None:
        self.looks = 0

    def now(self) -> float:
        self.looks += 1
        assert self.looks < 2_000, "it spins"
        return super().now()


def test_who_is_overtaken_at_the_head_of_the_line_sleeps_on() -> None:
    async def run() -> None:
        clock = Counting()
        door = Doorman(Book(MemoryPages(PageForm(), clock), random.Random(1)), clock)
        costs, seconds = {SCARCE.domain: Cost(1, 1)}, {SCARCE.domain: 5.0}

        async def one(session: str, priority: Priority) -> None:
            tab = await door.admit([SCARCE], costs, seconds, Wish(session, priority, clock.now() + 60))
            assert isinstance(tab, Tab)
            await door.book.settle(tab, Usage(1, 1))

        waiting = [asyncio.ensure_future(one("b", BATCH)) for _ in range(3)]
        await clock.sleep(0.5)
        waiting.append(asyncio.ensure_future(one("i", INTERACTIVE)))
        await asyncio.gather(*waiting)

    run_virtually(run())


def test_a_full_line_says_so_at_once() -> None:
    async def run() -> None:
        clock = LoopClock()
        door = Doorman(Book(MemoryPages(PageForm(), clock), random.Random(1)), clock)
        door.lines[SCARCE.name] = Line(longest=1)
        costs, seconds = {SCARCE.domain: Cost(1, 1)}, {SCARCE.domain: 5.0}
        async with door.lines[SCARCE.name].place("other", INTERACTIVE, clock.now()):
            no = await door.admit([SCARCE], costs, seconds, Wish("x", INTERACTIVE, clock.now() + 30))
        assert isinstance(no, Wait)
        assert "full" in no.why

    run_virtually(run())


def test_the_first_answer_of_a_domain_is_waited_for_no_longer_than_was_wished() -> None:
    async def run() -> None:
        clock = LoopClock()
        door = Doorman(Book(MemoryPages(PageForm(), clock), random.Random(1)), clock)
        costs, seconds = {SCARCE.domain: Cost(1, 1)}, {SCARCE.domain: 60.0}
        first = await door.admit([SCARCE], costs, seconds, Wish("silent", INTERACTIVE, clock.now()))
        assert isinstance(first, Tab)
        for latest, waits in ((0.0, 2.0), (5.0, 5.0)):
            began = clock.now()
            no = await door.admit(
                [SCARCE], costs, seconds, Wish("x", INTERACTIVE, began + 2, latest=latest and began + latest)
            )
            assert isinstance(no, Wait)
            assert clock.now() - began == pytest.approx(waits, abs=0.3)

    run_virtually(run())
