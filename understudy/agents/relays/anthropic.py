"""The messages wire of Anthropic."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from understudy.agents.relays.reading import Body, table, tables, whole, words
from understudy.agents.relays.translation import anthropic_request, openai_choice
from understudy.types import Answer, Chat, Piece, ToolCall, Usage

FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_call",
    "refusal": "content_filter",
}
VERSION = "2023-06-01"
LEAST_THOUGHT = 1024  # tokens: a smaller budget_tokens is refused (docs.claude.com, extended thinking, 2026-11)


@dataclass(frozen=True, slots=True)
class AnthropicSpeech:
    native: Literal["openai", "anthropic"] = "anthropic"

    def address(self, chat: Chat, model: str, *, stream: bool) -> str:
        return "/messages"

    def headers(self, key: str) -> Mapping[str, str]:
        return {"x-api-key": key, "anthropic-version": VERSION}

    def request(self, chat: Chat, model: str, cap: int, *, stream: bool) -> Body:
        said = signed(chat.body) if chat.dialect == "anthropic" else anthropic_request(chat.body)
        body = thoughtful({**said, "model": model, "max_tokens": cap}, cap)
        if stream:
            body["stream"] = True
        return body

    def whole(self, body: Body) -> Answer:
        if not isinstance(body.get("content"), list):
            raise ValueError("it has no content")
        return answer_of(body)

    def listen(self) -> AnthropicListener:
        return AnthropicListener()


@dataclass(slots=True)
class AnthropicListener:
    message: Body = field(default_factory=dict[str, object])
    blocks: dict[int, Body] = field(default_factory=dict[int, Body])
    inputs: dict[int, list[str]] = field(default_factory=dict[int, list[str]])
    ended: bool = False

    def hear(self, event: Body) -> Piece | None:
        kind, index = event.get("type"), whole(event.get("index"))
        if kind == "message_start":
            self.message = dict(table(event.get("message")))
        elif kind == "content_block_start":
            self.blocks[index] = dict(table(event.get("content_block")))
        elif kind == "content_block_delta":
            return self._add(index, table(event.get("delta")))
        elif kind == "message_delta":
            self.message |= table(event.get("delta"))
            self.message["usage"] = {**table(self.message.get("usage")), **table(event.get("usage"))}
        elif kind == "message_stop":
            self.ended = True
        return None

    def _add(self, index: int, delta: Body) -> Piece | None:
        block = self.blocks.setdefault(index, {})
        text, thought = words(delta.get("text")), words(delta.get("thinking"))
        if text:
            block["text"] = words(block.get("text")) + text
        if thought:
            block["thinking"] = words(block.get("thinking")) + thought
        if signature := words(delta.get("signature")):
            block["signature"] = words(block.get("signature")) + signature
        if piece := words(delta.get("partial_json")):
            self.inputs.setdefault(index, []).append(piece)
        return Piece(text, thought) if text or thought else None

    def answer(self) -> Answer | None:
        if not self.ended or not self.message.get("stop_reason"):
            return None
        for index, pieces in self.inputs.items():
            written = "".join(pieces)
            try:
                self.blocks[index]["input"] = json.loads(written)
            except ValueError:
                self.blocks[index]["input"] = written  # its validation says what is wrong with it
        return answer_of({**self.message, "content": [block for _, block in sorted(self.blocks.items())]})


def thoughtful(body: Body, cap: int) -> Body:
    """The request with no more thought than its cap has room for: budget_tokens must be below max_tokens, and a cap may
    have shrunk since its client wrote both. Where too little is left, nothing is thought."""
    thinking = table(body.get("thinking"))
    if thinking.get("type") != "enabled" or whole(thinking.get("budget_tokens")) < cap:
        return body
    if cap > LEAST_THOUGHT:
        return {**body, "thinking": {**thinking, "budget_tokens": cap - 1}}
    kept = {name: value for name, value in body.items() if name != "thinking"}
    management = table(kept.get("context_management"))
    if edits := tables(management.get("edits")):  # to clear thoughts is refused where nothing is thought
        others = [e for e in edits if not words(e.get("type")).startswith("clear_thinking")]
        kept["context_management"] = {**management, "edits": others}
    return kept


def signed(body: Mapping[str, object]) -> Body:
    """The request without thoughts that have no signature: another model's, or streamed live. They would be refused."""
    messages = tables(body.get("messages"))
    return {**body, "messages": [{**m, "content": _signed(m.get("content"))} for m in messages]}


def _signed(content: object) -> object:
    blocks = tables(content)
    return [b for b in blocks if b.get("type") != "thinking" or b.get("signature")] if blocks else content


def answer_of(message: Body) -> Answer:
    blocks = tables(message.get("content"))
    text = "".join(words(b.get("text")) for b in blocks if b.get("type") == "text")
    calls = tuple(_read(b) for b in blocks if b.get("type") == "tool_use")
    usage = table(message.get("usage"))
    finish = FINISH.get(words(message.get("stop_reason")), "error")
    return Answer(text, _counted(usage), finish, words(message.get("model")), calls=calls, message=message)


def in_openai(answer: Answer) -> Answer:
    """The same for who asked in OpenAI's words."""
    from dataclasses import replace

    return replace(answer, message=openai_choice(table(answer.message), answer.finish))


def _read(block: Body) -> ToolCall:
    said = block.get("input")
    arguments = said if isinstance(said, str) else json.dumps(said if said is not None else {}, ensure_ascii=False)
    return ToolCall(words(block.get("id")), words(block.get("name")), arguments)


def _counted(usage: Body) -> Usage:
    if not usage:
        return Usage(measured=False)
    cached = whole(usage.get("cache_read_input_tokens"))
    asked = whole(usage.get("input_tokens")) + cached + whole(usage.get("cache_creation_input_tokens"))
    return Usage(asked, whole(usage.get("output_tokens")), cached_tokens=cached)
