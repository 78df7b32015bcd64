"""The arithmetic of requests a minute: never more than the limit in any 60 s, whatever the times."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from understudy.store.rate import Slots, take


@given(st.lists(st.floats(0, 20), min_size=1, max_size=200), st.integers(1, 12))
def test_no_stretch_of_a_minute_has_more(pauses: list[float], limit: int) -> None:
    slots: Slots = ()
    now, granted = 1000.0, []
    for pause in pauses:
        now += pause
        slots, wait = take(slots, now, limit)
        if not wait:
            granted.append(now)
        else:
            assert take(slots, now + wait + 1e-6, limit)[1] == 0.0, "the time that is told is true"
    for first in granted:
        assert sum(first <= at < first + 60.0 for at in granted) <= limit


def test_all_of_a_rate_can_be_used() -> None:
    slots: Slots = ()
    for _ in range(5):
        slots, wait = take(slots, 1000.5, 5)
        assert wait == 0
    assert take(slots, 1000.5, 5)[1] == 60.5
    assert take(slots, 1061.0, 5)[1] == 0


def test_a_clock_that_was_set_back_forgets_no_request_and_keeps_none_for_long() -> None:
    slots: Slots = ()
    for _ in range(3):
        slots, _ = take(slots, 90_000.0, 3)
    slots, wait = take(slots, 1000.0, 3)
    assert wait == 61.0
    assert take(slots, 1061.0, 3)[1] == 0


def test_a_lower_limit_waits_for_enough_to_free() -> None:
    slots: Slots = ()
    for at in (0.0, 10.0, 20.0):
        slots, _ = take(slots, 1000 + at, 10)
    assert take(slots, 1030.0, 2)[1] == 1010 + 61 - 1030
    assert take(slots, 1030.0, 0)[1] == 60.0
