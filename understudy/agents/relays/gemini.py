"""The wire of Gemini's developer API. It has no ids for tool calls: they are made here, and taken off on the way in."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import quote

from understudy.agents.relays.openai import answer_of
from understudy.agents.relays.reading import Body, table, tables, text_of, whole, words
from understudy.agents.relays.translation import data_of, openai_request, untranslatable
from understudy.types import Answer, Chat, Piece, Usage

FILTERED = frozenset({"SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "LANGUAGE"})
_MODE = {"auto": "AUTO", "required": "ANY", "none": "NONE"}
_CONFIG = {
    "temperature": "temperature",
    "top_p": "topP",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}


@dataclass(frozen=True, slots=True)
class GeminiSpeech:
    native: Literal["openai", "anthropic"] = "openai"

    def address(self, chat: Chat, model: str, *, stream: bool) -> str:
        what = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/models/{quote(model, safe='')}:{what}"

    def headers(self, key: str) -> Mapping[str, str]:
        return {"x-goog-api-key": key}

    def request(self, chat: Chat, model: str, cap: int, *, stream: bool) -> Body:
        body = chat.body if chat.dialect == "openai" else openai_request(chat.body)
        config: Body = {theirs: body[ours] for ours, theirs in _CONFIG.items() if body.get(ours) is not None}
        config["maxOutputTokens"] = cap
        if stop := body.get("stop"):
            config["stopSequences"] = [stop] if isinstance(stop, str) else stop
        form = table(body.get("response_format"))
        if form.get("type") in ("json_object", "json_schema"):
            config["responseMimeType"] = "application/json"
            if schema := table(form.get("json_schema")).get("schema"):
                config["responseJsonSchema"] = schema
        made: Body = {"contents": _contents(tables(body.get("messages"))), "generationConfig": config}
        if system := _system(tables(body.get("messages"))):
            made["systemInstruction"] = {"parts": [{"text": system}]}
        if tools := [_tool(table(t.get("function"))) for t in tables(body.get("tools"))]:
            made["tools"] = [{"functionDeclarations": tools}]
            made["toolConfig"] = {"functionCallingConfig": _calling(body.get("tool_choice"))}
        return made

    def whole(self, body: Body) -> Answer:
        listener = GeminiListener()
        listener.hear(body)
        answer = listener.answer()
        if answer is None:
            raise ValueError("it has no candidate that ended")
        return answer

    def listen(self) -> GeminiListener:
        return GeminiListener()


@dataclass(slots=True)
class GeminiListener:
    text: list[str] = field(default_factory=list[str])
    thought: list[str] = field(default_factory=list[str])
    calls: list[Body] = field(default_factory=list[Body])
    usage: Usage = field(default_factory=lambda: Usage(measured=False))
    finish: str = ""
    model: str = ""

    def hear(self, event: Body) -> Piece | None:
        self.model = words(event.get("modelVersion")) or self.model
        if counted := table(event.get("usageMetadata")):
            self.usage = _usage(counted)
        if table(event.get("promptFeedback")).get("blockReason"):
            self.finish = "content_filter"
        candidates = tables(event.get("candidates"))
        if not candidates:
            return None
        if reason := words(candidates[0].get("finishReason")):
            self.finish = _finish(reason)
        text = thought = ""
        for part in tables(table(candidates[0].get("content")).get("parts")):
            if "functionCall" in part:
                self.calls.append(_call(part))
            elif part.get("thought"):
                thought += words(part.get("text"))
            else:
                text += words(part.get("text"))
        self.text.append(text)
        self.thought.append(thought)
        return Piece(text, thought) if text or thought else None

    def answer(self) -> Answer | None:
        if not self.finish:
            return None
        message: Body = {"role": "assistant", "content": "".join(self.text) or None}
        if thought := "".join(self.thought):
            message["reasoning_content"] = thought
        if self.calls:
            message["tool_calls"] = self.calls
        finish = "tool_calls" if self.calls and self.finish == "stop" else self.finish
        return answer_of({"index": 0, "message": message, "finish_reason": finish}, self.usage, self.model)


def _finish(reason: str) -> str:
    if reason in FILTERED:
        return "content_filter"
    return {"STOP": "stop", "MAX_TOKENS": "length"}.get(reason, "error")


def _system(messages: list[Body]) -> str:
    texts = [text_of(m.get("content")) for m in messages if m.get("role") in ("system", "developer")]
    return "\n\n".join(text for text in texts if text)


def _contents(messages: list[Body]) -> list[Body]:
    names: dict[str, str] = {}
    contents: list[Body] = []
    for message in messages:
        role, content = message.get("role"), message.get("content")
        if role in ("system", "developer"):
            continue
        if role == "assistant":
            parts: list[Body] = [{"text": text}] if (text := text_of(content)) else []
            for call in tables(message.get("tool_calls")):
                names[words(call.get("id"))] = words(table(call.get("function")).get("name"))
                parts.append(_called(call))
        elif role == "tool":
            name = names.get(words(message.get("tool_call_id")), "tool")
            parts = [{"functionResponse": {"name": name, "response": _result(text_of(content))}}]
        else:
            parts = [{"text": content}] if isinstance(content, str) else [_part(part) for part in tables(content)]
        theirs = "model" if role == "assistant" else "user"
        if contents and contents[-1]["role"] == theirs:
            contents[-1]["parts"] += parts
        elif parts:
            contents.append({"role": theirs, "parts": parts})
    return contents


def _part(part: Body) -> Body:
    if part.get("type") == "text":
        return {"text": words(part.get("text"))}
    if part.get("type") == "image_url":
        media, base64 = data_of(words(table(part.get("image_url")).get("url")))
        if media:
            return {"inlineData": {"mimeType": media, "data": base64}}
        raise untranslatable("an image by its address (send it as a data: address)")
    raise untranslatable(f"a part of the type {words(part.get('type'))[:30]!r}")


def _called(call: Body) -> Body:
    """With the signature Gemini wants to see again, where the client has kept it."""
    function = table(call.get("function"))
    part: Body = {
        "functionCall": {"name": words(function.get("name")), "args": _json(words(function.get("arguments")))}
    }
    if signature := words(table(table(call.get("extra_content")).get("google")).get("thought_signature")):
        part["thoughtSignature"] = signature
    return part


def _call(part: Body) -> Body:
    called = table(part.get("functionCall"))
    name = words(called.get("id")) or f"call_{secrets.token_hex(12)}"
    arguments = json.dumps(table(called.get("args")), ensure_ascii=False)
    made: Body = {
        "id": name,
        "type": "function",
        "function": {"name": words(called.get("name")), "arguments": arguments},
    }
    if signature := words(part.get("thoughtSignature")):
        made["extra_content"] = {"google": {"thought_signature": signature}}
    return made


def _json(text: str) -> Body:
    try:
        return table(json.loads(text or "{}"))
    except ValueError:
        return {}


def _result(text: str) -> Body:
    try:
        value: Any = json.loads(text)
    except ValueError:
        value = text
    return table(value) or {"result": value}


def _tool(function: Body) -> Body:
    made: Body = {"name": words(function.get("name"))}
    if description := words(function.get("description")):
        made["description"] = description
    if parameters := table(function.get("parameters")):
        made["parametersJsonSchema"] = parameters
    return made


def _calling(choice: object) -> Body:
    if isinstance(choice, str):
        return {"mode": _MODE.get(choice, "AUTO")}
    name = words(table(table(choice).get("function")).get("name"))
    return {"mode": "ANY", "allowedFunctionNames": [name]} if name else {"mode": "AUTO"}


def _usage(said: Body) -> Usage:
    written = whole(said.get("candidatesTokenCount")) + whole(said.get("thoughtsTokenCount"))
    cached = whole(said.get("cachedContentTokenCount"))
    return Usage(whole(said.get("promptTokenCount")), written, cached_tokens=cached)
