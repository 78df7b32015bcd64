"""The traffic of a day and what goes wrong in it are drawn from the seed, and as the scenario says."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from understudy.rehearsal.script import Script, ScriptedModel
from understudy.scenarios.scenario import Event, load_scenario
from understudy.scenarios.traffic import WORKING_DAY, traffic
from understudy.scenarios.weather import HOUR, Sky
from understudy.types import Priority, Sensitivity

DAY = replace(load_scenario("normal"), requests=4_000)


class Now:
    def __init__(self) -> None:
        self.hours = 0.0

    def now(self) -> float:
        return DAY.begins + self.hours * HOUR

    async def sleep(self, seconds: float) -> None: ...


def test_the_same_seed_gives_the_same_day_and_another_another() -> None:
    one, two, other = (list(traffic(s)) for s in (DAY, DAY, replace(DAY, seed=2)))
    assert one == two
    assert one != other
    assert [a.at for a in one] == sorted(a.at for a in one)
    assert len(one) == 4_000


def test_shares_are_kept() -> None:
    day = list(traffic(DAY))

    def share(counted: list[bool]) -> float:
        return sum(counted) / len(day)

    assert abs(share([bool(a.mark) for a in day]) - DAY.traffic.private) < 0.02
    assert abs(share([a.task.priority is Priority.BATCH for a in day]) - DAY.traffic.batch) < 0.03
    assert abs(share([a.task.session is not None for a in day]) - DAY.traffic.conversations) < 0.03
    labelled = [a.task.sensitivity is Sensitivity.PRIVATE for a in day if a.mark]
    assert 0.3 < sum(labelled) / len(labelled) < 0.7, "some are for the gate to find"
    assert all(a.mark in a.task.text for a in day)


def test_a_working_day_has_its_hours() -> None:
    counts = [0] * 24
    for arrival in traffic(DAY):
        counts[int(arrival.at / HOUR)] += 1
    busiest = max(range(24), key=WORKING_DAY.__getitem__)
    assert counts[busiest] > 5 * max(1, counts[2])
    flat = replace(DAY, traffic=DAY.traffic.model_copy(update={"shape": "flat"}))
    assert all(0 <= a.at <= 24 * HOUR for a in traffic(flat))
    bursts = replace(DAY, traffic=DAY.traffic.model_copy(update={"shape": "bursts"}))
    assert all(a.at % HOUR <= 60 for a in traffic(bursts))


def event(**words: object) -> Event:
    return Event.model_validate(words)


def sky(now: Now, *events: Event) -> Sky:
    return Sky(events, DAY.begins, now, random.Random(1))


def test_an_event_strikes_whom_it_names_while_it_lasts() -> None:
    now = Now()
    over = sky(now, event(what="auth", provider="groq", account="a", key=1, **{"from": 2, "until": 3}))
    groq = over.over("groq", Script(accounts={"a": ("k1", "k2"), "b": ("k3",)}))
    gemini = over.over("gemini", Script(accounts={"a": ("k1",)}))
    assert groq("a", "k1", "m") is None
    now.hours = 2.5
    struck = groq("a", "k1", "m")
    assert struck is not None
    assert struck.kind == "auth"
    assert groq("a", "k2", "m") is None
    assert groq("b", "k3", "m") is None
    assert over.struck == {0: 1}
    assert gemini("a", "k1", "m") is None
    now.hours = 3
    assert groq("a", "k1", "m") is None


@pytest.mark.parametrize("named", ["scout", "meta/scout", "meta/scout-17b"])
@pytest.mark.parametrize("asked", ["scout", "meta/scout-17b"])
def test_a_model_is_struck_by_each_of_its_names(named: str, asked: str) -> None:
    script = Script(models=(ScriptedModel(id="scout", aliases=("meta/scout*",)), ScriptedModel(id="other")))
    weather = sky(Now(), event(what="cut", model=named)).over("x", script)
    assert weather("a", "k", asked) is not None
    assert weather("a", "k", "other") is None
    assert weather("a", "k", "unheard of") is None


def test_a_share_of_the_requests() -> None:
    now = Now()
    weather = sky(now, event(what="cut", share=0.2)).over("x", Script())
    struck = sum(weather("a", "k", "m") is not None for _ in range(2_000))
    assert 300 < struck < 500


def test_what_happens_at_home_strikes_no_provider() -> None:
    now = Now()
    over = sky(now, event(what="store_gone", **{"from": 1}))
    assert not over.at_home("store_gone")
    now.hours = 1
    assert over.at_home("store_gone")
    assert not over.at_home("book_gone")
    assert over.strikes("store_gone")
    assert not over.strikes("book_gone")
    assert over.struck == {0: 1}, "to look whether it is on is not to suffer from it"
    assert over.over("x", Script())("a", "k", "m") is None
    assert over.moments("store_gone") == ((DAY.begins + HOUR, 0),)
