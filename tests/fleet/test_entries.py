"""The page of a domain: what it grants, what it learns, and that it never forgets what was taken."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from understudy.fleet.form import PageForm
from understudy.fleet.gauge import Gauge, gauge_of, midnight_after
from understudy.fleet.page import Close, Granted, Page, Reserve, Wait
from understudy.types import Failure, Reading, Window

NOW = 1_800_000_000.0
RPM = Window("RPM", "requests", 10, 60.0)
TPM = Window("TPM", "tokens", 1000, 60.0)


def ask(name: str, *windows: Window, tokens: int = 10, cap: int = 10, **more: object) -> Reserve:
    return Reserve(name, "m", tokens, 4 * tokens, cap, 90.0, windows, **more)  # type: ignore[arg-type]


def answered(*names: str, **more: object) -> Close:
    return Close("m", tuple((name, (10, 5)) for name in names), "ok", **more)  # type: ignore[arg-type]


def refused(name: str, failure: Failure = Failure.MINUTE_QUOTA, **more: object) -> Close:
    return Close("m", ((name, "nothing"),), str(failure), **more)  # type: ignore[arg-type]


def filled(page: Page, count: int, now: float = NOW) -> None:
    for number in range(count):
        assert isinstance(page.apply(ask(f"{now}-{number}", RPM), now), Granted)
        page.apply(answered(f"{now}-{number}"), now)


def test_a_fresh_page_lets_one_feel_its_way() -> None:
    page = Page()
    assert isinstance(page.apply(ask("a", RPM), NOW), Granted)
    wait = page.apply(ask("b", RPM), NOW)
    assert isinstance(wait, Wait)
    assert wait.kind == "fresh"
    page.apply(answered("a", readings=(Reading("requests", 10, 9, 6.0),)), NOW)
    assert isinstance(page.apply(ask("b", RPM), NOW), Granted)
    assert isinstance(page.apply(ask("c", RPM), NOW), Granted)


def test_a_full_window_says_when() -> None:
    page = Page()
    filled(page, 10)
    wait = page.apply(ask("x", RPM), NOW + 10)
    assert isinstance(wait, Wait)
    assert wait.seconds == pytest.approx(50)
    assert isinstance(page.apply(ask("x", RPM), NOW + 60), Granted)


def test_what_can_never_fit_is_not_waited_for() -> None:
    wait = Page().apply(ask("x", TPM, tokens=2000), NOW)
    assert isinstance(wait, Wait)
    assert wait.seconds == math.inf
    assert wait.kind == "size"


def test_what_was_not_counted_is_given_back_and_what_is_unknown_is_not() -> None:
    page = Page()
    page.apply(ask("a", RPM), NOW)
    page.apply(Close("m", (("a", "nothing"),)), NOW)
    assert page.gauges[0].used(NOW) == 0
    page.apply(ask("b", RPM, TPM, tokens=100, cap=100), NOW)
    page.apply(Close("m", (("b", "all"),)), NOW)
    assert page.gauges[0].used(NOW) == 1
    assert page.gauges[1].used(NOW) >= 200


def test_the_holds_of_the_dead_are_counted_in_full_when_their_lease_ends() -> None:
    page = Page()
    page.apply(ask("a", RPM), NOW)
    assert page.gauges[0].used(NOW + 89) == 1
    page.wait(ask("b", RPM), NOW + 91)
    assert not page.held
    assert page.gauges[0].used(NOW + 91) == 1
    assert page.gauges[0].used(NOW + 152) == 0
    page.apply(answered("a"), NOW + 152)  # it comes back after all: it has been counted
    assert page.gauges[0].used(NOW + 152) == 0


def test_a_server_that_has_counted_more_is_believed_and_one_that_has_counted_less() -> None:
    page = Page()
    page.apply(ask("a", RPM), NOW)
    page.apply(answered("a", readings=(Reading("requests", 10, 2),)), NOW)
    assert page.gauges[0].used(NOW) == 8
    page.apply(ask("b", RPM), NOW + 1)
    page.apply(answered("b", readings=(Reading("requests", 20, 19),)), NOW + 1)
    assert (page.gauges[0].limit, page.gauges[0].used(NOW + 1)) == (20, 1)


def unlimited(hold: str) -> Reserve:
    return Reserve(hold, "m", 100, 500, 100, 90.0)


def test_a_window_is_at_least_as_long_as_its_reset() -> None:
    """Groq's words from a server nobody knows: 14,400 requests a day, without the day."""
    page = Page()
    for number, (left, reset) in enumerate(((14_399, 6.0), (14_398, 12.0), (100, 578.016), (99, 584.0))):
        page.apply(unlimited(f"h{number}"), NOW + number)
        said = (Reading("requests", 14_400, left, reset),)
        page.apply(answered(f"h{number}", readings=said), NOW + number + 0.5)
        (gauge,) = page.gauges
        assert gauge.seconds == (60.0 if reset < 60 else 86_400.0)
        assert gauge.used(NOW + number + 0.5) == 14_400 - left


def test_a_window_of_a_month_is_found_again() -> None:
    page = Page()
    for number, days in enumerate((29.0, 28.0)):
        page.apply(unlimited(f"h{number}"), NOW + number)
        page.apply(answered(f"h{number}", readings=(Reading("tokens", 10**6, 10, days * 86_400),)), NOW + number + 0.5)
    (gauge,) = page.gauges
    assert gauge.seconds == 29 * 86_400


def test_a_reading_finds_its_window() -> None:
    day = Window("RPD", "requests", 14_400, 86_400.0)
    page = Page()
    page.apply(ask("a", RPM, day), NOW)
    page.apply(answered("a", readings=(Reading("requests", 14_000, 13_000),)), NOW)
    assert [g.used(NOW) for g in page.gauges] == [1, 1000]
    page.apply(ask("b", RPM, day), NOW)
    page.apply(answered("b", readings=(Reading("tokens", 6000, 5000, seconds=60.0),)), NOW)
    assert [g.counts for g in page.gauges] == ["requests", "requests", "tokens"], "an unknown window is added"


@pytest.mark.parametrize("reading", [
    Reading("requests", 0, 0), Reading("requests", 10**18, 5), Reading("requests", 10, 99),
    Reading("requests", None, 10**9, 1e9), Reading("tokens", 1, 0, 0.0), Reading("requests", 10, 3, 1e12),
])  # fmt: skip
def test_an_absurd_reading_stops_nobody_for_ever(reading: Reading) -> None:
    page = Page()
    page.apply(ask("a", RPM), NOW)
    page.apply(answered("a", readings=(reading,)), NOW)
    for name in "bcd":
        outcome = page.apply(ask(name, RPM, tokens=0, cap=1), NOW + 3 * 86_400)
        assert isinstance(outcome, Granted)
        page.apply(answered(name), NOW + 3 * 86_400)


def test_a_refusal_rests_the_domain_and_the_longer_rest_wins() -> None:
    page = Page()
    filled(page, 2)
    page.apply(ask("a", RPM), NOW)
    page.apply(ask("b", RPM), NOW)
    page.apply(refused("a", retry_after=40.0), NOW)
    page.apply(refused("b", retry_after=1.0), NOW)
    wait = page.wait(ask("c", RPM), NOW)
    assert wait is not None
    assert wait.seconds == 40


def test_a_day_ends_at_midnight_of_its_zone_through_the_change_of_the_clocks() -> None:
    before = datetime(2026, 10, 31, 12, tzinfo=UTC).timestamp()
    ends = midnight_after("America/Los_Angeles", before)
    assert datetime.fromtimestamp(ends, UTC) == datetime(2026, 11, 1, 7, tzinfo=UTC)
    after = midnight_after("America/Los_Angeles", ends)
    assert after - ends == 25 * 3600, "that day has an hour more"
    day = Window("RPD", "requests", 2, 86_400.0, "America/Los_Angeles")
    page = Page()
    for name in "ab":
        page.apply(ask(name, day), ends - 10)
        page.apply(answered(name), ends - 10)
    wait = page.apply(ask("c", day), ends - 5)
    assert isinstance(wait, Wait)
    assert wait.seconds == pytest.approx(5)
    assert isinstance(page.apply(ask("c", day), ends), Granted)


@pytest.mark.parametrize("back", [3600.0, 86_400.0, 400 * 86_400.0])
def test_a_clock_set_back_forgets_nothing_and_stops_nobody_for_ever(back: float) -> None:
    page = Page()
    filled(page, 10)
    assert isinstance(page.apply(ask("x", RPM), NOW - back), Wait)
    assert isinstance(page.apply(ask("x", RPM), NOW - back + 61), Granted)


def test_the_breaker_opens_probes_once_and_closes() -> None:
    page = Page()
    for name in "abc":
        page.apply(ask(name), NOW)
        page.apply(refused(name, Failure.OVERLOAD), NOW)
    wait = page.apply(ask("d"), NOW)
    assert isinstance(wait, Wait)
    assert wait.kind == "breaker"
    later = NOW + wait.seconds + 0.1
    probe = page.apply(ask("e"), later)
    assert isinstance(probe, Granted)
    assert probe.probe
    assert isinstance(page.apply(ask("f"), later), Wait), "one at a time"
    page.apply(refused("e", Failure.OVERLOAD), later)
    longer = page.apply(ask("g"), later)
    assert isinstance(longer, Wait)
    assert longer.seconds > wait.seconds
    back = later + longer.seconds + 0.1
    assert isinstance(page.apply(ask("h"), back), Granted)
    page.apply(answered("h", seconds=1.0), back)
    assert page.health["m"].state(back) == "closed"
    assert isinstance(page.apply(ask("i"), back), Granted)


def test_a_probe_that_is_cancelled_leaves_room_for_another() -> None:
    page = Page()
    for name in "abc":
        page.apply(ask(name), NOW)
        page.apply(refused(name, Failure.TRANSPORT), NOW)
    later = NOW + 30
    assert isinstance(page.apply(ask("d"), later), Granted)
    page.apply(Close("m", (("d", "nothing"),)), later)
    assert isinstance(page.apply(ask("e"), later), Granted)


def test_a_batch_lets_a_task_at_a_terminal_go_first_but_not_for_ever() -> None:
    page = Page()
    filled(page, 10)
    assert isinstance(page.apply(ask("i", RPM), NOW + 59.5), Wait)
    courteous = page.apply(ask("b", RPM, batch=True), NOW + 60)
    assert isinstance(courteous, Wait)
    assert courteous.kind == "courtesy"
    assert isinstance(page.apply(ask("b", RPM, batch=True, waited=31.0), NOW + 60), Granted)


def test_a_page_packs_and_unpacks() -> None:
    form, page = PageForm(), Page()
    filled(page, 3)
    page.apply(ask("open", RPM), NOW)
    assert form.unpack(form.pack(page)) == page
    for entry in (ask("a", RPM), answered("a", readings=(Reading("tokens", 1, 2, 3.0),)), refused("a")):
        assert form.unpack_entry(form.pack_entry(entry)) == entry
    assert form.unpack(b"0old") == Page()
    assert form.unpack(b"1\xff\xff") == Page()


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([1.0, 60.0]))
def test_any_stretch_of_a_window_holds_no_more_than_its_limit(seed: int, seconds: float) -> None:
    """What is granted, wherever between reserving and answering the server counts it."""
    chance, page = random.Random(seed), Page(answers=1)
    window = Window("W", "requests", 7, seconds)
    page.apply(ask("first", window), NOW)
    page.gauges[0].stated = "server"
    page.apply(Close("m", (("first", "nothing"),)), NOW)
    now, counted, open_ = NOW, list[float](), dict[str, float]()
    for step in range(150):
        now += chance.expovariate(20 / seconds)
        if open_ and chance.random() < 0.5:
            name = chance.choice(list(open_))
            counted.append(chance.uniform(open_.pop(name), now))
            page.apply(answered(name), now)
        elif isinstance(page.apply(ask(f"n{step}", window), now), Granted):
            open_[f"n{step}"] = now
    counted.sort()
    for place, moment in enumerate(counted):
        inside = [t for t in counted[place:] if t < moment + seconds]
        assert len(inside) <= 7


def test_a_gauge_keeps_few_pieces_over_a_million_amounts() -> None:
    gauge: Gauge = gauge_of(Window("RPD", "requests", 10**9, 86_400.0), NOW)
    for number in range(200_000):
        gauge.take(NOW + number * 2.0, 1)
    assert len(gauge.taken) < 100


def test_the_second_request_of_an_attempt_is_not_held_up_by_its_first() -> None:
    page = Page()
    page.apply(ask("a", RPM), NOW)
    assert isinstance(page.apply(ask("b", RPM), NOW), Wait)
    assert isinstance(page.apply(ask("b", RPM, own=("a",)), NOW), Granted)


def test_a_window_that_is_found_in_mid_flight_counts_what_is_in_flight() -> None:
    page = Page()
    filled(page, 1)
    page.apply(ask("spoken", RPM), NOW)
    page.apply(answered("spoken", readings=(Reading("requests", 10, 8),)), NOW)
    for name in "abc":  # 400 tokens and more each
        assert isinstance(page.apply(ask(name, RPM, cap=390), NOW + 1), Granted)
    page.apply(answered("a", readings=(Reading("tokens", 1000, 900, seconds=60.0),)), NOW + 2)
    wait = page.apply(ask("d", RPM, cap=390), NOW + 3)
    assert isinstance(wait, Wait), "two of them may come to 800 yet"
    assert "tokens" in wait.why
    page.apply(answered("b", "c"), NOW + 4)
    assert isinstance(page.apply(ask("d", RPM, cap=390), NOW + 4), Granted)


def test_a_window_that_is_configured_in_mid_flight_counts_what_is_in_flight() -> None:
    page = Page()
    page.apply(ask("a"), NOW)
    page.apply(ask("b"), NOW)
    page.wait(ask("c", TPM, cap=390), NOW)
    assert page.gauges[0].used(NOW) >= 40
    page.apply(answered("a", "b"), NOW + 1)
    assert page.gauges[0].used(NOW + 1) == 30
