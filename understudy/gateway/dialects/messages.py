"""Anthropic's messages: requests read, answers and events written. What Claude Code speaks."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from understudy.gateway.asking import Marks, aimed, is_named
from understudy.gateway.dialects.given import Given, sse
from understudy.gateway.dialects.refusals import Refusal
from understudy.gateway.dialects.words import LARGEST_TEXT, Message, Wanted, chat_of, is_remote, task_of
from understudy.gateway.fields import BadField, Table, flag, number, one_of, strings, table, tables, text, whole
from understudy.types import Chat, Piece, Task

MOST_TOKENS = 1_000_000  # of an answer
ROLES = ("user", "assistant", "system")
RANGES = {"temperature": (0, 1), "top_p": (0, 1), "top_k": (0, 10_000)}
_STOP = {"stop": "end_turn", "length": "max_tokens", "tool_call": "tool_use", "content_filter": "refusal"}
BLOCKS = ("text", "image", "tool_use", "tool_result", "thinking", "redacted_thinking", "document", "search_result")
# Handed on to who speaks this dialect; left out for others, as none of them changes the question.
_KEPT = ("system", "thinking", "context_management", "output_config", "service_tier")


def read(body: Table, marks: Marks) -> Wanted:
    """Raises BadField. Fields nobody here knows are left out."""
    wanted = _read(body, marks)
    if wanted.task.max_tokens is None:
        raise BadField("max_tokens", "it is missing")
    return wanted


def count(body: Table, marks: Marks) -> int:
    """Tokens of the input, estimated: who will count them is not known before somebody is asked."""
    task = _read(body, marks).task
    if task.chat is not None:
        return task.chat.tokens
    from understudy.tokens import estimate

    texts = [task.text, task.instructions, *(t.user + t.assistant for t in task.history)]
    return sum(map(estimate, texts)) + 8 * (2 + 2 * len(task.history))


def _read(body: Table, marks: Marks) -> Wanted:
    model = text(body, "model")
    if not model:
        raise BadField("model", "it is missing", remedy="understudy/auto, or a candidate of GET /v1/models.")
    messages = tables(body.get("messages"), "messages")
    if not messages:
        raise BadField("messages", "it is empty")
    images = [is_remote(url, name) for n, m in enumerate(messages) for url, name in _read_message(m, n)]
    _check_system(body.get("system"))
    kept, tools = _kept(body), _tools(body)
    asked, more = _task(body, messages) if not (tools or images) else None, dict[str, Any]()
    if asked is None or is_named(model):
        chat = _handed(body, messages, {**kept, **tools}, images, plain=asked is not None)
        # With the same in words beside it, where it can be said in words.
        asked, more = asked or Task(_last_question(messages), remember=False), {"chat": chat, "plan": False}
    cap = whole(body, "max_tokens", 1, MOST_TOKENS)
    known = frozenset(str(b.get("id")) for m in messages for b in _blocks(m) if b.get("type") == "tool_use")
    aim = aimed(asked, model, marks, max_tokens=cap, **more)
    return Wanted(aim, model, stream=flag(body, "stream"), known=known)


def write(given: Given) -> Table:
    """The message."""
    content, stop, sequence = _said(given)
    return {
        "id": f"msg_{given.reply.id}",
        "type": "message",
        "role": "assistant",
        "model": given.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": sequence,
        "usage": usage(given),
        "understudy": given.told,
    }


def usage(given: Given) -> Table:
    used = given.usage
    return {
        "input_tokens": max(0, used.input_tokens - used.cached_tokens),
        "output_tokens": used.output_tokens,
        "cache_read_input_tokens": used.cached_tokens,
        "cache_creation_input_tokens": 0,
    }


def failure(refusal: Refusal) -> Table:
    return {"type": "error", "error": {"type": refusal.kind, "message": refusal.message}}


@dataclass(slots=True)
class Frames:
    """The events of one stream."""

    id: str
    created: int
    model: str
    begun: bool = False
    kind: str = ""  # of the block that is open
    index: int = 0

    def alive(self) -> Iterator[bytes]:
        yield from self._begin()
        yield sse({"type": "ping"}, "ping")

    def piece(self, piece: Piece) -> Iterator[bytes]:
        yield from self._begin()
        for kind, said in (("thinking", piece.thought), ("text", piece.text)):
            if said:
                yield from self._open(kind)
                yield self._delta(f"{kind}_delta", **{kind: said})

    def end(self, given: Given, *, live: bool, usage_too: bool) -> Iterator[bytes]:
        """live: its text has passed already."""
        yield from self._begin()
        content, stop, sequence = _said(given)
        for block in content:
            if not (live and block["type"] in ("text", "thinking")):
                yield from self._whole(block)
        yield from self._close()
        delta = {"stop_reason": stop, "stop_sequence": sequence}
        ending: Table = {"type": "message_delta", "delta": delta, "usage": usage(given), "understudy": given.told}
        yield sse(ending, "message_delta")
        yield sse({"type": "message_stop"}, "message_stop")

    def fail(self, refusal: Refusal) -> Iterator[bytes]:
        yield sse(failure(refusal), "error")

    def _begin(self) -> Iterator[bytes]:
        if self.begun:
            return
        self.begun = True
        zero = {"input_tokens": 0, "output_tokens": 0}
        message = {"id": f"msg_{self.id}", "type": "message", "role": "assistant", "model": self.model}
        message |= {"content": [], "stop_reason": None, "stop_sequence": None, "usage": zero}
        yield sse({"type": "message_start", "message": message}, "message_start")

    def _open(self, kind: str) -> Iterator[bytes]:
        if self.kind == kind:
            return
        yield from self._close()
        self.kind = kind
        block: Table = {"type": kind, kind: "", **({"signature": ""} if kind == "thinking" else {})}
        yield self._event("content_block_start", content_block=block)

    def _close(self) -> Iterator[bytes]:
        if self.kind:
            yield self._event("content_block_stop")
            self.kind, self.index = "", self.index + 1

    def _whole(self, block: Table) -> Iterator[bytes]:
        yield from self._close()
        kind = self.kind = block["type"]
        if kind == "tool_use":
            yield self._event("content_block_start", content_block={**block, "input": {}})
            yield self._delta("input_json_delta", partial_json=json.dumps(block["input"], ensure_ascii=False))
        elif kind == "text":
            yield self._event("content_block_start", content_block={"type": "text", "text": ""})
            yield self._delta("text_delta", text=block["text"])
        elif kind == "thinking":
            yield self._event("content_block_start", content_block={"type": kind, "thinking": "", "signature": ""})
            yield self._delta("thinking_delta", thinking=block.get("thinking") or "")
            yield self._delta("signature_delta", signature=block.get("signature") or "")
        else:
            yield self._event("content_block_start", content_block=block)
        yield from self._close()

    def _delta(self, kind: str, **said: Any) -> bytes:
        return self._event("content_block_delta", delta={"type": kind, **said})

    def _event(self, name: str, **said: Any) -> bytes:
        return sse({"type": name, "index": self.index, **said}, name)


def _said(given: Given) -> tuple[list[Table], str, str | None]:
    """Content, stop_reason and stop_sequence."""
    answer = given.reply.answer
    if answer is None or answer.message is None:
        return [{"type": "text", "text": given.reply.text}], "end_turn", None
    content: list[Table] = []
    for place, block in enumerate(answer.message.get("content") or ()):
        named = block.get("type") == "tool_use"
        content.append({**block, "id": given.id_for(str(block.get("id") or ""), place)} if named else dict(block))
    stop = answer.message.get("stop_reason") or _STOP.get(answer.finish, "end_turn")
    return content, stop, answer.message.get("stop_sequence")


def _blocks(message: Table) -> list[Table]:
    content = message.get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def _read_message(message: Table, number: int) -> Iterable[tuple[str, str]]:
    """Checks it, and yields the addresses of its images with their places."""
    here = f"messages[{number}]"
    one_of(message.get("role"), f"{here}.role", ROLES)
    content = message.get("content")
    if isinstance(content, str):
        if len(content) > LARGEST_TEXT:
            raise BadField(f"{here}.content", f"it is longer than {LARGEST_TEXT:,} characters")
        return
    for place, block in enumerate(tables(content, f"{here}.content")):
        yield from _read_block(block, f"{here}.content[{place}]")


def _read_block(block: Table, name: str) -> Iterable[tuple[str, str]]:
    kind = one_of(block.get("type"), f"{name}.type", BLOCKS)
    if kind == "text" and not isinstance(block.get("text"), str):
        raise BadField(f"{name}.text", "it must be a string")
    if kind == "document":
        yield from _read_document(block, name)
    if kind == "image":
        source = table(block.get("source"), f"{name}.source")
        if one_of(source.get("type"), f"{name}.source.type", ("base64", "url")) == "url":
            yield text(source, "url", longest=2_000) or "", f"{name}.source.url"
        else:
            media, data = source.get("media_type"), source.get("data")
            if not isinstance(media, str) or not media.startswith("image/") or not isinstance(data, str):
                raise BadField(f"{name}.source", "media_type must be that of an image, and data its base64")
            yield "data:image/", f"{name}.source"
    if kind == "tool_use" and not (isinstance(block.get("id"), str) and isinstance(block.get("name"), str)):
        raise BadField(name, "id and name must be strings")
    if kind == "tool_result":
        if not isinstance(block.get("tool_use_id"), str):
            raise BadField(f"{name}.tool_use_id", "it must be a string")
        inner = block.get("content")
        if inner is not None and not isinstance(inner, str):
            for place, below in enumerate(tables(inner, f"{name}.content")):
                yield from _read_block(below, f"{name}.content[{place}]")


def _read_document(block: Table, name: str) -> Iterable[tuple[str, str]]:
    """What is in a PDF nobody here can read; any other document is text that can be."""
    source = table(block.get("source"), f"{name}.source")
    kind = one_of(source.get("type"), f"{name}.source.type", ("text", "base64", "url", "content", "file"))
    data = source.get("data")
    if kind in ("text", "base64") and not isinstance(data, str):
        raise BadField(f"{name}.source.data", "it must be a string")
    if kind == "base64" and source.get("media_type") != "application/pdf":
        raise BadField(f"{name}.source.media_type", "it must be application/pdf", remedy="Send text as it is.")
    if kind == "url":
        is_remote(text(source, "url", longest=2_000) or "", f"{name}.source.url")
    inner = source.get("content")
    if kind == "content" and not isinstance(inner, str):
        for place, below in enumerate(tables(inner, f"{name}.source.content")):
            yield from _read_block(below, f"{name}.source.content[{place}]")


def _check_system(system: object) -> None:
    if system is None or isinstance(system, str):
        return
    for place, block in enumerate(tables(system, "system")):
        if block.get("type") != "text" or not isinstance(block.get("text"), str):
            raise BadField(f"system[{place}]", "it must be a block of text")


def _kept(body: Table) -> Table:
    kept: Table = {name: body[name] for name in _KEPT if body.get(name) is not None}
    for name, (least, most) in RANGES.items():
        value = number(body, name, least, most)
        if value is not None:
            kept[name] = value
    if body.get("stop_sequences") is not None:
        kept["stop_sequences"] = strings(body["stop_sequences"], "stop_sequences", most=64)
    for name in ("thinking", "context_management", "output_config"):
        if name in kept:
            table(kept[name], name)
    return kept


def _tools(body: Table) -> Table:
    found = tables(body.get("tools") or [], "tools", most=1_000)
    for place, tool in enumerate(found):
        if not text(tool, "name", longest=200):
            raise BadField(f"tools[{place}].name", "it is missing")
        if tool.get("input_schema") is not None:
            table(tool["input_schema"], f"tools[{place}].input_schema")
    if not found:
        return {}
    choice = body.get("tool_choice")
    if choice is None:
        return {"tools": found}
    said = table(choice, "tool_choice")
    if one_of(said.get("type"), "tool_choice.type", ("auto", "any", "tool", "none")) == "tool":
        one_of(said.get("name"), "tool_choice.name", [str(tool["name"]) for tool in found])
    return {"tools": found, "tool_choice": said}


def _task(body: Table, messages: list[Table]) -> Task | None:
    system = body.get("system") or ""
    said = [Message("system", system if isinstance(system, str) else "\n\n".join(b["text"] for b in system))]
    for message in messages:
        blocks = _blocks(message)
        if any(block["type"] not in ("text", "thinking", "redacted_thinking") for block in blocks):
            return None
        said.append(Message(message["role"], "\n".join(b["text"] for b in blocks if b["type"] == "text")))
    return task_of(said)


def _last_question(messages: list[Table]) -> str:
    for message in reversed(messages):
        texts = [b["text"] for b in _blocks(message) if b["type"] == "text"]
        if message["role"] == "user" and texts:
            return "\n".join(texts)
    return ""


def _has_documents(messages: list[Table]) -> bool:
    """Any that are not text already."""
    blocks = [block for message in messages for block in _blocks(message)]
    blocks += [below for block in blocks if block["type"] == "tool_result" for below in _blocks(block)]
    sources = [table(b.get("source") or {}, "source") for b in blocks if b["type"] == "document"]
    return any(source.get("type") not in ("text", "content") for source in sources)


def _handed(body: Table, messages: list[Table], more: Table, images: list[bool], *, plain: bool) -> Chat:
    found = ("tools", bool(more.get("tools"))), ("vision", bool(images)), ("documents", _has_documents(messages))
    needs = [name for name, on in found if on]
    first = next((n for n, m in enumerate(messages) if m["role"] == "user"), 0)
    begins = "\0".join(b["text"] for m in messages[: first + 1] for b in _blocks(m) if b["type"] == "text")
    return chat_of("anthropic", {"messages": messages, **more}, needs=needs, images=images, begins=begins, plain=plain)
