"""A policy that hedges: the next candidate is asked too when one takes longer than nearly always."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e import raw_faults as faults
from tests.e2e import raw_wires as wires
from tests.e2e.raw_server import Exchange, answers
from tests.e2e.test_failover import PRIMARY, RESCUE, World, outcomes, world
from understudy.fleet.book import Book
from understudy.policies import registry
from understudy.types import Decision, Facts

USUAL = 0.03  # seconds the primary usually takes


class Hedging:
    name, hash = "hedging", "0" * 16
    hedges = True

    def decide(self, facts: Facts) -> Decision:
        return replace(_load("v1").decide(facts), hedge=self.hedges)


_load: Callable[[str], registry.NamedPolicy] = registry.load


@pytest.fixture(autouse=True)
def policy(monkeypatch: pytest.MonkeyPatch) -> Hedging:
    chosen = Hedging()
    monkeypatch.setattr(registry, "load", lambda _: chosen)
    return chosen


async def practise(w: World, policy: Hedging) -> int:
    """Let the primary's usual time be known. Returns what that cost."""
    usual, w.first.faults, policy.hedges = w.first.faults, [faults.slow(USUAL)], False
    for number in range(5):
        assert outcomes(await w.ask(f"Why {number}?")) == ["ok"]
    w.first.faults, spent, policy.hedges = usual, await w.spent(), True
    w.first.got.clear()
    return spent


@pytest.mark.parametrize("kind", ["groq", "gemini", "anthropic"])
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_the_second_overtakes_and_the_first_is_hung_up_on_and_charged(
    tmp_path: Path, policy: Hedging, kind: str, streamed: bool
) -> None:
    async with world(tmp_path, kind, [faults.slow(9)]) as w:
        before = await practise(w, policy)
        began = time.monotonic()
        reply = await w.ask(streamed=streamed)
        assert reply.text == RESCUE
        assert time.monotonic() - began < 2
        assert sorted(outcomes(reply)) == ["cancelled", "ok"]
        (first,), (second,) = w.first.got, w.second.got
        assert second.at - first.at >= 0.8 * USUAL
        await asyncio.sleep(0.05)
        assert first.hung_up
        answer = wires.USED[0] * 3 + wires.USED[1] * 4
        assert await w.spent() - before > answer + 512  # the first one's whole reservation: nobody knows what it did


async def test_the_first_may_still_win(tmp_path: Path, policy: Hedging) -> None:
    async with world(tmp_path, "groq", [faults.slow(0.7)], [faults.silent]) as w:
        await practise(w, policy)
        reply = await w.ask()
        assert reply.text == PRIMARY
        assert sorted(outcomes(reply)) == ["cancelled", "ok"]
        await asyncio.sleep(0.05)
        assert w.second.got[0].hung_up
        await w.spent()


async def test_two_that_answer_at_once_make_one_reply_and_two_records(tmp_path: Path, policy: Hedging) -> None:
    both = asyncio.Barrier(2)

    async def together(x: Exchange) -> None:
        await both.wait()
        await answers(x)

    async with world(tmp_path, "groq", [together], [together]) as w:
        for number in range(4):
            before = await practise(w, policy)
            reply = await w.ask(streamed=number % 2 == 0)
            assert sorted(outcomes(reply)) == ["cancelled", "ok"]
            known = sum(round(attempt.cost_usd * 1e6) for attempt in reply.attempts)
            assert await w.spent() - before >= known


@pytest.mark.parametrize("failing", ["first", "second"])
async def test_one_of_two_may_fail(tmp_path: Path, policy: Hedging, failing: str) -> None:
    async def late_failure(x: Exchange) -> None:
        await asyncio.sleep(0.3)
        await faults.status(500)(x)

    plays = ([late_failure], [faults.slow(0.8)]) if failing == "first" else ([faults.slow(1.0)], [faults.status(500)])
    async with world(tmp_path, "groq", *plays) as w:
        await practise(w, policy)
        reply = await w.ask()
        assert reply.text == (RESCUE if failing == "first" else PRIMARY)
        assert sorted(outcomes(reply)) == ["ok", "overload"]
        await w.spent()


async def test_an_answer_while_room_is_sought_asks_nobody_else(
    tmp_path: Path, policy: Hedging, monkeypatch: pytest.MonkeyPatch
) -> None:
    reserve = Book.reserve

    async def slowly(self: Book, candidate: object, *more: object, **words: object) -> object:
        got = await reserve(self, candidate, *more, **words)  # type: ignore[arg-type]
        if getattr(candidate, "provider", "") == "second":
            await asyncio.sleep(0.3)
        return got

    async with world(tmp_path, "groq", [faults.slow(0.15)]) as w:
        await practise(w, policy)
        monkeypatch.setattr(Book, "reserve", slowly)
        assert outcomes(await w.ask()) == ["ok"]
        assert not w.second.got
        await w.spent()  # and what was got is given back


async def test_who_is_always_overtaken_is_not_raced_against_for_ever(tmp_path: Path, policy: Hedging) -> None:
    async with world(tmp_path, "groq", [faults.silent]) as w:
        await practise(w, policy)
        for number in range(14):
            assert (await w.ask(f"Why {number}?")).text == RESCUE
        assert await w.breaker() == "open"
        assert len(w.first.got) < 14
