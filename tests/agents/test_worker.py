"""The real SDKs over HTTP: text, streams, usage, caps, cancellation."""

from __future__ import annotations

import asyncio
import logging
import warnings
from dataclasses import replace
from typing import Any

import pytest

from tests.agents.stub import Reply, Seen, Stub, sse
from tests.agents.wires import ALL, ANTHROPIC, CANARY, GEMINI, GROQ, KEY, LOCAL, OPENAI, Ledger, Wire, made
from understudy.errors import BudgetRefused, CallFailed
from understudy.types import Call, Failure, Reading, Role, Sensitivity, Turn, Usage

every = pytest.mark.parametrize("wire", ALL, ids=lambda w: w.kind)


def calling(**more: Any) -> Call:
    return Call(**{"prompt": "Say hello", "instructions": "Be brief.", "output_cap": 64, "timeout": 10.0, **more})


@every
async def test_text_usage_and_cap(wire: Wire, stub: Stub) -> None:
    stub.answer = wire.good("Hello there")
    _, worker = await made(wire, stub.url)
    ledger = Ledger()
    history = (Turn("first question", "first answer"), Turn("lost", ""))
    answer = await worker.work(calling(history=history, temperature=0.2), ledger)
    await worker.close()
    assert (answer.text, answer.finish, answer.model) == ("Hello there", "stop", "served-model")
    assert answer.usage == Usage(11, 7)
    (seen,) = stub.seen
    assert seen.path.split("?")[0] == wire.path
    assert wire.max_tokens(seen.json) == 64
    text = seen.raw.decode()
    assert all(words in text for words in ("Be brief.", "first question", "first answer", "Say hello"))
    assert "lost" not in text
    assert KEY in str(seen.headers) or wire is LOCAL
    assert ledger.settled == [Usage(11, 7)]
    assert not ledger.open
    ((bound, cap),) = ledger.asked
    assert cap == 64
    assert bound <= worker.bound(calling(history=history))
    assert bound >= 11


@every
async def test_stream_reports_progress(wire: Wire, stub: Stub) -> None:
    stub.answer = wire.stream(["Hel", "lo ", "there"])
    _, worker = await made(wire, stub.url)
    ledger, heard = Ledger(), list[int]()
    answer = await worker.work(calling(), ledger, heard.append)
    await worker.close()
    assert (answer.text, answer.finish, answer.usage) == ("Hello there", "stop", Usage(11, 7))
    assert heard == sorted(heard)
    assert heard[-1] == 11
    assert wire.stream_path in stub.seen[0].path
    assert wire.max_tokens(stub.seen[0].json) == 64
    assert ledger.settled == [Usage(11, 7)]


@every
@pytest.mark.parametrize("how", ["no end mark", "connection lost"])
async def test_a_cut_stream_is_never_complete(wire: Wire, how: str, stub: Stub) -> None:
    stub.answer = wire.stream(["Hel", "lo"], ended=False)
    stub.answer.cut = how == "connection lost"
    _, worker = await made(wire, stub.url)
    ledger = Ledger()
    with pytest.raises(CallFailed) as caught:
        await worker.work(calling(), ledger, lambda _: None)
    await worker.close()
    assert caught.value.failure is Failure.TRANSPORT
    assert caught.value.charged
    assert ledger.settled == [None] or how == "no end mark"
    assert not ledger.open


@every
async def test_silence_about_usage_is_not_zero(wire: Wire, stub: Stub) -> None:
    stub.answer = wire.good("Hello", None)
    _, worker = await made(wire, stub.url)
    ledger = Ledger()
    answer = await worker.work(calling(), ledger)
    await worker.close()
    assert not answer.usage.measured
    assert ledger.settled == [None]


@every
@pytest.mark.parametrize("used", [(11, 0), (10**23, 7), (11, 10**23)], ids=["none", "input", "output"])
async def test_usage_that_cannot_be_is_no_measurement(wire: Wire, used: tuple[int, int], stub: Stub) -> None:
    stub.answer = wire.good("Hello", used)
    _, worker = await made(wire, stub.url)
    ledger = Ledger()
    answer = await worker.work(calling(), ledger)
    await worker.close()
    assert (answer.text, answer.usage.measured, answer.usage.total) == ("Hello", False, 0)
    assert ledger.settled == [None]


@every
async def test_cancelling_closes_the_connection_and_settles(wire: Wire, stub: Stub) -> None:
    stub.answer = Reply(hang=30.0)
    _, worker = await made(wire, stub.url)
    ledger = Ledger()
    task = asyncio.create_task(worker.work(calling(timeout=30.0), ledger))
    await asyncio.wait_for(stub.arrived.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(stub.hung_up.wait(), 2)
    await worker.close()
    assert ledger.settled == [None]
    assert not ledger.open


@every
async def test_cancelling_a_stream_closes_the_connection(wire: Wire, stub: Stub) -> None:
    stub.answer = wire.stream(["Hel", "lo"])
    stub.answer.pause = 30.0
    _, worker = await made(wire, stub.url)
    ledger, begun = Ledger(), asyncio.Event()
    task = asyncio.create_task(worker.work(calling(timeout=30.0), ledger, lambda _: begun.set()))
    if wire.kind in ("groq", "openai", "openai_compatible", "anthropic"):
        await asyncio.wait_for(stub.arrived.wait(), 5)  # the first event of these wires carries no text
        await asyncio.sleep(0.05)
    else:
        await asyncio.wait_for(begun.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(stub.hung_up.wait(), 2)
    await worker.close()
    assert ledger.settled == [None]


@every
async def test_the_timeout_covers_everything(wire: Wire, stub: Stub) -> None:
    stub.answer = Reply(hang=30.0)
    _, worker = await made(wire, stub.url)
    ledger = Ledger()
    with pytest.raises(CallFailed) as caught:
        await worker.work(calling(timeout=0.3), ledger)
    await worker.close()
    assert caught.value.failure is Failure.TRANSPORT
    assert ledger.settled == [None]


@every
async def test_a_refused_budget_sends_nothing(wire: Wire, stub: Stub) -> None:
    class Broke(Ledger):
        async def before(self, input_tokens: int, output_cap: int) -> None:
            raise BudgetRefused(unit="tokens", scope="s", limit=1, spent=0, reserved=0, asked=input_tokens)

    _, worker = await made(wire, stub.url)
    with pytest.raises(BudgetRefused):
        await worker.work(calling(), Broke())
    await worker.close()
    assert stub.seen == []


@every
async def test_cancelled_while_reserving_the_reservation_is_given_back(wire: Wire, stub: Stub) -> None:
    class Slow(Ledger):
        def __init__(self) -> None:
            super().__init__()
            self.reserving = asyncio.Event()

        async def before(self, input_tokens: int, output_cap: int) -> Any:
            hold = await super().before(input_tokens, output_cap)
            self.reserving.set()
            await asyncio.sleep(0.05)
            return hold

    _, worker = await made(wire, stub.url)
    ledger = Slow()
    task = asyncio.create_task(worker.work(calling(), ledger))
    await asyncio.wait_for(ledger.reserving.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await worker.close()
    assert (ledger.open, ledger.released, stub.seen) == ({}, 1, [])


@every
async def test_length_is_told_and_a_filter_is_a_failure(wire: Wire, stub: Stub) -> None:
    _, worker = await made(wire, stub.url)
    stub.answer = wire.good("cut sho", finish="length")
    assert (await worker.work(calling(), Ledger())).finish == "length"
    stub.answer = wire.good("", finish="content_filter")
    with pytest.raises(CallFailed) as caught:
        await worker.work(calling(), Ledger())
    await worker.close()
    assert caught.value.failure is Failure.CONTENT_FILTER
    assert caught.value.usage == Usage(11, 7)


@every
async def test_an_empty_answer_is_malformed(wire: Wire, stub: Stub) -> None:
    stub.answer = wire.good("  \n")
    _, worker = await made(wire, stub.url)
    with pytest.raises(CallFailed) as caught:
        await worker.work(calling(), Ledger())
    await worker.close()
    assert caught.value.failure is Failure.MALFORMED


@every
async def test_the_schema_is_asked_for_in_words(wire: Wire, stub: Stub) -> None:
    stub.answer = wire.good('{"a": 1}')
    _, worker = await made(wire, stub.url)
    schema = {"type": "object", "properties": {"wingspan": {"type": "integer"}}}
    heard = list[int]()
    if wire is GROQ:  # its JSON mode does not stream
        await worker.work(calling(schema=schema), Ledger(), heard.append)
    else:
        await worker.work(calling(schema=schema), Ledger())
    body = stub.seen[0].json
    assert b"wingspan" in stub.seen[0].raw
    if wire in (GROQ, OPENAI):
        assert body["response_format"] == {"type": "json_object"}
        assert not body.get("stream")
    elif wire is GEMINI:
        assert body["generationConfig"]["responseMimeType"] == "application/json"
    else:
        assert "response_format" not in body
    stub.answer = wire.good("[1]")
    await worker.work(calling(schema={"type": "array"}), Ledger())
    await worker.close()
    assert "json_object" not in stub.seen[1].raw.decode()
    assert "application/json" not in stub.seen[1].raw.decode()


async def test_llama_cpp_gets_max_tokens_not_its_new_name(stub: Stub) -> None:
    stub.answer = LOCAL.good("x")
    _, worker = await made(LOCAL, stub.url)
    await worker.work(calling(output_cap=33), Ledger())
    await worker.close()
    assert stub.seen[0].json["max_tokens"] == 33
    assert "max_completion_tokens" not in stub.seen[0].json


async def test_the_candidates_own_cap_holds_too(stub: Stub) -> None:
    stub.answer = LOCAL.good("x")
    _, worker = await made(LOCAL, stub.url, output_cap=20)
    await worker.work(calling(output_cap=500), Ledger())
    await worker.close()
    assert stub.seen[0].json["max_tokens"] == 20


@every
@pytest.mark.parametrize("streamed", [False, True])
async def test_one_call_is_one_request(wire: Wire, streamed: bool, stub: Stub) -> None:
    stub.answer = Reply(503, {"error": {"message": "busy"}})
    _, worker = await made(wire, stub.url)
    with pytest.raises(CallFailed):
        await worker.work(calling(), Ledger(), (lambda _: None) if streamed else None)
    await worker.close()
    assert len(stub.seen) == 1


async def test_thinking_is_not_text(stub: Stub) -> None:
    _, worker = await made(LOCAL, stub.url)
    for reply in (
        LOCAL.good("<think>hm, 41? no</think>\n42"),
        LOCAL.good("hm, 41? no\n</think>\n\n42"),
        LOCAL.good("42", reasoning_content="hm, 41? no"),
        LOCAL.stream(["<thi", "nk>hm, 41? no</th", "ink>", "42"]),
    ):
        stub.answer = reply
        answer = await worker.work(calling(), Ledger(), (lambda _: None) if reply.chunks else None)
        assert answer.text == "42"
    about = "Write `<think>x</think>` to think."
    stub.answer = LOCAL.good(about)
    assert (await worker.work(calling(), Ledger())).text == about
    stub.answer = LOCAL.good("<think>never ends", finish="stop")
    with pytest.raises(CallFailed) as caught:
        await worker.work(calling(), Ledger())
    await worker.close()
    assert caught.value.failure is Failure.MALFORMED


async def test_groq_tool_use_failed_is_no_answer(stub: Stub) -> None:
    error = {
        "message": "Failed to call a function.",
        "type": "invalid_request_error",
        "code": "tool_use_failed",
        "failed_generation": "<function=search>{}</function>",
    }
    stub.answer = Reply(400, {"error": error})
    _, worker = await made(GROQ, stub.url)
    ledger = Ledger()
    with pytest.raises(CallFailed) as caught:
        await worker.work(calling(), ledger)
    await worker.close()
    assert caught.value.failure is Failure.MALFORMED
    assert ledger.settled == [None]


async def test_cached_tokens_are_counted(stub: Stub) -> None:
    stub.answer = ANTHROPIC.good("x", (5, 7), cache_creation_input_tokens=20, cache_read_input_tokens=300)
    _, worker = await made(ANTHROPIC, stub.url)
    answer = await worker.work(calling(), Ledger())
    await worker.close()
    assert answer.usage == Usage(325, 7, cached_tokens=300)


async def test_geminis_thoughts_are_counted(stub: Stub) -> None:
    reply = GEMINI.good("x", (11, 7))
    reply.body["usageMetadata"]["thoughtsTokenCount"] = 30
    stub.answer = reply
    _, worker = await made(GEMINI, stub.url)
    answer = await worker.work(calling(), Ledger())
    await worker.close()
    assert answer.usage == Usage(11, 37)


async def test_anthropic_counts_exactly_for_the_director(stub: Stub) -> None:
    def answer(seen: Seen) -> Reply:
        return Reply(200, {"input_tokens": 9}) if "count_tokens" in seen.path else ANTHROPIC.good("ok", (9, 2))

    stub.answer = answer
    _, worker = await made(ANTHROPIC, stub.url)
    ledger = Ledger()
    await worker.work(calling(role=Role.DIRECTOR, prompt="word " * 50), ledger)
    assert ledger.asked[0] == (0, 0)  # the count carries the text too: the guard is asked, and charges nothing
    assert ledger.asked[1][0] < 20 < worker.bound(calling(prompt="word " * 50))
    assert ledger.released == 1
    await worker.work(calling(), ledger)
    assert len(stub.asked("count_tokens")) == 1
    stub.answer = lambda seen: Reply(500, {}) if "count_tokens" in seen.path else ANTHROPIC.good("ok", (9, 2))
    await worker.work(calling(role=Role.DIRECTOR, prompt="word " * 50), ledger)
    await worker.close()
    assert ledger.asked[-1][0] > 50
    assert not ledger.open


async def test_grounding_collects_its_sources(stub: Stub) -> None:
    found = {
        "webSearchQueries": ["q"],
        "groundingChunks": [
            {"web": {"uri": "https://a.example/1", "title": "a"}},
            {"web": {"uri": "https://b.example"}},
        ],
    }
    stub.answer = GEMINI.good("It rains.", groundingMetadata=found)
    _, worker = await made(GEMINI, stub.url)
    answer = await worker.work(calling(tools=("grounding", "fetch")), Ledger())
    assert answer.sources == ("https://a.example/1", "https://b.example")
    assert "googleSearch" in stub.seen[0].raw.decode()
    await worker.work(calling(tools=("grounding",), sensitivity=Sensitivity.PRIVATE), Ledger())
    await worker.close()
    assert "googleSearch" not in stub.seen[1].raw.decode()
    _, other = await made(GROQ, stub.url)
    with pytest.raises(CallFailed) as caught:
        await other.work(calling(tools=("grounding",)), Ledger())
    assert caught.value.failure is Failure.UNAVAILABLE


async def test_logprobs_where_the_candidate_has_them(stub: Stub) -> None:
    reply = LOCAL.good("ab")
    tokens = [{"token": t, "bytes": [1], "logprob": p, "top_logprobs": []} for t, p in (("a", -0.5), ("b", -1.5))]
    reply.body["choices"][0]["logprobs"] = {"content": tokens, "refusal": None}
    stub.answer = reply
    _, worker = await made(LOCAL, stub.url, capabilities=("logprobs",))
    assert (await worker.work(calling(), Ledger())).logprob == pytest.approx(-1.0)
    await worker.close()
    assert stub.seen[0].json["logprobs"] is True


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_readings_belong_to_their_own_call(stub: Stub, streamed: bool) -> None:
    def answer(seen: Seen) -> Reply:
        reply = GROQ.stream(["x"]) if streamed else GROQ.good("x")
        reply.headers["x-ratelimit-remaining-tokens"] = str(len(seen.json["messages"][-1]["content"]))
        return reply

    stub.answer = answer
    _, worker = await made(GROQ, stub.url)

    async def one(length: int) -> tuple[Reading, ...]:
        progress = (lambda _: None) if streamed else None
        return (await worker.work(calling(prompt="x" * length), Ledger(), progress)).readings

    assert await asyncio.gather(*(one(n) for n in range(5, 15))) == [(Reading("tokens", left=n),) for n in range(5, 15)]
    await worker.close()


@every
async def test_nothing_private_is_logged_or_printed(
    wire: Wire, stub: Stub, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    stub.answer = wire.good(CANARY)
    candidate, worker = await made(wire, stub.url)
    await worker.work(calling(prompt=CANARY), Ledger())
    printed = f"{worker!r} {candidate!r} {vars(worker)!r} {capsys.readouterr()}"
    await worker.close()
    for secret in (CANARY, KEY):
        assert secret not in caplog.text
        assert secret not in printed


@every
async def test_check_asks_for_no_token(wire: Wire, stub: Stub) -> None:
    listing = {"object": "list", "data": [{"id": wire.model, "object": "model"}], "models": []}
    one = {"id": wire.model, "name": wire.model, "display_name": wire.model, "type": "model", "created": 1}
    stub.answer = Reply(200, {**listing, **one, "created_at": "2025-01-01T00:00:00Z"})
    candidate, worker = await made(wire, stub.url)
    assert candidate.name in await worker.check()
    assert {seen.method for seen in stub.seen} == {"GET"}
    stub.answer = Reply(401, {"error": {"message": "no", "code": "invalid_api_key"}})
    with pytest.raises(CallFailed) as caught:
        await worker.check()
    await worker.close()
    assert caught.value.failure is Failure.AUTH


async def test_a_tool_loop_asks_the_guard_each_time(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    from types import ModuleType

    page = ModuleType("understudy.tools.fetch")

    async def fetch(url: str) -> str:
        return f"The page at {url} says 17."

    page.fetch = fetch  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "understudy.tools", ModuleType("understudy.tools"))
    monkeypatch.setitem(sys.modules, "understudy.tools.fetch", page)

    def answer(seen: Seen) -> Reply:
        if seen.json["messages"][-1]["role"] == "tool":
            return GROQ.good("It is 17.", (40, 5))
        asks = {
            "id": "t1",
            "type": "function",
            "function": {"name": "fetch", "arguments": '{"url":"https://a.example"}'},
        }
        return GROQ.good("", (20, 9), "tool_calls", tool_calls=[asks])

    stub.answer = answer
    _, worker = await made(GROQ, stub.url)
    ledger, call = Ledger(), calling(tools=("fetch", "grounding"))
    result = await worker.work(call, ledger)
    assert (result.text, result.sources, result.usage) == ("It is 17.", ("https://a.example",), Usage(60, 14))
    assert ledger.settled == [Usage(20, 9), Usage(40, 5)]
    assert sum(bound for bound, _ in ledger.asked) <= worker.bound(call)
    assert "says 17" in stub.seen[1].raw.decode()
    assert [GROQ.max_tokens(seen.json) for seen in stub.seen] == [64, 64]

    stub.seen.clear()
    stub.answer = lambda seen: answer(Seen("", "", {}, b'{"messages":[{"role":"user"}]}'))
    with pytest.raises(CallFailed) as caught:
        await worker.work(call, ledger)
    await worker.close()
    assert caught.value.failure is Failure.MALFORMED
    assert len(stub.seen) == 5
    assert not ledger.open


def test_sse_helper_is_what_the_wires_send() -> None:
    assert sse({"type": "x"}, named=True) == [b'event: x\ndata: {"type": "x"}\n\n']


async def test_a_model_without_temperature_answers_without_a_warning(stub: Stub) -> None:
    stub.answer = ANTHROPIC.good("Paris")
    _, worker = await made(replace(ANTHROPIC, model="claude-opus-5-5"), stub.url)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        answer = await worker.work(calling(temperature=0.2), Ledger())
    await worker.close()
    assert answer.text == "Paris"
    assert "temperature" not in stub.seen[-1].json
    assert not [w for w in heard if "Sampling" in str(w.message)]
