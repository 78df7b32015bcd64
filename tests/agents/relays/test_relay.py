"""A relay over real sockets: what it sends, what it makes of every answer, and that each request is settled once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.agents.stub import Reply, Stub, sse
from understudy.agents.relays.anthropic import AnthropicSpeech
from understudy.agents.relays.gemini import GeminiSpeech
from understudy.agents.relays.openai import OpenAISpeech
from understudy.agents.relays.relay import Relay
from understudy.agents.relays.speech import Speech
from understudy.config.secrets import Secret
from understudy.errors import CallFailed, PrivacyRefused
from understudy.types import Amount, Answer, Call, Candidate, Chat, Failure, Hold, Piece, Usage

SPEECHES: dict[str, Speech] = {"openai": OpenAISpeech(), "anthropic": AnthropicSpeech(), "gemini": GeminiSpeech()}
KIND = {"openai": "groq", "anthropic": "anthropic", "gemini": "gemini"}
HELLO = [{"role": "user", "content": "Hello"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
each = pytest.mark.parametrize("name", list(SPEECHES))
both = pytest.mark.parametrize("live", [False, True])


@dataclass
class Till:
    """A guard that counts. room: of the output, where there is less than was asked for."""

    room: int | None = None
    before_: list[tuple[int, int]] = field(default_factory=list)
    settled: list[Usage | None] = field(default_factory=list)
    released: int = 0
    refusal: Exception | None = None

    async def before(self, input_tokens: int, output_cap: int) -> Hold | None:
        if self.refusal is not None:
            raise self.refusal
        self.before_.append((input_tokens, output_cap))
        return Hold("h", Amount(), (), self.room)

    async def after(self, hold: Hold | None, usage: Usage | None) -> None:
        self.settled.append(usage)

    async def unsent(self, hold: Hold | None) -> None:
        self.released += 1


@dataclass
class Line:
    stub: Stub
    relay: Relay
    candidate: Candidate
    till: Till = field(default_factory=Till)
    heard: list[Piece] = field(default_factory=list)

    async def ask(self, *, live: bool = False, seconds: float = 20.0, cap: int = 100, **body: Any) -> Answer:
        said = {"messages": HELLO, **body}
        chat = Chat("openai", said, 5, 50, live=self.heard.append if live else None)
        call = Call("Hello", output_cap=cap, timeout=seconds, chat=chat)
        return await self.relay.hand_on(self.candidate, call, chat, self.till, None)

    async def fails(self, **more: Any) -> CallFailed:
        with pytest.raises(CallFailed) as caught:
            await self.ask(**more)
        assert len(self.till.settled) + self.till.released == 1, "once, whatever happens"
        assert caught.value.charged == bool(self.till.settled)
        return caught.value


@asynccontextmanager
async def line(name: str, **more: Any) -> AsyncGenerator[Line]:
    async with Stub() as stub:
        relay = Relay(more.pop("url", stub.url), Secret("the-key", "test"), SPEECHES[name])
        candidate = Candidate("p", KIND[name], "a", "some/model", context=100_000, output_cap=1000)
        try:
            yield Line(stub, relay, candidate, **more)
        finally:
            await relay.close()


def whole(
    name: str, text: str = "Good day.", calls: bool = False, used: bool = True, finish: str = ""
) -> dict[str, Any]:
    arguments = {"city": "Riga"}
    if name == "anthropic":
        content: list[dict[str, Any]] = [{"type": "text", "text": text}] if text else []
        if calls:
            content.append({"type": "tool_use", "id": "t1", "name": "weather", "input": arguments})
        stop = finish or ("tool_use" if calls else "end_turn")
        usage = {"usage": {"input_tokens": 9, "output_tokens": 4, "cache_read_input_tokens": 2}} if used else {}
        return {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": content,
            "stop_reason": stop,
            **usage,
        }
    if name == "gemini":
        parts: list[dict[str, Any]] = [{"text": text}] if text else []
        if calls:
            parts.append({"functionCall": {"name": "weather", "args": arguments}})
        usage = (
            {"usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 3, "thoughtsTokenCount": 1}}
            if used
            else {}
        )
        return {"candidates": [{"content": {"parts": parts}, "finishReason": finish or "STOP"}], **usage}
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        function = {"name": "weather", "arguments": json.dumps(arguments)}
        message["tool_calls"] = [{"id": "c1", "type": "function", "function": function}]
    choice = {"index": 0, "message": message, "finish_reason": finish or ("tool_calls" if calls else "stop")}
    usage = {"usage": {"prompt_tokens": 11, "completion_tokens": 4}} if used else {}
    return {"id": "c", "model": "m", "choices": [choice], **usage}


def events(name: str, text: str = "Good day.", calls: bool = False) -> list[bytes]:
    """The same as a stream, the text in two pieces."""
    a, b = text[:4], text[4:]
    if name == "gemini":
        parts: list[dict[str, Any]] = [{"text": b}]
        if calls:
            parts.append({"functionCall": {"name": "weather", "args": {"city": "Riga"}}})
        last = whole("gemini") | {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}]}
        return sse({"candidates": [{"content": {"parts": [{"text": a}]}}]}, last)
    if name == "anthropic":
        said = whole("anthropic", text, calls)
        made: list[dict[str, Any]] = [
            {"type": "message_start", "message": {**said, "content": [], "stop_reason": None}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": a}},
            {"type": "ping"},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": b}},
            {"type": "content_block_stop", "index": 0},
        ]
        if calls:
            block = {"type": "tool_use", "id": "t1", "name": "weather", "input": {}}
            made.append({"type": "content_block_start", "index": 1, "content_block": block})
            for piece in ('{"city":', ' "Riga"}'):
                delta = {"type": "input_json_delta", "partial_json": piece}
                made.append({"type": "content_block_delta", "index": 1, "delta": delta})
        made.append(
            {"type": "message_delta", "delta": {"stop_reason": said["stop_reason"]}, "usage": {"output_tokens": 4}}
        )
        return sse(*made, {"type": "message_stop"}, named=True)

    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    made = [chunk({"role": "assistant", "content": a}), chunk({"content": b})]
    if calls:
        function = {"name": "weather", "arguments": '{"city":'}
        made.append(chunk({"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]}))
        made.append(chunk({"tool_calls": [{"index": 0, "function": {"arguments": ' "Riga"}'}}]}))
    made.append(chunk({}, "tool_calls" if calls else "stop"))
    made.append({"choices": [], "usage": {"prompt_tokens": 11, "completion_tokens": 4}})
    return sse(*made, b"[DONE]")


def reply(name: str, live: bool, **more: Any) -> Reply:
    return Reply(chunks=events(name, **more)) if live else Reply(body=whole(name, **more))


@each
@both
async def test_an_answer(name: str, live: bool) -> None:
    async with line(name) as x:
        x.stub.answer = reply(name, live)
        answer = await x.ask(live=live, temperature=0.5)
        assert (answer.text, answer.finish, answer.calls) == ("Good day.", "stop", ())
        assert (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 4)
        assert answer.message is not None
        assert answer.message["message"]["content"] == "Good day.", "in the words of who asked"
        assert answer.message["finish_reason"] == "stop"
        assert x.till.before_ == [(50, 100)]
        assert [(u.input_tokens, u.output_tokens) for u in x.till.settled if u] == [(11, 4)]
        assert "".join(p.text for p in x.heard) == ("Good day." if live else "")
        (seen,) = x.stub.seen
        header = {"openai": "authorization", "anthropic": "x-api-key", "gemini": "x-goog-api-key"}[name]
        assert seen.headers[header].endswith("the-key")
        assert "the-key" not in seen.path
        body = seen.json
        cap = (
            body["generationConfig"]["maxOutputTokens"]
            if name == "gemini"
            else body.get("max_tokens", body.get("max_completion_tokens"))
        )
        assert cap == 100
        if name == "gemini":
            assert seen.path.startswith("/models/some%2Fmodel:")
            assert ("stream" in seen.path) == live
        else:
            assert body["model"] == "some/model"
            assert body.get("stream", False) == live


@each
@both
async def test_a_tool_call(name: str, live: bool) -> None:
    async with line(name) as x:
        x.stub.answer = reply(name, live, calls=True)
        answer = await x.ask(live=live, tools=[TOOL])
        (call,) = answer.calls
        assert (call.name, json.loads(call.arguments)) == ("weather", {"city": "Riga"})
        assert call.id
        assert answer.finish == "tool_call"
        assert answer.message is not None
        (told,) = answer.message["message"]["tool_calls"]
        assert (told["id"], told["function"]["name"]) == (call.id, "weather")
        assert json.loads(told["function"]["arguments"]) == {"city": "Riga"}
        assert answer.text == "Good day."


@each
async def test_what_cannot_be_had_is_asked_for_no_more(name: str) -> None:
    async with line(name, till=Till(room=7)) as x:
        x.stub.answer = Reply(body=whole(name))
        await x.ask()
        assert b": 7" in x.stub.seen[0].raw.replace(b":7", b": 7"), "the hold had room for seven"


@each
@both
async def test_no_usage_charges_all_that_was_reserved(name: str, live: bool) -> None:
    async with line(name) as x:
        frames = [f for f in events(name) if b"usage" not in f and b"prompt" not in f] if name == "openai" else None
        if live and frames is None:
            pytest.skip("its stream says it with its end")
        x.stub.answer = Reply(chunks=frames) if live else Reply(body=whole(name, used=False))
        answer = await x.ask(live=live)
        assert not answer.usage.measured
        assert x.till.settled == [None]


@each
async def test_a_usage_that_cannot_be_charges_all(name: str) -> None:
    async with line(name) as x:
        body = whole(name)
        zero = {
            "openai": {"usage": {"prompt_tokens": 11, "completion_tokens": 0}},
            "anthropic": {"usage": {"input_tokens": 11, "output_tokens": 0}},
            "gemini": {"usageMetadata": {"promptTokenCount": 11, "candidatesTokenCount": 0}},
        }
        x.stub.answer = Reply(body={**body, **zero[name]})
        await x.ask()
        assert x.till.settled == [None], "who has said something has written something"


@each
@both
@pytest.mark.parametrize(
    ("status", "failure", "charged"),
    [(500, Failure.OVERLOAD, False), (401, Failure.AUTH, False), (404, Failure.UNAVAILABLE, False)],
)
async def test_statuses(name: str, live: bool, status: int, failure: Failure, charged: bool) -> None:
    async with line(name) as x:
        x.stub.answer = Reply(status, {"error": {"message": "no", "type": "x"}})
        failed = await x.fails(live=live)
        assert (failed.failure, failed.status) == (failure, status)


@each
@both
async def test_an_error_with_status_200(name: str, live: bool) -> None:
    async with line(name) as x:
        error = {
            "error": {"code": 429, "message": "rate limit", "type": "rate_limit_error", "status": "RESOURCE_EXHAUSTED"}
        }
        x.stub.answer = Reply(chunks=sse(error)) if live else Reply(body=error)
        failed = await x.fails(live=live)
        assert failed.failure in (Failure.MINUTE_QUOTA, Failure.DAY_QUOTA)
        assert failed.charged, "it was taken, whatever came of it"


@each
@pytest.mark.parametrize("keep", [0, 1, 2])
async def test_a_stream_that_is_cut(name: str, keep: int) -> None:
    async with line(name) as x:
        frames = events(name)[:keep]
        for cut in (True, False):  # broken off, and ended as if that were all
            x.stub.answer = Reply(chunks=frames if name != "gemini" else frames[: min(keep, 1)], cut=cut)
            x.till = Till()
            failed = await x.fails(live=True)
            assert failed.failure is Failure.TRANSPORT
            assert failed.charged


@each
@both
async def test_what_is_no_answer(name: str, live: bool) -> None:
    bodies: list[Any] = [
        b"{nonsense",
        b"[]",
        b"null",
        b"<html>",
        b"",
        {"choices": []},
        {"choices": [{"message": 3}]},
        {},
    ]
    for body in bodies:
        async with line(name) as x:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            x.stub.answer = Reply(chunks=[b"data: " + raw + b"\n\n"]) if live else Reply(body=raw)
            failed = await x.fails(live=live)
            assert failed.failure in (Failure.MALFORMED, Failure.TRANSPORT), body
            assert failed.charged


@each
@both
async def test_a_flood_is_stopped(name: str, live: bool) -> None:
    async with line(name) as x:
        text = "word " * 20_000
        x.stub.answer = reply(name, live, text=text)
        failed = await x.fails(live=live, cap=10)
        assert failed.failure is Failure.MALFORMED
        assert failed.charged
        if live:
            assert sum(len(p.text) for p in x.heard) < len(text)


@each
@both
async def test_a_filter_is_told_and_paid(name: str, live: bool) -> None:
    async with line(name) as x:
        word = {"openai": "content_filter", "anthropic": "refusal", "gemini": "SAFETY"}[name]
        if live:
            end = {"openai": b'"stop"', "anthropic": b'"end_turn"', "gemini": b'"STOP"'}[name]
            x.stub.answer = Reply(chunks=[f.replace(end, f'"{word}"'.encode()) for f in events(name)])
        else:
            x.stub.answer = Reply(body=whole(name, finish=word))
        with pytest.raises(CallFailed) as caught:
            await x.ask(live=live)
        assert caught.value.failure is Failure.CONTENT_FILTER
        assert [u.output_tokens for u in x.till.settled if u] == [4]


@both
async def test_who_is_refused_by_the_guard_sends_nothing(live: bool) -> None:
    async with line("openai", till=Till(refusal=PrivacyRefused("no", remedy="no"))) as x:
        with pytest.raises(PrivacyRefused):
            await x.ask(live=live)
        assert x.stub.seen == []


@both
async def test_cancelled_it_is_charged(live: bool) -> None:
    async with line("openai") as x:
        x.stub.answer = Reply(hang=30)
        asking = asyncio.create_task(x.ask(live=live))
        await x.stub.arrived.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        assert (x.till.settled, x.till.released) == ([None], 0)
        await asyncio.wait_for(x.stub.hung_up.wait(), 20)


async def test_a_connection_that_was_never_made_is_not_charged() -> None:
    async with line("openai", url="http://127.0.0.1:9") as x:
        failed = await x.fails()
        assert (failed.failure, failed.charged, x.till.released) == (Failure.TRANSPORT, False, 1)


async def test_a_server_that_hangs_up_after_the_request_is_charged() -> None:
    async with line("openai") as x:
        x.stub.answer = Reply(drop=True)
        failed = await x.fails()
        assert (failed.failure, failed.charged, x.till.settled) == (Failure.TRANSPORT, True, [None])


async def test_time_that_is_up_is_charged() -> None:
    async with line("openai") as x:
        x.stub.answer = Reply(hang=30)
        failed = await x.fails(seconds=0.3)
        assert (failed.failure, failed.charged) == (Failure.TRANSPORT, True)


async def test_calls_without_an_index_stay_apart() -> None:
    """Some servers number none of them, or all alike: the id tells where another begins."""
    for index in ({}, {"index": 0}, {"index": None}):
        made = [
            {
                "choices": [
                    {
                        "delta": {
                            "tool_calls": [
                                {**index, "id": f"c{n}", "function": {"name": "weather", "arguments": f'{{"n": {n}}}'}}
                            ]
                        }
                    }
                ]
            }
            for n in range(2)
        ]
        end = {"choices": [{"delta": {}, "finish_reason": "tool_calls"}]}
        async with line("openai") as x:
            x.stub.answer = Reply(chunks=sse(*made, end, b"[DONE]"))
            answer = await x.ask(live=True, tools=[TOOL])
            assert [(c.id, c.arguments) for c in answer.calls] == [("c0", '{"n": 0}'), ("c1", '{"n": 1}')]


async def test_nothing_of_the_request_is_in_an_error() -> None:
    async with line("openai") as x:
        x.stub.answer = Reply(400, {"error": {"message": "bad: Hello the-key", "type": "x"}})
        failed = await x.fails(messages=[{"role": "user", "content": "xyzzyquokka"}])
        assert "the-key" not in f"{failed} {failed.remedy} {x.relay!r}"
        assert "xyzzyquokka" not in f"{failed} {failed.remedy}"


async def test_thoughts_without_a_signature_stay_behind() -> None:
    """Those that were another model's, or were streamed live, would be refused."""
    thoughts = [{"type": "thinking", "thinking": "hm", "signature": sign} for sign in ("", "yes")]
    said = {"role": "assistant", "content": [*thoughts, {"type": "text", "text": "So."}]}
    async with line("anthropic") as x:
        x.stub.answer = Reply(body=whole("anthropic"))
        chat = Chat("anthropic", {"messages": [*HELLO, said, *HELLO]}, 5, 50)
        await x.relay.hand_on(x.candidate, Call("Hello", chat=chat), chat, x.till, None)
        sent = x.stub.seen[0].json["messages"]
        assert sent[0] == HELLO[0]
        assert [b.get("signature", "") for b in sent[1]["content"]] == ["yes", ""]


@each
@both
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(name: str, live: bool, status: int) -> None:
    """What was written for this server is for no other, and a private text least of all."""
    async with Stub() as elsewhere, line(name) as one:
        one.stub.answer = Reply(status, b"", {"location": f"{elsewhere.url}/stolen"})
        failure = await one.fails(live=live)
        assert elsewhere.seen == []
        assert failure.failure is Failure.UNAVAILABLE
        assert len(one.stub.seen) == 1


DISGUISED = [
    ([{"error": {"code": 429, "message": "Resource exhausted", "status": "RESOURCE_EXHAUSTED"}}], Failure.MINUTE_QUOTA),
    ({"detail": "Too Many Requests"}, Failure.MINUTE_QUOTA),
    ({"message": "Rate limit is exceeded. Try again in 1 seconds.", "statusCode": 429}, Failure.MINUTE_QUOTA),
    ({"success": False, "errors": [{"code": 10000, "message": "rate limit reached"}]}, Failure.MINUTE_QUOTA),
    ({"object": "error", "message": "no", "code": 429}, Failure.MINUTE_QUOTA),
    ({"choices": [], "error": {"message": "Slow down", "code": 429}}, Failure.MINUTE_QUOTA),
    (
        {"choices": [{"error": {"code": 429, "message": "x"}, "message": {"content": ""}, "finish_reason": "error"}]},
        Failure.MINUTE_QUOTA,
    ),
    ({"error": "You are out of credits."}, Failure.PAYMENT),
    (b"upstream connect error or disconnect/reset before headers", Failure.TRANSPORT),
    (b"<html><head><title>502 Bad Gateway</title></head></html>", Failure.TRANSPORT),
    ({"message": "Service Unavailable"}, Failure.OVERLOAD),
    (b"", Failure.MALFORMED),
    ({"hello": "there"}, Failure.MALFORMED),
]


@pytest.mark.parametrize(("body", "kind"), DISGUISED)
async def test_an_error_with_status_200_has_the_class_of_what_it_says(body: Any, kind: Failure) -> None:
    async with line("openai") as one:
        one.stub.answer = Reply(200, body)
        failure = await one.fails()
        assert failure.failure is kind
        assert failure.charged


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_a_stream_may_come_in_any_pieces(size: int) -> None:
    async with line("openai") as one:
        raw = b"".join(
            sse(
                {"choices": [{"index": 0, "delta": {"content": "Good"}, "finish_reason": None}]},
                {"choices": [{"index": 0, "delta": {"content": " day."}, "finish_reason": "stop"}]},
                b"[DONE]",
            )
        ).replace(b"\n", b"\r\n")
        one.stub.answer = Reply(chunks=[raw[at : at + size] for at in range(0, len(raw), size)])
        assert (await one.ask(live=True)).text == "Good day."


def test_thought_has_room_below_a_cap_that_shrank() -> None:
    def sent(cap: int, **more: Any) -> dict[str, Any]:
        body = {"messages": HELLO, **more}
        return AnthropicSpeech().request(Chat("anthropic", body, 1, 1), "m", cap, stream=False)

    thinking = {"type": "enabled", "budget_tokens": 4000}
    edits = [{"type": "clear_thinking_20251015"}, {"type": "clear_tool_uses_20250919"}]
    assert sent(8000, thinking=thinking)["thinking"] == thinking
    assert sent(4000, thinking=thinking)["thinking"] == {"type": "enabled", "budget_tokens": 3999}
    assert sent(1025, thinking=thinking)["thinking"]["budget_tokens"] == 1024
    short = sent(1024, thinking=thinking, context_management={"edits": edits})
    assert "thinking" not in short
    assert short["context_management"] == {"edits": edits[1:]}
    for other in ({"type": "adaptive"}, {"type": "disabled"}):
        assert sent(64, thinking=other)["thinking"] == other
