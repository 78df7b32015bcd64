"""What Groq, Gemini, Anthropic and a server on this machine say, byte by byte, as their documentation has it."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

Said = tuple[int, dict[str, str], Any]  # status, headers, body
USED = (11, 7)  # tokens in and out of every answer


class Wire(NamedTuple):
    """One dialect. pieces: the events of a stream with the text in four of them; ends: those after the text."""

    kind: str
    model: str
    other: str  # the kind of whoever rescues
    refuses: str  # how it says that its filter stopped it
    ping: bytes


WIRES = (
    Wire("groq", "openai/gpt-oss-20b", "gemini", "content_filter", b": ping\n\n"),
    Wire("openai_compatible", "tiny-chat", "groq", "content_filter", b": ping\n\n"),
    Wire("gemini", "gemini-2.0-flash", "anthropic", "SAFETY", b""),
    Wire("anthropic", "claude-haiku-4-5", "groq", "refusal", b'event: ping\ndata: {"type": "ping"}\n\n'),
)


def wire(kind: str) -> Wire:
    return next(w for w in WIRES if w.kind == kind)


def event(of: Wire, said: dict[str, Any]) -> bytes:
    name = f"event: {said['type']}\n" if of.kind == "anthropic" else ""
    end = "\r\n\r\n" if of.kind == "gemini" else "\n\n"
    return f"{name}data: {json.dumps(said)}{end}".encode()


def whole(of: Wire, text: str, finish: str = "") -> dict[str, Any]:
    if of.kind == "gemini":
        content = {"content": {"role": "model", "parts": [{"text": text}]}} if text else {}
        return {"candidates": [{**content, "finishReason": finish or "STOP", "index": 0}], **_gemini(USED[1])}
    if of.kind == "anthropic":
        content_blocks = [{"type": "text", "text": text}] if text else []
        return {**_message(of, content_blocks, finish or "end_turn"), "usage": _anthropic(USED[1])}
    message = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish or "stop"}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": of.model, "choices": [message], **_openai()}


def pieces(of: Wire, text: str) -> list[bytes]:
    step = len(text) // 4 + 1
    parts = [text[at : at + step] for at in range(0, len(text), step)]
    if of.kind == "gemini":
        contents = [{"content": {"role": "model", "parts": [{"text": part}]}, "index": 0} for part in parts]
        return [event(of, {"candidates": [content], **_gemini(0)}) for content in contents]
    if of.kind == "anthropic":
        start = {"type": "message_start", "message": {**_message(of, [], None), "usage": _anthropic(1)}}
        block = {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
        deltas = [{"type": "text_delta", "text": part} for part in parts]
        return [
            event(of, start),
            event(of, block),
            *(event(of, {"type": "content_block_delta", "index": 0, "delta": delta}) for delta in deltas),
        ]
    return [_chunk(of, {"role": "assistant", "content": ""}), *(_chunk(of, {"content": part}) for part in parts)]


def ends(of: Wire, finish: str = "") -> list[bytes]:
    if of.kind == "gemini":
        return [event(of, {"candidates": [{"finishReason": finish or "STOP", "index": 0}], **_gemini(USED[1])})]
    if of.kind == "anthropic":
        delta = {"stop_reason": finish or "end_turn", "stop_sequence": None}
        said = [
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": delta, "usage": {"output_tokens": USED[1]}},
            {"type": "message_stop"},
        ]
        return [event(of, one) for one in said]
    if of.kind == "groq":
        return [_chunk(of, {}, finish or "stop", x_groq={"id": "req", **_openai()}), *unmarked(of)]
    usage = event(of, {"id": "c", "object": "chat.completion.chunk", "created": 1, "choices": [], **_openai()})
    return [_chunk(of, {}, finish or "stop"), usage, *unmarked(of)]


def unmarked(of: Wire) -> list[bytes]:
    """The end of a stream that forgets to say why it ends."""
    return [] if of.kind in ("gemini", "anthropic") else [b"data: [DONE]\n\n"]


def error(of: Wire, status: int, message: str = "no", **more: Any) -> Said:
    if of.kind == "gemini":
        names = {400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}
        return status, {}, {"error": {"code": status, "message": message, "status": names.get(status, ""), **more}}
    if of.kind == "anthropic":
        names = {400: "invalid_request_error", 429: "rate_limit_error", 529: "overloaded_error"}
        return status, {}, {"type": "error", "error": {"type": names.get(status, "api_error"), "message": message}}
    return status, {}, {"error": {"message": message, "type": "error", **more}}


def rate_limited(of: Wire, seconds: str) -> Said:
    """As each says it: a header, words, or Google's RetryInfo."""
    if of.kind == "gemini":
        return error(
            of, 429, details=[{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{seconds}s"}]
        )
    status, _, body = error(of, 429, "Rate limit reached, see your plan and billing")
    return status, {"retry-after": seconds}, body


def too_long(of: Wire) -> Said:
    words = {
        "gemini": "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
        "anthropic": "prompt is too long: 210425 tokens > 200000 maximum",
    }
    return error(of, 400, words.get(of.kind, "This model's maximum context length is 8192 tokens."))


def _chunk(of: Wire, delta: dict[str, str], finish: str | None = None, **more: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": of.model}
    return event(of, {**head, "choices": [choice], **more})


def _openai() -> dict[str, Any]:
    return {"usage": {"prompt_tokens": USED[0], "completion_tokens": USED[1], "total_tokens": sum(USED)}}


def _gemini(out: int) -> dict[str, Any]:
    used = {"promptTokenCount": USED[0], "candidatesTokenCount": out, "totalTokenCount": USED[0] + out}
    return {"usageMetadata": used, "modelVersion": "gemini", "responseId": "r"}


def _anthropic(out: int) -> dict[str, int]:
    return {"input_tokens": USED[0], "output_tokens": out}


def _message(of: Wire, content: list[dict[str, str]], finish: str | None) -> dict[str, Any]:
    told = {"id": "m", "type": "message", "role": "assistant", "model": of.model, "content": content}
    return {**told, "stop_reason": finish, "stop_sequence": None}
