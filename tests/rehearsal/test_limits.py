"""Windows and meters on a clock that only the test moves."""

from __future__ import annotations

import math
from typing import Any

import groq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.rehearsal.conftest import Play
from understudy.rehearsal.clock import VirtualClock
from understudy.rehearsal.limits import DAY, Charge, Meter, Refusal, Window, zone_of
from understudy.rehearsal.script import ModelLimits
from understudy.rehearsal.wire_openai_errors import duration


def test_a_rolling_minute():
    window = Window(3, 60)
    for at in (0, 10, 50):
        assert window.wait(at, 1) == 0
        window.take(at, 1)
    assert window.wait(55, 1) == 5
    assert window.wait(55, 2) == 15
    assert window.wait(60, 1) == 0
    assert window.used(69.9) == 2
    assert window.reset(55) == 55


def test_a_fixed_day_ends_at_midnight_of_its_zone():
    window = Window(2, DAY, "fixed", zone_of("America/Los_Angeles"))
    now = 1_765_000_000.0
    window.take(now, 2)
    assert window.wait(now, 1) == 1_765_008_000 - now
    assert window.wait(1_765_008_000, 1) == 0


def test_a_day_of_23_hours():
    """On 8 March 2026 clocks in Los Angeles go forward."""
    window = Window(1, DAY, "fixed", zone_of("America/Los_Angeles"))
    midnight = 1_772_956_800.0  # 2026-03-08 00:00 there
    window.take(midnight, 1)
    assert window.wait(midnight, 1) == 23 * 3600


def test_a_bucket_refills():
    window = Window(60, 60, "bucket")
    window.take(0, 60)
    assert window.wait(0, 1) == pytest.approx(1)
    assert window.used(30) == 30
    assert window.wait(30, 30) == 0
    assert window.reset(30) == pytest.approx(30)


def test_larger_than_the_window_never_fits():
    assert math.isinf(Window(10, 60).wait(0, 11))


@given(
    shape=st.sampled_from(["rolling", "fixed", "bucket"]),
    asks=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 40)), max_size=60),
)
def test_waiting_as_told_is_always_enough_and_never_over(shape: Any, asks: list[tuple[float, int]]):
    window, now = Window(40, 60, shape), 1000.0
    taken: list[tuple[float, int]] = []
    for gap, amount in asks:
        now += gap
        now += window.wait(now, amount)
        now += 1e-6
        assert window.wait(now, amount) <= 1e-6
        window.take(now, amount)
        taken.append((now, amount))
        if shape == "rolling":
            assert sum(a for t, a in taken if t > now - 60) <= 40


def test_nothing_is_taken_when_one_window_refuses():
    meter = Meter(ModelLimits(rpm=10, tpm=100))
    assert isinstance(meter.admit(0, 80), Charge)
    refused = meter.admit(1, 30)
    assert isinstance(refused, Refusal)
    assert (refused.window, refused.used, refused.requested, refused.wait) == ("TPM", 80, 30, 59)
    assert meter.windows["RPM"].used(1) == 1


def test_settling_gives_back_what_was_not_used():
    meter = Meter(ModelLimits(tpm=100, tpd=1000))
    charge = meter.admit(0, 100)
    assert isinstance(charge, Charge)
    meter.settle(charge, 1, 15)
    assert (meter.windows["TPM"].used(1), meter.windows["TPD"].used(1)) == (15, 15)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.006, "6ms"),
        (7.66, "7.66s"),
        (179.56, "2m59.56s"),
        (3720, "1h2m0s"),
        (60, "1m0s"),
        (59.999, "1m0s"),
    ],
)
def test_resets_in_groqs_form(seconds: float, text: str):
    assert duration(seconds) == text


def ask(server: Any, key: str = "k", max_tokens: int | None = None, text: str = "x") -> Any:
    with groq.Groq(api_key=key, base_url=server.url, max_retries=0) as client:
        extra = {"max_tokens": max_tokens} if max_tokens else {}
        messages: Any = [{"role": "user", "content": text}]
        return client.chat.completions.with_raw_response.create(model="m", messages=messages, **extra)


def test_groq_minute_and_day_over_the_wire(play: Play):
    clock = VirtualClock()
    server = play("groq", clock=clock, limits={"rpm": 2, "rpd": 3})
    assert ask(server).headers["x-ratelimit-remaining-requests"] == "2"  # the day's
    clock.advance(10)
    ask(server)
    with pytest.raises(
        groq.RateLimitError, match=r"requests per minute \(RPM\): Limit 2, Used 2, Requested 1"
    ) as minute:
        ask(server)
    assert minute.value.response.headers["retry-after"] == "50"
    assert minute.value.response.headers["x-ratelimit-remaining-requests"] == "1"
    clock.advance(50)
    ask(server)
    clock.advance(61)
    with pytest.raises(groq.RateLimitError, match=r"requests per day \(RPD\)") as day:
        ask(server)
    wait = int(day.value.response.headers["retry-after"])
    assert wait == 86_400 - 121
    clock.advance(wait)
    ask(server)


def test_groq_takes_max_tokens_up_front_and_settles(play: Play):
    clock = VirtualClock()
    server = play("groq", clock=clock, limits={"tpm": 1000})
    headers = ask(server, max_tokens=900).headers
    assert headers["x-ratelimit-remaining-tokens"] == "95"  # five of input, and all that might have been answered
    meter = server.stage.meter("a", "m")
    assert meter.windows["TPM"].used(clock.now()) < 50
    with pytest.raises(groq.APIStatusError, match="Request too large") as large:
        ask(server, max_tokens=1000)
    assert large.value.status_code == 413
    assert "retry-after" not in large.value.response.headers
    ask(server, max_tokens=500, text="y" * 1600)
    with pytest.raises(groq.RateLimitError, match=r"tokens per minute \(TPM\): Limit 1000") as caught:
        ask(server, max_tokens=900)
    assert caught.value.response.headers["x-ratelimit-reset-tokens"] == "1m0s"


def test_keys_of_one_account_share_and_another_account_does_not(play: Play):
    server = play("groq", clock=VirtualClock(), limits={"rpm": 1})
    ask(server, "k")
    with pytest.raises(groq.RateLimitError):
        ask(server, "k2")
    ask(server, "k3")


async def test_sleepers_wake_in_order_when_time_moves():
    import asyncio

    clock, woken = VirtualClock(0.0), list[int]()

    async def wait(seconds: int) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    tasks = [asyncio.create_task(wait(s)) for s in (5, 1, 3)]
    await asyncio.sleep(0)
    assert clock.sleepers == 3
    clock.advance(2)
    await asyncio.sleep(0.01)
    assert woken == [1]
    clock.advance(10)
    await asyncio.gather(*tasks)
    assert woken == [1, 3, 5]


def test_latency_runs_on_the_injected_clock(play: Play):
    import threading
    import time

    clock = VirtualClock()
    server = play("groq", clock=clock, latency=3600)
    found: list[Any] = []
    asking = threading.Thread(target=lambda: found.append(ask(server)))
    asking.start()
    while not clock.sleepers:
        time.sleep(0.005)
    assert not found
    clock.advance(3600)
    asking.join(5)
    assert found
