"""Campaigns against servers that count for themselves: how many refusals the book earns, and how long it takes."""

from __future__ import annotations

import asyncio
import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes import FakeClock
from tests.fleet.quota_model import Scene, candidate_of, play
from understudy.fleet.book import Book, Cost, Tab
from understudy.fleet.form import PageForm
from understudy.fleet.page import Wait
from understudy.rehearsal.virtual import LoopClock, run_virtually
from understudy.store.pages import MemoryPages
from understudy.types import Candidate, Failure, Limits, Reading, Usage, Window

COST = Cost(100, 100)


def allowed(scene: Scene) -> int:
    """Refusals a campaign may earn."""
    if scene.headers == "none":
        return 2 if scene.used else int(scene.factor > 1)
    return int(scene.factor != 1 or scene.used > 0)


@pytest.mark.parametrize("used", [0, 20], ids=["unused", "used"])
@pytest.mark.parametrize("factor", [1.0, 2.0, 0.5], ids=["right", "double", "half"])
@pytest.mark.parametrize("headers", ["full", "left", "none"])
@pytest.mark.parametrize("shape", ["rolling", "fixed", "bucket"])
def test_a_campaign_earns_next_to_no_refusals(shape: str, headers: str, factor: float, used: int) -> None:
    scene = Scene(shape=shape, headers=headers, factor=factor, used=used, calls=130)  # type: ignore[arg-type]
    outcome = play(scene)
    assert len(outcome.refused) <= allowed(scene), outcome.refused
    assert outcome.short == 0, "the book counted less than the server"
    if headers == "full" and shape != "rolling":
        assert outcome.seconds <= 1.05 * scene.best


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    scene=st.builds(
        Scene,
        shape=st.sampled_from(["rolling", "fixed", "bucket"]),
        headers=st.sampled_from(["full", "left", "none"]),
        limit=st.integers(12, 60),
        factor=st.sampled_from([1.0, 1.0, 1.5, 2.0, 0.5]),
        tokens=st.sampled_from([None, 4000, 12_000]),
        seconds=st.sampled_from([10.0, 60.0, 3600.0]),
        phase=st.floats(0, 1),
        used=st.sampled_from([0, 0, 5, 11]),
        latency=st.floats(0.02, 1.0),
        calls=st.just(90),
        workers=st.sampled_from([1, 4, 16, 48]),
        seed=st.integers(0, 10**6),
    )
)
def test_whatever_the_server_and_the_load(scene: Scene) -> None:
    outcome = play(scene)
    assert len(outcome.refused) <= allowed(scene), outcome.refused
    assert outcome.short == 0


@pytest.mark.parametrize("shape", ["rolling", "fixed", "bucket"])
def test_tokens_run_out_first(shape: str) -> None:
    scene = Scene(shape=shape, tokens=3000, calls=60, token_factor=2.0)  # type: ignore[arg-type]
    outcome = play(scene)
    assert len(outcome.refused) <= 1
    assert outcome.short == 0


@pytest.mark.parametrize(
    ("shape", "seconds", "phase"), list(itertools.product(["fixed", "bucket"], [10.0, 600.0], [0.05, 0.9]))
)
def test_the_makespan_is_near_the_least_possible(shape: str, seconds: float, phase: float) -> None:
    scene = Scene(shape=shape, seconds=seconds, phase=phase, latency=seconds / 120, calls=150)  # type: ignore[arg-type]
    assert play(scene).seconds <= 1.05 * scene.best


def test_states_say_what_is_left_and_when_more_comes() -> None:
    async def look() -> None:
        clock = LoopClock()
        book, scene = Book(MemoryPages(PageForm(), clock)), Scene(limit=2)
        candidate = candidate_of(scene)
        empty = (await book.states([candidate]))[candidate.domain]
        assert (empty.wait, empty.breaker, empty.in_flight, empty.left) == (0.0, "closed", 0, 1.0)
        for _ in range(2):
            tab = await book.reserve(candidate, COST, seconds=10)
            assert isinstance(tab, Tab)
            await book.settle(tab, Usage(80, 20))
        state = (await book.states([candidate]))[candidate.domain]
        (level,) = state.levels
        assert (level.used, level.left, level.limit, level.name) == (2, 0, 2, "RPM")
        assert state.wait == pytest.approx(60)
        wait = await book.can_run_at(candidate, COST)
        assert wait is not None
        assert wait.seconds == pytest.approx(60)
        assert state.left == 0.0

    run_virtually(look())


async def test_an_attempt_of_several_requests_closes_as_one() -> None:
    clock = FakeClock()
    book = Book(MemoryPages(PageForm(), clock))
    candidate = Candidate("g", "groq", "a", "m", limits=Limits((Window("RPM", "requests", 30, 60.0),), "cap"))
    tab = await book.reserve(candidate, COST, seconds=10)
    assert isinstance(tab, Tab)
    await book.close(tab, "ok", usage=Usage(90, 10), readings=(Reading("requests", 30, 29),))
    tab = await book.reserve(candidate, COST, seconds=10)
    assert isinstance(tab, Tab)
    assert await book.extend(tab, COST, seconds=10) is None
    assert (await book.states([candidate]))[candidate.domain].in_flight == 2
    await book.settle(tab, Usage(90, 10))
    state = (await book.states([candidate]))[candidate.domain]
    assert (state.in_flight, state.levels[0].used) == (0, 3)
    await book.settle(tab, Usage(90, 10))
    assert (await book.states([candidate]))[candidate.domain].levels[0].used == 3, "a closed tab has nothing left"


async def test_a_refund_leaves_nothing_and_ends_the_probe() -> None:
    clock = FakeClock()
    book = Book(MemoryPages(PageForm(), clock))
    candidate = candidate_of(Scene())
    for _ in range(3):
        tab = await book.reserve(candidate, COST, seconds=10)
        assert isinstance(tab, Tab)
        await book.close(tab, Failure.OVERLOAD, usage=Usage(0, 0))
    assert (await book.states([candidate]))[candidate.domain].breaker == "open"
    clock.time += 10
    probe = await book.reserve(candidate, COST, seconds=10)
    assert isinstance(probe, Tab)
    assert probe.probe
    other = await book.reserve(candidate, COST, seconds=10)
    assert isinstance(other, Wait)
    assert other.kind == "breaker"
    await book.refund(probe)
    again = await book.reserve(candidate, COST, seconds=10)
    assert isinstance(again, Tab)
    assert again.probe


async def test_too_large_never_fits() -> None:
    book = Book(MemoryPages(PageForm(), FakeClock()))
    candidate = Candidate("g", "groq", "a", "m", limits=Limits((Window("TPM", "tokens", 6000, 60.0),), "cap"))
    wait = await book.can_run_at(candidate, Cost(4000, 4000))
    assert wait is not None
    assert (wait.kind, wait.seconds) == ("size", math.inf)


async def test_accounts_that_share_limits_share_a_page() -> None:
    limits = Limits((Window("RPM", "requests", 30, 60.0),), shared="account")
    one, two = (Candidate("o", "openai_compatible", "a", model, limits=limits) for model in ("m", "n"))
    book = Book(MemoryPages(PageForm(), FakeClock()))
    tab = await book.reserve(one, COST, seconds=1)
    assert isinstance(tab, Tab)
    await asyncio.gather(book.settle(tab, Usage(10, 10)))
    states = await book.states([one, two])
    assert states[two.domain].levels[0].used == 1


ENTRIES = st.one_of(
    st.tuples(st.just("wait"), st.floats(0.01, 7200)),
    st.tuples(st.just("ask"), st.integers(0, 2)),
    st.tuples(st.just("fail"), st.sampled_from([Failure.OVERLOAD, Failure.MINUTE_QUOTA, Failure.TRANSPORT])),
    st.tuples(st.just("leave"), st.integers(0, 2)),
)


@given(st.lists(ENTRIES, max_size=40), st.sampled_from(["", "UTC"]))
@settings(max_examples=80)
def test_what_a_book_remembers_of_its_pages_is_what_they_say(steps: list[tuple[str, Any]], zone: str) -> None:
    async def run() -> None:
        clock = LoopClock()
        pages = MemoryPages(PageForm(), clock)
        book = Book(pages)
        windows = (Window("minute", "requests", 3, 60.0), Window("day", "requests", 20, 86_400.0, zone=zone))
        fleet = [Candidate("p", "groq", "a", f"m{n}", limits=Limits(windows=windows)) for n in range(3)]
        for what, how in steps:
            if what == "wait":
                await clock.sleep(how)
            elif what == "leave":  # a lease that nobody closes
                await book.reserve(fleet[how], Cost(10, 10), seconds=30)
            else:
                tab = await book.reserve(fleet[how if what == "ask" else 0], Cost(10, 10), seconds=30)
                if isinstance(tab, Tab):
                    await book.close(tab, "ok" if what == "ask" else how, usage=Usage(5, 5), seconds=0.5)
            assert await book.standings(fleet) == await Book(pages).standings(fleet)

    run_virtually(run())
