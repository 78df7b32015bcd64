"""Campaigns on the real director, ledger, book and store; only the wire is left out."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from tests.pipelines.stand import Fruit, Stand, numbers, open_stand, orders
from understudy.errors import UsageError
from understudy.pipelines.orders import chosen
from understudy.types import Candidate


class Quick(FakeClock):
    """Waiting takes no time."""

    def __init__(self) -> None:
        super().__init__(time.time())


async def test_every_item_is_asked_once(tmp_path: Path) -> None:
    async with open_stand(tmp_path) as stand:
        campaign = await stand.campaigns.begin(orders(chunk=20), numbers(50))
        assert (campaign.items, campaign.chunks) == (50, 3)
        ended = await stand.campaigns.crew(campaign).work()
        progress = await stand.campaigns.progress(campaign.id)
        told = [row async for row in stand.campaigns.results(campaign.id)]
    assert ended.state == "done"
    assert (progress.done, progress.left, progress.set_aside) == (50, 0, 0)
    assert len(stand.asked) == 50
    assert set(stand.asked.values()) == {1}
    assert [row["fields"]["number"] for row in told] == list(range(50))
    assert all(row["text"] for row in told)


async def test_the_same_key_is_asked_once(tmp_path: Path) -> None:
    async with open_stand(tmp_path) as stand:
        campaign = await stand.campaigns.begin(orders(), [*numbers(5), *numbers(5)])
        await stand.campaigns.crew(campaign).work()
        assert campaign.items == 5
        assert sum(stand.asked.values()) == 5


async def test_nothing_is_begun_that_could_not_work(tmp_path: Path) -> None:
    wrong = [
        (orders(), (), "no items"),
        (orders(agent="nobody"), numbers(1), "nobody"),
        (orders(intent="dancing"), numbers(1), "dancing"),
        (orders(checks=("lies",)), numbers(1), "lies"),
        (orders(tiers=("local",)), numbers(1), "local"),
        (orders(shares={"gpt-9": 0.5}), numbers(1), "gpt-9"),
        (orders(hours=("25:00-26:00",)), numbers(1), "25:00"),
        (orders(zone="Mars/Base"), numbers(1), "Mars"),
        (orders(chunk=5_000), numbers(1), "chunk"),
        (orders(), numbers(1, text=" "), "empty"),
    ]
    async with open_stand(tmp_path) as stand:
        for order, items, named in wrong:
            with pytest.raises(UsageError, match=named):
                await stand.campaigns.begin(order, items)
        assert await stand.campaigns.every() == ()


async def test_who_is_hopeless_is_set_aside_with_the_reason_and_resumed_alone(tmp_path: Path) -> None:
    faults = '[[models.faults]]\nkind = "empty"\nmatching = "fruit 3,"\ntimes = 9'
    async with open_stand(tmp_path, faults=faults, clock=Quick()) as stand:
        campaign = await stand.campaigns.begin(orders(retries=1), numbers(10))
        await stand.campaigns.crew(campaign).work()
        progress = await stand.campaigns.progress(campaign.id)
        (aside,) = await stand.campaigns.table.asides(campaign.id, 5)
        assert (progress.campaign.state, progress.done, progress.set_aside) == ("done", 9, 1)
        assert aside["key"] == "k3"
        assert aside["why"]
        assert aside["tries"] == 2
        assert sum(progress.tallies.failure[k].count for k in progress.tallies.failure) == 2
        before = dict(stand.asked)
        for _ in range(4):
            resumed, missing = await stand.campaigns.reopen(campaign.id)
            if not missing:
                break
            assert missing == 1
            await stand.campaigns.crew(resumed).work()
        progress = await stand.campaigns.progress(campaign.id)
        assert (progress.done, progress.set_aside, progress.left) == (10, 0, 0)
        changed = {text for text in stand.asked if stand.asked[text] != before.get(text)}
        assert all("fruit 3," in text for text in changed)


async def test_too_many_errors_stop_it_and_what_is_left_stays_open(tmp_path: Path) -> None:
    faults = '[[models.faults]]\nkind = "empty"'
    async with open_stand(tmp_path, faults=faults, clock=Quick()) as stand:
        campaign = await stand.campaigns.begin(orders(retries=0, at_once=4), numbers(200))
        ended = await stand.campaigns.crew(campaign).work()
        progress = await stand.campaigns.progress(campaign.id)
    assert ended.state == "stopped"
    assert ended.reason.startswith("errors: 100%")
    assert progress.left > 150
    assert progress.set_aside < 40


async def test_the_money_limit_is_kept_to_the_micro_dollar(tmp_path: Path) -> None:
    """A paid model: spent and reserved never exceed the limit, and the campaign says why it stopped."""
    async with open_stand(tmp_path, free=False) as stand:
        campaign = await stand.campaigns.begin(orders(usd=0.0002, max_tokens=64), numbers(400))
        ended = await stand.campaigns.crew(campaign).work()
        progress = await stand.campaigns.progress(campaign.id)
        balance = await stand.director.parts.store.ledger.balance(f"campaign:{campaign.id}")
        assert ended.state == "stopped"
        assert ended.reason.startswith("money")
        assert 0 < progress.done < 400
        assert balance.spent.micro_usd + balance.reserved.micro_usd <= 200
        assert progress.tallies.micro_usd <= 200
        first = progress.done
        resumed, missing = await stand.campaigns.reopen(campaign.id, usd=0.01)
        assert missing == 400 - first
        ended = await stand.campaigns.crew(resumed).work()
        assert ended.state == "done"
        assert max(stand.asked.values()) == 1


async def test_pause_resume_and_cancel(tmp_path: Path) -> None:
    async with open_stand(tmp_path, latency=0.02) as stand:
        campaign = await stand.campaigns.begin(orders(chunk=10, at_once=2), numbers(60))
        working = asyncio.create_task(stand.campaigns.crew(campaign).work())
        await _asked(stand, 5)
        await stand.campaigns.pause(campaign.id)
        assert (await working).state == "paused"
        progress = await stand.campaigns.progress(campaign.id)
        assert 0 < progress.done < 60
        assert not progress.workers
        resumed, missing = await stand.campaigns.reopen(campaign.id)
        assert missing == 60 - progress.done
        assert (await stand.campaigns.crew(resumed).work()).state == "done"
        assert set(stand.asked.values()) == {1}
        with pytest.raises(UsageError, match="cannot be cancelled"):
            await stand.campaigns.cancel(campaign.id)
        other = await stand.campaigns.begin(orders(), numbers(3))
        assert (await stand.campaigns.cancel(other.id)).state == "cancelled"
        with pytest.raises(UsageError, match="was cancelled"):
            await stand.campaigns.reopen(other.id)


async def test_stopping_leaves_it_resumable(tmp_path: Path) -> None:
    async with open_stand(tmp_path, latency=0.02) as stand:
        campaign = await stand.campaigns.begin(orders(chunk=10, at_once=2), numbers(40))
        crew = stand.campaigns.crew(campaign)
        working = asyncio.create_task(crew.work())
        await _asked(stand, 5)
        crew.stop()
        await working
        progress = await stand.campaigns.progress(campaign.id)
        assert progress.interrupted
        assert progress.as_dict()["state"] == "interrupted"
        assert 0 < progress.left < 40
        again, _ = await stand.campaigns.reopen(campaign.id)
        assert (await stand.campaigns.crew(again).work()).state == "done"
        assert set(stand.asked.values()) == {1}


async def test_shares_are_kept_and_the_same_each_time() -> None:
    first = Candidate("a", "groq", "x", "one")
    second = Candidate("b", "groq", "x", "two")
    order = orders(shares={"one": 0.25})
    drawn = [chosen(order, f"k{n}", (first, second)) for n in range(2_000)]
    ones = sum(names == ("a/one",) for names in drawn)
    assert 400 < ones < 600
    assert all(names in (("a/one",), ("b/two",)) for names in drawn)
    assert drawn == [chosen(order, f"k{n}", (first, second)) for n in range(2_000)]


async def test_items_that_share_a_field_are_neighbours(tmp_path: Path) -> None:
    async with open_stand(tmp_path) as stand:
        campaign = await stand.campaigns.begin(orders(chunk=5, group_by="kind", at_once=1), _mixed())
        chunks = [await stand.campaigns.table.take(campaign.id, n, "w") for n in range(4)]
    kinds = [[json.loads(i.input)["fields"]["kind"] for i in items] for items, _ in chunks]
    assert kinds == [["a"] * 5, ["a"] * 5, ["b"] * 5, ["b"] * 5]


async def _asked(stand: Stand, count: int) -> None:
    while sum(stand.asked.values()) < count:  # noqa: ASYNC110  the provider is not ours to be told by
        await asyncio.sleep(0.01)


def _mixed() -> list[Fruit]:
    return [Fruit(f"k{n}", {"kind": "ab"[n % 2]}, f"Name fruit {n}.") for n in range(20)]
