"""What can go wrong, as a tree. Every error says what it names, and the remedy.

UnderstudyError                     exit code
├── ConfigError                     2   a file, key or value of the configuration
├── UsageError                      2   an argument of a command or of the Python interface
│   └── UnknownCandidate            2   a candidate that nobody offers was named
├── StoreError                      2   the state below UNDERSTUDY_HOME cannot be read or written
├── NoCandidate                     3   nobody could answer; says when to try again
│   └── PrivacyRefused              3   a private task would have left the machine
├── BudgetRefused                   4   type, scope, limit, spent, asked
├── ValidationFailed                5   every candidate's answer was rejected
├── Unauthorized                    2   a caller's key is missing, malformed, unknown or revoked
├── Forbidden                       2   a caller's key does not allow this
├── RateRefused                     3   a caller's requests of a minute; says when to try again
├── QueueFull                       3   too many jobs wait; says when to try again
├── NoJob                           2   there is no such job, for this key and session
├── JobFailed                       3   a job was given up before its task could end; says why
├── CallFailed                      3   one call to one candidate; carries its Failure class
└── ToolFailed                      3   a tool (fetch, sandbox, claude) refused or failed
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from understudy.types import Attempt, Check, Failure, Reading, Usage


def install(extra: str) -> str:
    """How an extra is had."""
    return f"pip install 'understudy[{extra}]', or in a clone: UNDERSTUDY_EXTRAS={extra} ./start"


class UnderstudyError(Exception):
    """The root. `remedy` is one sentence: what the reader can do about it.

    An error that ends a task carries its provenance: reply_id (for explain), attempts, and (domain, why) of what was
    passed over.
    """

    exit_code = 3
    reply_id: str | None = None
    attempts: tuple[Attempt, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()

    def as_dict(self) -> dict[str, Any]:
        return {"type": type(self).__name__, "message": self.message, "remedy": self.remedy}


class ConfigError(UnderstudyError):
    exit_code = 2


class UsageError(UnderstudyError):
    exit_code = 2


class UnknownCandidate(UsageError):
    pass


class StoreError(UnderstudyError):
    exit_code = 2


class NoCandidate(UnderstudyError):
    """Nobody could answer. `retry_after` is in seconds; None when waiting does not help.

    `too_large`: nobody who may answer can ever hold it, by its context or by its quota.
    """

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        retry_after: float | None = None,
        attempts: Sequence[Attempt] = (),
        skipped: Sequence[tuple[str, str]] = (),
        too_large: bool = False,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after
        self.too_large = too_large
        self.attempts = tuple(attempts)
        self.skipped = tuple(skipped)

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "retry_after": self.retry_after}


class PrivacyRefused(NoCandidate):
    pass


class BudgetRefused(UnderstudyError):
    """A reservation was refused: nothing was sent and nothing was charged."""

    exit_code = 4

    def __init__(self, *, unit: str, scope: str, limit: int, spent: int, reserved: int, asked: int) -> None:
        told = [f"${n / 1e6:,.4f}" if unit == "micro-dollars" else f"{n:,}" for n in (limit, spent, reserved, asked)]
        what = "" if unit == "micro-dollars" else f" {unit}"
        others = {":conversation:": ", or start a new conversation", ":day:": ", or wait for the next day"}
        helps = next((hint for part, hint in others.items() if part in scope), "")
        where = (
            "Ask for a key with a larger one" if scope.startswith("caller:") else "Raise the limit in the configuration"
        )
        super().__init__(
            f"The budget of {scope} is {told[0]}{what}: {told[1]} spent, {told[2]} reserved, {told[3]} asked for.",
            remedy=f"{where}{helps}.",
        )
        self.unit, self.scope, self.limit = unit, scope, limit
        self.spent, self.reserved, self.asked = spent, reserved, asked

    def as_dict(self) -> dict[str, Any]:
        numbers = {k: getattr(self, k) for k in ("unit", "scope", "limit", "spent", "reserved", "asked")}
        return {**super().as_dict(), **numbers}


class ValidationFailed(UnderstudyError):
    exit_code = 5

    def __init__(
        self, message: str, *, remedy: str = "", attempts: Sequence[Attempt] = (), checks: Sequence[Check] = ()
    ):
        super().__init__(message, remedy=remedy)
        self.attempts = tuple(attempts)
        self.checks = tuple(checks)


class Unauthorized(UnderstudyError):
    """No key, or none that is known. Nothing of it is repeated; `id` is its public part, where it has one."""

    exit_code = 2

    def __init__(self, message: str, *, remedy: str = "", id: str = "") -> None:  # noqa: A002 - the field's word
        super().__init__(message, remedy=remedy)
        self.id = id


class Forbidden(UnderstudyError):
    exit_code = 2


class RateRefused(UnderstudyError):
    """`retry_after` is in seconds."""

    def __init__(self, message: str, *, remedy: str = "", retry_after: float) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "retry_after": self.retry_after}


class QueueFull(UnderstudyError):
    """No job was made. `retry_after`: seconds until, at the pace of late, there is room."""

    def __init__(self, message: str, *, remedy: str = "", retry_after: float) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after = retry_after

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "retry_after": self.retry_after}


class NoJob(UnderstudyError):
    """Unknown, forgotten or somebody else's: which of them is not said."""

    exit_code = 2


class JobFailed(UnderstudyError):
    """What befell a job, not its task. `reason`: late, lost, revoked, damaged or bug."""

    def __init__(self, message: str, *, remedy: str = "", reason: str) -> None:
        super().__init__(message, remedy=remedy)
        self.reason = reason

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "reason": self.reason}


class CallFailed(UnderstudyError):
    """One call failed. `retry_after`: seconds until the provider says it may work again, when it says so.

    `charged` is False only when it is certain that the provider counted nothing (refused before processing).
    `usage`: what the provider says it counted, where a failed call still tells (a refusal, an empty answer).
    `readings`: what it said of its windows.
    """

    def __init__(
        self,
        failure: Failure,
        message: str,
        *,
        remedy: str = "",
        retry_after: float | None = None,
        status: int | None = None,
        charged: bool = True,
        usage: Usage | None = None,
        readings: tuple[Reading, ...] = (),
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.failure = failure
        self.retry_after = retry_after
        self.status = status
        self.charged = charged
        self.usage = usage
        self.readings = readings

    def as_dict(self) -> dict[str, Any]:
        return {**super().as_dict(), "failure": str(self.failure), "retry_after": self.retry_after}


class ToolFailed(UnderstudyError):
    pass
