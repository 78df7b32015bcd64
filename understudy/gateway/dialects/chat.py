"""OpenAI's chat completions: requests read, answers and chunks written."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from understudy.gateway.asking import Marks, aimed, is_named
from understudy.gateway.dialects.given import Given, sse
from understudy.gateway.dialects.refusals import Refusal
from understudy.gateway.dialects.words import LARGEST_TEXT, Message, Wanted, chat_of, is_remote, task_of
from understudy.gateway.fields import BadField, Table, flag, number, one_of, strings, table, tables, text, whole
from understudy.types import Chat, Piece, Task

ROLES = ("system", "developer", "user", "assistant", "tool")
MOST_TOKENS = 1_000_000  # of an answer
_FINISH = {"stop": "stop", "length": "length", "tool_call": "tool_calls", "content_filter": "content_filter"}
RANGES = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
    "seed": (-(2**63), 2**63),
    "top_logprobs": (0, 20),
}
EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh")


def read(body: Table, marks: Marks) -> Wanted:
    """Raises BadField. Fields nobody here knows are left out."""
    model = text(body, "model")
    if not model:
        raise BadField("model", "it is missing", remedy="understudy/auto, or a candidate of GET /v1/models.")
    if (whole(body, "n", 1, 128) or 1) != 1:
        raise BadField("n", "one answer is given to a request", remedy="Send it as often as you want answers.")
    messages = tables(body.get("messages"), "messages")
    if not messages:
        raise BadField("messages", "it is empty")
    images = [is_remote(url, name) for n, m in enumerate(messages) for url, name in _read_message(m, n)]
    form, tools = _form(body), _tools(body)
    kept = _kept(body)
    asked, more = _task(messages) if not (tools or images) else None, dict[str, Any]()
    if asked is None or is_named(model) or kept.get("logprobs"):
        chat = _handed(messages, kept, tools, form, images, plain=asked is not None)
        # With the same in words beside it, where it can be said in words.
        asked, more = asked or Task(_last_question(messages), remember=False), {"chat": chat, "plan": False}
    cap = whole(body, "max_completion_tokens", 1, MOST_TOKENS) or whole(body, "max_tokens", 1, MOST_TOKENS)
    options = table(body.get("stream_options") or {}, "stream_options")
    return Wanted(
        aimed(asked, model, marks, max_tokens=cap, schema=_schema(form), **more),
        model,
        stream=flag(body, "stream"),
        usage=flag(options, "include_usage"),
        known=frozenset(call["id"] for m in messages for call in m.get("tool_calls") or ()),
    )


def write(given: Given) -> Table:
    """The completion."""
    return {
        "id": f"chatcmpl-{given.reply.id}",
        "object": "chat.completion",
        "created": given.created,
        "model": given.model,
        "choices": [_choice(given)],
        "usage": usage(given),
        "understudy": given.told,
    }


def usage(given: Given) -> Table:
    used = given.usage
    made: Table = {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.output_tokens,
        "total_tokens": used.total,
    }
    if used.cached_tokens:
        made["prompt_tokens_details"] = {"cached_tokens": used.cached_tokens}
    return made


def failure(refusal: Refusal) -> Table:
    error = {"message": refusal.message, "type": refusal.kind, "param": refusal.field, "code": refusal.code}
    return {"error": error}


@dataclass(slots=True)
class Frames:
    """The chunks of one stream."""

    id: str
    created: int
    model: str
    begun: bool = False

    def alive(self) -> Iterator[bytes]:
        """A chunk that says nothing: comments do not reset every client's patience, this does."""
        yield self._chunk({})

    def piece(self, piece: Piece) -> Iterator[bytes]:
        delta: Table = {"content": piece.text} if piece.text else {}
        if piece.thought:
            delta["reasoning_content"] = piece.thought
        yield self._chunk(delta)

    def end(self, given: Given, *, live: bool, usage_too: bool) -> Iterator[bytes]:
        """live: its text has passed already."""
        choice = _choice(given)
        message: Table = choice["message"]
        if not live:
            kept = {k: v for k, v in message.items() if k in ("content", "reasoning_content", "refusal") and v}
            if kept:
                yield self._chunk(kept, logprobs=choice.get("logprobs"))
        for index, call in enumerate(message.get("tool_calls") or ()):
            yield self._chunk({"tool_calls": [{"index": index, **call}]})
        if usage_too:
            yield self._chunk({}, choice["finish_reason"], understudy=given.told)
            yield sse({**self._frame(), "choices": [], "usage": usage(given)})
        else:  # a chunk without a choice would surprise who did not ask for it
            yield self._chunk({}, choice["finish_reason"], understudy=given.told, usage=usage(given))
        yield sse(b"[DONE]")

    def fail(self, refusal: Refusal) -> Iterator[bytes]:
        yield sse(failure(refusal))
        yield sse(b"[DONE]")

    def _chunk(self, delta: Table, finish: str | None = None, *, logprobs: Any = None, **more: Any) -> bytes:
        if not self.begun:
            self.begun = True
            delta = {"role": "assistant", **delta}
        choice: Table = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return sse({**self._frame(), "choices": [choice], **more})

    def _frame(self) -> Table:
        head = {"id": f"chatcmpl-{self.id}", "object": "chat.completion.chunk", "created": self.created}
        return {**head, "model": self.model}


def _choice(given: Given) -> Table:
    answer = given.reply.answer
    said: Mapping[str, Any] = answer.message or {} if answer is not None else {}
    message: Table = {"role": "assistant", "content": given.reply.text, **(said.get("message") or {})}
    if calls := message.get("tool_calls"):
        message["tool_calls"] = given.renamed(calls)
    finish = _FINISH.get(answer.finish, "stop") if answer is not None else "stop"
    return {"index": 0, "message": message, "logprobs": said.get("logprobs"), "finish_reason": finish}


def _read_message(message: Table, number: int) -> Iterable[tuple[str, str]]:
    """Checks it, and yields the addresses of its images with their places."""
    here = f"messages[{number}]"
    role = one_of(message.get("role"), f"{here}.role", ROLES)
    content = message.get("content")
    if isinstance(content, str):
        if len(content) > LARGEST_TEXT:
            raise BadField(f"{here}.content", f"it is longer than {LARGEST_TEXT:,} characters")
    elif content is not None:
        for place, part in enumerate(tables(content, f"{here}.content")):
            name = f"{here}.content[{place}]"
            kind = one_of(part.get("type"), f"{name}.type", ("text", "image_url", "refusal"))
            if kind == "image_url":
                url = text(table(part.get("image_url"), f"{name}.image_url"), "url", longest=30_000_000)
                yield url or "", f"{name}.image_url.url"
            elif not isinstance(part.get("text", part.get("refusal")), str):
                raise BadField(f"{name}.text", "it must be a string")
    elif role not in ("assistant",):
        raise BadField(f"{here}.content", "it is missing")
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise BadField(f"{here}.tool_call_id", "it must be a string")
    for place, call in enumerate(tables(message.get("tool_calls") or [], f"{here}.tool_calls")):
        function = table(call.get("function"), f"{here}.tool_calls[{place}].function")
        if not all(isinstance(v, str) for v in (call.get("id"), function.get("name"), function.get("arguments"))):
            raise BadField(f"{here}.tool_calls[{place}]", "id, name and arguments must be strings")


def _kept(body: Table) -> Table:
    """What is said of how to answer, checked."""
    kept: Table = {}
    for name, (least, most) in RANGES.items():
        value = (whole if name in ("seed", "top_logprobs") else number)(body, name, least, most)
        if value is not None:
            kept[name] = value
    stop = body.get("stop")
    if stop is not None:
        kept["stop"] = stop if isinstance(stop, str) else strings(stop, "stop", most=4)
    if flag(body, "logprobs"):
        kept["logprobs"] = True
    if (bias := body.get("logit_bias")) is not None:
        given = table(bias, "logit_bias")
        if len(given) > 1024 or not all(isinstance(v, int | float) and -100 <= v <= 100 for v in given.values()):
            raise BadField("logit_bias", "it must map at most 1,024 tokens to numbers from -100 to 100")
        kept["logit_bias"] = given
    if (effort := body.get("reasoning_effort")) is not None:
        kept["reasoning_effort"] = one_of(effort, "reasoning_effort", EFFORTS)
    return kept


def _tools(body: Table) -> Table:
    """tools, tool_choice and parallel_tool_calls; nothing when there is no tool."""
    found = tables(body.get("tools") or [], "tools", most=512)
    names: list[str] = []
    for place, tool in enumerate(found):
        one_of(tool.get("type"), f"tools[{place}].type", ("function",))
        function = table(tool.get("function"), f"tools[{place}].function")
        names.append(text(function, "name", longest=128) or "")
        if not names[-1]:
            raise BadField(f"tools[{place}].function.name", "it is missing")
        table(function.get("parameters") or {}, f"tools[{place}].function.parameters")
    if not found:
        return {}
    made: Table = {"tools": found}
    if (choice := body.get("tool_choice")) is not None:
        made["tool_choice"] = _choice_of_tool(choice, names)
    if body.get("parallel_tool_calls") is not None:
        made["parallel_tool_calls"] = flag(body, "parallel_tool_calls")
    return made


def _choice_of_tool(choice: object, names: list[str]) -> Any:
    if isinstance(choice, str):
        return one_of(choice, "tool_choice", ("auto", "none", "required"))
    name = table(table(choice, "tool_choice").get("function"), "tool_choice.function").get("name")
    one_of(name, "tool_choice.function.name", names)
    return {"type": "function", "function": {"name": name}}


def _form(body: Table) -> Table:
    if body.get("response_format") is None:
        return {}
    form = table(body["response_format"], "response_format")
    kind = one_of(form.get("type"), "response_format.type", ("text", "json_object", "json_schema"))
    if kind == "json_schema":
        said = table(form.get("json_schema"), "response_format.json_schema")
        table(said.get("schema"), "response_format.json_schema.schema")
    return form if kind != "text" else {}


def _schema(form: Table) -> Table | None:
    if form.get("type") == "json_object":
        return {"type": "object"}
    return form["json_schema"]["schema"] if form else None


def _task(messages: list[Table]) -> Task | None:
    said: list[Message] = []
    for message in messages:
        role = message["role"]
        if role == "tool" or message.get("tool_calls") or message.get("content") is None:
            return None
        said.append(Message("system" if role == "developer" else role, _text(message)))
    return task_of(said)


def _text(message: Table) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content or ())


def _last_question(messages: list[Table]) -> str:
    return next((_text(m) for m in reversed(messages) if m["role"] == "user"), "")


def _handed(messages: list[Table], kept: Table, tools: Table, form: Table, images: list[bool], *, plain: bool) -> Chat:
    body: Table = {"messages": messages, **kept, **tools, **({"response_format": form} if form else {})}
    needs = [("tools", bool(tools)), ("vision", bool(images)), ("logprobs", bool(kept.get("logprobs")))]
    first = next((n for n, m in enumerate(messages) if m["role"] == "user"), 0)
    begins = "\0".join(_text(m) for m in messages[: first + 1])
    return chat_of("openai", body, needs=[name for name, on in needs if on], images=images, begins=begins, plain=plain)
