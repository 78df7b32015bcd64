"""The checkpoint itself: what is kept once stays, whoever runs a chunk twice."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tests.fakes import FakeClock
from tests.pipelines.test_makespan import MemoryShelf
from understudy.errors import UsageError
from understudy.pipelines.hours import Hours
from understudy.store.campaign_records import LEASE, Failed, NewItem, Result
from understudy.store.campaigns import CampaignTable


def made(n: int, text: str = "plum") -> Result:
    return Result(n, 1.0, "r-1", "groq/m", "free", 10, 5, 3, 0.1, text)


async def begun(items: int = 4, limit: int | None = None) -> tuple[CampaignTable, FakeClock]:
    clock = FakeClock()
    table = CampaignTable(MemoryShelf(), clock)
    await table.create("c", "fruit", "{}", limit_micro_usd=limit)
    await table.add("c", [NewItem(n, f"k{n}", "", '{"text": "x"}') for n in range(items)], 100)
    await table.seal("c", 100, grouped=False)
    return table, clock


async def test_what_was_in_flight_at_two_crashes_is_set_aside() -> None:
    table, _ = await begun(2)
    for worker in ("w1", "w2"):
        items, lost = await table.take("c", 0, worker)
        assert ([i.n for i in items], lost) == ([0, 1], 0)
        assert await table.begin("c", worker, [0]) == {0}
    items, lost = await table.take("c", 0, "w3")
    assert ([i.n for i in items], lost) == ([1], 1)
    (aside,) = await table.asides("c", 5)
    assert aside["why"] == "two crashes with it in flight"
    assert (await table.tallies("c")).set_aside == 1
    assert await table.reopen("c") == 1
    assert [i.n for i in (await table.take("c", 0, "w4"))[0]] == [0, 1]


async def test_what_a_living_worker_has_in_flight_is_left_to_it() -> None:
    table, clock = await begun(2)
    await table.join("c", "w1", "here", 1)
    await table.take("c", 0, "w1")
    await table.begin("c", "w1", [0])
    await table.join("c", "w2", "there", 2)
    assert [i.n for i in (await table.take("c", 0, "w2"))[0]] == [1]
    assert await table.bury("c", "w2") == ()
    clock.time += LEASE + 1
    await table.beat("c", "w2")
    assert await table.bury("c", "w2") == ("w1",)
    assert await table.bury("c", "w2") == (), "each is taken over once"
    assert await table.beat("c", "w1") is None, "who was taken for dead has to stop"
    assert [i.n for i in (await table.take("c", 0, "w2"))[0]] == [0, 1]


async def test_the_first_result_stays_and_the_second_is_charged() -> None:
    table, _ = await begun(1)
    await table.begin("c", "w1", [0])
    await table.finish("c", [made(0)])
    await table.finish("c", [made(0, "pear")])
    await table.finish("c", [Failed(0, "overload", "late", aside=True)])
    (row,) = await table.results("c", -1, 10)
    tallies = await table.tallies("c")
    assert row["text"] == "plum"
    assert (tallies.done, tallies.set_aside, tallies.micro_usd) == (1, 0, 6)
    assert await table.begin("c", "w1", [0]) == frozenset(), "what is done is never begun again"


async def test_slices_of_the_money_are_never_more_than_the_limit() -> None:
    table, _ = await begun(1, limit=1_000)
    got = [await table.grant("c", home, 0.3) for home in ("a", "b", "a", "b") for _ in range(30)]
    assert got[-1] is not None
    homes = dict.fromkeys(("a", "b"), 0)
    for home in homes:
        homes[home] = await table.grant("c", home, 0.5) or 0
    assert sum(homes.values()) == 1_000
    await table.give_back("c", "a", 400)
    assert await table.grant("c", "b", 1.0) == homes["b"] + 400


@pytest.mark.parametrize(
    ("now", "open_in"),
    [
        (datetime(2026, 11, 21, 3, 0), 0.0),
        (datetime(2026, 11, 21, 5, 59), 0.0),
        (datetime(2026, 11, 21, 6, 0), 16 * 3600),
        (datetime(2026, 11, 21, 21, 59), 60),
        (datetime(2026, 11, 21, 23, 59), 0.0),
        (datetime(2026, 11, 22, 0, 30), 2.5 * 3600),
    ],
)
def test_hours_are_those_of_the_zone(now: datetime, open_in: float) -> None:
    zone = ZoneInfo("Europe/Berlin")
    hours = Hours.parse(("03:00-06:00", "22:00-24:00"), "Europe/Berlin")
    assert hours.until_open(now.replace(tzinfo=zone).timestamp()) == open_in
    assert hours.share() == 5 / 24


def test_hours_over_midnight() -> None:
    hours = Hours.parse(("22:00-04:00",))
    for hour, is_open in ((21, False), (22, True), (3, True), (4, False)):
        assert (hours.until_open(datetime(2026, 11, 21, hour, tzinfo=UTC).timestamp()) == 0) is is_open
    for wrong in ("3-6", "03:00-06:60", "25:00-26:00", ""):
        with pytest.raises(UsageError):
            Hours.parse((wrong,))
