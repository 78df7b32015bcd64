"""What a provider's refusal means: status, headers and body of every dialect, as one failure class.

No text of a body leaves this module. What is reported is our own words, the status, and numbers such as a limit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from understudy.agents.bodies import Body, read_body
from understudy.agents.resets import asked_to_wait, until_midnight, waiting_time
from understudy.types import Candidate, Failure

LONG_WAIT = 3600.0  # seconds: no minute window asks for more, so it is a day's
LOADING_WAIT = 5.0  # seconds after which to look again at a server that is loading its model

_NO_CREDIT = {
    "insufficient_quota",
    "insufficient_balance",
    "billing_hard_limit_reached",
    "billing_not_active",
    "billing_error",
    "credit_balance_exhausted",
    "organization_spend_limit_exceeded",
    "project_spend_limit_exceeded",
    "organization_usage_limit_exceeded",
    "spend_limit_exceeded",
}
_NO_ACCESS = {
    "invalid_api_key",
    "expired_api_key",
    "api_key_invalid",
    "api_key_service_blocked",
    "authentication_error",
    "unauthenticated",
    "permission_error",
    "permission_denied",
    "organization_restricted",
    "account_deactivated",
}
_NO_MODEL = {
    "model_not_found",
    "model_not_loaded",
    "model_not_active",
    "model_not_available",
    "model_decommissioned",
    "model_terms_required",
    "model_permission_blocked_org",
    "model_permission_blocked_project",
    "not_found",
    "not_found_error",
    "notfounderror",
}
_TOO_LONG = {"context_length_exceeded", "exceed_context_size_error", "context_window_exceeded"}
_FILTERED = {"content_filter", "content_policy_violation", "prohibited_content", "responsibleaipolicyviolation"}
_LIMITED = {"rate_limit_exceeded", "rate_limit_error", "resource_exhausted", "too_many_requests"}
_BUSY = {
    "overloaded",
    "overloaded_error",
    "server_is_overloaded",
    "engine_overloaded",
    "unavailable",
    "unavailable_error",
    "service_unavailable",
    "service_unavailable_error",
    "capacity_exceeded",
}
# Of replies with status 200, which say nothing else.
_LIMITED_WORDS = (
    "rate limit",
    "ratelimit",
    "rate_limit",
    "too many requests",
    "quota exceeded",
    "exhausted",
    "throttl",
)
_NO_CREDIT_WORDS = (
    "out of credits",
    "insufficient balance",
    "insufficient credit",
    "insufficient funds",
    "payment required",
)
_BUSY_WORDS = ("overloaded", "unavailable", "internal server error", "try again later")
_LOST_WORDS = ("upstream", "bad gateway", "gateway time", "timed out", "connection", "timeout")
_BAD_OUTPUT = {"json_validate_failed", "tool_use_failed"}
_TOO_LONG_WORDS = (
    "maximum context length",
    "context length",
    "context window",
    "context size",
    "prompt is too long",
    "input is too long",
    "input token count",  # Gemini
    "reduce the length of the messages",  # Groq
    "keep the first",  # LM Studio: Trying to keep the first N tokens when context the overflows
    "initial prompt is greater than",  # LM Studio
    "longer than the maximum model length",  # vLLM
)
_NO_MODEL_WORDS = (
    "no models loaded",
    "no model loaded",
    "model not loaded",
    "model is not loaded",
    "try pulling it",
    "model not found",
    "decommissioned",
    "does not exist",
)
_LOADING_WORDS = ("loading model", "model is loading", "model is still loading")
_DAY_WORDS = ("per day", "perday", "(rpd)", "(tpd)", "daily")
_SIZES = re.compile(r"limit:?\s*(\d[\d,]*)\D{0,40}?(?:used:?\s*\d[\d,]*\D{0,20}?)?requested:?\s*(\d[\d,]*)")
_NEVER = re.compile(r"limit:\s*0(?![\d.])|\"quotavalue\":\s*\"?0\"?(?!\d)")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A classified refusal. retry_after in seconds. charged: False only when nothing can have been counted."""

    failure: Failure
    what: str
    remedy: str = ""
    retry_after: float | None = None
    charged: bool = False


@dataclass(frozen=True, slots=True)
class _Reply:
    status: int | None
    headers: Mapping[str, str]
    said: Body
    kind: str
    now: float

    def marked(self, marks: set[str]) -> bool:
        return not marks.isdisjoint(self.said.marks)

    def says(self, words: tuple[str, ...]) -> bool:
        return any(word in self.said.message for word in words)

    @property
    def sizes(self) -> tuple[int, int] | None:
        """(limit, requested) from "Limit 6000, Used 5990, Requested 42"."""
        found = _SIZES.search(self.said.message)
        return (int(found[1].replace(",", "")), int(found[2].replace(",", ""))) if found else None

    @property
    def figures(self) -> str:
        return f" (limit {self.sizes[0]:,}, asked {self.sizes[1]:,})" if self.sizes else ""

    @property
    def wait(self) -> float | None:
        """Seconds: what is stated outright, else when the windows that are used up begin again."""
        if millis := self.headers.get("retry-after-ms"):
            exact = waiting_time(millis, self.now)
            return exact / 1000 if exact is not None else None
        stated = [waiting_time(text, self.now) for text in (self.headers.get("retry-after"), self.said.delay) if text]
        stated.append(asked_to_wait(self.said.message))
        windows = [
            waiting_time(self.headers.get(name.replace("remaining", "reset"), ""), self.now)
            for name, left in self.headers.items()
            if "ratelimit" in name and "remaining" in name and left.strip() == "0"
        ]
        for known in (stated, windows):
            if seconds := [wait for wait in known if wait is not None]:
                return max(seconds)
        return None


def classify(
    status: int | None, headers: Mapping[str, str] | None, body: object, candidate: Candidate, now: float
) -> Refusal:
    """The failure class of an error reply. status None: an error inside a stream that named no status.

    `now` is in seconds since the epoch.
    """
    lowered = {name.lower(): value for name, value in (headers or {}).items()}
    reply = _Reply(status, lowered, read_body(body), candidate.kind, now)
    for rule in (_about_the_account, _about_the_size, _about_the_output, _about_the_model, _about_the_quota):
        if (refusal := rule(reply)) is not None:
            return refusal
    return _about_the_status(reply)


def _about_the_account(reply: _Reply) -> Refusal | None:
    unbilled = "failed_precondition" in reply.said.marks and "billing" in reply.said.message
    unpaid = reply.status == 402 or reply.marked(_NO_CREDIT) or reply.says(("credit balance is too low",))
    unpaid = unpaid or (reply.status is None and reply.says(_NO_CREDIT_WORDS))
    if unpaid or unbilled:
        return Refusal(Failure.PAYMENT, "the account has no credit left", "Top it up, or switch the provider off.")
    # A web page with 403 is a proxy's, and a model can be forbidden while the key is good.
    forbidden = reply.status == 403 and not reply.said.html and not reply.marked(_NO_MODEL | _FILTERED)
    if reply.status in (401, 407) or forbidden or reply.marked(_NO_ACCESS) or reply.says(("api key not valid",)):
        return Refusal(Failure.AUTH, "the key was refused", "Check the key, and that it may use this model.")
    return None


def _about_the_size(reply: _Reply) -> Refusal | None:
    could = reply.status in (400, 413, 422, None)
    if reply.marked(_TOO_LONG) or (could and reply.says(_TOO_LONG_WORDS)):
        return Refusal(Failure.CONTEXT, "the text is larger than the model's context", "Shorten it.")
    too_large = reply.status == 429 and reply.sizes is not None and reply.sizes[1] > reply.sizes[0]
    if reply.status == 413 or too_large:
        return Refusal(
            Failure.TOO_LARGE,
            "the request is larger than the quota window" + reply.figures,
            "Waiting never helps: shorten it, or use a provider with a larger window.",
        )
    return None


def _about_the_output(reply: _Reply) -> Refusal | None:
    if reply.marked(_BAD_OUTPUT):
        return Refusal(Failure.MALFORMED, "the model's output did not have the form asked for", charged=True)
    if reply.marked(_FILTERED):
        return Refusal(Failure.CONTENT_FILTER, "the provider's filter refused it", charged=reply.status is None)
    return None


def _about_the_model(reply: _Reply) -> Refusal | None:
    could = reply.status in (400, 403, 404, 405, 410, 422, 503, None)
    if could and reply.says(_LOADING_WORDS):
        return Refusal(Failure.UNAVAILABLE, "the server is still loading the model", "Wait for it.", LOADING_WAIT)
    if "model_terms_required" in reply.said.marks:
        return Refusal(Failure.UNAVAILABLE, "the model's terms are not accepted", "Accept them in the console.")
    absent = reply.marked(_NO_MODEL) or reply.says(_NO_MODEL_WORDS)
    if reply.status in (404, 405, 410) or (could and absent):
        if reply.kind == "openai_compatible":
            return Refusal(Failure.UNAVAILABLE, "the model is not loaded there", "Load it in the server.")
        return Refusal(
            Failure.UNAVAILABLE, "there is no such model or address", "Check the model's id and the base_url."
        )
    if "failed_precondition" in reply.said.marks:
        return Refusal(Failure.UNAVAILABLE, "the provider does not serve this account or place")
    return None


def _about_the_quota(reply: _Reply) -> Refusal | None:
    limited = reply.status is None and reply.says(_LIMITED_WORDS)
    if reply.status != 429 and not reply.marked(_LIMITED) and not limited:
        return None
    if reply.marked(_BUSY) or reply.says(("overloaded",)):
        return Refusal(Failure.OVERLOAD, "the provider is overloaded", "", reply.wait)
    words = " ".join((reply.said.message, *reply.said.quotas))
    if reply.kind == "gemini" and _NEVER.search(words):
        return Refusal(
            Failure.UNAVAILABLE,
            "this project has no quota for the model at all",
            "Enable billing, or remove the model.",
        )
    wait = reply.wait
    # Groq's request headers count the day, its token headers the minute; what it says in words goes before both.
    spent = reply.kind == "groq" and reply.headers.get("x-ratelimit-remaining-requests", "").strip() == "0"
    if (spent and "per minute" not in words) or any(word in words for word in _DAY_WORDS) or (wait or 0.0) > LONG_WAIT:
        if reply.kind == "gemini":  # its RetryInfo names seconds even when the day is used up
            wait = until_midnight("America/Los_Angeles", reply.now) or wait
        return Refusal(Failure.DAY_QUOTA, "the day's quota is used up" + reply.figures, "", wait)
    return Refusal(Failure.MINUTE_QUOTA, "the minute's quota is used up" + reply.figures, "", wait)


def _about_the_status(reply: _Reply) -> Refusal:
    status = reply.status or 0
    if status in (408, 502, 504) or 520 <= status <= 527:
        return Refusal(Failure.TRANSPORT, "a gateway on the way gave up", "", reply.wait, charged=True)
    if status >= 498 or reply.marked(_BUSY) or reply.says(("overloaded",)):
        return Refusal(Failure.OVERLOAD, "the provider is overloaded or failing", "", reply.wait, charged=True)
    if 300 <= status < 400:
        what = "the address redirects elsewhere, which is not followed"
        return Refusal(Failure.UNAVAILABLE, what, "Check the base_url.")
    if reply.status is None and not reply.said.html and reply.says(_LOST_WORDS):
        return Refusal(Failure.TRANSPORT, "a gateway on the way gave up", "", reply.wait, charged=True)
    if reply.status is None and reply.says(_BUSY_WORDS):
        return Refusal(Failure.OVERLOAD, "the provider is overloaded or failing", "", reply.wait, charged=True)
    if reply.said.html and (status >= 400 or reply.status is None):
        what = "a proxy answered with a web page"
        return Refusal(Failure.TRANSPORT, what, "Check the base_url and the network.", reply.wait, charged=True)
    if status >= 400:
        return Refusal(Failure.MALFORMED, "the provider rejected the request as invalid", charged=True)
    return Refusal(Failure.MALFORMED, "the reply is not an answer", charged=True)
