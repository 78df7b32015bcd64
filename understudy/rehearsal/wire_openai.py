"""The chat-completions wire: Groq, OpenAI, and local servers in four flavours, with their own error texts."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from understudy.rehearsal.engine import Ask, Tool
from understudy.rehearsal.limits import Meter
from understudy.rehearsal.script import Script
from understudy.rehearsal.stage import Trouble, Turn
from understudy.rehearsal.wire import (
    CREATED,
    Body,
    Rendered,
    input_tokens,
    pieces,
    positive,
    sse,
    table_of,
    tables_of,
    text_of,
)
from understudy.rehearsal.wire_openai_errors import duration, error_body

FINISH = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter"}


class OpenAIWire:
    """plays: groq, openai or local."""

    def __init__(self, plays: str, flavour: str) -> None:
        self.plays, self.flavour = plays, flavour

    def operation(self, method: str, path: str) -> str | None:
        bare = re.sub(r"^(?:/openai)?(?:/v1)?(?=/)", "", path)
        if method == "POST":
            return "chat" if bare == "/chat/completions" else None
        if bare == "/models" or (self.plays == "local" and path == "/api/tags"):
            return "models"
        if self.plays == "local" and path == "/health":
            return "health"
        return "model" if bare.startswith("/models/") else None

    def key(self, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
        scheme, _, key = headers.get("authorization", "").partition(" ")
        return key.strip() if scheme.lower() == "bearer" else ""

    def ask(self, path: str, query: Mapping[str, str], body: Body) -> Ask:
        messages = tables_of(body.get("messages"), "messages")
        if not messages:
            raise Trouble("bad_request", detail="'messages' : minimum number of items is 1")
        texts = [text_of(m.get("content")) for m in messages]
        roles = [str(m.get("role")) for m in messages]
        for number, role in enumerate(roles):
            if role not in ("system", "developer", "user", "assistant", "tool"):
                raise Trouble(
                    "bad_request", detail=f"'messages.{number}' : discriminator property 'role' has invalid value"
                )
        last = max((i for i, r in enumerate(roles) if r == "user"), default=len(roles) - 1)
        names = {
            str(c.get("id")): str(table_of(c.get("function"), "function").get("name"))
            for m in messages
            for c in tables_of(m.get("tool_calls"), "tool_calls")
        }
        tools = tables_of(body.get("tools"), "tools")
        form = table_of(body.get("response_format") or {}, "response_format")
        native = table_of(form.get("json_schema") or {}, "json_schema").get("schema") or form.get("schema")
        choice = body.get("tool_choice") or "auto"
        calls_text = [json.dumps(m["tool_calls"]) for m in messages if m.get("tool_calls")]
        return Ask(
            model=str(body.get("model") or ""),
            user=texts[last],
            system="\n".join(t for t, r in zip(texts, roles, strict=True) if r in ("system", "developer")),
            earlier=tuple(t for t, r in zip(texts[:last], roles, strict=False) if r in ("user", "assistant")),
            schema=table_of(native, "schema") if native else None,
            wants_json=form.get("type") in ("json_object", "json_schema"),
            tools=tuple(_tool(table_of(t.get("function"), "function")) for t in tools),
            tool_choice=choice if isinstance(choice, str) else _named(choice),
            results=tuple(
                (names.get(str(m.get("tool_call_id")), "the tool"), t)
                for m, t, r in zip(messages[last:], texts[last:], roles[last:], strict=True)
                if r == "tool"
            ),
            max_tokens=positive(body.get("max_completion_tokens"), "max_completion_tokens")
            or positive(body.get("max_tokens"), "max_tokens"),
            stream=bool(body.get("stream")),
            stream_usage=bool(table_of(body.get("stream_options") or {}, "stream_options").get("include_usage")),
            input_tokens=input_tokens(texts + calls_text, tools),
        )

    def trouble(self, trouble: Trouble, now: float) -> Rendered:
        status, body = error_body(self.plays, self.flavour, trouble)
        headers = {"x-request-id": "req_rehearsal"}
        if self.plays != "local":
            headers |= _limit_headers(trouble.meter, now)
        if trouble.retry_after is not None:
            headers["retry-after"] = str(math.ceil(trouble.retry_after))
        return Rendered(status, body, headers)

    def headers(self, turn: Turn, now: float) -> dict[str, str]:
        if self.plays == "local":
            return {}
        return {"x-request-id": f"req_rehearsal_{turn.number}", **_limit_headers(turn.meter, now)}

    def whole(self, turn: Turn) -> Body:
        message: Body = {"role": "assistant", "content": turn.said.text or (None if turn.said.calls else "")}
        if turn.said.calls:
            message["tool_calls"] = _calls(turn)
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": FINISH[turn.said.finish]}
        return {**_frame(turn, "chat.completion"), "choices": [choice], "usage": self._usage(turn)} | self._extra(turn)

    def frames(self, turn: Turn) -> list[bytes]:
        frame = _frame(turn, "chat.completion.chunk")
        opening = {**frame, "choices": [_delta({"role": "assistant", "content": ""})]}
        if self.plays == "groq":
            opening["x_groq"] = {"id": f"req_rehearsal_{turn.number}"}
        made = [sse(opening)]
        made += [sse({**frame, "choices": [_delta({"content": p})]}) for p in pieces(turn.said.text)]
        for number, call in enumerate(_calls(turn)):
            made.append(sse({**frame, "choices": [_delta({"tool_calls": [{"index": number, **call}]})]}))
        closing: Body = {**frame, "choices": [_delta({}, FINISH[turn.said.finish])]}
        if self.plays == "groq":
            closing["x_groq"] = {"id": f"req_rehearsal_{turn.number}", "usage": self._usage(turn)}
        made.append(sse(closing))
        if turn.ask.stream_usage:
            made.append(sse({**frame, "choices": [], "usage": self._usage(turn)}))
        return [*made, sse("[DONE]")]

    def count(self, ask: Ask) -> Body:
        return {"input_tokens": ask.input_tokens}

    def models(self, script: Script) -> Body:
        shown = [m for m in script.models if m.loaded or self.plays != "local"]
        return {"object": "list", "data": [self._described(m.id, m.context, m.output_cap) for m in shown]}

    def model(self, script: Script, path: str) -> Body | None:
        found = script.model(path.partition("/models/")[2])
        return self._described(found.id, found.context, found.output_cap) if found else None

    def _described(self, name: str, context: int, cap: int) -> Body:
        owner = {"groq": "Groq", "openai": "openai"}.get(self.plays, "local")
        described: Body = {"id": name, "object": "model", "created": CREATED, "owned_by": owner}
        if self.plays == "groq":
            described |= {"active": True, "context_window": context, "max_completion_tokens": cap, "public_apps": None}
        elif self.flavour == "vllm" and self.plays == "local":
            described["max_model_len"] = context
        elif self.flavour == "llama.cpp" and self.plays == "local":
            described["meta"] = {"n_ctx_train": context}
        return described

    def _usage(self, turn: Turn) -> Body:
        used: Body = {
            "prompt_tokens": turn.ask.input_tokens,
            "completion_tokens": turn.output_tokens,
            "total_tokens": turn.ask.input_tokens + turn.output_tokens,
        }
        if self.plays == "groq":
            used |= {"queue_time": 0.0, "prompt_time": 0.001, "completion_time": 0.001, "total_time": 0.002}
        return used

    def _extra(self, turn: Turn) -> Body:
        return {"x_groq": {"id": f"req_rehearsal_{turn.number}"}} if self.plays == "groq" else {}


def _named(choice: Any) -> str:
    return str(table_of(table_of(choice, "tool_choice").get("function"), "tool_choice.function").get("name"))


def _tool(function: Body) -> Tool:
    return Tool(
        str(function.get("name") or ""),
        str(function.get("description") or ""),
        table_of(function.get("parameters") or {}, "parameters"),
    )


def _frame(turn: Turn, kind: str) -> Body:
    return {
        "id": f"chatcmpl-rehearsal-{turn.number}",
        "object": kind,
        "created": int(turn.at),
        "model": turn.ask.model,
        "system_fingerprint": "fp_rehearsal",
    }


def _delta(delta: Body, finish: str | None = None) -> Body:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _calls(turn: Turn) -> list[dict[str, Any]]:
    return [
        {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": json.dumps(dict(c.arguments))}}
        for c in turn.said.calls
    ]


def _limit_headers(meter: Meter | None, now: float) -> dict[str, str]:
    """Requests are the day's (else the minute's) and tokens the minute's, resets like 2m59.56s: as Groq sends them."""
    made: dict[str, str] = {}
    windows = meter.windows if meter else {}
    for unit, names in (("requests", ("RPD", "RPM")), ("tokens", ("TPM", "TPD"))):
        window = next((windows[n] for n in names if n in windows), None)
        if window is not None:
            made[f"x-ratelimit-limit-{unit}"] = str(window.limit)
            made[f"x-ratelimit-remaining-{unit}"] = str(max(0, window.limit - window.used(now)))
            made[f"x-ratelimit-reset-{unit}"] = duration(window.reset(now))
    return made
