"""A window against the servers it may stand for."""

from __future__ import annotations

import math
import random
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.fleet.gauge import Gauge, gauge_of, midnight_after
from understudy.rehearsal.limits import Window as ServerWindow
from understudy.types import Reading, Window

NOW = 1_760_000_000.0
PACIFIC = "America/Los_Angeles"


def minute(limit: int = 30, seconds: float = 60.0) -> Gauge:
    return gauge_of(Window("RPM", "requests", limit, seconds), NOW)


def read(gauge: Gauge, reading: Reading, now: float, own: float = 1.0) -> None:
    gauge.read(reading, sent=now - 0.1, now=now, own=own, held=own)


def test_it_waits_for_exactly_the_piece_that_must_free() -> None:
    gauge = minute(3)
    for second in (0, 10, 20):
        gauge.take(NOW + second, 1)
    assert gauge.wait(NOW + 30, 1) == pytest.approx(30)
    assert gauge.wait(NOW + 30, 2) == pytest.approx(40)
    assert gauge.wait(NOW + 30, 3) == pytest.approx(50)
    assert gauge.wait(NOW + 30, 4) == math.inf
    assert gauge.wait(NOW + 60.1, 1) == 0


@settings(deadline=None)
@given(
    shape=st.sampled_from(["rolling", "fixed", "bucket"]),
    limit=st.integers(1, 50),
    seconds=st.sampled_from([1.0, 60.0, 3600.0]),
    steps=st.lists(st.tuples(st.floats(0, 1.5), st.integers(1, 20), st.floats(0, 0.2)), max_size=60),
)
def test_what_it_lets_through_no_server_refuses(
    shape: str, limit: int, seconds: float, steps: list[tuple[float, int, float]]
) -> None:
    """The same requests, weighted, at whatever moments: counted when answered, which is after they arrived."""
    gauge, server = minute(limit, seconds), ServerWindow(limit, seconds, shape)  # type: ignore[arg-type]
    now = NOW
    for gap, amount, journey in steps:
        now += gap * seconds
        if amount <= limit:
            now += gauge.wait(now, amount)
        if gauge.wait(now, amount) == 0:
            gauge.hold(amount)
            arrived = now + journey * seconds / 2
            assert server.wait(arrived, amount) == 0
            server.take(arrived, amount)
            assert gauge.used(arrived) >= server.used(arrived) - 1e-6
            now += journey * seconds
            gauge.drop(amount)
            gauge.take(now, amount, ours=True)
        assert gauge.used(now) >= server.used(now) - 1e-6


@pytest.mark.parametrize(
    ("left", "expected"), [(29, 1), (20, 10), (0, 30), (30, 0)], ids=["as counted", "others", "all", "none"]
)
def test_what_the_server_says_is_left_is_believed_both_ways(left: int, expected: int) -> None:
    gauge = minute()
    gauge.take(NOW, 1)
    gauge.read(Reading("requests", 30, left), sent=NOW + 1, now=NOW + 2, own=0, held=0)
    assert gauge.used(NOW + 2) == expected
    assert gauge.stated == "server"


def test_what_overlaps_with_a_request_may_be_in_its_reading_or_not() -> None:
    gauge = minute()
    gauge.hold(5)  # in flight
    gauge.take(NOW + 1, 1)
    for left in (29, 28, 24):  # only ours; one of those in flight; all of them
        read(gauge, Reading("requests", 30, left), NOW + 1)
        assert gauge.used(NOW + 1) == 6
    read(gauge, Reading("requests", 30, 20), NOW + 1)
    assert gauge.used(NOW + 1) == 10


def test_three_readings_that_grow_with_the_use_make_a_bucket() -> None:
    gauge = minute()
    for used in range(1, 7):
        now = NOW + used * 0.01
        gauge.take(now, 1)
        read(gauge, Reading("requests", 30, 30 - used, used * 2.0), now)
    assert gauge.shape == "bucket"
    assert gauge.used(NOW + 0.06 + 4) == pytest.approx(4, abs=0.1)
    assert gauge.wait(NOW + 4, 28) == pytest.approx(4, abs=0.2)


@pytest.mark.parametrize("seed", range(5))
def test_a_rolling_day_that_is_nearly_used_up_is_no_bucket(seed: int) -> None:
    """Its reset is then as long as that of a full bucket, and grows by chance where requests come at odd moments."""
    day, chance = ServerWindow(1000, 86_400.0), random.Random(seed)
    gauge = gauge_of(Window("RPD", "requests", 1000, 86_400.0), NOW)
    now = NOW
    for _ in range(1000):
        now += chance.expovariate(1 / 40)
        day.take(now, 1)
        answered = now + chance.uniform(0.1, 3.0)
        gauge.take(answered, 1, ours=True)
        left, reset = day.limit - day.used(answered), day.reset(answered)
        read(gauge, Reading("requests", 1000, left, round(reset, 2)), answered)
        assert gauge.shape != "bucket"
    assert gauge.wait(now + 600, 1) > 3600


def test_an_edge_that_proves_true_makes_it_fixed() -> None:
    gauge = minute()
    for used in range(1, 31):
        gauge.take(NOW + used * 0.1, 1)
        read(gauge, Reading("requests", 30, 30 - used, 20 - used * 0.1), NOW + used * 0.1)
    assert gauge.wait(NOW + 5, 1) == pytest.approx(15, abs=0.1)
    after = NOW + 20.1
    assert gauge.wait(after, 1) == 0, "one may feel whether the server kept its word"
    gauge.hold(1)
    assert gauge.wait(after, 1) > 0, "but only one"
    gauge.drop(1)
    gauge.take(after + 0.2, 1, ours=True)
    gauge.read(Reading("requests", 30, 29, 59.8), sent=after, now=after + 0.2, own=1, held=1)
    assert (gauge.shape, gauge.used(after + 0.2)) == ("fixed", 1)


@pytest.mark.parametrize(
    ("shape", "taken", "wait", "expected"),
    [
        ("burst", [(0, 20)], 59.0, (18, 20)),
        ("across an edge", [(0, 10), (10, 20)], 55.0, (18, 20)),  # the edge lay at 5 s: the first ten are not in it
        ("a slow bucket", [(t, 1) for t in range(0, 60, 2)], 1.8, (14, 16)),  # half of it had drained meanwhile
        ("no wait named", [(t, 1) for t in range(0, 60, 2)], None, (14, 16)),
    ],
)
def test_a_refusal_teaches_what_has_surely_passed(
    shape: str, taken: list[tuple[float, int]], wait: float | None, expected: tuple[int, int]
) -> None:
    del shape
    gauge = minute(60)
    start = NOW + 100  # the page has been watched for a whole window
    for second, amount in taken:
        for _ in range(amount):
            gauge.take(start + second, 1, ours=True)
    now = start + taken[-1][0] + 0.5
    gauge.refuse(now, wait=wait, asked=1)
    assert expected[0] <= gauge.limit <= expected[1]
    assert gauge.sure(now + 1) == 0, "one at a time, until a whole window has been watched"
    later = now + 11 * 60
    gauge.used(later)
    assert gauge.limit <= 20
    gauge.used(now + 61 * 60)
    assert gauge.limit == 60, "the catalogue is tried again at last"


def test_a_refusal_soon_after_the_beginning_is_somebody_elses_doing() -> None:
    gauge = minute()
    gauge.take(NOW + 1, 5, ours=True)
    gauge.refuse(NOW + 2, wait=30, asked=1)
    assert (gauge.limit, gauge.used(NOW + 2)) == (30, 30)
    assert gauge.used(NOW + 63) == 0


def test_only_a_second_full_window_states_a_limit() -> None:
    gauge, now = minute(10), NOW
    for _ in range(10):
        gauge.take(now, 1, ours=True)
    assert (gauge.stated, gauge.sure(now)) == ("", 5)
    now += 60.5
    for _ in range(10):
        gauge.take(now, 1, ours=True)
    assert gauge.stated == "trial"


def test_what_others_used_states_nothing() -> None:
    gauge = minute(10)
    for window in range(3):
        gauge.take(NOW + window * 61, 5)
        for _ in range(5):
            gauge.take(NOW + window * 61 + 1, 1, ours=True)
    assert gauge.stated == ""


@pytest.mark.parametrize(
    ("moment", "hours"),
    [("2026-03-08", 23), ("2026-11-01", 25), ("2026-07-01", 24)],
    ids=["spring", "autumn", "summer"],
)
def test_a_day_has_the_hours_its_zone_gives_it(moment: str, hours: int) -> None:
    begin = datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(PACIFIC)).timestamp()
    assert midnight_after(PACIFIC, begin) - begin == hours * 3600
    gauge = gauge_of(Window("RPD", "requests", 10, 86_400, PACIFIC), begin)
    for hour in range(hours):
        if hour < 10:
            gauge.take(begin + hour * 3600 + 1, 1, ours=True)
    assert gauge.wait(begin + 10 * 3600, 1) == (hours - 10) * 3600
    assert gauge.used(begin + hours * 3600 - 1) == 10
    assert gauge.used(begin + hours * 3600) == 0


def test_an_unknown_zone_is_taken_for_utc() -> None:
    assert midnight_after("Mars/Olympus", 86_400 * 100 + 5) == 86_400 * 101


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_history_breaks_its_sums(data: st.DataObject) -> None:
    gauge, now = minute(data.draw(st.integers(1, 40))), NOW
    for _ in range(data.draw(st.integers(1, 40))):
        now += data.draw(st.floats(0, 100))
        act = data.draw(st.sampled_from(["take", "read", "refuse", "doubt", "back"]))
        if act == "take":
            gauge.take(now, data.draw(st.integers(0, 60)), ours=data.draw(st.booleans()))
        elif act == "read":
            limit = data.draw(st.none() | st.integers(1, 80))
            left = data.draw(st.none() | st.integers(0, 80))
            read(gauge, Reading("requests", limit, left, data.draw(st.none() | st.floats(0, 1e9))), now, own=0)
        elif act == "refuse":
            gauge.refuse(now, wait=data.draw(st.none() | st.floats(0, 1e6)), asked=1)
        elif act == "doubt":
            gauge.doubt(NOW)
        else:
            now -= 3600
            gauge.set_back(3600, now)
        used, wait = gauge.used(now), gauge.wait(now, 1)
        assert 0 <= used < math.inf
        assert gauge.limit >= 1
        assert gauge.total == pytest.approx(sum(piece for _, _, piece in gauge.taken), abs=1e-6)
        assert 0 <= wait <= max(60.0, gauge.seconds)
        assert gauge.reset(now) >= 0
        assert len(gauge.taken) <= 3 * 64
