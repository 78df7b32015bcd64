"""OpenAI's responses, as far as text and function tools go: read as chat completions, written in their own shape.

Nothing is kept for a later request: previous_response_id is refused, and the client sends the whole conversation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from understudy.gateway.asking import Marks
from understudy.gateway.dialects import chat
from understudy.gateway.dialects.given import Given, sse
from understudy.gateway.dialects.refusals import Refusal
from understudy.gateway.dialects.words import Wanted
from understudy.gateway.fields import BadField, Table, one_of, table, tables, text
from understudy.types import Piece

ITEMS = ("message", "function_call", "function_call_output", "reasoning")
_SAME = ("model", "temperature", "top_p", "stream", "metadata", "parallel_tool_calls")


def read(body: Table, marks: Marks) -> Wanted:
    """Raises BadField."""
    for name in ("previous_response_id", "conversation", "prompt"):
        if body.get(name) is not None:
            raise BadField(name, "nothing is kept between requests", remedy="Send the whole conversation as input.")
    if body.get("background"):
        raise BadField("background", "it is not done here", remedy="POST /v1/jobs answers at once with an id.")
    said: Table = {name: body[name] for name in _SAME if body.get(name) is not None}
    conversation = _messages(body.get("input"))
    if not conversation:
        raise BadField("input", "it is empty")
    said["messages"] = [*_instructions(body), *conversation]
    if body.get("max_output_tokens") is not None:
        said["max_completion_tokens"] = body["max_output_tokens"]
    form = table(table(body.get("text") or {}, "text").get("format") or {"type": "text"}, "text.format")
    if form.get("type") == "json_schema":
        named = {k: form[k] for k in ("name", "schema", "strict", "description") if k in form}
        said["response_format"] = {"type": "json_schema", "json_schema": named}
    elif form.get("type") != "text":
        said["response_format"] = form
    if tools := [_tool(tool, n) for n, tool in enumerate(tables(body.get("tools") or [], "tools"))]:
        said["tools"] = tools
        choice = body.get("tool_choice")
        said["tool_choice"] = choice if not isinstance(choice, dict) else {**choice, "function": choice}
    if effort := table(body.get("reasoning") or {}, "reasoning").get("effort"):
        said["reasoning_effort"] = effort
    return chat.read(said, marks)


def write(given: Given) -> Table:
    """The response."""
    return _response(f"resp_{given.reply.id}", given.created, given.model, _items(given), given)


def failure(refusal: Refusal) -> Table:
    return chat.failure(refusal)


@dataclass(slots=True)
class Frames:
    """The events of one stream."""

    id: str
    created: int
    model: str
    number: int = 0
    text: list[str] = field(default_factory=list[str])
    begun: bool = False

    def alive(self) -> Iterator[bytes]:
        yield from self._begin()
        yield self._event("response.in_progress", response=self._shell("in_progress"))

    def piece(self, piece: Piece) -> Iterator[bytes]:
        yield from self._begin()
        if piece.text:
            yield from self._say(piece.text)

    def end(self, given: Given, *, live: bool, usage_too: bool) -> Iterator[bytes]:
        """live: its text has passed already."""
        yield from self._begin()
        items = _items(given, self._item_id)
        for place, item in enumerate(items):
            if item["type"] == "message":
                whole = item["content"][0]["text"]
                if not live:
                    yield from self._say(whole)
                at: Table = {"item_id": item["id"], "output_index": place, "content_index": 0}
                yield self._event("response.output_text.done", **at, text=whole, logprobs=[])
                yield self._event("response.content_part.done", **at, part=item["content"][0])
            else:
                at = {"item_id": item["id"], "output_index": place}
                opened = {**item, "arguments": "", "status": "in_progress"}
                yield self._event("response.output_item.added", output_index=place, item=opened)
                yield self._event("response.function_call_arguments.delta", **at, delta=item["arguments"])
                yield self._event("response.function_call_arguments.done", **at, arguments=item["arguments"])
            yield self._event("response.output_item.done", output_index=place, item=item)
        told = _response(f"resp_{self.id}", self.created, self.model, items, given)
        kind = "response.completed" if told["status"] == "completed" else "response.incomplete"
        yield self._event(kind, response=told)

    def fail(self, refusal: Refusal) -> Iterator[bytes]:
        error = {"code": refusal.code, "message": refusal.message}
        yield self._event("response.failed", response={**self._shell("failed"), "error": error})

    @property
    def _item_id(self) -> str:
        return f"msg_{self.id}"

    def _begin(self) -> Iterator[bytes]:
        if not self.begun:
            self.begun = True
            yield self._event("response.created", response=self._shell("in_progress"))

    def _say(self, said: str) -> Iterator[bytes]:
        at: Table = {"item_id": self._item_id, "output_index": 0, "content_index": 0}
        if not self.text:
            item: Table = {"id": self._item_id, "type": "message", "role": "assistant", "content": []}
            item["status"] = "in_progress"
            yield self._event("response.output_item.added", output_index=0, item=item)
            yield self._event("response.content_part.added", **at, part=_part(""))
        self.text.append(said)
        yield self._event("response.output_text.delta", **at, delta=said, logprobs=[])

    def _shell(self, status: str) -> Table:
        head = {"id": f"resp_{self.id}", "object": "response", "created_at": self.created, "model": self.model}
        return {**head, "status": status, "output": [], "usage": None, "error": None, **_PLAIN}

    def _event(self, kind: str, **said: Any) -> bytes:
        number, self.number = self.number, self.number + 1
        return sse({"type": kind, "sequence_number": number, **said}, kind)


_PLAIN: Table = {
    "incomplete_details": None,
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": None,
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "store": False,
}


def _response(name: str, created: int, model: str, items: list[Table], given: Given) -> Table:
    used = given.usage
    short = given.reply.answer is not None and given.reply.answer.finish == "length"
    return {
        **_PLAIN,
        "id": name,
        "object": "response",
        "created_at": created,
        "model": model,
        "status": "incomplete" if short else "completed",
        "incomplete_details": {"reason": "max_output_tokens"} if short else None,
        "output": items,
        "usage": {
            "input_tokens": used.input_tokens,
            "input_tokens_details": {"cached_tokens": used.cached_tokens},
            "output_tokens": used.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": used.total,
        },
        "error": None,
        "understudy": given.told,
    }


def _items(given: Given, name: str = "") -> list[Table]:
    message: Table = chat.write(given)["choices"][0]["message"]
    items: list[Table] = []
    if message.get("content"):
        head: Table = {"id": name or f"msg_{given.reply.id}", "type": "message", "role": "assistant"}
        items.append({**head, "status": "completed", "content": [_part(message["content"])]})
    for place, call in enumerate(message.get("tool_calls") or ()):
        function = call["function"]
        item: Table = {"id": f"fc_{given.reply.id}_{place}", "type": "function_call", "call_id": call["id"]}
        items.append({**item, "name": function["name"], "arguments": function["arguments"], "status": "completed"})
    return items


def _part(said: str) -> Table:
    return {"type": "output_text", "text": said, "annotations": [], "logprobs": []}


def _instructions(body: Table) -> Iterable[Table]:
    said = text(body, "instructions", longest=4_000_000)
    return [{"role": "system", "content": said}] if said else []


def _messages(given: object) -> list[Table]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    made: list[Table] = []
    for number, item in enumerate(tables(given, "input")):
        here = f"input[{number}]"
        kind = one_of(
            item.get("type", "message"),
            f"{here}.type",
            ITEMS,
        )
        if kind == "message":
            made.append({"role": item.get("role"), "content": _content(item.get("content"), here)})
        elif kind == "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments")}
            call = {"id": item.get("call_id"), "type": "function", "function": function}
            if made and made[-1].get("tool_calls"):
                made[-1]["tool_calls"].append(call)
            else:
                made.append({"role": "assistant", "content": None, "tool_calls": [call]})
        elif kind == "function_call_output":
            output = _content(item.get("output"), here)
            made.append({"role": "tool", "tool_call_id": item.get("call_id"), "content": output})
    return made


def _content(content: object, here: str) -> Any:
    if isinstance(content, str) or content is None:
        return content
    parts: list[Table] = []
    for number, part in enumerate(tables(content, f"{here}.content")):
        name = f"{here}.content[{number}]"
        kind = one_of(part.get("type"), f"{name}.type", ("input_text", "output_text", "input_image", "text", "refusal"))
        if kind == "input_image":
            parts.append({"type": "image_url", "image_url": {"url": text(part, "image_url", longest=30_000_000) or ""}})
        else:
            parts.append({"type": "text", "text": part.get("text", part.get("refusal"))})
    return parts


def _tool(tool: Table, number: int) -> Table:
    one_of(tool.get("type"), f"tools[{number}].type", ("function",))
    function = {k: tool[k] for k in ("name", "description", "parameters", "strict") if tool.get(k) is not None}
    return {"type": "function", "function": function}
