"""The chat-completions wire: Groq, OpenAI, and whoever speaks like them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from understudy.agents.relays.reading import Body, table, tables, text_of, whole, words
from understudy.agents.relays.translation import openai_request
from understudy.types import Answer, Chat, Piece, ToolCall, Usage

FINISH = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_call",
    "function_call": "tool_call",
    "content_filter": "content_filter",
}


@dataclass(frozen=True, slots=True)
class OpenAISpeech:
    """cap: what this server calls the most tokens of an answer."""

    cap: str = "max_completion_tokens"
    native: Literal["openai", "anthropic"] = "openai"

    def address(self, chat: Chat, model: str, *, stream: bool) -> str:
        return "/embeddings" if chat.dialect == "embeddings" else "/chat/completions"

    def headers(self, key: str) -> Mapping[str, str]:
        return {"authorization": f"Bearer {key}"} if key else {}

    def request(self, chat: Chat, model: str, cap: int, *, stream: bool) -> Body:
        if chat.dialect == "embeddings":
            return {**chat.body, "model": model}
        said = chat.body if chat.dialect == "openai" else openai_request(chat.body)
        body = {**said, "model": model, self.cap: cap}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return body

    def whole(self, body: Body) -> Answer:
        if body.get("data") and not body.get("choices"):
            return _embedded(body)
        choices = tables(body.get("choices"))
        if not choices or not isinstance(choices[0].get("message"), dict):
            raise ValueError("it has no message")
        choice = choices[0]
        return answer_of(choice, _usage(body.get("usage")), words(body.get("model")))

    def listen(self) -> OpenAIListener:
        return OpenAIListener()


@dataclass(slots=True)
class OpenAIListener:
    text: list[str] = field(default_factory=list[str])
    thought: list[str] = field(default_factory=list[str])
    refusal: list[str] = field(default_factory=list[str])
    calls: dict[int, list[str]] = field(default_factory=dict[int, list[str]])  # index: id, name, arguments...
    places: dict[int, int] = field(default_factory=dict[int, int])  # where the calls of an index are kept
    logprobs: list[Any] = field(default_factory=list[Any])
    usage: Usage = field(default_factory=lambda: Usage(measured=False))
    finish: str = ""
    model: str = ""

    def hear(self, event: Body) -> Piece | None:
        self.model = self.model or words(event.get("model"))
        if counted := event.get("usage") or table(event.get("x_groq")).get("usage"):
            self.usage = _usage(counted)
        choices = tables(event.get("choices"))
        if not choices:
            return None
        choice = choices[0]
        self.finish = words(choice.get("finish_reason")) or self.finish
        self.logprobs += tables(table(choice.get("logprobs")).get("content"))
        delta = table(choice.get("delta"))
        for call in tables(delta.get("tool_calls")):
            self._add(call)
        text, thought = words(delta.get("content")), words(delta.get("reasoning_content") or delta.get("reasoning"))
        self.refusal.append(words(delta.get("refusal")))
        self.text.append(text)
        self.thought.append(thought)
        return Piece(text, thought) if text or thought else None

    def _add(self, call: Body) -> None:
        index, name, function = whole(call.get("index")), words(call.get("id")), table(call.get("function"))
        known = self.calls.setdefault(self.places.setdefault(index, index), ["", ""])
        if name and known[0] not in ("", name):  # a server that numbers none of them, or all alike
            self.places[index] = max(self.calls) + 1
            known = self.calls[self.places[index]] = ["", ""]
        known[0] = known[0] or name
        known[1] = known[1] or words(function.get("name"))
        known.append(words(function.get("arguments")))

    def answer(self) -> Answer | None:
        if not self.finish:
            return None
        message: Body = {"role": "assistant", "content": "".join(self.text) or None}
        if thought := "".join(self.thought):
            message["reasoning_content"] = thought
        if refusal := "".join(self.refusal):
            message["refusal"] = refusal
        if self.calls:
            message["tool_calls"] = [_call(k[0], k[1], "".join(k[2:])) for _, k in sorted(self.calls.items())]
        choice: Body = {"index": 0, "message": message, "finish_reason": self.finish}
        if self.logprobs:
            choice["logprobs"] = {"content": self.logprobs}
        return answer_of(choice, self.usage, self.model)


def answer_of(choice: Body, usage: Usage, model: str) -> Answer:
    """The first choice of a completion as an Answer; the choice itself goes along."""
    message = table(choice.get("message"))
    calls = tuple(_read(call) for call in tables(message.get("tool_calls")))
    finish = FINISH.get(words(choice.get("finish_reason")), "error")
    if calls and finish == "stop":  # some servers end a tool call like any other answer
        finish = "tool_call"
    text = text_of(message.get("content"))
    return Answer(text, usage, finish, model, logprob=_mean(choice.get("logprobs")), calls=calls, message=choice)


def _embedded(body: Body) -> Answer:
    """Vectors, as many as there were texts; the body itself goes along."""
    if not all(row.get("embedding") for row in tables(body["data"])):
        raise ValueError("it has no vectors")
    return Answer("", _usage(body.get("usage")), "stop", words(body.get("model")), message=body)


def _call(name: str, function: str, arguments: str) -> Body:
    return {"id": name, "type": "function", "function": {"name": function, "arguments": arguments}}


def _read(call: Body) -> ToolCall:
    function = table(call.get("function"))
    return ToolCall(words(call.get("id")), words(function.get("name")), words(function.get("arguments")))


def _usage(value: object) -> Usage:
    said = table(value)
    if not said:
        return Usage(measured=False)
    cached = whole(table(said.get("prompt_tokens_details")).get("cached_tokens"))
    return Usage(whole(said.get("prompt_tokens")), whole(said.get("completion_tokens")), cached_tokens=cached)


def _mean(logprobs: object) -> float | None:
    values = [t["logprob"] for t in tables(table(logprobs).get("content")) if isinstance(t.get("logprob"), int | float)]
    return sum(values) / len(values) if values else None
