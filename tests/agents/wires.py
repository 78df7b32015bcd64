"""What each provider's wire looks like, for the tests: its settings, its good replies, its streams."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.agents.stub import Reply, sse
from understudy.agents.roster import adapter
from understudy.config.settings import Account, Model, Provider, Settings
from understudy.types import Candidate, Hold, Usage, Worker

KEY = "sk-canary-key-4242"
CANARY = "CANARY my salary is 91234"


@dataclass(frozen=True)
class Wire:
    kind: str
    suffix: str  # of the base_url, as a user would write it
    path: str  # of a request
    stream_path: str
    model: str

    def good(self, text: str, used: tuple[int, int] | None = (11, 7), finish: str = "stop", **more: Any) -> Reply:
        return Reply(200, _BODIES[self.kind](text, used, finish, **more))

    def stream(self, texts: list[str], used: tuple[int, int] | None = (11, 7), *, ended: bool = True) -> Reply:
        return Reply(200, chunks=_STREAMS[self.kind](texts, used, ended))

    def max_tokens(self, body: Any) -> int | None:
        if self.kind == "gemini":
            return body["generationConfig"]["maxOutputTokens"]
        return body.get("max_tokens") or body.get("max_completion_tokens")


def _chat(text: str, used: tuple[int, int] | None, finish: str, **message: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": "c1",
        "object": "chat.completion",
        "created": 1700000000,
        "model": "served-model",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": text, **message},
                "logprobs": None,
            }
        ],
    }
    if used:
        body["usage"] = {"prompt_tokens": used[0], "completion_tokens": used[1], "total_tokens": sum(used)}
    return body


def _chat_stream(texts: list[str], used: tuple[int, int] | None, ended: bool) -> list[bytes]:
    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        base = {"id": "c1", "object": "chat.completion.chunk", "created": 1700000000, "model": "served-model"}
        return {**base, "choices": [choice], **more}

    events: list[Any] = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": t}) for t in texts)]
    if ended:
        numbers = {"prompt_tokens": used[0], "completion_tokens": used[1], "total_tokens": sum(used)} if used else None
        events.append(chunk({}, "stop", **({"x_groq": {"id": "r", "usage": numbers}} if numbers else {})))
        if numbers:
            events.append({**chunk({}), "choices": [], "usage": numbers})
        events.append(b"[DONE]")
    return sse(*events)


def _gemini(text: str, used: tuple[int, int] | None, finish: str, **more: Any) -> dict[str, Any]:
    reason = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}.get(finish)
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": [{"text": text}]}, "index": 0, **more}
    if reason:
        candidate["finishReason"] = reason
    body: dict[str, Any] = {"candidates": [candidate], "modelVersion": "served-model", "responseId": "r"}
    if used:
        body["usageMetadata"] = {
            "promptTokenCount": used[0],
            "candidatesTokenCount": used[1],
            "totalTokenCount": sum(used),
        }
    return body


def _gemini_stream(texts: list[str], used: tuple[int, int] | None, ended: bool) -> list[bytes]:
    last = len(texts) - 1
    return sse(
        *(_gemini(t, used if i == last else None, "stop" if ended and i == last else "") for i, t in enumerate(texts))
    )


def _anthropic(text: str, used: tuple[int, int] | None, finish: str, **more: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "served-model",
        "content": [{"type": "text", "text": text}],
        "stop_reason": {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}[finish],
        "stop_sequence": None,
        "usage": {"input_tokens": used[0] if used else 0, "output_tokens": used[1] if used else 0, **more},
    }


def _anthropic_stream(texts: list[str], used: tuple[int, int] | None, ended: bool) -> list[bytes]:
    numbers = used or (0, 0)
    start = {**_anthropic("", numbers, "stop"), "content": [], "stop_reason": None}
    events: list[Any] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": t}} for t in texts),
    ]
    if ended:
        stop = {"stop_reason": "end_turn", "stop_sequence": None}
        events += [
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": stop, "usage": {"output_tokens": numbers[1]}},
            {"type": "message_stop"},
        ]
    return sse(*events, named=True)


_BODIES = {
    "groq": _chat,
    "openai": _chat,
    "openai_compatible": _chat,
    "gemini": _gemini,
    "anthropic": _anthropic,
}
_STREAMS = {
    "groq": _chat_stream,
    "openai": _chat_stream,
    "openai_compatible": _chat_stream,
    "gemini": _gemini_stream,
    "anthropic": _anthropic_stream,
}

GROQ = Wire("groq", "/openai/v1", "/openai/v1/chat/completions", "/openai/v1/chat/completions", "llama-3.1-8b-instant")
OPENAI = Wire("openai", "/v1", "/v1/chat/completions", "/v1/chat/completions", "gpt-4o-mini")
LOCAL = Wire("openai_compatible", "/v1", "/v1/chat/completions", "/v1/chat/completions", "small")
GEMINI = Wire(
    "gemini",
    "",
    "/v1beta/models/gemini-2.5-flash:generateContent",
    "/v1beta/models/gemini-2.5-flash:streamGenerateContent",
    "gemini-2.5-flash",
)
ANTHROPIC = Wire("anthropic", "", "/v1/messages", "/v1/messages", "claude-haiku-4-5")
ALL = (GROQ, GEMINI, ANTHROPIC, OPENAI, LOCAL)


def settings_for(wire: Wire, base_url: str, **more: Any) -> Settings:
    accounts = () if wire.kind == "openai_compatible" else (Account(name="a", keys=("env:UNDERSTUDY_TEST_KEY",)),)
    model = Model(id=wire.model, **more)
    provider = Provider(kind=wire.kind, base_url=base_url, accounts=accounts, models=(model,))
    return Settings(providers={"p": provider})


async def made(wire: Wire, url: str, **more: Any) -> tuple[Candidate, Worker]:
    """The candidate and its worker, as the roster makes them."""
    settings = settings_for(wire, url + wire.suffix, **more)
    provider = settings.providers["p"]
    (candidate,) = await adapter(wire.kind).candidates("p", provider, settings)
    return candidate, adapter(wire.kind).worker(candidate, provider, settings)


class Ledger:
    """A guard that writes down what it was told."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.open: dict[str, tuple[int, int]] = {}
        self.settled: list[Usage | None] = []
        self.released = 0

    async def before(self, input_tokens: int, output_cap: int) -> Hold | None:
        from understudy.types import Amount

        self.asked.append((input_tokens, output_cap))
        hold = Hold(str(len(self.asked)), Amount(input_tokens + output_cap), ("s",))
        self.open[hold.id] = (input_tokens, output_cap)
        return hold

    async def after(self, hold: Hold | None, usage: Usage | None) -> None:
        assert hold is not None
        del self.open[hold.id]
        self.settled.append(usage)

    async def unsent(self, hold: Hold | None) -> None:
        assert hold is not None
        del self.open[hold.id]
        self.released += 1


def parsed(body: bytes) -> Any:
    return json.loads(body)
