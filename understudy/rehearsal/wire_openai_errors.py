# ruff: noqa: E501  the texts are the providers' own, one a line
"""Error bodies of the chat-completions family, word by word as the providers send them."""

from __future__ import annotations

import math
from typing import Any

from understudy.rehearsal.limits import Refusal
from understudy.rehearsal.stage import Trouble

Body = dict[str, Any]
Row = tuple[int, str, str | None, str, Body]  # status, type, code, message, further fields
_WINDOWS = {
    "RPM": "requests per minute (RPM)",
    "RPD": "requests per day (RPD)",
    "TPM": "tokens per minute (TPM)",
    "TPD": "tokens per day (TPD)",
}
_INVALID = "invalid_request_error"
_UPGRADE = "Need more tokens? Upgrade to Dev Tier today at https://console.groq.com/settings/billing"
_GROQ_WHERE = "model `{model}` in organization `org_01rehearsal` service tier `on_demand` on {window}"
_OPENAI_WHERE = "{model} in organization org-rehearsal on {window}"
_SEE = "See 'failed_generation' for more details."
_DOCS = "Visit https://platform.openai.com/account/rate-limits to learn more."

_GROQ: dict[str, Row] = {
    "auth": (401, _INVALID, "invalid_api_key", "Invalid API Key", {}),
    "payment": (
        402,
        "billing_error",
        "payment_required",
        "Your organization has an outstanding balance. Please pay it to go on.",
        {},
    ),
    "insufficient_quota": (
        429,
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details.",
        {},
    ),
    "forbidden": (
        403,
        "permissions_error",
        "model_permission_blocked_org",
        "The model `{model}` is blocked at the organization level. Please have an org admin enable it.",
        {},
    ),
    "not_found": (
        404,
        _INVALID,
        "model_not_found",
        "The model `{model}` does not exist or you do not have access to it.",
        {},
    ),
    "quota": (
        429,
        "{unit}",
        "rate_limit_exceeded",
        f"Rate limit reached for {_GROQ_WHERE}: Limit {{limit}}, Used {{used}}, Requested {{requested}}. {{again}}{_UPGRADE}",
        {},
    ),
    "too_large": (
        413,
        "{unit}",
        "rate_limit_exceeded",
        f"Request too large for {_GROQ_WHERE}: Limit {{limit}}, Requested {{requested}}, please reduce your message size and try again. {_UPGRADE}",
        {},
    ),
    "context": (
        400,
        _INVALID,
        "context_length_exceeded",
        "Please reduce the length of the messages or completion.",
        {"param": "messages"},
    ),
    "content_policy": (400, _INVALID, "content_filter", "The request was rejected by the content filter.", {}),
    "tool_use_failed": (
        400,
        _INVALID,
        "tool_use_failed",
        f"Failed to call a function. Please adjust your prompt. {_SEE}",
        {"failed_generation": '<function=lookup>{"q": "x"</function>'},
    ),
    "json_failed": (
        400,
        _INVALID,
        "json_validate_failed",
        f"Failed to generate JSON. Please adjust your prompt. {_SEE}",
        {"failed_generation": '{"answer": '},
    ),
    "overload": (
        503,
        "internal_server_error",
        None,
        "{model} is currently over capacity. Please try again and back off exponentially. Visit https://groqstatus.com to see if there is an active incident.",
        {},
    ),
    "server_error": (500, "internal_server_error", None, "Internal Server Error", {}),
    "bad_request": (400, _INVALID, None, "{detail}", {}),
}
_OPENAI: dict[str, Row] = {
    "auth": (
        401,
        _INVALID,
        "invalid_api_key",
        "Incorrect API key provided. You can find your API key at https://platform.openai.com/account/api-keys.",
        {},
    ),
    "payment": (402, "billing_error", "billing_hard_limit_reached", "Billing hard limit has been reached", {}),
    "insufficient_quota": (
        429,
        "insufficient_quota",
        "insufficient_quota",
        "You exceeded your current quota, please check your plan and billing details. For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
        {},
    ),
    "forbidden": (
        403,
        "request_forbidden",
        "unsupported_country_region_territory",
        "Country, region, or territory not supported",
        {},
    ),
    "not_found": (
        404,
        _INVALID,
        "model_not_found",
        "The model `{model}` does not exist or you do not have access to it.",
        {},
    ),
    "quota": (
        429,
        "{unit}",
        "rate_limit_exceeded",
        f"Rate limit reached for {_OPENAI_WHERE}: Limit {{limit}}, Used {{used}}, Requested {{requested}}. {{again}}{_DOCS}",
        {},
    ),
    "too_large": (
        429,
        "{unit}",
        "rate_limit_exceeded",
        f"Request too large for {_OPENAI_WHERE}: Limit {{limit}}, Requested {{requested}}. The input or output tokens must be reduced in order to run successfully. {_DOCS}",
        {},
    ),
    "context": (
        400,
        _INVALID,
        "context_length_exceeded",
        "This model's maximum context length is {context} tokens. However, your messages resulted in {input} tokens. Please reduce the length of the messages.",
        {"param": "messages"},
    ),
    "content_policy": (
        400,
        _INVALID,
        "content_filter",
        "The response was filtered due to the prompt triggering the content management policy. Please modify your prompt and retry.",
        {"param": "prompt"},
    ),
    "overload": (
        503,
        "service_unavailable_error",
        None,
        "The engine is currently overloaded, please try again later",
        {},
    ),
    "server_error": (
        500,
        "server_error",
        None,
        "The server had an error while processing your request. Sorry about that!",
        {},
    ),
    "bad_request": (400, _INVALID, None, "{detail}", {}),
}
_LOADING: Row = (503, "unavailable_error", None, "Loading model", {"code": 503})
_PULL: Row = (404, "not_found_error", None, 'model "{model}" not found, try pulling it first', {})
_LOCAL: dict[tuple[str, str], Row] = {
    ("ollama", "not_found"): _PULL,
    ("ollama", "no_models"): _PULL,
    ("ollama", "overload"): (
        503,
        "api_error",
        None,
        "server busy, please try again.  maximum pending requests exceeded",
        {},
    ),
    ("lm_studio", "no_models"): (
        404,
        _INVALID,
        "model_not_found",
        "No models loaded. Please load a model in the developer page or use the 'lms load' command.",
        {"param": "model"},
    ),
    ("lm_studio", "context"): (
        400,
        _INVALID,
        None,
        "The number of tokens to keep from the initial prompt is greater than the context length ({context}).",
        {},
    ),
    ("vllm", "context"): (
        400,
        "BadRequestError",
        None,
        "This model's maximum context length is {context} tokens. However, you requested {input} tokens. Please reduce the length of the messages or completion.",
        {"code": 400},
    ),
    ("vllm", "not_found"): (404, "NotFoundError", None, "The model `{model}` does not exist.", {"code": 404}),
    ("llama.cpp", "loading"): _LOADING,
    ("llama.cpp", "no_models"): _LOADING,
    ("llama.cpp", "context"): (
        400,
        "exceed_context_size_error",
        None,
        "the request exceeds the available context size, try increasing it",
        {"code": 400},
    ),
    ("llama.cpp", "auth"): (401, "authentication_error", None, "Invalid API Key", {"code": 401}),
}
_ALIKE = {
    "minute_quota": "quota", "day_quota": "quota", "no_quota": "quota",
    "no_models": "not_found", "loading": "not_found", "json_failed": "bad_request", "tool_use_failed": "bad_request",
}  # fmt: skip


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
    kind = trouble.kind
    table = _GROQ if plays == "groq" else _OPENAI
    row = _LOCAL.get((flavour, kind)) if plays == "local" else None
    if row is None and plays == "local" and kind == "loading":
        row = _LOADING
    row = row or table.get(kind) or table[_ALIKE.get(kind, "bad_request")]
    status, type_, code, message, more = row
    words = _words(trouble)
    error: Body = {"message": message.format(**words), "type": type_.format(**words)}
    if code:
        error["code"] = code
    if plays != "groq":
        error["param"] = None  # the others always have it
    error |= more
    if trouble.detail and "failed_generation" in more:
        error["failed_generation"] = trouble.detail
    if plays == "local" and flavour == "llama.cpp" and kind == "context":
        error |= {"n_prompt_tokens": words["input"], "n_ctx": words["context"]}
    flat = plays == "local" and flavour == "vllm" and error.get("code") in (400, 404)
    return trouble.status or status, {"object": "error", **error} if flat else {"error": error}


def _words(t: Trouble) -> dict[str, Any]:
    """What the texts may name."""
    refused = t.refusal or Refusal("TPM", 6000, 6000, 42, math.inf if t.retry_after is None else t.retry_after)
    return {
        "model": t.model,
        "detail": t.detail or "Bad request",
        "window": _WINDOWS[refused.window],
        "unit": "requests" if refused.window.startswith("R") else "tokens",
        "limit": refused.limit,
        "used": refused.used,
        "requested": refused.requested,
        "again": "" if math.isinf(refused.wait) else f"Please try again in {duration(refused.wait)}. ",
        "context": t.numbers.get("context", 4096),
        "input": t.numbers.get("input", 4097),
    }
