"""What a provider's refusal means: status, headers and body of every dialect, as one failure class.

No text of a body ever leaves this module: bodies echo prompts. What is reported is our own words, the status,
and numbers such as a limit.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from understudy.agents.resets import asked_to_wait, until_midnight, waiting_time
from understudy.types import Candidate, Failure

LONG_WAIT = 3600.0  # seconds: no minute window asks for more, so it is a day's

_NO_CREDIT = frozenset(
    "insufficient_quota billing_hard_limit_reached billing_not_active billing_error credit_balance_exhausted "
    "organization_spend_limit_exceeded project_spend_limit_exceeded organization_usage_limit_exceeded "
    "spend_limit_exceeded insufficient_balance".split()
)
_NO_ACCESS = frozenset(
    "invalid_api_key authentication_error unauthenticated api_key_invalid permission_error permission_denied "
    "organization_restricted account_deactivated expired_api_key api_key_service_blocked".split()
)
_NO_MODEL = frozenset(
    "model_not_found model_decommissioned model_not_active model_terms_required model_permission_blocked_org "
    "model_permission_blocked_project not_found_error not_found notfounderror model_not_loaded unknown_model "
    "model_not_available deployment_not_found".split()
)
_TOO_LONG = frozenset("context_length_exceeded exceed_context_size_error context_window_exceeded".split())
_FILTERED = frozenset(
    "content_filter content_policy_violation content_filtered moderation_blocked safety prohibited_content "
    "responsibleaipolicyviolation invalid_prompt".split()
)
_BUSY = frozenset(
    "overloaded_error overloaded server_is_overloaded unavailable service_unavailable engine_overloaded "
    "service_unavailable_error unavailable_error capacity_exceeded server_busy".split()
)
_BAD_OUTPUT = frozenset("json_validate_failed tool_use_failed".split())
_TOO_LONG_WORDS = (
    "maximum context length",
    "context length",
    "context window",
    "context size",
    "context overflow",
    "prompt is too long",
    "input token count",
    "input is too long",
    "reduce the length of the messages",
    "keep the first",  # LM Studio: Trying to keep the first N tokens when context the overflows
    "initial prompt is greater than",
    "longer than the maximum model length",
)
_NO_MODEL_WORDS = (
    "no models loaded",
    "no model loaded",
    "model not loaded",
    "model is not loaded",
    "loading model",
    "model is loading",
    "try pulling it",
    "model not found",
    "unknown model",
    "decommissioned",
    "does not exist",
    "not found",
)
_QUOTA_WORDS = ("per day", "perday", "(rpd)", "(tpd)", "daily", "per-day")
_REQUEST_LIMIT = re.compile(r"limit:?\s*(\d[\d,]*)\D{0,40}?(?:used:?\s*(\d[\d,]*)\D{0,20}?)?requested:?\s*(\d[\d,]*)")
_HTML = re.compile(r"^\s*(?:<!doctype|<html|<head|<body|<center|<h1)", re.I)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A classified refusal. retry_after in seconds. charged: False only when nothing can have been counted."""

    failure: Failure
    what: str
    remedy: str = ""
    retry_after: float | None = None
    charged: bool = True


@dataclass(frozen=True, slots=True)
class Body:
    """What an error body says, lower-cased. None of it is ever shown."""

    marks: frozenset[str] = frozenset()  # code, type, status and reason
    message: str = field(default="", repr=False)
    quotas: tuple[str, ...] = field(default=(), repr=False)
    delay: str = field(default="", repr=False)  # RetryInfo
    html: bool = False


def read_body(body: object) -> Body:
    """Any body: OpenAI's, Anthropic's, Google's, Ollama's error string, HTML, bytes, nothing."""
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    if isinstance(body, str):
        if _HTML.match(body):
            return Body(html=True)
        try:
            parsed = json.loads(body)
        except (ValueError, RecursionError):
            return Body(message=body[:4000].lower())
        return read_body(parsed) if not isinstance(parsed, str) else Body(message=parsed[:4000].lower())
    if isinstance(body, list):
        items = cast("list[object]", body)
        return read_body(items[0]) if items else Body()
    if not isinstance(body, dict):
        return Body()
    outer = cast("dict[str, object]", body)
    error = outer.get("error", outer)
    if isinstance(error, str):
        return Body(message=error[:4000].lower())
    if isinstance(error, list):
        return read_body(cast("list[object]", error))
    if not isinstance(error, dict):
        return Body()
    inner = cast("dict[str, object]", error)
    marks = {str(inner[k]).lower() for k in ("code", "type", "status") if isinstance(inner.get(k), str | int)}
    message = inner.get("message") or inner.get("detail") or ""
    quotas: list[str] = []
    delay = ""
    for detail in _details(inner):
        if isinstance(reason := detail.get("reason"), str):
            marks.add(reason.lower())
        if isinstance(seconds := detail.get("retryDelay"), str):
            delay = seconds
        violations = detail.get("violations")
        for violation in cast("list[object]", violations) if isinstance(violations, list) else []:
            if isinstance(violation, dict):
                quotas.append(json.dumps(violation, default=str).lower()[:1000])
    return Body(frozenset(marks), _text(message), tuple(quotas), delay)


def classify(
    status: int | None, headers: Mapping[str, str] | None, body: object, candidate: Candidate, now: float
) -> Refusal:
    """The failure class of an error reply. status None: an error inside a stream that named no status."""
    said = read_body(body)
    lowered = {k.lower(): v for k, v in (headers or {}).items()}
    sizes = _sizes(said.message)
    return (
        _mark_of_account(status, said)
        or _mark_of_size(status, said, sizes)
        or _mark_of_model(status, said, candidate)
        or _limit(status, lowered, said, sizes, candidate, now)
        or _status(status, lowered, said, candidate, now)
    )


def _mark_of_account(status: int | None, said: Body) -> Refusal | None:
    no_billing = "failed_precondition" in said.marks and "billing" in said.message
    if status == 402 or said.marks & _NO_CREDIT or "credit balance is too low" in said.message or no_billing:
        return Refusal(
            Failure.PAYMENT, "the account has no credit left", "Top it up, or switch the provider off.", None, False
        )
    blocked = status in (401, 403, 407) and not said.html and not said.marks & _NO_MODEL
    if blocked or (status == 401 and said.html) or said.marks & _NO_ACCESS or "api key not valid" in said.message:
        return Refusal(
            Failure.AUTH, "the key was refused", "Check the key and that it may use this model.", None, False
        )
    return None


def _mark_of_size(status: int | None, said: Body, sizes: tuple[int, int] | None) -> Refusal | None:
    refused = status in (400, 413, 422, None)
    if said.marks & _TOO_LONG or (refused and any(words in said.message for words in _TOO_LONG_WORDS)):
        return Refusal(
            Failure.CONTEXT,
            "the text is larger than the model's context",
            "Shorten it or use a longer context.",
            None,
            False,
        )
    if status == 413 or (status == 429 and sizes is not None and sizes[1] > sizes[0]):
        return Refusal(
            Failure.TOO_LARGE,
            "the request is larger than the quota window" + _figures(sizes),
            "Waiting never helps: shorten it, or use a provider with a larger window.",
            None,
            False,
        )
    return None


def _mark_of_model(status: int | None, said: Body, candidate: Candidate) -> Refusal | None:
    if said.marks & _FILTERED and status in (400, 403, 422, None):
        return Refusal(Failure.CONTENT_FILTER, "the provider's filter refused it", "", None, status is None)
    if said.marks & _BAD_OUTPUT:
        return Refusal(Failure.MALFORMED, "the model's output did not have the form asked for")
    absent = bool(said.marks & _NO_MODEL) or any(words in said.message for words in _NO_MODEL_WORDS)
    if status in (404, 405, 410) or (status in (400, 403, 422, 503, None) and absent):
        if "model_terms_required" in said.marks:
            return Refusal(
                Failure.UNAVAILABLE, "the model's terms are not accepted", "Accept them in the console.", None, False
            )
        if "loading model" in said.message or "model is loading" in said.message:
            return Refusal(Failure.UNAVAILABLE, "the server is still loading the model", "Wait for it.", 5.0, False)
        if candidate.kind == "openai_compatible":
            return Refusal(Failure.UNAVAILABLE, "the model is not loaded there", "Load it in the server.", None, False)
        return Refusal(
            Failure.UNAVAILABLE,
            "there is no such model or address",
            "Check the model's id and the base_url.",
            None,
            False,
        )
    if "failed_precondition" in said.marks:
        return Refusal(Failure.UNAVAILABLE, "the provider does not serve this account or place", "", None, False)
    return None


def _limit(
    status: int | None,
    headers: Mapping[str, str],
    said: Body,
    sizes: tuple[int, int] | None,
    candidate: Candidate,
    now: float,
) -> Refusal | None:
    limited = status == 429 or bool(
        said.marks & {"rate_limit_exceeded", "rate_limit_error", "resource_exhausted", "too_many_requests"}
    )
    if not limited:
        return None
    if said.marks & _BUSY or "overloaded" in said.message:
        return Refusal(Failure.OVERLOAD, "the provider is overloaded", "", _retry_after(headers, said, now), False)
    words = " ".join((said.message, *said.quotas))
    if candidate.kind == "gemini" and re.search(r"limit:\s*0(?![\d.])|\"quotavalue\":\s*\"?0\"?(?!\d)", words):
        return Refusal(
            Failure.UNAVAILABLE,
            "this project has no quota for the model at all",
            "Enable billing or remove the model.",
            None,
            False,
        )
    wait = _retry_after(headers, said, now)
    whole_day = any(mark in words for mark in _QUOTA_WORDS)
    # Groq's request headers count the day, its token headers the minute.
    spent_day = candidate.kind == "groq" and headers.get("x-ratelimit-remaining-requests", "").strip() == "0"
    if whole_day or spent_day or (wait or 0.0) > LONG_WAIT:
        if candidate.kind == "gemini":  # its RetryInfo names seconds even when the day is used up
            wait = until_midnight("America/Los_Angeles", now) or wait
        return Refusal(Failure.DAY_QUOTA, "the day's quota is used up" + _figures(sizes), "", wait, False)
    return Refusal(Failure.MINUTE_QUOTA, "the minute's quota is used up" + _figures(sizes), "", wait, False)


def _status(status: int | None, headers: Mapping[str, str], said: Body, candidate: Candidate, now: float) -> Refusal:
    wait = _retry_after(headers, said, now)
    if status in (408, 502, 504) or (status is not None and 520 <= status <= 527):
        return Refusal(Failure.TRANSPORT, "a gateway on the way gave up", "", wait)
    if (status is not None and status >= 498) or said.marks & _BUSY or "overloaded" in said.message:
        return Refusal(Failure.OVERLOAD, "the provider is overloaded or failing", "", wait)
    if status is not None and 300 <= status < 400:
        return Refusal(
            Failure.UNAVAILABLE,
            "the address redirects elsewhere, which is not followed",
            "Check the base_url.",
            None,
            False,
        )
    if said.html and status is not None and status >= 400:
        return Refusal(
            Failure.TRANSPORT, "a proxy answered with a web page", "Check the base_url and the network.", wait
        )
    if status in (400, 409, 415, 422):
        return Refusal(Failure.MALFORMED, "the provider rejected the request as invalid", "", None, True)
    return Refusal(Failure.MALFORMED, "the reply is not an answer", "", None, True)


def _retry_after(headers: Mapping[str, str], said: Body, now: float) -> float | None:
    """Seconds, from the most exact statement there is."""
    if (millis := headers.get("retry-after-ms")) and (wait := waiting_time(millis, now)) is not None:
        return wait / 1000
    stated = [
        wait
        for text in (headers.get("retry-after", ""), said.delay)
        if text and (wait := waiting_time(text, now)) is not None
    ]
    if (asked := asked_to_wait(said.message)) is not None:
        stated.append(asked)
    if stated:
        return max(stated)
    spent = [
        waiting_time(headers.get(name.replace("remaining", "reset"), ""), now)
        for name, left in headers.items()
        if "ratelimit" in name and "remaining" in name and left.strip() == "0"
    ]
    known = [wait for wait in spent if wait is not None]
    return max(known) if known else None


def _sizes(message: str) -> tuple[int, int] | None:
    """(limit, requested) from "Limit 6000, Used 5990, Requested 42"."""
    found = _REQUEST_LIMIT.search(message)
    return (int(found[1].replace(",", "")), int(found[3].replace(",", ""))) if found else None


def _figures(sizes: tuple[int, int] | None) -> str:
    return f" (limit {sizes[0]:,}, asked {sizes[1]:,})" if sizes else ""


def _details(error: Mapping[str, object]) -> list[dict[str, Any]]:
    details = error.get("details")
    if not isinstance(details, list):
        return []
    return [cast("dict[str, Any]", d) for d in cast("list[object]", details) if isinstance(d, dict)]


def _text(value: object) -> str:
    return (value if isinstance(value, str) else json.dumps(value, default=str))[:4000].lower()
