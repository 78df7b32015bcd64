"""All forms a waiting time is written in."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.agents.resets import LONGEST, asked_to_wait, until_midnight, waiting_time

NOW = 1_780_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7.66s", 7.66),
        ("2m59.56s", 179.56),
        ("1h2m", 3720),
        ("6ms", 0.006),
        ("534µs", 0.000534),
        ("27", 27),
        ("27.25", 27.25),
        (" 0 ", 0),
        ("1d2h", 93600),
        ("1 minute 5 seconds", 65),
        (str(int(NOW) + 90), 90),
        (str((int(NOW) + 90) * 1000), 90),
        ("2026-05-28T20:27:10Z", 30),
        ("2026-05-28T20:26:40+00:00", 0),
        ("Thu, 28 May 2026 20:27:10 GMT", 30),
    ],
)
def test_known_forms(text: str, seconds: float) -> None:
    assert waiting_time(text, NOW) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["-3", str(int(NOW) - 1), "Thu, 28 May 2026 20:26:30 GMT"])
def test_a_time_that_has_passed_is_none(text: str) -> None:
    assert waiting_time(text, NOW) is None


@pytest.mark.parametrize(
    "text", ["", "soon", "s", "1x", "7.66s later", "inf", "nan", "9" * 16, "1e5", "5 apples", "--1"]
)
def test_what_is_no_time(text: str) -> None:
    assert waiting_time(text, NOW) is None


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Please try again in 9m38.016s. Need more?", 578.016),
        ("please try again in 7.66s", 7.66),
        ("Please retry in 27.312s.", 27.312),
        ("Retry after 20 seconds", 20),
        ("try again in 450ms.", 0.45),
        ("Limit 6000, Used 5990, Requested 42.", None),
        ("you waited 5 s", None),
        ("retry with 3 models", None),
    ],
)
def test_words(words: str, seconds: float | None) -> None:
    assert asked_to_wait(words) == (pytest.approx(seconds) if seconds is not None else None)


@given(st.integers(0, 300), st.integers(0, 23), st.integers(0, 59), st.integers(0, 59999))
def test_go_durations_round_trip(days: int, hours: int, minutes: int, millis: int) -> None:
    text = "".join(f"{n}{u}" for n, u in ((days, "d"), (hours, "h"), (minutes, "m")) if n) + f"{millis / 1000:g}s"
    expected = days * 86400 + hours * 3600 + minutes * 60 + float(f"{millis / 1000:g}")
    assert waiting_time(text, NOW) == pytest.approx(expected)
    assert asked_to_wait(f"please try again in {text}.") == pytest.approx(expected)


@given(st.datetimes(datetime(2020, 1, 1), datetime(2026, 12, 31)))
def test_dates(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC, microsecond=0)
    ahead = aware.timestamp() - NOW
    for text in (aware.isoformat(), format_datetime(aware, usegmt=True)):
        assert waiting_time(text, NOW) == (pytest.approx(ahead) if ahead >= 0 else None), "a clock may be wrong"


@given(st.text(max_size=200))
def test_never_raises_and_never_lies(text: str) -> None:
    for seconds in (waiting_time(text, NOW), asked_to_wait(text)):
        assert seconds is None or (math.isfinite(seconds) and 0 <= seconds <= LONGEST)


def test_long_digits_take_no_time() -> None:
    assert waiting_time("1" * 100_000 + "s", NOW) is None
    asked_to_wait("try again in " + "1m " * 50_000)


def test_midnight_knows_summer_time() -> None:
    assert until_midnight("America/Los_Angeles", NOW) == pytest.approx(
        datetime(2026, 5, 29, 7, tzinfo=UTC).timestamp() - NOW
    )
    assert until_midnight("Nowhere/At_All", NOW) is None
