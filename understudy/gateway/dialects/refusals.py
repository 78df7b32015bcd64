"""A typed error as the status, the headers and the words a client expects. What is refused for good says so."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from understudy.director.budget import comes_back
from understudy.errors import (
    BudgetRefused,
    ConfigError,
    Forbidden,
    NoCandidate,
    NoJob,
    PrivacyRefused,
    StoreError,
    Unauthorized,
    UnderstudyError,
    UnknownCandidate,
    UsageError,
    ValidationFailed,
)
from understudy.gateway.fields import BadField
from understudy.gateway.wording import worded
from understudy.types import Failure


@dataclass(frozen=True, slots=True)
class Refusal:
    """code: OpenAI's word for it, kind: Anthropic's. retry: seconds until it is worth another try."""

    status: int
    kind: str
    code: str
    message: str
    field: str | None = None
    retry: float | None = None
    final: bool = False  # nobody should try again, here or elsewhere: the text is private

    @property
    def headers(self) -> dict[str, str]:
        told: dict[str, str] = {}
        if self.retry is not None:
            told["retry-after"] = str(max(1, math.ceil(self.retry)))
        if self.final:
            told["x-should-retry"] = "false"
        if self.status in (408, 413):
            told["connection"] = "close"  # the rest of the body is not waited for
        return told


# The first that fits: status, Anthropic's word, OpenAI's word.
_WORDS: tuple[tuple[type[UnderstudyError], tuple[int, str, str]], ...] = (
    (BadField, (400, "invalid_request_error", "invalid_value")),
    (NoJob, (404, "not_found_error", "not_found")),
    (UnknownCandidate, (404, "not_found_error", "model_not_found")),
    (UsageError, (400, "invalid_request_error", "invalid_request")),
    (Unauthorized, (401, "authentication_error", "invalid_api_key")),
    (Forbidden, (403, "permission_error", "forbidden")),
    (PrivacyRefused, (403, "permission_error", "privacy_refused")),
    (ValidationFailed, (422, "invalid_request_error", "validation_failed")),
    (StoreError, (503, "api_error", "unavailable")),
    (ConfigError, (503, "api_error", "unavailable")),
)


def refusal_of(error: UnderstudyError, when: Callable[[BudgetRefused], float | None]) -> Refusal:
    """when: seconds until there may be more of a budget."""
    said = f"{error.message} {worded(error.remedy, 'http')}".strip()
    for kind, (status, theirs, code) in _WORDS:
        if isinstance(error, kind):
            place = error.field if isinstance(error, BadField) else None
            return Refusal(status, theirs, code, said, field=place, final=isinstance(error, PrivacyRefused))
    if isinstance(error, BudgetRefused):
        code = "rate_limit_exceeded" if comes_back(error) else "insufficient_quota"
        return Refusal(429, "rate_limit_error", code, said, retry=when(error))
    if outcomes := {a.outcome for a in error.attempts}:
        if error.attempts[-1].outcome == Failure.CONTENT_FILTER:
            return Refusal(400, "invalid_request_error", "content_filter", said)
        if outcomes <= {Failure.CONTEXT, Failure.UNSUITED}:  # no other moment would help
            code = "context_length_exceeded" if Failure.CONTEXT in outcomes else "unsupported_content"
            return Refusal(400, "invalid_request_error", code, said)
    if isinstance(error, NoCandidate) and error.too_large:
        return Refusal(400, "invalid_request_error", "context_length_exceeded", said)
    retry: float | None = getattr(error, "retry_after", None)
    if retry is not None:
        return Refusal(429, "rate_limit_error", "rate_limit_exceeded", said, retry=retry)
    return Refusal(503, "overloaded_error", "no_candidate", said)
