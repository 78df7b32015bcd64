"""The walker: one reaction per failure class, one deadline, one attempt cap, nothing private sent out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.fakes import FakeClock, FakeWorker, FreeLedger
from tests.fleet.quota_model import pages_of
from understudy.errors import BudgetRefused, CallFailed, ConfigError
from understudy.fleet.book import Book, Cost, Tab
from understudy.fleet.dispatch import SHARE_OF_TIME, Dispatcher
from understudy.fleet.errand import Errand, Walk
from understudy.fleet.form import PageForm
from understudy.fleet.guards import SendGuard
from understudy.store.pages import MemoryPages
from understudy.types import Answer, Call, Candidate, Check, Failure, Role, Sensitivity

A = Candidate("groq", "groq", "a", "small", context=8000, tokens_per_minute=6000)
A2 = replace(A, model="large")
B = Candidate("gemini", "gemini", "b", "flash", context=1_000_000)
L = Candidate("gpu", "llama_cpp", "default", "mini", local=True, context=4096)


async def accept_all(answer: Answer, candidate: Candidate) -> tuple[Check, ...]:
    return (Check("not_empty", bool(answer.text), "it is empty"),)


class Stage:
    def __init__(self, **scripts: object) -> None:
        self.clock = FakeClock()
        self.book = Book(MemoryPages(PageForm(), self.clock))
        self.ledger = FreeLedger()
        chain = [c for c in (A, A2, B, L) if c.model in scripts]
        self.workers = {c.domain: FakeWorker(c, _script(scripts[c.model]), self.clock, 0.5) for c in chain}
        self.chain = tuple(chain)
        self.dispatcher = Dispatcher(lambda c: self.workers[c.domain], self.book, self.clock)

    async def walk(self, *, private: bool = False, **more: object) -> Walk:
        sensitivity = Sensitivity.PRIVATE if private else Sensitivity.PUBLIC
        call = more.pop("call", None) or Call("hello", output_cap=500, timeout=30, sensitivity=sensitivity)
        values = {
            "call": call,
            "chain": self.chain,
            "deadline": self.clock.now() + 60,
            "max_attempts": 6,
            "accept": accept_all,
            "guard": lambda c: SendGuard(c, sensitivity, self.ledger, ("s",)),
            **more,
        }
        return await self.dispatcher.walk(Errand(**values))  # type: ignore[arg-type]

    async def refuse(self, candidate: Candidate, failure: Failure, seconds: float) -> None:
        """The provider refuses a request and names a time."""
        tab = await self.book.reserve(candidate, Cost(10, 10), seconds=10)
        assert isinstance(tab, Tab)
        await self.book.close(tab, failure, retry_after=seconds)

    async def rests(self, candidate: Candidate) -> float:
        return (await self.book.states([candidate]))[candidate.domain].wait

    def sent(self, model: str) -> int:
        return sum(len(w.calls) for d, w in self.workers.items() if d.endswith("/" + model))


def _script(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else [value]


def failed(failure: Failure, **more: object) -> CallFailed:
    return CallFailed(failure, "no", **more)  # type: ignore[arg-type]


def outcomes(walk: Walk) -> list[str]:
    return [f"{a.model}:{a.outcome}" for a in walk.attempts]


async def test_the_first_that_answers() -> None:
    stage = Stage(small="hi", flash="unused")
    walk = await stage.walk()
    assert (walk.answer and walk.answer.text) == "hi"
    assert outcomes(walk) == ["small:ok"]
    assert stage.sent("flash") == 0


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (Failure.AUTH, ["small:auth", "flash:ok"]),  # the account is passed over: large is not asked
        (Failure.PAYMENT, ["small:payment", "flash:ok"]),
        (Failure.MINUTE_QUOTA, ["small:minute_quota", "large:ok"]),
        (Failure.DAY_QUOTA, ["small:day_quota", "large:ok"]),
        (Failure.TOO_LARGE, ["small:too_large", "large:ok"]),
        (Failure.CONTEXT, ["small:context", "large:ok"]),
        (Failure.UNSUITED, ["small:unsuited", "large:ok"]),
        (Failure.OVERLOAD, ["small:overload", "large:ok"]),
        (Failure.TRANSPORT, ["small:transport", "large:ok"]),
        (Failure.MALFORMED, ["small:malformed", "large:ok"]),
        (Failure.UNAVAILABLE, ["small:unavailable", "large:ok"]),
        (Failure.CONTENT_FILTER, ["small:content_filter"]),
        (Failure.CANCELLED, ["small:cancelled"]),
    ],
)
async def test_one_reaction_per_class(failure: Failure, expected: list[str]) -> None:
    walk = await Stage(small=failed(failure), large="l", flash="f").walk()
    assert outcomes(walk) == expected


@pytest.mark.parametrize("failure", [Failure.OVERLOAD, Failure.TRANSPORT, Failure.MALFORMED, Failure.UNAVAILABLE])
async def test_an_outage_does_not_use_up_the_attempts(failure: Failure) -> None:
    """Three accounts of two models at a provider that is down, and the cap is three attempts."""
    stage = Stage(small=failed(failure), flash="f")
    models = [replace(A, model=m, account=a) for m in ("small", "large") for a in ("a", "b", "c")]
    for candidate in models:
        stage.workers[candidate.domain] = FakeWorker(candidate, [failed(failure)], stage.clock, 0.5)
    walk = await stage.walk(chain=(*models, B), max_attempts=3)
    assert outcomes(walk) == [f"small:{failure}", f"large:{failure}", "flash:ok"]


async def test_an_answer_rejected_twice_is_not_asked_of_the_same_model_elsewhere() -> None:
    stage = Stage(small=["", ""], large="l")
    stage.workers[A.domain].candidate = A
    again = replace(A, account="b")
    stage.workers[again.domain] = FakeWorker(again, [""], stage.clock, 0.5)
    walk = await stage.walk(chain=(A, again, A2))
    assert outcomes(walk) == ["small:rejected", "small:rejected", "large:ok"]


async def test_errors_in_disguise_open_the_breaker() -> None:
    stage = Stage(small=["", "", "", ""], flash="f")
    for _ in range(2):
        await stage.walk()
    assert await stage.rests(A) > 0
    assert outcomes(await stage.walk()) == ["flash:ok"]


async def test_a_quota_failure_rests_and_the_longer_rest_wins() -> None:
    stage = Stage(small=failed(Failure.MINUTE_QUOTA, retry_after=40), flash="f")
    await stage.walk()
    assert await stage.rests(A) == pytest.approx(40, abs=1)
    walk = await stage.walk()
    assert stage.sent("small") == 1
    assert walk.skipped[0][0] == A.domain
    assert "minute_quota" in walk.skipped[0][1]
    stage = Stage(small=failed(Failure.MINUTE_QUOTA, retry_after=1))
    first, second = [await stage.book.reserve(A, Cost(10, 10), seconds=10) for _ in range(2)]
    assert isinstance(first, Tab)
    assert isinstance(second, Tab)
    await stage.book.close(first, Failure.MINUTE_QUOTA, retry_after=40)
    await stage.book.close(second, Failure.MINUTE_QUOTA, retry_after=1)
    assert await stage.rests(A) == pytest.approx(40, abs=1)


async def test_a_short_rest_is_waited_for() -> None:
    stage = Stage(small="hi", flash="f")
    await stage.refuse(A, Failure.MINUTE_QUOTA, 2)
    walk = await stage.walk(patience=3.0)
    assert outcomes(walk) == ["small:ok"]


async def test_when_all_rest_the_walk_says_for_how_long() -> None:
    stage = Stage(small="hi", flash="f")
    await stage.refuse(A, Failure.MINUTE_QUOTA, 50)
    await stage.refuse(B, Failure.DAY_QUOTA, 90)
    walk = await stage.walk()
    assert walk.answer is None
    assert walk.retry_after(stage.clock.now()) == 50


@pytest.mark.parametrize("failure", [Failure.MINUTE_QUOTA, Failure.UNAVAILABLE, Failure.OVERLOAD])
async def test_a_named_time_that_is_near_is_waited_for_when_nobody_else_answers(failure: Failure) -> None:
    stage = Stage(small=[failed(failure, retry_after=2), "back"], flash=failed(Failure.DAY_QUOTA, retry_after=900))
    began = stage.clock.now()
    assert outcomes(await stage.walk(patience=3.0)) == [f"small:{failure}", "flash:day_quota", "small:ok"]
    assert stage.clock.now() - began >= 2
    stage = Stage(small=[failed(failure, retry_after=20), "back"])
    walk = await stage.walk(patience=3.0)
    assert outcomes(walk) == [f"small:{failure}"]
    assert walk.retry_after(stage.clock.now()) == pytest.approx(20, abs=1)


async def test_who_is_down_is_waited_for_only_when_nobody_else_can_be_asked() -> None:
    stage = Stage(small="back", flash="f")
    await stage.refuse(A, Failure.OVERLOAD, 2)
    assert outcomes(await stage.walk(patience=3.0)) == ["flash:ok"]
    await stage.refuse(B, Failure.DAY_QUOTA, 900)
    assert outcomes(await stage.walk(patience=3.0)) == ["small:ok"]


async def test_trouble_that_passes_names_a_time_and_what_does_not_names_a_remedy() -> None:
    stage = Stage(small=failed(Failure.TRANSPORT), flash=failed(Failure.OVERLOAD))
    walk = await stage.walk()
    assert 0 < (walk.retry_after(stage.clock.now()) or 0.0) < 10
    walk = await Stage(small=failed(Failure.AUTH, remedy="Check the key.")).walk()
    assert walk.retry_after(0.0) is None
    assert walk.remedies == ["Check the key."]


async def test_the_time_to_try_again_is_the_later_of_the_provider_and_the_book() -> None:
    stage = Stage(small=failed(Failure.OVERLOAD, retry_after=1))
    await stage.walk(patience=0.0)
    walk = await stage.walk(patience=0.0, deadline=stage.clock.now() + 60)
    again = walk.retry_after(stage.clock.now())
    assert again is not None
    assert again >= await stage.rests(A) > 0


async def test_private_goes_nowhere_but_local() -> None:
    stage = Stage(small="hi", flash="f", mini="local")
    walk = await stage.walk(private=True)
    assert outcomes(walk) == ["mini:ok"]
    assert stage.sent("small") == stage.sent("flash") == 0


async def test_the_guard_alone_stops_private_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """The chain filter unplugged: the seam still refuses."""
    monkeypatch.setattr("understudy.fleet.dispatch._unfit", lambda *_: "")
    stage = Stage(small="hi", mini="local")
    walk = await stage.walk(private=True)
    assert stage.sent("small") == 0
    assert outcomes(walk) == ["mini:ok"]


async def test_transport_is_tried_once_more_after_the_others() -> None:
    stage = Stage(small=[failed(Failure.TRANSPORT), "back"], flash=failed(Failure.OVERLOAD))
    assert outcomes(await stage.walk()) == ["small:transport", "flash:overload", "small:ok"]
    stage = Stage(small=failed(Failure.TRANSPORT), flash=failed(Failure.OVERLOAD))
    walk = await stage.walk()
    assert outcomes(walk) == ["small:transport", "flash:overload", "small:transport", "flash:overload"]


async def test_a_rejection_goes_back_once_with_its_reason_then_on() -> None:
    stage = Stage(small=["", ""], flash="f")
    walk = await stage.walk()
    assert outcomes(walk) == ["small:rejected", "small:rejected", "flash:ok"]
    calls = stage.workers[A.domain].calls
    assert "it is empty" in calls[1].prompt
    assert "it is empty" not in stage.workers[B.domain].calls[0].prompt


async def test_attempt_cap_and_deadline() -> None:
    walk = await Stage(small=failed(Failure.OVERLOAD), flash="f").walk(max_attempts=1)
    assert outcomes(walk) == ["small:overload"]
    assert "cap" in walk.skipped[0][1]
    stage = Stage(small=failed(Failure.OVERLOAD), flash="f")
    walk = await stage.walk(deadline=stage.clock.now() + 0.4)
    assert outcomes(walk) == ["small:overload"]
    assert "deadline" in walk.skipped[0][1]


async def test_what_cannot_hold_it_is_passed_over_with_the_reason() -> None:
    stage = Stage(small="hi", mini="x", flash="f")
    walk = await stage.walk(call=Call("x" * 40_000, output_cap=500))
    assert outcomes(walk) == ["flash:ok"]
    reasons = dict(walk.skipped)
    assert "too large" in reasons[A.domain]


async def test_the_answer_shrinks_to_the_room_there_is() -> None:
    stage = Stage(small="hi")
    await stage.walk(call=Call("x" * 20_000, output_cap=4000))
    assert stage.workers[A.domain].calls[0].output_cap == 1000


async def test_a_refused_budget_is_no_attempt() -> None:
    stage = Stage(small="hi", flash="f")

    class Refusing(FreeLedger):
        async def reserve(self, scopes: tuple[str, ...], amount: object, *, lease: float) -> object:  # type: ignore[override]
            raise BudgetRefused(unit="tokens", scope=scopes[0], limit=1, spent=0, reserved=0, asked=2)

    walk = await stage.walk(guard=lambda c: SendGuard(c, Sensitivity.PUBLIC, Refusing(), ("s",)))  # type: ignore[arg-type]
    assert walk.attempts == []
    assert len(walk.refusals) == 2
    assert stage.sent("small") == 0


async def test_costs_are_counted_once() -> None:
    paid = replace(B, free=False, input_price=15_000_000, output_price=75_000_000)
    stage = Stage(flash="f")
    walk = await stage.walk(chain=(paid,))
    assert walk.attempts[0].cost_usd == pytest.approx((10 * 15 + 5 * 75) / 1e6)
    assert walk.attempts[0].role is Role.WORKER


def slow_to_load(stage: Stage, model: str, seconds: float) -> None:
    """Its SDK takes so long to import."""
    worker = next(w for w in stage.workers.values() if w.candidate.model == model)

    def load(_: Call) -> None:
        stage.clock.time += seconds

    worker.load = load  # type: ignore[method-assign]


async def test_an_import_takes_of_the_tasks_time() -> None:
    stage = Stage(small="hi", flash="f")
    slow_to_load(stage, "small", 3)
    await stage.walk(deadline=stage.clock.now() + 5)
    given = next(w for w in stage.workers.values() if w.calls).calls[0].timeout
    assert given == pytest.approx(2.0 * SHARE_OF_TIME)


async def test_no_room_is_held_during_an_import() -> None:
    stage = Stage(small="hi", flash="f")
    held: list[bool] = []

    def load(_: Call) -> None:
        held.append(any(page.held for page in pages_of(stage.book.pages).values()))  # type: ignore[arg-type]

    for worker in stage.workers.values():
        worker.load = load  # type: ignore[method-assign]
    walk = await stage.walk()
    assert walk.answer is not None
    assert held == [False]


async def test_who_cannot_be_loaded_is_passed_over_with_the_reason() -> None:
    stage = Stage(small="hi", flash="f")
    worker = next(w for w in stage.workers.values() if w.candidate.model == "small")

    def load(_: Call) -> None:
        raise ConfigError("There is no key at env:K.", remedy="Set it.")

    worker.load = load  # type: ignore[method-assign]
    walk = await stage.walk()
    assert walk.answer is not None
    assert walk.skipped == [(A.domain, "There is no key at env:K.")]
    assert walk.remedies == ["Set it."]


async def test_nothing_is_sent_after_an_import_that_took_all_the_time() -> None:
    stage = Stage(small="hi", flash="f")
    slow_to_load(stage, "small", 7)
    walk = await stage.walk(deadline=stage.clock.now() + 5)
    assert (walk.answer, walk.attempts) == (None, [])
    assert [why for _, why in walk.skipped] == ["the deadline has passed"] * 2
    assert (stage.sent("small"), stage.sent("flash")) == (0, 0)
    state = (await stage.book.states([A]))[A.domain]
    assert (state.in_flight, state.breaker) == (0, "closed")
