"""A page: its entries, leases, clocks set back, and readings nobody should believe."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from understudy.fleet.form import VERSION, PageForm
from understudy.fleet.page import Close, Granted, Page, Reserve, Wait, believable
from understudy.types import Failure, Reading, Window

NOW = 1_760_000_000.0
RPM = Window("RPM", "requests", 10, 60.0)
TPM = Window("TPM", "tokens", 6000, 60.0)
RPD = Window("RPD", "requests", 1000, 86_400.0, "America/Los_Angeles")
ALL = (RPM, TPM, RPD)


def ask(hold: str = "h", tokens_in: int = 100, cap: int = 100, until: float = 90.0) -> Reserve:
    return Reserve(hold, "m", tokens_in, 4 * tokens_in + 64, cap, until, ALL)


def done(*holds: str, outcome: str | None = "ok", **more: Any) -> Close:
    return Close("m", tuple((hold, (100, 50)) for hold in holds), outcome, **more)


def used(page: Page, name: str, now: float) -> float:
    page = copy.deepcopy(page)
    page.apply(Close("m", ()), now)
    return next(gauge.used(now) for gauge in page.gauges if gauge.name == name)


def seasoned(now: float = NOW) -> Page:
    """A page whose server has stated its limits."""
    page = Page()
    page.apply(ask("first"), now - 1)
    page.apply(done("first", readings=(Reading("requests", 10, 9, None, 60.0),)), now - 0.5)
    return page


def test_a_request_holds_what_it_may_take_and_settles_what_it_took() -> None:
    page = seasoned()
    before = used(page, "TPM", NOW)
    assert isinstance(page.apply(ask("a"), NOW), Granted)
    assert used(page, "TPM", NOW) - before >= 200
    page.apply(done("a"), NOW + 1)
    assert used(page, "TPM", NOW + 1) - before == 150
    assert used(page, "RPM", NOW + 1) == 2


def test_what_came_to_nothing_is_given_back() -> None:
    page = seasoned()
    page.apply(ask("a"), NOW)
    page.apply(Close("m", (("a", "nothing"),)), NOW + 1)
    assert used(page, "RPM", NOW + 1) == 1


def test_too_large_is_never_waited_for() -> None:
    page = seasoned()
    outcome = page.apply(ask("a", tokens_in=5000, cap=2000), NOW)
    assert isinstance(outcome, Wait)
    assert (outcome.kind, outcome.seconds) == ("size", math.inf)


def test_the_lease_of_the_dead_is_counted_in_full_and_once() -> None:
    page = seasoned()
    page.apply(ask("dead", cap=300, until=90), NOW)
    full = page.held["dead"].amounts["tokens"]
    assert used(page, "RPD", NOW + 89) == 2
    assert used(page, "TPM", NOW + 90.5) == full, "counted when the lease ends: it may have been sent just before"
    page.apply(Close("m", ()), NOW + 91)
    assert not page.held
    page.apply(done("dead"), NOW + 92)  # it comes back from the dead: counted already
    assert used(page, "RPD", NOW + 93) == 2


def test_a_fresh_page_sends_one_to_feel_its_way() -> None:
    page = Page()
    assert isinstance(page.apply(ask("a"), NOW), Granted)
    outcome = page.apply(ask("b"), NOW)
    assert isinstance(outcome, Wait)
    assert outcome.kind == "fresh"
    page.apply(done("a", readings=(Reading("requests", 10, 9, None, 60.0),)), NOW + 1)
    assert isinstance(page.apply(ask("b"), NOW + 1), Granted)
    assert isinstance(page.apply(ask("c"), NOW + 1), Granted)


def test_after_a_refusal_one_at_a_time_until_a_window_was_watched() -> None:
    page, now = Page(), NOW
    for number in range(3):
        page.apply(ask(f"a{number}"), now)
        page.apply(done(f"a{number}"), now + 0.1)
        now += 1
    page.apply(ask("no"), now)
    page.apply(Close("m", (("no", "nothing"),), str(Failure.MINUTE_QUOTA), retry_after=20.0), now)
    outcome = page.apply(ask("x"), now + 19)
    assert isinstance(outcome, Wait)
    assert outcome.kind == "rest"
    now += 59.5  # what we had sent has left the window; what others may have, not
    assert isinstance(page.apply(ask("x"), now), Granted)
    again = page.apply(ask("y"), now)
    assert isinstance(again, Wait)
    assert again.kind == "fresh"


def test_a_refusal_that_names_its_window_is_blamed_on_no_other() -> None:
    page = seasoned()
    page.apply(ask("no", tokens_in=200), NOW)
    said = Reading("tokens", 6000, 10, None, 60.0)
    page.apply(Close("m", (("no", "nothing"),), str(Failure.MINUTE_QUOTA), retry_after=2.0, readings=(said,)), NOW)
    assert used(page, "RPM", NOW) == 1
    assert used(page, "TPM", NOW) > 5000


@pytest.mark.parametrize("back", [3600.0, 86_400.0], ids=["an hour", "a day"])
def test_a_clock_set_back_forgets_nothing_and_blocks_nothing(back: float) -> None:
    page = seasoned()
    page.apply(ask("held"), NOW)
    page.apply(ask("a"), NOW)
    page.apply(done("a"), NOW + 1)
    page.apply(ask("no"), NOW + 1)
    page.apply(Close("m", (("no", "nothing"),), str(Failure.MINUTE_QUOTA), retry_after=5.0), NOW + 1)
    new = NOW + 1 - back
    assert used(page, "RPM", new) >= 3
    assert used(page, "RPD", new) >= 3
    outcome = copy.deepcopy(page).apply(ask("x"), new)
    assert isinstance(outcome, Wait)
    assert outcome.seconds <= 61
    page.apply(Close("m", ()), new)
    page.apply(Close("m", ()), new + 95)
    assert not page.held, "its lease went back with the clock"
    assert isinstance(page.apply(ask("y"), new + 200), Granted)
    assert used(page, "RPD", new + 200) >= 4


def test_a_clock_that_jitters_is_none_that_was_set_back() -> None:
    page = seasoned()
    page.apply(ask("a"), NOW)
    page.apply(done("a"), NOW - 30)
    assert page.seen == NOW
    assert used(page, "RPM", NOW) == 2


@pytest.mark.parametrize("forward", [3600.0, 86_400.0])
def test_a_clock_set_forward_and_back_leaves_a_page_that_works(forward: float) -> None:
    page = seasoned()
    page.apply(ask("held"), NOW)
    page.apply(Close("m", ()), NOW + forward)
    assert not page.held
    page.apply(Close("m", ()), NOW)
    assert used(page, "RPM", NOW) >= 1, "what was held is counted"
    assert isinstance(page.apply(ask("x"), NOW + 61), Granted)


NAN = float("nan")


@pytest.mark.parametrize(
    "reading",
    [
        Reading("requests", 0, 0, 0.0),
        Reading("requests", -5, -1, -3.0),
        Reading("requests", 10**18, 10**18, 1e9),
        Reading("requests", NAN, NAN, NAN),  # type: ignore[arg-type]
        Reading("requests", None, None, math.inf, math.inf),
        Reading("tokens", 10**18, 0, 1e9, -60.0),
        Reading("tokens", 1, 10**9, 1e9),
        Reading("input", None, 5, 3.0),
    ],
    ids=repr,
)
def test_absurd_readings_never_stop_a_page_for_ever(reading: Reading) -> None:
    page = Page()
    page.apply(ask("a"), NOW)
    page.apply(done("a", readings=(reading,), retry_after=NAN, outcome=str(Failure.MINUTE_QUOTA)), NOW + 1)
    kept = PageForm().unpack(PageForm().pack(page))
    outcome = kept.apply(ask("b", tokens_in=1, cap=0), NOW + 2 * 86_400)
    assert isinstance(outcome, Granted), outcome
    for gauge in kept.gauges:
        assert 0 <= gauge.used(NOW + 2 * 86_400 + 1) < math.inf


def test_a_refusal_without_sense_in_its_wait_rests_as_usual() -> None:
    for wait in (NAN, -1.0, math.inf):
        page = seasoned()
        page.apply(ask("a"), NOW)
        page.apply(Close("m", (("a", "nothing"),), str(Failure.MINUTE_QUOTA), retry_after=wait), NOW)
        assert NOW < page.rest <= NOW + 61


def test_believable_leaves_good_readings_alone() -> None:
    good = Reading("requests", 30, 29, 2.0, 60.0)
    assert believable(good) == good
    assert believable(Reading("requests", -1, None, None)) is None


@pytest.mark.parametrize("body", [b"", b"0anything", VERSION, VERSION + b"\xff\xff", b"9" + b"\x81"])
def test_a_page_of_another_version_or_a_damaged_one_is_begun_anew(body: bytes) -> None:
    assert PageForm().unpack(body) == Page()


@given(st.data())
def test_any_damaged_byte_begins_the_page_anew(data: st.DataObject) -> None:
    body = bytearray(PageForm().pack(seasoned()))
    place = data.draw(st.integers(0, len(body) - 1))
    body[place] ^= data.draw(st.integers(1, 255))
    assert PageForm().unpack(bytes(body)) == Page()


def test_a_server_that_breaks_its_word_is_not_asked_again_and_again() -> None:
    """Its window is full, its reset is always now, and so is its retry-after."""
    page, now, refused = Page(), NOW, 0
    for number in range(200):
        now += 0.01
        if isinstance(page.apply(ask(f"h{number}"), now), Granted):
            left = max(0, 4 - number)
            said: dict[str, Any] = {"readings": (Reading("requests", 5, left, 0.0),)}
            if number < 5:
                page.apply(done(f"h{number}", **said), now)
            else:
                refused += 1
                page.apply(Close("m", ((f"h{number}", "nothing"),), "minute_quota", 0.0, **said), now)
    assert refused <= 2


def test_refusals_without_a_window_rest_longer_each_time_and_an_answer_ends_it() -> None:
    page, now, refused = Page(), NOW, 0
    bare = Reserve("", "m", 10, 100, 10, 60.0)
    while now < NOW + 60:
        now += 0.05
        if isinstance(page.apply(replace(bare, hold=f"{now}"), now), Granted):
            refused += 1
            page.apply(Close("m", ((f"{now}", "nothing"),), "minute_quota", 0.0), now)
    assert refused <= 6
    now = page.rest + 1
    assert isinstance(page.apply(replace(bare, hold="a"), now), Granted)
    page.apply(done("a"), now)
    assert page.refusals == 0


def test_refusals_of_requests_that_were_on_their_way_together_are_one() -> None:
    page = Page(answers=1)
    bare = Reserve("", "m", 10, 100, 10, 60.0)
    for number in range(20):
        assert isinstance(page.apply(replace(bare, hold=f"h{number}"), NOW), Granted)
    for number in range(20):
        page.apply(Close("m", ((f"h{number}", "nothing"),), "minute_quota", 5.0), NOW + 1 + number / 100)
    assert page.rest <= NOW + 7


@pytest.mark.parametrize("failure", [Failure.MINUTE_QUOTA, Failure.DAY_QUOTA, Failure.OVERLOAD])
def test_no_word_of_a_server_closes_a_page_for_longer_than_a_day_or_so(failure: Failure) -> None:
    page = seasoned()
    page.apply(ask("a"), NOW)
    page.apply(Close("m", (("a", "nothing"),), str(failure), retry_after=34_000_000.0), NOW)
    outcome = page.apply(ask("b"), NOW)
    assert isinstance(outcome, Wait)
    assert outcome.seconds > 25 * 3600, "it is believed so far"
    assert isinstance(page.apply(ask("c"), NOW + 26 * 3600 + 1), Granted)


def test_one_wrong_limit_is_forgotten_and_a_true_one_is_not() -> None:
    page = Page()
    page.apply(ask("a"), NOW)
    page.apply(done("a", readings=(Reading("tokens", 100, 100, 1.0),)), NOW + 1)
    first = page.apply(ask("b"), NOW + 2)
    assert isinstance(first, Wait)
    assert first.kind == "size"
    assert isinstance(page.apply(ask("c"), NOW + 700), Granted)
    true = Page()
    true.apply(ask("a"), NOW)
    true.apply(done("a", readings=(Reading("tokens", 5000, 5000, 1.0),)), NOW + 1)
    large = true.apply(ask("b", tokens_in=4000, cap=2000), NOW + 50_000)
    assert isinstance(large, Wait)
    assert large.kind == "size"


def test_a_first_request_of_the_dead_keeps_nobody_from_trying_for_long() -> None:
    page = Page()
    assert isinstance(page.apply(ask("dead"), NOW), Granted)
    felt = page.apply(ask("a"), NOW + 1)
    assert isinstance(felt, Wait)
    assert felt.kind == "fresh"
    assert isinstance(page.apply(ask("b"), NOW + 11), Granted)
    assert isinstance(page.apply(ask("c"), NOW + 12), Wait), "one at a time all the same"
    assert len(page.held) == 2, "the dead one's is counted until its lease ends"


def test_a_batch_is_not_held_back_after_a_clock_was_set_back() -> None:
    page = seasoned()
    page.asked = NOW
    page.apply(Close("m", ()), NOW - 86_400)
    batch = page.apply(replace(ask("b"), batch=True), NOW - 86_400 + 5)
    assert isinstance(batch, Granted)


def test_entries_and_pages_survive_packing() -> None:
    form, page = PageForm(), seasoned()
    page.apply(ask("a"), NOW)
    assert form.unpack(form.pack(page)) == page
    for entry in (ask("b"), done("a", readings=(Reading("tokens", 6000, 5000, 1.5),)), Close("m", (("a", "all"),))):
        assert form.unpack_entry(form.pack_entry(entry)) == entry


class Keeping(RuleBasedStateMachine):
    """Reservations are conserved: what is held is held in every window, and counted once, in full or as it came."""

    def __init__(self) -> None:
        super().__init__()
        self.page, self.now, self.number = Page(), NOW, 0
        self.open: dict[str, float] = {}
        self.day: list[float] = []  # when each request was counted, or may have been

    @rule(tokens=st.integers(1, 2000), cap=st.integers(0, 2000), until=st.floats(1, 200))
    def reserve(self, tokens: int, cap: int, until: float) -> None:
        self.number += 1
        name = f"h{self.number}"
        wanted = self.page.wait(ask(name, tokens, cap, until), self.now)
        outcome = self.page.apply(ask(name, tokens, cap, until), self.now)
        assert (wanted is None) == isinstance(outcome, Granted)
        if isinstance(outcome, Granted):
            self.open[name] = self.now + until
        else:
            assert name not in self.page.held

    @precondition(lambda self: self.open)
    @rule(data=st.data(), came=st.sampled_from(["all", "nothing", (5, 7)]), stated=st.booleans())
    def close(self, data: st.DataObject, came: Any, stated: bool) -> None:
        name = data.draw(st.sampled_from(sorted(self.open)))
        lapsed = self.open.pop(name) <= self.now
        readings = (Reading("requests", 10, None, None, 60.0),) if stated else ()
        self.page.apply(Close("m", ((name, came),), "ok", readings=readings), self.now)
        if lapsed or came != "nothing":
            self.day.append(self.now)

    @rule(seconds=st.floats(0, 120))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.page.apply(Close("m", ()), self.now)

    @rule()
    def pack(self) -> None:
        form = PageForm()
        self.page = form.unpack(form.pack(self.page))

    @invariant()
    def held_is_held_everywhere(self) -> None:
        living = {name for name, until in self.open.items() if until > self.now}
        assert set(self.page.held) == living
        for gauge in self.page.gauges:
            assert gauge.held == pytest.approx(sum(h.amounts[gauge.counts] for h in self.page.held.values()), abs=1e-6)
            if gauge.name == "RPD":
                lapsed = len(self.open) - len(living)
                assert gauge.used(self.now) == len(self.day) + lapsed + len(living)
            assert gauge.used(self.now) <= gauge.limit + 1e-6, "nothing over a limit was ever granted"


Keeping.TestCase.settings = settings(max_examples=50, stateful_step_count=40, deadline=None)
TestKeeping = Keeping.TestCase
