"""Between the words of OpenAI's chat completions and those of Anthropic's messages: requests and answers, both ways.

What one side has no words for is left out where it only asks for comfort (cache marks, thinking), and is refused where
leaving it out would change the question (a document).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from understudy.agents.relays.reading import Body, table, tables, text_of, words
from understudy.errors import CallFailed
from understudy.types import Failure

_CHOICE_OUT = {"auto": {"type": "auto"}, "required": {"type": "any"}, "none": {"type": "none"}}
_CHOICE_IN = {"auto": "auto", "any": "required", "none": "none"}
_STOP = {"stop": "end_turn", "length": "max_tokens", "tool_call": "tool_use", "content_filter": "refusal"}
_FINISH = {"stop": "stop", "length": "length", "tool_call": "tool_calls", "content_filter": "content_filter"}
_SAME = ("temperature", "top_p")


def untranslatable(what: str) -> CallFailed:
    return CallFailed(
        Failure.UNSUITED,
        f"The request has {what}, for which this provider has no words.",
        remedy="Name a candidate of the provider whose dialect the request is in.",
        charged=False,
    )


def anthropic_request(body: Any) -> Body:
    """From OpenAI's: system and developer messages become the system text, tool results the user's blocks."""
    system: list[str] = []
    messages: list[Body] = []
    for message in tables(body.get("messages")):
        role = message.get("role")
        if role in ("system", "developer"):
            system.append(text_of(message.get("content")))
        elif role == "tool":
            result = {"type": "tool_result", "tool_use_id": words(message.get("tool_call_id"))}
            _add(messages, "user", [{**result, "content": text_of(message.get("content"))}])
        elif role == "assistant":
            _add(messages, "assistant", _assistant_blocks(message))
        else:
            _add(messages, "user", _user_blocks(message.get("content")))
    if schema := _schema_of(body.get("response_format")):
        system.append(f"Answer with one JSON value that is valid against this JSON schema, and nothing else:\n{schema}")
    made: Body = {name: body[name] for name in _SAME if body.get(name) is not None}
    if "temperature" in made:
        made["temperature"] = min(1.0, made["temperature"])  # OpenAI's goes to 2
    if system:
        made["system"] = "\n\n".join(text for text in system if text)
    made["messages"] = messages
    if stop := body.get("stop"):
        made["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    if tools := [t for t in map(_tool_out, tables(body.get("tools"))) if t["name"]]:
        made["tools"] = tools
        made["tool_choice"] = _choice_out(body.get("tool_choice"))
        if body.get("parallel_tool_calls") is False and made["tool_choice"]["type"] != "none":
            made["tool_choice"]["disable_parallel_tool_use"] = True
    return made


def openai_request(body: Any) -> Body:
    """From Anthropic's. Tools that only Anthropic's own servers have are left out."""
    messages: list[Body] = []
    if system := text_of(body.get("system")):
        messages.append({"role": "system", "content": system})
    for message in tables(body.get("messages")):
        content = message.get("content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else tables(content)
        role = message.get("role")
        if role == "assistant":
            messages.append(_assistant_message(blocks))
        elif role == "system":
            if text := text_of(blocks):
                messages.append({"role": "system", "content": text})
        else:
            messages += _user_messages(blocks)
    made: Body = {"messages": messages, **{name: body[name] for name in _SAME if body.get(name) is not None}}
    if stop := body.get("stop_sequences"):
        made["stop"] = stop[:4]  # as many as OpenAI takes
    if tools := [_tool_in(tool) for tool in tables(body.get("tools")) if isinstance(tool.get("input_schema"), dict)]:
        made["tools"] = tools
        choice = table(body.get("tool_choice"))
        made["tool_choice"] = _CHOICE_IN.get(words(choice.get("type")), "auto")
        if choice.get("type") == "tool":
            made["tool_choice"] = {"type": "function", "function": {"name": words(choice.get("name"))}}
        if choice.get("disable_parallel_tool_use"):
            made["parallel_tool_calls"] = False
    return made


def openai_choice(message: Body, finish: str) -> Body:
    """A choice of OpenAI's from a message of Anthropic's. finish: as an Answer says it."""
    blocks = tables(message.get("content"))
    made = _assistant_message(blocks)
    if thought := "".join(words(b.get("thinking")) for b in blocks if b.get("type") == "thinking"):
        made["reasoning_content"] = thought
    return {"index": 0, "message": made, "finish_reason": _FINISH.get(finish, "stop"), "logprobs": None}


def anthropic_message(choice: Body, finish: str) -> Body:
    """Content and stop_reason of Anthropic's from a choice of OpenAI's."""
    blocks = [b for b in _assistant_blocks(table(choice.get("message"))) if b.get("type") != "text" or b["text"]]
    return {"content": blocks, "stop_reason": _STOP.get(finish, "end_turn"), "stop_sequence": None}


def _add(messages: list[Body], role: str, blocks: list[Body]) -> None:
    """Roles take turns on that side."""
    if messages and messages[-1]["role"] == role:
        messages[-1]["content"] += blocks
    elif blocks:
        messages.append({"role": role, "content": blocks})


def _assistant_blocks(message: Body) -> list[Body]:
    text = text_of(message.get("content"))
    blocks: list[Body] = [{"type": "text", "text": text}] if text else []
    for call in tables(message.get("tool_calls")):
        function = table(call.get("function"))
        try:
            said: Any = json.loads(words(function.get("arguments")) or "{}")
        except ValueError:
            said = {}
        block: Body = {"type": "tool_use", "id": words(call.get("id")), "name": words(function.get("name"))}
        blocks.append({**block, "input": table(said)})
    return blocks


def _user_blocks(content: object) -> list[Body]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    blocks: list[Body] = []
    for part in tables(content):
        if part.get("type") == "image_url":
            blocks.append({"type": "image", "source": _source(words(table(part.get("image_url")).get("url")))})
        elif part.get("type") == "text":
            blocks.append({"type": "text", "text": words(part.get("text"))})
        else:
            raise untranslatable(f"a part of the type {words(part.get('type'))[:30]!r}")
    return blocks


def _source(url: str) -> Body:
    media, base64 = data_of(url)
    if not media:
        return {"type": "url", "url": url}
    return {"type": "base64", "media_type": media, "data": base64}


def data_of(url: str) -> tuple[str, str]:
    """Media type and base64 of a data: address; empty strings for any other."""
    head, comma, data = url.partition(",")
    if not comma or not head.startswith("data:") or not head.endswith(";base64"):
        return "", ""
    return head[5:-7], data


def _user_messages(blocks: Iterable[Body]) -> list[Body]:
    """Tool results first, as the other side wants them right behind the calls."""
    results: list[Body] = []
    parts: list[Body] = []
    for block in blocks:
        kind = block.get("type")
        if kind == "tool_result":
            text, images = _result(block.get("content"))
            parts += images
            failed = "Error: " if block.get("is_error") and not text.lower().startswith("error") else ""
            told = {"role": "tool", "tool_call_id": words(block.get("tool_use_id"))}
            results.append({**told, "content": failed + text})
        elif kind == "image":
            parts.append(_image(block))
        elif kind == "text":
            parts.append({"type": "text", "text": words(block.get("text"))})
        elif kind not in ("thinking", "redacted_thinking"):
            parts.append({"type": "text", "text": _told(block)})
    if not parts:
        return results
    if all(part["type"] == "text" for part in parts):
        return [*results, {"role": "user", "content": "\n".join(part["text"] for part in parts)}]
    return [*results, {"role": "user", "content": parts}]


def _result(content: object) -> tuple[str, list[Body]]:
    """What a tool gave back: its text, and its images, for which a tool's message has no room there."""
    if isinstance(content, str):
        return content, []
    blocks = tables(content)
    texts = [words(b.get("text")) if b.get("type") == "text" else _told(b) for b in blocks if b.get("type") != "image"]
    return "".join(texts), [_image(b) for b in blocks if b.get("type") == "image"]


def _told(block: Body) -> str:
    """A document of text, or a search result, under its title."""
    kind, source = words(block.get("type")), table(block.get("source"))
    if kind == "document" and source.get("type") in ("text", "content"):
        text = words(source.get("data")) or text_of(source.get("content"))
    elif kind == "search_result":
        text = text_of(block.get("content"))
    else:
        raise untranslatable(f"a block of the type {kind[:30]!r}")
    title = words(block.get("title"))
    return f"{title}\n\n{text}" if title else text


def _image(block: Body) -> Body:
    source = table(block.get("source"))
    url = words(source.get("url")) or f"data:{words(source.get('media_type'))};base64,{words(source.get('data'))}"
    return {"type": "image_url", "image_url": {"url": url}}


def _assistant_message(blocks: Iterable[Body]) -> Body:
    texts: list[str] = []
    calls: list[Body] = []
    for block in blocks:
        if block.get("type") == "text":
            texts.append(words(block.get("text")))
        elif block.get("type") == "tool_use":
            said = block.get("input")
            arguments = said if isinstance(said, str) else json.dumps(said or {}, ensure_ascii=False)
            function = {"name": words(block.get("name")), "arguments": arguments}
            calls.append({"id": words(block.get("id")), "type": "function", "function": function})
    message: Body = {"role": "assistant", "content": "".join(texts) or None}
    if calls:
        message["tool_calls"] = calls
    elif message["content"] is None:
        message["content"] = ""
    return message


def _tool_out(tool: Body) -> Body:
    function = table(tool.get("function"))
    made: Body = {"name": words(function.get("name")), "input_schema": function.get("parameters") or {"type": "object"}}
    if description := words(function.get("description")):
        made["description"] = description
    return made


def _tool_in(tool: Body) -> Body:
    function: Body = {"name": words(tool.get("name")), "parameters": tool["input_schema"]}
    if description := words(tool.get("description")):
        function["description"] = description
    return {"type": "function", "function": function}


def _choice_out(choice: object) -> Body:
    if isinstance(choice, str):
        return dict(_CHOICE_OUT.get(choice, _CHOICE_OUT["auto"]))
    name = words(table(table(choice).get("function")).get("name"))
    return {"type": "tool", "name": name} if name else {"type": "auto"}


def _schema_of(form: object) -> str:
    kind = table(form).get("type")
    if kind == "json_object":
        return '{"type":"object"}'
    schema = table(table(form).get("json_schema")).get("schema")
    return json.dumps(schema, ensure_ascii=False, separators=(",", ":")) if kind == "json_schema" and schema else ""
