# ruff: noqa: E501  the error texts are the provider's own, one a line
"""The Messages API's wire, as the SDK and the claude CLI use it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from understudy.rehearsal.engine import Ask, Tool
from understudy.rehearsal.limits import Meter
from understudy.rehearsal.script import Script, ScriptedModel
from understudy.rehearsal.stage import Trouble, Turn
from understudy.rehearsal.wire import Body, Rendered, input_tokens, pieces, positive, sse, table_of, tables_of, text_of

FINISH = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "content_filter": "refusal"}


class AnthropicWire:
    def operation(self, method: str, path: str) -> str | None:
        operations = {
            ("POST", "/v1/messages"): "chat",
            ("POST", "/v1/messages/count_tokens"): "count",
            ("GET", "/v1/models"): "models",
        }
        found = operations.get((method, path))
        return found or ("model" if method == "GET" and path.startswith("/v1/models/") else None)

    def key(self, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
        return headers.get("x-api-key", "") or headers.get("authorization", "").removeprefix("Bearer ").strip()

    def ask(self, path: str, query: Mapping[str, str], body: Body) -> Ask:
        messages = tables_of(body.get("messages"), "messages")
        if not messages:
            raise Trouble("bad_request", detail="messages: at least one message is required")
        if path == "/v1/messages" and body.get("max_tokens") is None:
            raise Trouble("bad_request", detail="max_tokens: Field required")
        blocks = [_blocks(m.get("content")) for m in messages]
        texts = ["\n".join(str(b.get("text") or "") for b in some if b.get("type") == "text") for some in blocks]
        roles = [str(m.get("role")) for m in messages]
        if wrong := next((r for r in roles if r not in ("user", "assistant", "system")), None):
            raise Trouble("bad_request", detail=f"messages: Unexpected role {json.dumps(wrong[:20])}.")
        said = [i for i, r in enumerate(roles) if r == "user" and texts[i].strip()]
        last = said[-1] if said else len(messages) - 1
        system = text_of(body.get("system"), "system") + "".join(
            t for t, r in zip(texts, roles, strict=True) if r == "system"
        )
        tools = [t for t in tables_of(body.get("tools"), "tools") if t.get("input_schema") is not None]
        choice = table_of(body.get("tool_choice") or {}, "tool_choice")
        names = {str(b.get("id")): str(b.get("name")) for some in blocks for b in some if b.get("type") == "tool_use"}
        results = [b for some in blocks[last:] for b in some if b.get("type") == "tool_result"]
        output = table_of(body.get("output_config") or {}, "output_config")
        form = table_of(body.get("output_format") or output.get("format") or {}, "output_format")
        kind = str(choice.get("type") or "auto")
        result_texts = [text_of(b.get("content"), "tool_result") for b in results]
        return Ask(
            model=str(body.get("model") or ""),
            user=texts[last],
            system=system,
            earlier=tuple(texts[:last]),
            schema=form.get("schema") if isinstance(form.get("schema"), dict) else None,
            wants_json=form.get("type") == "json_schema",
            tools=tuple(
                Tool(str(t.get("name")), str(t.get("description") or ""), table_of(t["input_schema"], "input_schema"))
                for t in tools
            ),
            tool_choice={"any": "required", "none": "none", "tool": str(choice.get("name"))}.get(kind, "auto"),
            results=tuple(
                (names.get(str(b.get("tool_use_id")), "the tool"), t)
                for b, t in zip(results, result_texts, strict=True)
            ),
            max_tokens=positive(body.get("max_tokens"), "max_tokens"),
            stream=bool(body.get("stream")),
            input_tokens=input_tokens([*texts, *result_texts, *([system] if system else [])], tools),
        )

    def trouble(self, trouble: Trouble, now: float) -> Rendered:
        status, kind, message = _error(trouble)
        headers = {"request-id": "req_rehearsal", **_limit_headers(trouble.meter, now)}
        if trouble.retry_after is not None:
            headers["retry-after"] = str(math.ceil(trouble.retry_after))
        headers["x-should-retry"] = "true" if status in (429, 500, 503, 529) else "false"
        body: Body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_rehearsal"}
        return Rendered(trouble.status or status, body, headers)

    def headers(self, turn: Turn, now: float) -> dict[str, str]:
        return {"request-id": f"req_rehearsal_{turn.number}", **_limit_headers(turn.meter, now)}

    def whole(self, turn: Turn) -> Body:
        content: list[Body] = [{"type": "text", "text": turn.said.text, "citations": None}] if turn.said.text else []
        content += [
            {"type": "tool_use", "id": c.id.replace("call", "toolu"), "name": c.name, "input": dict(c.arguments)}
            for c in turn.said.calls
        ]
        stop = FINISH[turn.said.finish]
        return {**_message(turn, turn.output_tokens), "content": content, "stop_reason": stop}

    def frames(self, turn: Turn) -> list[bytes]:
        made = [
            _event("message_start", message={**_message(turn, 1), "content": [], "stop_reason": None}),
            _event("ping"),
        ]
        index = 0
        if turn.said.text:
            made.append(_event("content_block_start", index=0, content_block={"type": "text", "text": ""}))
            made += [
                _event("content_block_delta", index=0, delta={"type": "text_delta", "text": p})
                for p in pieces(turn.said.text)
            ]
            made.append(_event("content_block_stop", index=0))
            index = 1
        for number, call in enumerate(turn.said.calls, index):
            block: Body = {"type": "tool_use", "id": call.id.replace("call", "toolu"), "name": call.name, "input": {}}
            made.append(_event("content_block_start", index=number, content_block=block))
            partial = {"type": "input_json_delta", "partial_json": json.dumps(dict(call.arguments))}
            made.append(_event("content_block_delta", index=number, delta=partial))
            made.append(_event("content_block_stop", index=number))
        delta = {"stop_reason": FINISH[turn.said.finish], "stop_sequence": None}
        made.append(_event("message_delta", delta=delta, usage={"output_tokens": turn.output_tokens}))
        return [*made, _event("message_stop")]

    def count(self, ask: Ask) -> Body:
        return {"input_tokens": ask.input_tokens}

    def models(self, script: Script) -> Body:
        data = [_described(m) for m in script.models]
        return {
            "data": data,
            "has_more": False,
            "first_id": data[0]["id"] if data else None,
            "last_id": data[-1]["id"] if data else None,
        }

    def model(self, script: Script, path: str) -> Body | None:
        found = script.model(path.rpartition("/")[2])
        return _described(found) if found else None


def _blocks(content: Any) -> list[Body]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return tables_of(content, "messages.content")


def _event(kind: str, **fields: Any) -> bytes:
    return sse({"type": kind, **fields}, event=kind)


def _message(turn: Turn, output: int) -> Body:
    usage = {
        "input_tokens": turn.ask.input_tokens,
        "output_tokens": output,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "service_tier": "standard",
    }
    return {
        "id": f"msg_rehearsal_{turn.number}",
        "type": "message",
        "role": "assistant",
        "model": turn.ask.model,
        "stop_sequence": None,
        "usage": usage,
    }


def _described(model: ScriptedModel) -> Body:
    return {"type": "model", "id": model.id, "display_name": f"{model.id} (simulated)", "created_at": "2026-01-01T00:00:00Z",
            "max_input_tokens": model.context, "max_tokens": model.output_cap}  # fmt: skip


def _limit_headers(meter: Meter | None, now: float) -> dict[str, str]:
    made: dict[str, str] = {}
    windows = meter.windows if meter else {}
    for name, units in (("RPM", ("requests",)), ("TPM", ("input-tokens", "tokens"))):
        if window := windows.get(name):
            # RFC 3339 in whole seconds, rounded up: waiting until then is enough.
            reset = datetime.fromtimestamp(math.ceil(now + window.reset(now)), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            for unit in units:
                made[f"anthropic-ratelimit-{unit}-limit"] = str(window.limit)
                made[f"anthropic-ratelimit-{unit}-remaining"] = str(max(0, window.limit - window.used(now)))
                made[f"anthropic-ratelimit-{unit}-reset"] = reset
    return made


_ERRORS: dict[str, tuple[int, str, str]] = {  # status, type, message
    "auth": (401, "authentication_error", "invalid x-api-key"),
    "payment": (402, "billing_error", "There is an issue with your billing or payment information."),
    "insufficient_quota": (
        400,
        "invalid_request_error",
        "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits.",
    ),
    "forbidden": (403, "permission_error", "Your API key does not have permission to use the specified resource."),
    "not_found": (404, "not_found_error", "model: {model}"),
    "minute_quota": (
        429,
        "rate_limit_error",
        "This request would exceed your organization's rate limit of {limit:,} {per} per minute. For details, refer to: https://docs.claude.com/en/api/rate-limits. You can see the response headers for current usage.",
    ),
    "day_quota": (
        429,
        "rate_limit_error",
        "This request would exceed your organization's rate limit of {limit:,} {per} per day. For details, refer to: https://docs.claude.com/en/api/rate-limits.",
    ),
    "too_large": (413, "request_too_large", "Request exceeds the maximum size"),
    "context": (400, "invalid_request_error", "prompt is too long: {input} tokens > {context} maximum"),
    "content_policy": (400, "invalid_request_error", "Output blocked by content filtering policy"),
    "overload": (529, "overloaded_error", "Overloaded"),
    "server_error": (500, "api_error", "Internal server error"),
    "bad_request": (400, "invalid_request_error", "{detail}"),
}
_ALIKE = {"no_models": "not_found", "loading": "not_found", "no_quota": "minute_quota"}


def _error(t: Trouble) -> tuple[int, str, str]:
    """(status, type, message) of one trouble."""
    status, kind, message = _ERRORS.get(_ALIKE.get(t.kind, t.kind), _ERRORS["bad_request"])
    words: dict[str, Any] = {
        "model": t.model,
        "detail": t.detail or "Invalid request",
        "limit": t.refusal.limit if t.refusal else 50,
        "per": "requests" if t.refusal and t.refusal.window.startswith("R") else "input tokens",
        "input": t.numbers.get("input", 200_001),
        "context": t.numbers.get("context", 200_000),
    }
    return status, kind, message.format(**words)
