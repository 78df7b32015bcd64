"""What GET /openapi.json says: OpenAPI 3.1, made from the tables the readers of requests use."""

from __future__ import annotations

from functools import cache
from typing import Any

import understudy
from understudy.gateway.asking import NAMES
from understudy.gateway.dialects import chat, embeddings, messages
from understudy.gateway.dialects.responses import ITEMS
from understudy.gateway.limits import LARGEST_BODY
from understudy.types import Intent, Priority, Quality, Sensitivity

Schema = dict[str, Any]
ABOUT = "docs/gateway.md tells the rest."
JSON = "application/json"
EVENTS = "text/event-stream"
TEXT: Schema = {"type": "string"}
COUNT: Schema = {"type": "integer", "minimum": 0}
ANY: Schema = {"type": "object"}
ANYTHING: Schema = {"schema": {}}  # of events, in the shapes of their dialects
# What may be refused wherever something is asked for, beside a body that is wrong.
REFUSED = {
    "400": "The request is wrong; the error names the field.",
    "401": "There is no key, or none that is known.",
    "403": "The key does not allow it, or the text is private and nobody on this machine can answer.",
    "404": "There is no such model or job, or it is another's.",
    "408": "The request did not arrive in time.",
    "413": f"The request is larger than {LARGEST_BODY:,} bytes.",
    "422": "Nobody gave an answer that could be accepted.",
    "429": "A budget, a rate or a queue is used up; Retry-After says when there is more.",
    "431": "Too many headers, or too long ones.",
    "503": "Nobody who could answer can be asked now.",
}


@cache
def describe() -> Schema:
    """The whole description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "understudy",
            "version": understudy.__version__,
            "description": ABOUT,
        },
        "security": [{"bearer": []}, {"key": []}],
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
            },
            "schemas": {"OpenAIError": _openai_error(), "AnthropicError": _anthropic_error(), "Job": _job()},
        },
        "paths": {
            "/v1/chat/completions": _asked(_chat(), _completion()),
            "/v1/responses": _asked(_responses(), _response()),
            "/v1/messages": _asked(_messages(), _message(), error="AnthropicError"),
            "/v1/messages/count_tokens": _asked(
                _messages(need_cap=False), _object(input_tokens=COUNT), error="AnthropicError", streams=False
            ),
            "/v1/embeddings": _asked(_embeddings(), _vectors(), streams=False),
            "/v1/models": {"get": _told(_models())},
            "/v1/models/{name}": {"get": _told(_model(), parameters=[_in_path("name")])},
            "/v1/jobs": {"post": _post(_task(), {"202": _json("It is queued.", _ref("Job"))})},
            "/v1/jobs/{id}": {
                "parameters": [_in_path("id")],
                "get": _told(_ref("Job"), parameters=_marks()),
                "delete": _told(_ref("Job"), parameters=_marks()),
            },
            "/v1/jobs/{id}/events": {"parameters": [_in_path("id")], "get": _events()},
            "/healthz": {"get": {"security": [], "responses": {"200": _json("It lives.", _object(status=TEXT))}}},
            "/readyz": {"get": _readiness()},
            "/openapi.json": {"get": {"security": [], "responses": {"200": _json("This.", ANY)}}},
        },
    }


def _object(*, optional: tuple[str, ...] = (), **properties: Schema) -> Schema:
    """All of them required but the optional ones; others may come along."""
    return {"type": "object", "properties": properties, "required": [n for n in properties if n not in optional]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _maybe(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _list(of: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": of, **more}


def _number(least: float, most: float) -> Schema:
    return {"type": "number", "minimum": least, "maximum": most}


def _json(what: str, schema: Schema, **more: Schema) -> Schema:
    return {"description": what, "content": {JSON: {"schema": schema}, **more}}


def _named(longest: int) -> Schema:
    return {"type": "string", "minLength": 1, "maxLength": longest}


def _metadata() -> Schema:
    """The marks, which the headers may say as well; what else is in it is the client's own."""
    marks = {mark["name"].removeprefix("X-Understudy-").lower(): mark["schema"] for mark in _marks()}
    return _object(optional=tuple(marks), **marks)


def _in_path(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _marks() -> list[Schema]:
    kinds: dict[str, Schema] = {"sensitivity": {"type": "string", "enum": [str(s) for s in Sensitivity]}}
    kinds["deadline"] = {"type": "number", "exclusiveMinimum": 0, "maximum": 86_400}
    kinds["role"] = kinds["session"] = {"type": "string", "maxLength": 200}
    return [
        {"name": f"X-Understudy-{name.title()}", "in": "header", "required": False, "schema": kinds.get(name, TEXT)}
        for name in NAMES
    ]


def _refusals(error: str = "OpenAIError") -> Schema:
    return {status: _json(what, _ref(error)) for status, what in REFUSED.items()}


def _post(body: Schema, good: Schema, *, error: str = "OpenAIError") -> Schema:
    return {
        "parameters": _marks(),
        "requestBody": {"required": True, "content": {JSON: {"schema": body}}},
        "responses": {**good, **_refusals(error)},
    }


def _asked(body: Schema, answer: Schema, *, error: str = "OpenAIError", streams: bool = True) -> Schema:
    more = {EVENTS: ANYTHING} if streams else {}
    return {"post": _post(body, {"200": _json("The answer.", answer, **more)}, error=error)}


def _told(answer: Schema, *, parameters: list[Schema] | None = None) -> Schema:
    return {"parameters": parameters or [], "responses": {"200": _json("It.", answer), **_refusals()}}


def _events() -> Schema:
    after = {"name": "Last-Event-ID", "in": "header", "required": False, "schema": COUNT}
    told = {"description": "What happens to it.", "content": {EVENTS: ANYTHING}}
    seen = {"description": "All of it was seen."}
    return {"parameters": [*_marks(), after], "responses": {"200": told, "204": seen, **_refusals()}}


def _readiness() -> Schema:
    told = _object(optional=("why",), status=TEXT, why=TEXT)
    return {"security": [], "responses": {"200": _json("Ready.", told), "503": _json("Not yet.", told)}}


def _openai_error() -> Schema:
    error = _object(message=TEXT, type=TEXT, param=_maybe(TEXT), code=_maybe(TEXT))
    return _object(error=error)


def _anthropic_error() -> Schema:
    """Errors of before the dialect is known (limits, paths) have OpenAI's shape, which says no more than this."""
    return _object(optional=("type",), type={"const": "error"}, error=_object(type=TEXT, message=TEXT))


def _turn() -> Schema:
    """A message of a chat."""
    part = {
        "anyOf": [
            _object(type={"const": "text"}, text=TEXT),
            _object(type={"const": "image_url"}, image_url=_object(url={"type": "string", "pattern": "^data:image/"})),
        ]
    }
    said: Schema = {"anyOf": [TEXT, _list(part)]}
    call = _object(id=TEXT, type={"const": "function"}, function=_object(name=TEXT, arguments=TEXT))
    asks = [role for role in chat.ROLES if role not in ("assistant", "tool")]
    calls = _object(optional=("content", "tool_calls"), role={"const": "assistant"}, content=_maybe(said))
    calls["properties"]["tool_calls"] = _maybe(_list(call))
    result = _object(role={"const": "tool"}, content=said, tool_call_id=TEXT)
    return {"anyOf": [_object(role={"enum": asks}, content=said), calls, result]}


def _chat() -> Schema:
    said = {name: _maybe(_number(a, b)) for name, (a, b) in chat.RANGES.items()}
    for name in ("seed", "top_logprobs"):
        said[name]["anyOf"][0]["type"] = "integer"
    cap = _maybe({"type": "integer", "minimum": 1, "maximum": chat.MOST_TOKENS})
    function = _object(optional=("parameters",), name=_named(128), parameters=ANY)
    tool = _object(type={"const": "function"}, function=function)
    more: dict[str, Schema] = {
        **said,
        "max_tokens": cap,
        "max_completion_tokens": cap,
        "n": _maybe({"const": 1}),
        "stream": _maybe({"type": "boolean"}),
        "stream_options": _maybe(_object(optional=("include_usage",), include_usage=_maybe({"type": "boolean"}))),
        "stop": {"anyOf": [TEXT, _list(TEXT, maxItems=4), {"type": "null"}]},
        "logprobs": _maybe({"type": "boolean"}),
        "logit_bias": _maybe(
            {"type": "object", "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100}}
        ),
        "reasoning_effort": _maybe({"enum": list(chat.EFFORTS)}),
        "tools": _maybe(_list(tool, maxItems=512)),
        "tool_choice": {"anyOf": [{"enum": ["auto", "none", "required", None]}, _object(function=_object(name=TEXT))]},
        "parallel_tool_calls": _maybe({"type": "boolean"}),
        "response_format": _maybe(_object(type={"enum": ["text", "json_object", "json_schema"]})),
        "metadata": _maybe(_metadata()),
    }
    return _object(
        optional=tuple(more), model={"type": "string", "minLength": 1}, messages=_list(_turn(), minItems=1), **more
    )


def _completion() -> Schema:
    choice = _object(
        optional=("logprobs",), index=COUNT, message=_object(role={"const": "assistant"}), finish_reason=TEXT
    )
    usage = _object(prompt_tokens=COUNT, completion_tokens=COUNT, total_tokens=COUNT)
    kind: Schema = {"const": "chat.completion"}
    listed = _list(choice, minItems=1)
    return _object(id=TEXT, object=kind, created=COUNT, model=TEXT, choices=listed, usage=usage, understudy=ANY)


def _responses() -> Schema:
    roles: Schema = {"enum": ["system", "developer", "user", "assistant"]}
    item: Schema = {
        "anyOf": [
            _object(optional=("type",), type={"const": ITEMS[0]}, role=roles, content=TEXT),
            _object(type={"const": ITEMS[1]}, call_id=TEXT, name=TEXT, arguments=TEXT),
            _object(type={"const": ITEMS[2]}, call_id=TEXT, output=TEXT),
            _object(type={"const": ITEMS[3]}),
        ]
    }
    tool = _object(type={"const": "function"}, name={"type": "string", "minLength": 1})
    more: dict[str, Schema] = {
        "instructions": _maybe(TEXT),
        "stream": _maybe({"type": "boolean"}),
        "tools": _maybe(_list(tool)),
        "max_output_tokens": _maybe({"type": "integer", "minimum": 1, "maximum": chat.MOST_TOKENS}),
        "temperature": _maybe({"type": "number", "minimum": 0, "maximum": 2}),
        "text": _maybe(ANY),
        "metadata": _maybe(_metadata()),
        "previous_response_id": {"type": "null"},
        "background": _maybe({"const": False}),
    }
    asked: Schema = {"anyOf": [TEXT, _list(item, minItems=1)]}
    return _object(optional=tuple(more), model={"type": "string", "minLength": 1}, input=asked, **more)


def _response() -> Schema:
    usage = _object(input_tokens=COUNT, output_tokens=COUNT, total_tokens=COUNT)
    status: Schema = {"enum": ["completed", "incomplete"]}
    return _object(id=TEXT, object={"const": "response"}, status=status, output=_list(ANY), usage=usage, understudy=ANY)


def _messages(*, need_cap: bool = True) -> Schema:
    more_kinds = [kind for kind in messages.BLOCKS if kind not in ("text", "image", "tool_use", "tool_result")]
    source = _object(type={"const": "base64"}, media_type={"type": "string", "pattern": "^image/"}, data=TEXT)
    block: Schema = {
        "anyOf": [
            _object(type={"const": "text"}, text=TEXT),
            _object(type={"const": "image"}, source=source),
            _object(type={"const": "tool_use"}, id=TEXT, name=TEXT, input=ANY),
            _object(optional=("content",), type={"const": "tool_result"}, tool_use_id=TEXT, content=_maybe(TEXT)),
            _object(type={"enum": more_kinds}),
        ]
    }
    role: Schema = {"enum": list(messages.ROLES)}
    message = _object(role=role, content={"anyOf": [TEXT, _list(block)]})
    tool = _object(optional=("input_schema",), name=_named(200), input_schema=ANY)
    cap = {"type": "integer", "minimum": 1, "maximum": messages.MOST_TOKENS}
    more: dict[str, Schema] = {
        "system": {"anyOf": [TEXT, _list(_object(type={"const": "text"}, text=TEXT)), {"type": "null"}]},
        "stream": _maybe({"type": "boolean"}),
        "tools": _maybe(_list(tool, maxItems=1_000)),
        "tool_choice": _maybe(_object(type={"enum": ["auto", "any", "tool", "none"]})),
        "stop_sequences": _maybe(_list(TEXT, maxItems=64)),
        "metadata": _maybe(_metadata()),
        "thinking": _maybe(ANY),
    }
    more |= {n: _maybe(_number(a, b)) for n, (a, b) in messages.RANGES.items()}
    optional = (*more, *(() if need_cap else ("max_tokens",)))
    named: Schema = {"type": "string", "minLength": 1}
    return _object(optional=optional, model=named, max_tokens=cap, messages=_list(message, minItems=1), **more)


def _message() -> Schema:
    return _object(
        id=TEXT,
        type={"const": "message"},
        role={"const": "assistant"},
        model=TEXT,
        content=_list(_object(type=TEXT)),
        stop_reason=TEXT,
        stop_sequence=_maybe(TEXT),
        usage=_object(input_tokens=COUNT, output_tokens=COUNT),
        understudy=ANY,
    )


def _embeddings() -> Schema:
    text: Schema = {"type": "string", "minLength": 1}
    more: dict[str, Schema] = {
        "encoding_format": _maybe({"enum": ["float", "base64"]}),
        "dimensions": _maybe({"type": "integer", "minimum": 1, "maximum": 100_000}),
    }
    asked: Schema = {"anyOf": [text, _list(text, minItems=1, maxItems=embeddings.MOST)]}
    return _object(optional=tuple(more), model=text, input=asked, **more)


def _vectors() -> Schema:
    usage = _object(prompt_tokens=COUNT, total_tokens=COUNT)
    return _object(object={"const": "list"}, data=_list(ANY), model=TEXT, usage=usage, understudy=ANY)


def _model() -> Schema:
    return _object(id=TEXT, object={"const": "model"}, owned_by=TEXT, created=COUNT)


def _models() -> Schema:
    return _object(object={"const": "list"}, data=_list(_model()))


def _task() -> Schema:
    """A task of its own, or a conversation as a chat completion has it."""
    more: dict[str, Schema] = {
        "instructions": _maybe(TEXT),
        "intent": _maybe({"enum": [str(i) for i in Intent]}),
        "quality": _maybe({"enum": [str(q) for q in Quality]}),
        "priority": _maybe({"enum": [str(p) for p in Priority]}),
        "sensitivity": _maybe({"enum": [str(s) for s in Sensitivity]}),
        "policy": _maybe(TEXT),
        "model": _maybe(TEXT),
        "schema": _maybe(ANY),
        "max_tokens": _maybe({"type": "integer", "minimum": 1, "maximum": chat.MOST_TOKENS}),
        "deadline": _maybe({"type": "number", "minimum": 0.001, "maximum": 86_400}),
        "metadata": _maybe(_metadata()),
    }
    table = _object(optional=tuple(more), task={"type": "string", "minLength": 1}, **more)
    said = "Or messages in the place of task, with the fields of a chat completion."
    return {**table, "additionalProperties": False, "description": said}


def _job() -> Schema:
    states: Schema = {"enum": ["queued", "running", "done", "failed", "cancelled", "expired"]}
    return _object(id=TEXT, state=states)
