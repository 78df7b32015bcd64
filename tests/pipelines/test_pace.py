"""Windows: what they let through is what a schedule call by call lets through."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.pipelines.pace import Gate, Pace, Rate, gate_of, rates_of
from understudy.pipelines.spec import Spec, Tokens
from understudy.types import Limits, Window

DAY = 86_400.0
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def schedule(rates: list[Rate], calls: int) -> list[float]:
    """When each of them begins at the earliest: one by one, by the definition of a rolling window."""
    begins: list[float] = []
    for n in range(calls):
        earliest = [begins[n - r.whole] + r.seconds for r in rates if n >= r.whole]
        begins.append(max([0.0, *earliest, *begins[-1:]]))
    return begins


nested = st.tuples(st.integers(1, 5), st.integers(1, 12), st.integers(1, 40)).map(
    lambda n: [Rate("a", n[0], 60.0), Rate("b", n[1], 600.0), Rate("c", n[2], 3600.0)]
)


@given(rates=nested, used=st.sets(st.integers(0, 2), min_size=1), calls=st.integers(1, 120))
@settings(max_examples=300, deadline=None)
def test_the_soonest_is_that_of_a_schedule_call_by_call(rates: list[Rate], used: set[int], calls: int) -> None:
    chosen = [rates[i] for i in used]
    begins = schedule(chosen, calls)
    pace = Pace(tuple(chosen))
    assert pace.soonest(calls) == pytest.approx(begins[-1], abs=1)
    for seconds in (1.0, 61.0, 600.0, 3600.0, 7201.0):
        assert min(pace.within(seconds), calls) == sum(b < seconds for b in begins)


@given(rates=nested, calls=st.integers(1, 10_000))
def test_an_even_pace_is_never_sooner_than_the_soonest(rates: list[Rate], calls: int) -> None:
    pace = Pace(tuple(rates))
    assert pace.soonest(calls) <= pace.binding(calls)[1] * DAY + 1


def test_the_days_of_the_options_of_2026() -> None:
    groq = Pace((Rate("RPM", 30, 60.0), Rate("RPD", 14_400, DAY)))
    assert groq.binding(576_720) == ("RPD", pytest.approx(40.05))
    assert groq.binding(8_000) == ("RPD", pytest.approx(0.5556, abs=1e-4))
    assert groq.soonest(8_000) / 3600 == pytest.approx(4.43, abs=0.01)
    assert Pace(groq.rates, accounts=3).binding(576_720)[1] == pytest.approx(13.35)
    gemini = Pace(rates_of(Limits((Window("TPD", "tokens", 1_000_000, DAY),)), Tokens(input=240, output=60), NOON))
    assert gemini.binding(576_720) == ("TPD", pytest.approx(173.016))


def test_no_rate_at_all_holds_nothing_up() -> None:
    assert Pace(()).binding(10) == ("", 0.0)
    assert Pace(()).soonest(10**6) == 0.0


def test_a_window_no_call_fits_into_ends_never() -> None:
    assert Pace((Rate("TPM", 0.5, 60.0),)).soonest(1) == math.inf


def test_a_fixed_day_begins_anew_at_its_midnight() -> None:
    """At noon UTC it is 4 in the morning at Los Angeles: 20 hours are left of the day's quota."""
    window = Window("RPD", "requests", 100, DAY, "America/Los_Angeles")
    (rate,) = rates_of(Limits((window,)), Tokens(), NOON)
    assert rate.until == 20 * 3600
    pace = Pace((rate,))
    assert pace.within(3600.0) == 100
    assert pace.within(20 * 3600.0) == 100
    assert pace.within(20 * 3600.0 + 1) == 200
    assert pace.soonest(101) == pytest.approx(20 * 3600, abs=1)
    assert pace.soonest(301) == pytest.approx((20 + 48) * 3600, abs=1)


def test_of_two_windows_of_one_length_the_tighter_binds() -> None:
    assert Pace((Rate("RPM", 30, 60.0), Rate("TPM", 20, 60.0))).within(60.0) == 20


@pytest.mark.parametrize(
    ("charged", "cached_free", "calls"),
    [("used", False, 10), ("cap", False, 10), ("cap", True, 20), ("input", False, 12.5), ("input", True, 50)],
)
def test_tokens_are_charged_as_the_provider_counts_them(charged: str, cached_free: bool, calls: float) -> None:
    limits = Limits((Window("TPM", "tokens", 1000, 60.0),), charged=charged, cached_free=cached_free)  # type: ignore[arg-type]
    (rate,) = rates_of(limits, Tokens(input=80, output=20, cached=60 if cached_free else 0), NOON)
    assert rate.calls == pytest.approx({20: 25.0}.get(calls, calls))


def hours(*spans: str, zone: str = "UTC", begins: datetime = NOON) -> Gate:
    return gate_of(Spec.model_validate({"items": {"path": "x.csv"}, "hours": spans, "zone": zone}), begins)


def test_off_hours_are_waited_for() -> None:
    night = hours("03:00-06:00")
    assert night.open_seconds == 3 * 3600
    pace = Pace((Rate("RPM", 30, 60.0), Rate("RPD", 14_400, DAY)), gate=night)
    assert pace.within(15 * 3600.0) == 0  # from noon to three in the morning
    assert pace.within(18 * 3600.0) == 5400
    assert pace.within(4 * DAY) == 4 * 5400
    assert pace.soonest(5401) == pytest.approx(39 * 3600, abs=2)
    assert pace.even(5400)["RPM"] == pytest.approx(1.0)
    assert pace.even(14_400)["RPD"] == pytest.approx(1.0)


def test_off_hours_over_midnight_and_in_another_zone() -> None:
    assert hours("22:00-04:00").open_seconds == 6 * 3600
    berlin = hours("13:00-14:00", zone="Europe/Berlin")  # noon UTC is 13:00 there
    assert berlin.active(0, 3600) == 3600
    assert berlin.active(3600, DAY - 3600) == 0
    assert hours("22:00-24:00", "00:00-02:00", "01:00-03:00").open_seconds == 5 * 3600
    assert hours().active(0, 5.0) == 5.0


@given(st.floats(0, DAY), st.floats(0, DAY), st.floats(0, 3 * DAY), st.floats(0, 3 * DAY))
def test_open_hours_add_up(now: float, start: float, first: float, second: float) -> None:
    gate = Gate(((3 * 3600, 6 * 3600), (20 * 3600, 24 * 3600)), now % DAY)
    both = gate.active(start, first + second)
    assert both == pytest.approx(gate.active(start, first) + gate.active(start + first, second), abs=1e-3)
