# ruff: noqa: E501  the error texts are the provider's own, one a line
"""The Gemini API's wire (generativelanguage.googleapis.com, v1beta)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from understudy.rehearsal.engine import Ask, Tool
from understudy.rehearsal.limits import Refusal
from understudy.rehearsal.script import Script
from understudy.rehearsal.stage import Trouble, Turn
from understudy.rehearsal.wire import Body, Rendered, input_tokens, pieces, positive, sse, table_of, tables_of

_PATH = re.compile(r"^/v1(?:beta|alpha)?/models/([^/:]+):(generateContent|streamGenerateContent|countTokens)$")
_TYPE = "type.googleapis.com/google.rpc."
_QUOTA = {  # window -> (metric, quota id)
    "RPM": ("generate_content_free_tier_requests", "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"),
    "RPD": ("generate_content_free_tier_requests", "GenerateRequestsPerDayPerProjectPerModel-FreeTier"),
    "TPM": ("generate_content_free_tier_input_token_count", "GenerateContentInputTokensPerModelPerMinute-FreeTier"),
    "TPD": ("generate_content_free_tier_input_token_count", "GenerateContentInputTokensPerModelPerDay-FreeTier"),
}
FINISH = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP", "content_filter": "SAFETY"}


class GeminiWire:
    def operation(self, method: str, path: str) -> str | None:
        if method == "POST" and (found := _PATH.match(path)):
            return "count" if found[2] == "countTokens" else "chat"
        if method == "GET" and re.fullmatch(r"/v1(?:beta|alpha)?/models", path):
            return "models"
        return "model" if method == "GET" and re.fullmatch(r"/v1(?:beta|alpha)?/models/[^/:]+", path) else None

    def key(self, headers: Mapping[str, str], query: Mapping[str, str]) -> str:
        return headers.get("x-goog-api-key", "") or query.get("key", "")

    def ask(self, path: str, query: Mapping[str, str], body: Body) -> Ask:
        found = _PATH.match(path)
        contents = tables_of(_either(body, "contents"), "contents")
        if not contents:
            raise Trouble("bad_request", detail="* GenerateContentRequest.contents: contents is not specified\n")
        parts = [tables_of(c.get("parts"), "contents.parts") for c in contents]
        texts = ["\n".join(str(p["text"]) for p in some if p.get("text")) for some in parts]
        roles = [str(c.get("role") or "user") for c in contents]
        said = [i for i, r in enumerate(roles) if r == "user" and texts[i]]
        last = said[-1] if said else len(contents) - 1
        system = table_of(_either(body, "systemInstruction") or {}, "system_instruction")
        instructions = "\n".join(str(p.get("text") or "") for p in tables_of(system.get("parts"), "parts"))
        config = table_of(_either(body, "generationConfig") or {}, "generation_config")
        tools = tables_of(body.get("tools"), "tools")
        declared = [d for t in tools for d in tables_of(_either(t, "functionDeclarations"), "function_declarations")]
        calling = table_of(_either(body, "toolConfig") or {}, "tool_config")
        calling = table_of(_either(calling, "functionCallingConfig") or {}, "function_calling_config")
        allowed = list[Any](_either(calling, "allowedFunctionNames") or [])
        mode = str(calling.get("mode") or "AUTO").upper()
        responses = [p for some in parts[last:] for p in some if _either(p, "functionResponse")]
        native = _either(config, "responseJsonSchema") or _either(config, "responseSchema")
        return Ask(
            model=found[1] if found else "",
            user=texts[last],
            system=instructions,
            earlier=tuple(texts[:last]),
            schema=_plain_schema(native) if isinstance(native, dict) else None,
            wants_json=_either(config, "responseMimeType") == "application/json",
            tools=tuple(
                Tool(
                    str(d.get("name") or ""),
                    str(d.get("description") or ""),
                    _plain_schema(_either(d, "parametersJsonSchema") or d.get("parameters") or {}),
                )
                for d in declared
            ),
            tool_choice={"ANY": str(allowed[0]) if len(allowed) == 1 else "required", "NONE": "none"}.get(mode, "auto"),
            results=tuple(
                (
                    str(table_of(_either(p, "functionResponse"), "p").get("name")),
                    json.dumps(table_of(_either(p, "functionResponse"), "p").get("response")),
                )
                for p in responses
            ),
            max_tokens=positive(_either(config, "maxOutputTokens"), "max_output_tokens"),
            grounding=any("google_search" in t or "googleSearch" in t for t in tools),
            stream=bool(found and found[2] == "streamGenerateContent"),
            input_tokens=input_tokens([*texts, *([instructions] if instructions else [])], declared),
        )

    def trouble(self, trouble: Trouble, now: float) -> Rendered:
        status, name, message, details = _error(trouble)
        error: Body = {"code": trouble.status or status, "message": message, "status": name}
        if details:
            error["details"] = details
        return Rendered(trouble.status or status, {"error": error})

    def headers(self, turn: Turn, now: float) -> dict[str, str]:
        return {}  # Gemini tells nothing about its limits in headers

    def whole(self, turn: Turn) -> Body:
        if turn.fault and turn.fault.kind == "content_filter":
            return {"promptFeedback": {"blockReason": "SAFETY", "safetyRatings": _ratings("HIGH")}, **_about(turn)}
        found: list[Body] = [{"text": turn.said.text}] if turn.said.text else []
        found += [{"functionCall": {"name": c.name, "args": dict(c.arguments)}} for c in turn.said.calls]
        return {"candidates": [_candidate(turn, found, last=True)], **_about(turn)}

    def frames(self, turn: Turn) -> list[bytes]:
        if (turn.fault and turn.fault.kind == "content_filter") or turn.said.calls or not turn.said.text:
            return [sse(self.whole(turn), end="\r\n\r\n")]
        parts = pieces(turn.said.text)
        made: list[bytes] = []
        for number, part in enumerate(parts, 1):
            candidate = _candidate(turn, [{"text": part}], last=number == len(parts))
            made.append(sse({"candidates": [candidate], **_about(turn)}, end="\r\n\r\n"))
        return made

    def count(self, ask: Ask) -> Body:
        return {
            "totalTokens": ask.input_tokens,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": ask.input_tokens}],
        }

    def models(self, script: Script) -> Body:
        return {"models": [_described(m.id, m.context, m.output_cap) for m in script.models]}

    def model(self, script: Script, path: str) -> Body | None:
        found = script.model(path.rpartition("/")[2])
        return _described(found.id, found.context, found.output_cap) if found else None


def _either(table: Mapping[str, Any], name: str) -> Any:
    """A field under its camel-case name or its snake-case one: the API takes both."""
    return table.get(name, table.get(re.sub(r"[A-Z]", lambda m: "_" + m[0].lower(), name)))


def _plain_schema(value: Any) -> Any:
    """Gemini writes types in capitals and nullable instead of null."""
    if isinstance(value, list):
        return [_plain_schema(v) for v in value]  # pyright: ignore[reportUnknownVariableType]
    if not isinstance(value, dict):
        return value
    made: Body = {str(k): _plain_schema(v) for k, v in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(made.get("type"), str):
        made["type"] = made["type"].lower()
    return made


def _about(turn: Turn) -> Body:
    usage: Body = {
        "promptTokenCount": turn.ask.input_tokens,
        "candidatesTokenCount": turn.output_tokens,
        "totalTokenCount": turn.ask.input_tokens + turn.output_tokens,
    }
    return {"usageMetadata": usage, "modelVersion": turn.model.id, "responseId": f"rehearsal-{turn.number}"}


def _candidate(turn: Turn, parts: list[Body], *, last: bool) -> Body:
    candidate: Body = {"content": {"parts": parts, "role": "model"}, "index": 0}
    if last:
        candidate["finishReason"] = FINISH[turn.said.finish]
        if turn.said.sources:
            chunks = [{"web": {"uri": s, "title": "A simulated source"}} for s in turn.said.sources]
            support = {
                "segment": {"startIndex": 0, "endIndex": len(turn.said.text), "text": turn.said.text},
                "groundingChunkIndices": [0],
            }
            candidate["groundingMetadata"] = {
                "webSearchQueries": [turn.ask.user[:120]],
                "groundingChunks": chunks,
                "groundingSupports": [support],
            }
    return candidate


def _ratings(level: str) -> list[Body]:
    return [{"category": "HARM_CATEGORY_DANGEROUS_CONTENT", "probability": level, "blocked": True}]


def _described(name: str, context: int, cap: int) -> Body:
    return {
        "name": f"models/{name}",
        "version": "rehearsal",
        "displayName": f"{name} (simulated)",
        "inputTokenLimit": context,
        "outputTokenLimit": cap,
        "supportedGenerationMethods": ["generateContent", "countTokens", "streamGenerateContent"],
    }


_ERRORS: dict[str, tuple[int, str, str]] = {  # status, its name, message
    "payment": (
        402,
        "FAILED_PRECONDITION",
        "This API method requires billing to be enabled. Please enable billing on your project and try again.",
    ),
    "forbidden": (403, "PERMISSION_DENIED", "Your project has been denied access. Please contact support."),
    "not_found": (
        404,
        "NOT_FOUND",
        "models/{model} is not found for API version v1beta, or is not supported for generateContent. Call ListModels to see the list of available models and their supported methods.",
    ),
    "context": (
        400,
        "INVALID_ARGUMENT",
        "The input token count ({input}) exceeds the maximum number of tokens allowed ({context}).",
    ),
    "overload": (503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    "server_error": (
        500,
        "INTERNAL",
        "An internal error has occurred. Please retry or report in https://developers.generativeai.google/guide/troubleshooting",
    ),
    "bad_request": (400, "INVALID_ARGUMENT", "{detail}"),
}
_ALIKE = {"no_models": "not_found", "loading": "not_found", "insufficient_quota": "payment"}


def _error(t: Trouble) -> tuple[int, str, str, list[Body]]:
    """(status, its name, message, details) of one trouble."""
    if t.kind == "auth":
        told = "API key not valid. Please pass a valid API key."
        service = {"service": "generativelanguage.googleapis.com"}
        info: Body = {
            "@type": _TYPE + "ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": service,
        }
        return (
            400,
            "INVALID_ARGUMENT",
            told,
            [info, {"@type": _TYPE + "LocalizedMessage", "locale": "en-US", "message": told}],
        )
    if t.kind in ("minute_quota", "day_quota", "no_quota", "too_large"):
        return 429, "RESOURCE_EXHAUSTED", *_quota(t)
    status, name, message = _ERRORS.get(_ALIKE.get(t.kind, t.kind), _ERRORS["bad_request"])
    detail = t.detail or "Request contains an invalid argument."
    numbers = {"input": 0, "context": 0, **t.numbers}
    return status, name, message.format(model=t.model, detail=detail, **numbers), []


def _quota(t: Trouble) -> tuple[str, list[Body]]:
    refused = t.refusal or Refusal("RPM", 10, 10, 1, t.retry_after or 0.0)
    metric, quota = _QUOTA[refused.window]
    told = (
        "You exceeded your current quota, please check your plan and billing details. For more information on this error, head to: "
        "https://ai.google.dev/gemini-api/docs/rate-limits. To monitor your current usage, head to: https://ai.dev/usage?tab=rate-limit. "
        f"\n* Quota exceeded for metric: generativelanguage.googleapis.com/{metric}, limit: {refused.limit}, model: {t.model}"
    )
    violation: Body = {
        "quotaMetric": f"generativelanguage.googleapis.com/{metric}",
        "quotaId": quota,
        "quotaDimensions": {"location": "global", "model": t.model},
    }
    if refused.limit:
        violation["quotaValue"] = str(refused.limit)
    link = {
        "description": "Learn more about Gemini API quotas",
        "url": "https://ai.google.dev/gemini-api/docs/rate-limits",
    }
    details: list[Body] = [
        {"@type": _TYPE + "Help", "links": [link]},
        {"@type": _TYPE + "QuotaFailure", "violations": [violation]},
    ]
    if t.retry_after is not None:
        # As the service does it: the message is exact, the detail is in whole seconds. Rounded up, waiting is enough.
        told += f"\nPlease retry in {t.retry_after:.9f}".rstrip("0").rstrip(".") + "s."
        details.append({"@type": _TYPE + "RetryInfo", "retryDelay": f"{math.ceil(t.retry_after)}s"})
    return told, details
