"""Servers that fail as real ones do, and what whoever depends on an answer wants then: another, or a clean word."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.e2e import raw_faults as faults
from tests.e2e import raw_wires as wires
from tests.e2e.raw_server import Fault, RawServer, answers
from understudy import Director, Finished, Reply, Task, Text, UnderstudyError
from understudy.director.budget import money_scope
from understudy.errors import NoCandidate
from understudy.types import Call

PRIMARY = "The primary says that air scatters blue light more than red light."
RESCUE = "The rescuer says that air scatters blue light more than red light."
KINDS = tuple(w.kind for w in wires.WIRES)
ONE_ANSWER = 11 * 3 + 7 * 4  # micro-dollars at the rescuer


class Shifted:
    """The real clock, a little ahead."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass
class World:
    director: Director
    clock: Shifted
    first: RawServer
    second: RawServer

    async def ask(self, text: str = "Why is the sky blue?", *, streamed: bool = False) -> Reply:
        task = Task(text, intent="quick_qa", quality="best")
        if not streamed:
            return await self.director.run(task)
        seen: list[str] = []
        async with aclosing(self.director.stream(task)) as events:  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, Text):
                    seen.append(event.text)
                if isinstance(event, Finished):
                    assert seen == [event.reply.text]
                    return event.reply
        raise AssertionError("a stream without its end")

    async def spent(self) -> int:
        """Micro-dollars of the ledger. Nothing may be reserved or in flight while nobody asks."""
        parts = self.director.parts
        states = await parts.book.states(parts.fleet)
        assert not any(state.in_flight for state in states.values())
        balance = await parts.store.ledger.balance(money_scope(self.clock.now()))
        assert balance.reserved.micro_usd == 0
        return balance.spent.micro_usd

    async def breaker(self) -> str:
        states = await self.director.parts.book.states(self.director.parts.fleet)
        return next(state.breaker for name, state in states.items() if name.startswith("first/"))


@asynccontextmanager
async def world(
    home: Path,
    kind: str,
    first: list[Fault],
    second: list[Fault] | None = None,
    *,
    alone: bool = False,
    limits: tuple[float, float] = (5.0, 5.0),
) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(RawServer(kind, PRIMARY, *first))
        two = await stack.enter_async_context(RawServer(wires.wire(kind).other, RESCUE, *(second or [])))
        home.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240
        (home / "key").write_text("k")
        lines = [
            f"deadline = {4 * max(limits)}",
            'director.candidate = "none/none"',
            "classifier.enabled = false",
            "",
        ]
        both = (("first", one, 1, limits[0]), ("second", two, 3, limits[1]))
        for name, server, price, timeout in both[: 1 if alone else 2]:
            lines += [
                f"[providers.{name}]",
                f'kind = "{server.wire.kind}"\nbase_url = "{server.url}"',
                f'accounts = [{{ keys = ["file:{home}/key"] }}]',
                f"free = false\ntimeout = {timeout}\nstall = 0.25",
                f'models = [{{ id = "{server.wire.model}", context = 8000, output_cap = 512, capabilities = [], '
                f"input_usd = {price}, output_usd = {price + 1} }}]",
            ]
        (home / "config.toml").write_text("\n".join(lines))
        clock = Shifted()
        director = Director(Director.from_config(home / "config.toml").settings, home, clock=clock)
        async with director:
            for candidate in director.parts.fleet:  # importing an SDK is nobody's slowness
                await director.parts.dispatcher.caller.load(candidate, Call(""))
            yield World(director, clock, one, two)


def outcomes(of: Reply | UnderstudyError) -> list[str]:
    return [attempt.outcome for attempt in of.attempts]


RESCUED = {
    "429": (faults.says(lambda of: wires.rate_limited(of, "20")), {"minute_quota"}),
    "500": (faults.status(500), {"overload"}),
    "503": (faults.says(faults.busy), {"overload"}),
    "reset": (faults.reset, {"transport"}),
    "silence": (faults.silent, {"transport"}),
    "slow first token": (faults.late_first_token, {"transport"}),
    "cut": (faults.cut, {"transport"}),
    "cut hard": (faults.cut_hard, {"transport"}),
    "stall": (faults.stalls, {"transport"}),
    "broken chunk": (faults.breaks_a_chunk, {"malformed", "transport"}),
    "no end mark": (faults.forgets_its_end, {"transport", "malformed"}),
    "error in the stream": (faults.fails_in_the_stream, {"overload", "malformed"}),
    "context": (faults.says(wires.too_long), {"context"}),
}
SLOW = ("silence", "slow first token")  # only the call's own limit ends them
UNCHARGED = ("429", "context")
PASSES = ("500", "503", "reset", "context", "cut", "no end mark")


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", RESCUED)
async def test_one_asks_once_and_the_other_answers(tmp_path: Path, name: str, streamed: bool) -> None:
    fault, expected = RESCUED[name]
    for kind in KINDS if streamed else ("groq", "gemini"):
        limit = 0.3 if name in SLOW or (name == "stall" and not streamed) else 5.0
        async with world(tmp_path / kind, kind, [fault, answers], limits=(limit, 5.0)) as w:
            began = time.monotonic()
            reply = await w.ask(streamed=streamed)
            assert reply.text == RESCUE, kind
            assert time.monotonic() - began < 4.0, kind
            failed, answered = reply.attempts
            assert failed.outcome in expected, kind
            assert (answered.outcome, answered.input_tokens, answered.output_tokens) == ("ok", *wires.USED), kind
            assert (len(w.first.got), len(w.second.got)) == (1, 1), kind
            spent = await w.spent()
            assert spent == ONE_ANSWER if name in UNCHARGED else spent >= ONE_ANSWER, kind
            if name in ("silence", "stall"):
                await asyncio.sleep(0.02)
                assert w.first.got[0].hung_up, kind
            if name in PASSES:  # it is asked again by the next task
                assert (await w.ask("Why is grass green?", streamed=streamed)).text == PRIMARY, kind
            elif name == "429":  # and that one knows better
                assert (await w.ask("Why is grass green?", streamed=streamed)).text == RESCUE, kind
                assert len(w.first.got) == 1, kind


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_a_filter_is_reported_and_not_gone_round(tmp_path: Path, kind: str, streamed: bool) -> None:
    async with world(tmp_path, kind, [faults.filters]) as w:
        with pytest.raises(NoCandidate, match="filter") as caught:
            await w.ask(streamed=streamed)
        assert outcomes(caught.value) == ["content_filter"]
        assert not w.second.got
        await w.spent()


FORMS = {
    "seconds": ("groq", lambda: {"retry-after": "40"}),
    "fractions": ("anthropic", lambda: {"retry-after": "40.5"}),
    "a date": ("groq", lambda: {"retry-after": formatdate(time.time() + 40, usegmt=True)}),
    "milliseconds": ("openai_compatible", lambda: {"retry-after-ms": "40500"}),
    "RetryInfo": ("gemini", dict[str, str]),
}


@pytest.mark.parametrize("form", FORMS)
async def test_the_time_a_server_names_is_told_and_kept(tmp_path: Path, form: str) -> None:
    kind, headers = FORMS[form]

    def refusal(of: wires.Wire) -> wires.Said:
        status, _, body = wires.rate_limited(of, "40")
        return status, headers(), body

    async with world(tmp_path, kind, [faults.says(refusal), answers], alone=True) as w:
        for _ in range(2):
            with pytest.raises(NoCandidate, match=r"Try again in \d+ s") as caught:
                await w.ask()
            assert caught.value.retry_after == pytest.approx(40, abs=2)
        assert len(w.first.got) == 1
        assert await w.spent() == 0
        w.clock.ahead = 41
        assert (await w.ask()).text == PRIMARY


@pytest.mark.parametrize("kind", KINDS)
async def test_the_only_one_is_waited_for_when_it_names_a_near_time(tmp_path: Path, kind: str) -> None:
    refusal = faults.says(lambda of: wires.rate_limited(of, "0.7"))
    async with world(tmp_path, kind, [refusal, answers], alone=True) as w:
        assert outcomes(await w.ask()) == ["minute_quota", "ok"]
        first, second = w.first.got
        assert second.at - first.at >= 0.65


@pytest.mark.parametrize("kind", KINDS)
async def test_a_server_that_stays_down_is_left_alone_and_taken_back(tmp_path: Path, kind: str) -> None:
    async with world(tmp_path, kind, [faults.says(faults.busy)] * 4 + [answers]) as w:
        for number in range(5):
            assert (await w.ask(f"Why {number}?")).text == RESCUE
        assert len(w.first.got) == 3
        assert await w.breaker() == "open"
        w.clock.ahead += 7
        replies = await asyncio.gather(*(w.ask(f"Why {number}?") for number in range(8)))
        assert {reply.text for reply in replies} == {RESCUE}
        assert len(w.first.got) == 4  # one of them felt whether it is back
        w.clock.ahead += 13
        assert (await w.ask()).text == PRIMARY
        assert await w.breaker() == "closed"


async def test_nobody_waits_for_the_one_who_feels_whether_it_is_back(tmp_path: Path) -> None:
    async with world(tmp_path, "groq", [faults.says(faults.busy)] * 3 + [faults.silent], limits=(1.5, 5.0)) as w:
        for number in range(3):
            await w.ask(f"Why {number}?")
        w.clock.ahead = 7

        async def seconds(number: int) -> float:
            began = time.monotonic()
            assert (await w.ask(f"Why {number}?")).text == RESCUE
            return time.monotonic() - began

        taken = sorted(await asyncio.gather(*(seconds(number) for number in range(5))))
        assert len(w.first.got) == 4
        assert taken[3] < 1.2 < taken[4]


FAILING = {
    "overloaded": (faults.says(faults.busy), "Try again in"),
    "broken": (faults.cut, "Try again in"),
    "silent": (faults.silent, "Try again in"),
    "refusing": (faults.status(401), "Replace it"),
}


@pytest.mark.parametrize("name", FAILING)
async def test_when_all_fail_it_is_said_what_helps(tmp_path: Path, name: str) -> None:
    fault, what = FAILING[name]
    async with world(tmp_path, "groq", [fault], [fault], limits=(0.3, 0.3)) as w:
        with pytest.raises(NoCandidate) as caught:
            await w.ask(streamed=True)
        error = caught.value
        assert error.exit_code == 3
        assert (error.retry_after is not None) == (what == "Try again in")
        assert what in error.remedy
        assert max(len(w.first.got), len(w.second.got)) <= 2
        await w.spent()


async def test_twenty_at_once_through_a_flap(tmp_path: Path) -> None:
    flap = [faults.says(faults.busy), answers, faults.reset, faults.cut, answers, faults.slow(0.1)] * 4
    async with world(tmp_path, "groq", flap) as w:
        replies = await asyncio.gather(*(w.ask(f"Why {n}?", streamed=n % 2 == 0) for n in range(20)))
        assert {reply.text for reply in replies} <= {PRIMARY, RESCUE}
        made = sum(len(reply.attempts) for reply in replies)
        assert made == len(w.first.got) + len(w.second.got)
        await w.spent()


LOADING = (503, {}, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}})
NONE_LOADED = (404, {}, {"error": {"message": "No models loaded. Please load a model.", "code": "model_not_found"}})


async def test_a_local_server_that_is_loading_is_asked_again_when_it_may_be_done(tmp_path: Path) -> None:
    async with world(tmp_path, "openai_compatible", [faults.says(LOADING), answers]) as w:
        assert outcomes(await w.ask()) == ["unavailable", "ok"]
        assert outcomes(await w.ask()) == ["ok"]
        assert len(w.first.got) == 1
        w.clock.ahead = 5.1
        assert (await w.ask()).text == PRIMARY


async def test_a_local_server_without_a_model_says_what_to_do(tmp_path: Path) -> None:
    async with world(tmp_path, "openai_compatible", [faults.says(NONE_LOADED)], alone=True) as w:
        with pytest.raises(NoCandidate, match="Load it in the server"):
            await w.ask()
