"""The breaker of a candidate, and what is known of its speed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.fleet.health import ENOUGH, FIRST_COOLDOWN, LONGEST_COOLDOWN, ROW, Health
from understudy.types import Failure

NOW = 1_000.0


def failed(health: Health, times: int, now: float = NOW) -> Health:
    for _ in range(times):
        health.fail(now, Failure.OVERLOAD, None, 0.5)
    return health


def test_a_row_of_failures_opens_it_and_a_success_closes_it() -> None:
    health = failed(Health(), ROW - 1)
    assert health.state(NOW) == "closed"
    failed(health, 1)
    assert health.state(NOW) == "open"
    assert health.state(NOW + FIRST_COOLDOWN) == "half-open"
    health.succeed(1.0, 0.2)
    assert (health.state(NOW), health.opened, health.row) == ("closed", 0, 0)


def test_one_that_flaps_opens_too() -> None:
    health = Health()
    for _ in range(ENOUGH):
        failed(health, 2)
        if health.until:
            break
        health.succeed(1.0, 0.0)
    assert health.state(NOW) == "open"


@pytest.mark.parametrize(
    "failure", [Failure.CONTEXT, Failure.UNSUITED, Failure.AUTH, Failure.MINUTE_QUOTA, Failure.CONTENT_FILTER]
)
def test_what_says_nothing_of_its_health_leaves_it_closed(failure: Failure) -> None:
    health = Health(probe="p")
    for _ in range(10):
        health.fail(NOW, failure, 30.0, 0.5)
    assert health.state(NOW) == "closed"
    assert health.probe == "", "it answered: the probe has ended"


def test_each_failed_probe_doubles_the_rest_up_to_a_limit() -> None:
    health, now, rests = failed(Health(), ROW), NOW, list[float]()
    for _ in range(10):
        rests.append(health.until - now)
        now = health.until
        failed(health, 1, now)
    assert rests[:4] == [5.0, 10.0, 20.0, 40.0]
    assert rests[-1] == LONGEST_COOLDOWN


@given(st.lists(st.tuples(st.floats(0, 50), st.none() | st.floats(0, 600), st.floats(0, 1)), min_size=1, max_size=30))
def test_a_cooldown_is_never_shortened_by_a_failure(steps: list[tuple[float, float | None, float]]) -> None:
    health, now = Health(), NOW
    for gap, retry_after, jitter in steps:
        now += gap
        before = health.until
        health.fail(now, Failure.OVERLOAD, retry_after, jitter)
        assert health.until >= before
        if retry_after is not None:
            assert health.until >= now + retry_after


def test_the_estimates_follow_the_newest_calls() -> None:
    health = Health()
    health.succeed(1.0, 0.5)
    assert (health.latency, health.first_token) == (1.0, 0.5)
    for _ in range(40):
        health.succeed(3.0, 0.1)
    assert health.latency == pytest.approx(3.0, abs=0.01)
    assert health.first_token == pytest.approx(0.1, abs=0.01)
    assert health.slow >= health.latency


def test_who_names_a_time_is_believed_until_it_breaks_its_word() -> None:
    health = Health()
    health.fail(NOW, Failure.OVERLOAD, 1.0, 0.5)
    assert (health.state(NOW + 0.9), health.state(NOW + 1)) == ("open", "half-open")
    health.fail(NOW + 1, Failure.OVERLOAD, 1.0, 0.5)
    assert health.state(NOW + 2) == "open"
    assert health.until >= NOW + 1 + FIRST_COOLDOWN


def test_to_be_overtaken_now_and_then_is_nothing_but_a_habit_opens_it() -> None:
    health = Health()
    for number in range(40):
        health.succeed(1.0, 0.0)
        if number % 10 == 0:
            health.lag(NOW, 2.0, 0.5)
    assert health.state(NOW) == "closed"
    slow = health.slow
    for _ in range(12):
        health.lag(NOW, 4.0, 0.5)
    assert health.state(NOW) == "open"
    assert health.slow > slow
