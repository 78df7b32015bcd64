"""The best mix, against every way to split the calls there is."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.pipelines.mix import best_mix, most_calls, soonest_mix
from understudy.pipelines.options import NANO, Option
from understudy.pipelines.pace import Pace, Rate


def option(  # noqa: PLR0917
    name: str, limit: int, cents: int, plan: str = "paid", provider: str = "", pool: str = "", lag: float = 0.0
) -> Option:
    """`limit` calls in each 100 seconds, at `cents` a call."""
    return Option(
        provider=provider or name,
        model=name,
        plan=plan,  # type: ignore[arg-type]
        accounts=1,
        pace=Pace((Rate("w", limit, 100.0),)),
        nano=cents * NANO // 100,
        pool=pool or name,
        lag=lag,
    )


def cheapest_by_hand(options: list[Option], calls: int, seconds: float, shares: dict[str, float]) -> int | None:
    """Nano-dollars of the cheapest split: all of them are tried."""
    wanted = {name: round(calls * share) for name, share in shares.items()}
    best: int | None = None
    for split in product(*(range(min(o.within(seconds), calls) + 1) for o in options)):
        if sum(split) != calls:
            continue
        taken = [(o, n) for o, n in zip(options, split, strict=True) if n]
        pools: dict[str, int] = {}
        for o, n in taken:
            pools[o.pool] = pools.get(o.pool, 0) + n
        plans: dict[str, set[bool]] = {}
        for o, _ in taken:
            plans.setdefault(o.provider, set()).add(o.plan == "free")
        most = {o.pool: o.within(seconds) for o in options}
        fits = all(n <= most[pool] for pool, n in pools.items()) and all(len(kinds) == 1 for kinds in plans.values())
        if fits and all(sum(n for o, n in taken if o.is_called(name)) == number for name, number in wanted.items()):
            cost = sum(o.nano * n for o, n in taken)
            best = cost if best is None else min(best, cost)
    return best


@st.composite
def markets(draw: st.DrawFn) -> list[Option]:
    """Up to four options; in half of the markets all are models of one account, which share its windows."""
    made: list[Option] = []
    shared = draw(st.booleans())
    for n in range(draw(st.integers(1, 4))):
        provider = "p" if shared else draw(st.sampled_from(["p", "q", f"own{n}"]))
        pool = "p/*" if shared and n < 3 else ""
        plan = "paid" if shared else draw(st.sampled_from(["free", "paid"]))
        limit = 3 if pool else draw(st.integers(0, 4))  # what shares a pool shares its windows
        cents = 0 if plan == "free" else draw(st.integers(1, 4))
        made.append(option(f"m{n}", limit, cents, plan, provider, pool and f"{pool}/{plan}"))
    return made


@given(
    options=markets(),
    calls=st.integers(1, 7),
    seconds=st.sampled_from([50.0, 150.0, 250.0]),
    share=st.sampled_from([0.0, 0.0, 0.4, 1.0]),
)
@settings(max_examples=200, deadline=None)
def test_no_split_is_cheaper(options: list[Option], calls: int, seconds: float, share: float) -> None:
    shares = {"m0": share} if share else {}
    by_hand = cheapest_by_hand(options, calls, seconds, shares)
    mix = best_mix(options, calls, deadline=seconds, shares=shares)
    assert (mix.nano if mix else None) == by_hand
    if mix:
        assert mix.calls == calls
        assert mix.seconds <= seconds
        assert all(part.calls <= part.option.within(seconds) for part in mix.parts)


@given(options=markets(), calls=st.integers(1, 7), cents=st.integers(0, 12))
@settings(max_examples=75, deadline=None)
def test_the_most_calls_are_the_most(options: list[Option], calls: int, cents: int) -> None:
    most = most_calls(options, calls, deadline=150.0, usd=cents / 100)
    fitting = [
        n
        for n in range(1, calls + 1)
        if (cost := cheapest_by_hand(options, n, 150.0, {})) is not None and cost <= cents * NANO // 100
    ]
    assert most == max(fitting, default=0)


@given(options=markets(), calls=st.integers(1, 6))
@settings(max_examples=75, deadline=None)
def test_of_equal_cost_the_soonest_is_taken(options: list[Option], calls: int) -> None:
    mix = best_mix(options, calls, deadline=450.0)
    if mix is None:
        return
    sooner = [t for t in (1.0, 101.0, 201.0, 301.0, 401.0) if cheapest_by_hand(options, calls, t, {}) == mix.nano]
    assert mix.seconds <= sooner[0]
    assert cheapest_by_hand(options, calls, mix.seconds + 1, {}) == mix.nano  # and it is not sooner than it can be


def test_free_ones_first_and_money_for_the_rest() -> None:
    options = [option("free", 3, 0, "free"), option("cheap", 4, 1), option("dear", 100, 5)]
    mix = best_mix(options, 10, deadline=50.0)
    assert mix is not None
    assert {p.option.model: p.calls for p in mix.parts} == {"free": 3, "cheap": 4, "dear": 3}
    assert mix.usd == pytest.approx(0.19)
    assert best_mix(options, 10, deadline=50.0, usd=0.18) is None
    later = best_mix(options, 10, deadline=1000.0)
    assert later is not None
    assert (later.usd, later.seconds) == (0.0, 300.0)  # nothing is paid where there is time


def test_an_account_is_on_one_plan() -> None:
    """Free and paid of one provider: three free calls and two paid ones would be cheaper, and are not to be had."""
    options = [option("m", 3, 0, "free", "groq", "f"), option("m", 9, 2, "paid", "groq", "p")]
    mix = best_mix(options, 5, deadline=50.0)
    assert mix is not None
    assert [(p.option.plan, p.calls) for p in mix.parts] == [("paid", 5)]


def test_models_of_one_account_share_what_it_may() -> None:
    both = [option("a", 3, 1, provider="p", pool="p/*"), option("b", 3, 1, provider="p", pool="p/*")]
    assert best_mix(both, 5, deadline=50.0) is None
    mix = best_mix(both, 5, deadline=450.0)
    assert mix is not None
    assert mix.seconds == 100.0
    halves = best_mix(both, 4, deadline=450.0, shares={"a": 0.5, "b": 0.5})
    assert halves is not None
    assert halves.seconds == 100.0


def test_a_pool_that_serves_two_shares_is_not_spent_twice() -> None:
    """Four calls of the pool: three are a's share, one is left for b, and c does the rest."""
    options = [option("a", 4, 1, provider="p", pool="p/*"), option("b", 4, 1, provider="p", pool="p/*")]
    mix = best_mix([*options, option("c", 9, 5)], 6, deadline=50.0, shares={"a": 0.5})
    assert mix is not None
    assert {p.option.model: p.calls for p in mix.parts} == {"a": 3, "b": 1, "c": 2}


def test_what_is_too_late_for_a_batch_is_not_given_to_it() -> None:
    batch = option("batch", 10, 1, "batch", lag=100.0)
    assert best_mix([batch], 5, deadline=99.0) is None
    mix = best_mix([batch, option("now", 10, 2)], 5, deadline=99.0)
    assert mix is not None
    assert mix.parts[0].option.model == "now"
    mix = best_mix([batch], 5, deadline=100.0)
    assert mix is not None
    assert mix.seconds == 100.0


def test_the_soonest_for_the_money() -> None:
    options = [option("free", 1, 0, "free"), option("paid", 5, 10)]
    mix = soonest_mix(options, 6, usd=0.30)
    assert mix is not None
    assert (mix.usd, mix.seconds) == (0.30, 200.0)
    assert soonest_mix([option("paid", 5, 10)], 6, usd=0.30) is None


def test_shares_are_kept_to_the_call() -> None:
    options = [option("a", 100, 9), option("b", 100, 1), option("c", 100, 2)]
    mix = best_mix(options, 7, deadline=50.0, shares={"a": 1 / 3, "b": 1 / 3})
    assert mix is not None
    assert {p.option.model: p.calls for p in mix.parts} == {"a": 2, "b": 2, "c": 3}
    thirds = best_mix(options, 7, deadline=50.0, shares={"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})
    assert thirds is not None
    assert thirds.calls == 7
