"""Recorded tasks decided again (I5), and what another policy would have come to."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fakes import FakeClock
from understudy.director.provenance import record_of
from understudy.director.trail import Trail
from understudy.policies import lattice, registry
from understudy.policies.record import fleet_from_list, fleet_hash, fleet_to_list
from understudy.policies.replay import Came, Recorded, read, replay
from understudy.store.store import Store
from understudy.types import Facts, Intent, Quality, Sensitivity, Standing

LONG = 4_000  # tasks


async def keep(store: Store, number: int, facts: Facts, name: str) -> None:
    """As the loop of a task does."""
    policy = registry.load(name)
    trail = Trail(f"r-{number:010x}", "s-1", 1_800_000_000.0 + number, 0.0)
    trail.policy, trail.policy_hash = policy.name, policy.hash
    fleet = fleet_hash(facts.fleet)
    await store.replies.keep_fleet(fleet, fleet_to_list(facts.fleet))
    await store.replies.save(record_of(trail, facts, policy.decide(facts), {"agent": "x"}, fleet))


async def recorded(store: Store, since: float = 0.0) -> list[Recorded]:
    fleets: dict[str, tuple] = {}
    found = []
    async for record in store.replies.each(since):
        name = record["facts"]["fleet"]
        if name not in fleets:
            fleets[name] = fleet_from_list(await store.replies.fleet(name))
        one = read(record, fleets[name])
        assert one is not None
        found.append(one)
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_long_recorded_set_is_decided_as_it_was(tmp_path: Path) -> None:
    """Thousands of facts of every kind by every policy, through the real store: the same decision for every one."""
    space = itertools.islice(lattice.walk(), 0, None, 16)
    store = await Store.open(tmp_path, FakeClock())
    try:
        many = list(enumerate(zip(itertools.islice(space, LONG), itertools.cycle(registry.RELEASED), strict=False)))
        for some in range(0, LONG, 200):  # writes of one moment share a turn of the store
            await asyncio.gather(*(keep(store, n, facts, name) for n, (facts, name) in many[some : some + 200]))
        every = await recorded(store)
    finally:
        await store.close()
    assert len(every) == LONG
    for one in every:
        assert registry.load(one.policy).decide(one.facts) == one.decision, one.id
    for name in registry.RELEASED:
        of_it = [one for one in every if one.policy == name]
        again = replay(of_it, registry.load(name).decide, name=name, hash=registry.load(name).hash)
        assert (again.tasks, again.same, again.broken) == (len(of_it), len(of_it), ())
        assert again.tasks == LONG // len(registry.RELEASED)


standing = st.builds(
    Standing,
    domain=st.sampled_from([c.domain for c in lattice.FLEET]),
    wait=st.floats(0, 1e5),
    left=st.floats(0, 1),
    breaker=st.sampled_from(["closed", "open", "half-open"]),
    latency=st.floats(0, 600),
    first_token=st.floats(0, 60),
)
any_facts = st.builds(
    Facts,
    intent=st.sampled_from(Intent),
    probability=st.floats(0, 1),
    sensitivity=st.sampled_from(Sensitivity),
    input_tokens=st.integers(0, 10**7),
    max_tokens=st.none() | st.integers(1, 10**5),
    quality=st.sampled_from(Quality),
    agent=st.none() | st.sampled_from(["tester", "planner", "coder"]),
    deadline=st.floats(0.1, 1e5),
    has_schema=st.booleans(),
    multi_step=st.booleans(),
    handed=st.booleans(),
    has_tools=st.booleans(),
    explicit_intent=st.booleans(),
    rotation=st.integers(0, 10**6),
    director_left=st.integers(0, 10**5),
    fleet=st.lists(st.sampled_from(lattice.FLEET), unique=True, max_size=8).map(tuple),
    resting=st.lists(st.sampled_from([c.domain for c in lattice.FLEET]), max_size=3).map(tuple),
    standings=st.lists(standing, max_size=6, unique_by=lambda s: s.domain).map(tuple),
    director=st.sampled_from(["", lattice.OPUS.domain, lattice.SONNET.domain]),
    phase=st.integers(0, 4),
    hour=st.integers(0, 10**6),
    draw=st.floats(0, 1, exclude_max=True),
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(any_facts, st.sampled_from(registry.RELEASED)), min_size=1, max_size=20))
async def test_whatever_was_recorded_is_decided_as_it_was(tmp_path_factory: pytest.TempPathFactory, given_) -> None:
    store = await Store.open(tmp_path_factory.mktemp("home"), FakeClock())
    try:
        for number, (facts, name) in enumerate(given_):
            await keep(store, number, facts, name)
        every = await recorded(store)
    finally:
        await store.close()
    assert [one.facts for one in every] == [facts for facts, _ in given_]
    assert all(registry.load(one.policy).decide(one.facts) == one.decision for one in every)


async def test_since_counts_from_a_time(tmp_path: Path) -> None:
    store = await Store.open(tmp_path, FakeClock())
    try:
        for number, facts in enumerate(itertools.islice(lattice.walk(whole=False), 10)):
            await keep(store, number, facts, "v1")
        assert len(await recorded(store, 1_800_000_004.0)) == 6
    finally:
        await store.close()


def test_records_of_before_are_decided_again() -> None:
    """Facts and decisions that lack what this version added."""
    facts = Facts(Intent.CODING, 1.0, Sensitivity.PUBLIC, 10, fleet=lattice.FLEET)
    made = record_of(Trail("r-1", "s", 1.0, 0.0), facts, registry.load("v1").decide(facts), {}, "f")
    old = made | {
        "facts": {
            k: v for k, v in made["facts"].items() if k not in ("director", "phase", "hour", "draw", "standings")
        },
        "decision": {k: v for k, v in made["decision"].items() if k not in ("advice", "propensity")},
    }
    one = read(old, lattice.FLEET)
    assert one is not None
    assert registry.load("v1").decide(one.facts) == one.decision


def test_what_was_never_decided_is_not_there() -> None:
    assert read({"id": "r-1", "facts": None, "decision": None}, ()) is None


FLEET = (lattice.GROQ_8B, lattice.FLASH, lattice.OPUS)
BASE = Facts(Intent.QUICK_QA, 1.0, Sensitivity.PUBLIC, 10, fleet=FLEET, director=lattice.OPUS.domain)


def task(number: int, facts: Facts, *tried: tuple[str, bool, float, float, float], propensity: float = 1.0) -> Recorded:
    decision = replace(registry.load("v1").decide(facts), propensity=propensity)
    came = Came(any(t[1] for t in tried), sum(t[2] for t in tried), sum(t[3] for t in tried))
    return Recorded(f"r-{number}", facts, decision, "v1", registry.load("v1").hash, came, tried)


SMALL, LARGE = lattice.GROQ_8B.name, lattice.OPUS.name


def test_known_outcomes_are_reckoned_and_unknown_ones_said_to_be() -> None:
    quick = [task(n, BASE, (SMALL, True, 1.0, 0.001, 0.0)) for n in range(6)]
    coding = replace(BASE, intent=Intent.CODING)
    code = [task(10 + n, coding, (LARGE, n != 0, 20.0, 0.5, 0.0)) for n in range(4)]
    control = registry.load("control")
    sums = replay([*quick, *code], control.decide, name="control", hash=control.hash)
    assert (sums.tasks, sums.same, sums.differ, sums.unknown) == (10, 4, 6, 6)
    assert sums.groups.most_common(1)[0] == ((f"first {SMALL} -> {LARGE}",), 6)
    assert sums.was.to_dict()["answered"] == 0.9
    seen = [task(20 + n, BASE, (LARGE, True, 10.0, 0.1, 0.0)) for n in range(4)]
    sums = replay([*quick, *seen], control.decide)
    assert (sums.unknown, sums.would_be.tasks) == (0, 10)
    assert sums.would_be.to_dict()["seconds"] == 10.0
    assert sums.was_known.to_dict()["seconds"] == pytest.approx((6 * 1.0 + 4 * 10.0) / 10)


def test_a_chain_whose_next_one_is_unknown_is_unknown() -> None:
    """The large one fails half the time, and of who stands behind it nothing is recorded."""
    seen = [task(n, BASE, (LARGE, n % 2 == 0, 10.0, 0.1, 0.0)) for n in range(4)]
    sums = replay(seen, registry.load("control").decide)
    assert sums.unknown == 4
    assert sums.would_be.tasks == 0


def test_expected_cost_and_latency_along_the_chain() -> None:
    fleet = (lattice.GROQ_8B, lattice.OPUS)
    facts = replace(BASE, fleet=fleet)
    seen = [
        task(n, facts, (SMALL, n % 2 == 0, 1.0, 0.002, 0.0), *([] if n % 2 == 0 else [(LARGE, True, 10.0, 0.1, 0.05)]))
        for n in range(8)
    ]
    control = replay(seen, registry.load("control").decide).would_be.to_dict()
    assert control == {"tasks": 8, "answered": 1.0, "seconds": 10.0, "list_usd": 0.8, "paid_usd": 0.4}
    was = replay(seen, registry.load("control").decide).was.to_dict()
    assert was["seconds"] == 6.0
    assert was["list_usd"] == pytest.approx(8 * 0.002 + 4 * 0.1)


def test_who_rested_then_is_not_reckoned_with() -> None:
    facts = replace(BASE, fleet=(lattice.GROQ_8B, lattice.OPUS), resting=(lattice.OPUS.domain,))
    seen = [task(n, facts, (SMALL, True, 1.0, 0.002, 0.0)) for n in range(5)]
    sums = replay(seen, registry.load("control").decide)
    assert sums.would_be.to_dict()["seconds"] == 1.0


def test_propensities_weigh() -> None:
    """One task of ten went to the large one by chance: what always going there comes to is told from those alone."""
    explored = [
        task(n, BASE, (SMALL, True, 1.0, 0.001, 0.0), propensity=0.9) if n % 10 else _by_chance(n) for n in range(100)
    ]
    weighted = replay(explored, registry.load("control").decide).weighted.to_dict()
    assert weighted is not None
    assert (weighted["tasks"], weighted["matched"]) == (100, 10)
    assert weighted["effective"] == 10.0
    assert weighted["seconds"] == pytest.approx(20.0)
    assert replay(explored, registry.load("v1").decide).weighted.to_dict()["seconds"] == pytest.approx(1.0)  # type: ignore[index]


def _by_chance(number: int) -> Recorded:
    one = task(number, BASE, (LARGE, True, 20.0, 0.5, 0.0), propensity=0.1)
    last = next(link for link in one.decision.chain if link.domain == lattice.OPUS.domain)
    rest = tuple(link for link in one.decision.chain if link is not last)
    return replace(one, decision=replace(one.decision, chain=(last, *rest)))


def test_nothing_explored_nothing_weighed() -> None:
    assert replay([task(1, BASE, (SMALL, True, 1.0, 0.0, 0.0))], registry.load("v1").decide).weighted.to_dict() is None


def test_a_released_policy_that_was_changed_is_told() -> None:
    hashed = registry.load("v1").hash
    sums = replay(
        [task(1, BASE, (SMALL, True, 1.0, 0.0, 0.0))], registry.load("control").decide, name="v1", hash=hashed
    )
    assert sums.broken == ("r-1",)
