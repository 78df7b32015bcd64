"""A campaign under windows, in virtual time: as soon as the plan's minimum, and not one refusal of its own making."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.pipelines.stand import numbers, orders, settings_for, stage
from understudy.config.quota import DAY
from understudy.director.director import Director
from understudy.director.parts import Parts
from understudy.director.validators import validators
from understudy.fleet.book import Book
from understudy.fleet.form import PageForm
from understudy.pipelines.campaigns import Campaigns
from understudy.pipelines.runner import Runner
from understudy.rehearsal.virtual import START, LoopClock, run_virtually
from understudy.store.campaign_schema import FIRST
from understudy.store.memory_store import MemoryStore
from understudy.store.pages import MemoryPages

T = TypeVar("T")


class MemoryShelf:
    shared = False

    def __init__(self) -> None:
        self.db = sqlite3.connect(":memory:")
        for statement in FIRST:
            self.db.execute(statement)

    async def write(self, work: Callable[[Any], T]) -> T:
        with self.db:
            return work(self.db)

    async def read(self, work: Callable[[Any], T]) -> T:
        return work(self.db)

    async def close(self) -> None:
        self.db.close()


async def made(home: Path, calls: int, limits: str, **more: Any) -> tuple[float, dict[str, Any], int, int]:
    """Seconds it took, how it stands, refusals of its own making, requests that arrived."""
    from understudy.agents.roster import roster
    from understudy.classifiers.gate import Gate
    from understudy.classifiers.local import LocalScorer

    settings, clock = settings_for(home, latency=0.5, limits=limits), LoopClock()
    listed = await roster(settings)
    parts = Parts(
        settings=settings,
        store=MemoryStore(clock),  # type: ignore[arg-type]
        gate=Gate(()),
        scorer=LocalScorer.load(),
        validators=validators(),
        fleet=listed.candidates,
        notes=(),
        clock=clock,
        book=Book(MemoryPages(PageForm(), clock)),
    )
    director = Director.over(parts)
    host, shelf = stage(director), MemoryShelf()
    campaigns = Campaigns(director, shelf)
    campaign = await campaigns.begin(orders(chunk=200, at_once=64, **more), numbers(calls))
    await campaigns.table.join(campaign.id, "w", "here", 1)
    runner = Runner(director, campaigns.table, campaign.id, orders(at_once=64, **more), "w", "here")
    began = clock.now()
    for chunk in await campaigns.table.open_chunks(campaign.id):
        await runner.chunk(campaign.id, chunk)
    span = clock.now() - began
    told = (await campaigns.progress(campaign.id)).as_dict()
    assert runner.broken is None
    await shelf.close()
    await parts.close()
    return span, told, sum(host.earned.values()), host.requests


@pytest.mark.parametrize("minute", ["fixed", "rolling", "bucket"])
def test_no_time_is_lost_and_nothing_is_refused(tmp_path: Path, minute: str) -> None:
    span, told, earned, requests = run_virtually(made(tmp_path, 600, f'rpm = 30, minute = "{minute}"'))
    assert told["done"] == 600
    assert earned == 0
    assert requests == 600
    assert span <= 1.05 * 19 * 60 + 60, "20 windows of 30, the first of which is open at the beginning"


def test_a_day_limit_is_waited_for_without_a_failure(tmp_path: Path) -> None:
    span, told, earned, requests = run_virtually(made(tmp_path, 250, "rpm = 30, rpd = 100"))
    assert (told["done"], told["failures"], earned, requests) == (250, {}, 0, 250)
    assert 2 * DAY <= span <= 2.1 * DAY


def test_it_runs_at_its_hours_only(tmp_path: Path) -> None:
    """The clock begins on a Thursday at 08:53 UTC; the window opens at 22:00 in Berlin, which is 20:00 UTC."""
    more = {"hours": ("22:00-23:00",), "zone": "Europe/Berlin"}
    span, told, _, requests = run_virtually(made(tmp_path, 40, "", **more))
    midnight = START - START % DAY
    opens = midnight + 20 * 3600 - START
    assert told["done"] == requests == 40
    assert opens <= span <= opens + 60
