# ruff: noqa: E501  the texts are the providers' own, one a line
"""Error bodies of the chat-completions family, word by word as the providers send them."""

from __future__ import annotations

import math
from typing import Any

from understudy.rehearsal.limits import Refusal
from understudy.rehearsal.stage import Trouble

Body = dict[str, Any]
_WINDOWS = {
    "RPM": "requests per minute (RPM)",
    "RPD": "requests per day (RPD)",
    "TPM": "tokens per minute (TPM)",
    "TPD": "tokens per day (TPD)",
}
_ORGANISATION = "org_01rehearsal"


def duration(seconds: float) -> str:
    """Seconds in Groq's form: 6ms, 7.66s, 2m59.56s, 1h2m3s."""
    if seconds <= 0:
        return "0s"
    if seconds < 1:
        return f"{max(1, math.ceil(seconds * 1000 - 1e-6))}ms"
    hundredths = math.ceil(seconds * 100 - 1e-6)  # rounded up: waiting that long is enough
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest / 100:.2f}".rstrip("0").rstrip(".") + "s"
    return (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes or hours else "") + tail


def error_body(plays: str, flavour: str, trouble: Trouble) -> tuple[int, Body]:
    """(status, body) of one trouble."""
    if plays == "groq":
        status, body = _groq(trouble)
    elif plays == "openai":
        status, body = _openai(trouble)
    else:
        status, body = _local(flavour, trouble)
    return trouble.status or status, body


def _error(status: int, message: str, kind: str, code: str | None = None, **more: Any) -> tuple[int, Body]:
    return status, {"error": {"message": message, "type": kind, **({"code": code} if code else {}), **more}}


def _refused(trouble: Trouble) -> Refusal:
    return trouble.refusal or Refusal("TPM", 6000, 6000, 42, trouble.retry_after or math.inf)


def _groq(t: Trouble) -> tuple[int, Body]:
    invalid = "invalid_request_error"
    upgrade = "Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing"
    refused = _refused(t)
    where = f"model `{t.model}` in organization `{_ORGANISATION}` service tier `on_demand`"
    window, unit = _WINDOWS[refused.window], "requests" if refused.window.startswith("R") else "tokens"
    match t.kind:
        case "auth":
            return _error(401, "Invalid API Key", invalid, "invalid_api_key")
        case "payment":
            return _error(402, "Your organization has an outstanding balance. Please pay it to go on.", "billing_error", "payment_required")
        case "insufficient_quota":
            return _error(429, "You exceeded your current quota, please check your plan and billing details.", "insufficient_quota", "insufficient_quota")
        case "forbidden":
            return _error(403, f"The model `{t.model}` is blocked at the organization level. Please have an org admin enable it.", "permissions_error", "model_permission_blocked_org")
        case "not_found" | "no_models" | "loading":
            return _error(404, f"The model `{t.model}` does not exist or you do not have access to it.", invalid, "model_not_found")
        case "minute_quota" | "day_quota" | "no_quota":
            again = "" if math.isinf(refused.wait) else f"Please try again in {duration(refused.wait)}. "
            told = f"Rate limit reached for {where} on {window}: Limit {refused.limit}, Used {refused.used}, Requested {refused.requested}. {again}{upgrade}"
            return _error(429, told, unit, "rate_limit_exceeded")
        case "too_large":
            told = f"Request too large for {where} on {window}: Limit {refused.limit}, Requested {refused.requested}, please reduce your message size and try again. {upgrade}"
            return _error(413, told, unit, "rate_limit_exceeded")
        case "context":
            return _error(400, "Please reduce the length of the messages or completion.", invalid, "context_length_exceeded", param="messages")
        case "content_policy":
            return _error(400, "The request was rejected by the content filter.", invalid, "content_filter")
        case "tool_use_failed":
            told = "Failed to call a function. Please adjust your prompt. See 'failed_generation' for more details."
            return _error(400, told, invalid, "tool_use_failed", failed_generation=t.detail or '<function=lookup>{"q": "x"</function>')
        case "json_failed":
            told = "Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more details."
            return _error(400, told, invalid, "json_validate_failed", failed_generation=t.detail or '{"answer": ')
        case "overload":
            return _error(503, f"{t.model} is currently over capacity. Please try again and back off exponentially. Visit https://groqstatus.com to see if there is an active incident.", "internal_server_error")
        case "server_error":
            return _error(500, "Internal Server Error", "internal_server_error")
        case _:
            return _error(400, t.detail or "Bad request", invalid)


def _openai(t: Trouble) -> tuple[int, Body]:
    invalid = "invalid_request_error"
    refused = _refused(t)
    window = _WINDOWS[refused.window].replace("minute", "min")
    unit = "requests" if refused.window.startswith("R") else "tokens"
    where = f"{t.model} in organization {_ORGANISATION} on {window}"
    plan = "You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors."
    match t.kind:
        case "auth":
            return _error(401, "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.", invalid, "invalid_api_key", param=None)
        case "payment":
            return _error(402, "Billing hard limit has been reached", "billing_error", "billing_hard_limit_reached", param=None)
        case "insufficient_quota" | "no_quota":
            return _error(429, plan, "insufficient_quota", "insufficient_quota", param=None)
        case "forbidden":
            return _error(403, "Country, region, or territory not supported", "request_forbidden", "unsupported_country_region_territory", param=None)
        case "not_found" | "no_models" | "loading":
            return _error(404, f"The model `{t.model}` does not exist or you do not have access to it.", invalid, "model_not_found", param=None)
        case "minute_quota" | "day_quota":
            again = f" Please try again in {duration(refused.wait)}."
            told = f"Rate limit reached for {where}: Limit {refused.limit}, Used {refused.used}, Requested {refused.requested}.{again} Visit https://platform.openai.com/account/rate-limits to learn more."
            return _error(429, told, unit, "rate_limit_exceeded", param=None)
        case "too_large":
            told = f"Request too large for {where}: Limit {refused.limit}, Requested {refused.requested}. The input or output tokens must be reduced in order to run successfully. Visit https://platform.openai.com/account/rate-limits to learn more."
            return _error(429, told, unit, "rate_limit_exceeded", param=None)
        case "context":
            told = f"This model's maximum context length is {t.numbers['context']} tokens. However, your messages resulted in {t.numbers['input']} tokens. Please reduce the length of the messages."
            return _error(400, told, invalid, "context_length_exceeded", param="messages")
        case "content_policy":
            told = "The response was filtered due to the prompt triggering the content management policy. Please modify your prompt and retry."
            return _error(400, told, invalid, "content_filter", param="prompt")
        case "overload":
            return _error(503, "The engine is currently overloaded, please try again later", "service_unavailable_error", param=None)
        case "server_error":
            return _error(500, "The server had an error while processing your request. Sorry about that!", "server_error", param=None)
        case _:
            return _error(400, t.detail or "Bad request", invalid, param=None)


def _local(flavour: str, t: Trouble) -> tuple[int, Body]:
    context, given = t.numbers.get("context", 4096), t.numbers.get("input", 4097)
    flavoured: dict[tuple[str, str], tuple[int, Body]] = {
        ("ollama", "not_found"): _error(404, f'model "{t.model}" not found, try pulling it first', "not_found_error", param=None),
        ("ollama", "no_models"): _error(404, f'model "{t.model}" not found, try pulling it first', "not_found_error", param=None),
        ("ollama", "overload"): _error(503, "server busy, please try again.  maximum pending requests exceeded", "api_error", param=None),
        ("lm_studio", "no_models"): _error(404, "No models loaded. Please load a model in the developer page or use the 'lms load' command.", "invalid_request_error", "model_not_found", param="model"),
        ("lm_studio", "context"): (400, {"error": f"The number of tokens to keep from the initial prompt is greater than the context length ({context})."}),
        ("vllm", "context"): (400, {"object": "error", "message": f"This model's maximum context length is {context} tokens. However, you requested {given} tokens. Please reduce the length of the messages or completion.", "type": "BadRequestError", "param": None, "code": 400}),
        ("vllm", "not_found"): (404, {"object": "error", "message": f"The model `{t.model}` does not exist.", "type": "NotFoundError", "param": None, "code": 404}),
        ("llama.cpp", "loading"): (503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}),
        ("llama.cpp", "no_models"): (503, {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}}),
        ("llama.cpp", "context"): (400, {"error": {"code": 400, "message": "the request exceeds the available context size, try increasing it", "type": "exceed_context_size_error", "n_prompt_tokens": given, "n_ctx": context}}),
        ("llama.cpp", "auth"): (401, {"error": {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}}),
    }  # fmt: skip
    if found := flavoured.get((flavour, t.kind)):
        return found
    if t.kind == "loading":
        return flavoured["llama.cpp", "loading"]
    return _openai(t)
