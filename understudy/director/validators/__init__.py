"""Is this an answer? Small checks, each with a name; they see the answer and the task, and say why not.

A check that cannot tell says yes: a good answer thrown away costs a second model, and the judge is there for the rest.
A check that breaks says no: what could not be validated is not released.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from understudy.director.validators.calls import tool_calls
from understudy.director.validators.code import python_compiles, tests_pass
from understudy.director.validators.form import format_asked, length
from understudy.director.validators.language import language
from understudy.director.validators.schema import check_schema, matches_schema, parse_json
from understudy.director.validators.sound import not_empty, not_error, not_refusal, not_truncated
from understudy.errors import UsageError
from understudy.types import Answer, Check, Task, Validator

__all__ = ["check_schema", "parse_json", "validate", "validators"]

# Each returns why not, or the empty string. Cheap first: the order in which they are asked.
_CHECKS: tuple[tuple[str, Callable[[Answer, Task], str | Awaitable[str]]], ...] = (
    ("not_empty", not_empty),
    ("not_error", not_error),
    ("not_refusal", not_refusal),
    ("not_truncated", not_truncated),
    ("length", length),
    ("language", language),
    ("format", format_asked),
    ("schema", matches_schema),
    ("tool_calls", tool_calls),
    ("python_compiles", python_compiles),
    ("tests_pass", tests_pass),
)


@dataclass(slots=True)
class _Named:
    """One check as a Validator. A reason that begins with "note: " is a remark on an answer that passes."""

    name: str
    why_not: Callable[[Answer, Task], str | Awaitable[str]]

    def check(self, answer: Answer, task: Task) -> Check | Awaitable[Check]:
        said = self.why_not(answer, task)
        return self._check(said) if isinstance(said, str) else self._later(said)

    async def _later(self, said: Awaitable[str]) -> Check:
        return self._check(await said)

    def _check(self, said: str) -> Check:
        remark = said.removeprefix("note: ")
        return Check(self.name, passed=not said or remark != said, reason=remark)


def validators() -> Mapping[str, Validator]:
    """Every validator by its name, cheap first."""
    return {name: _Named(name, why_not) for name, why_not in _CHECKS}


async def validate(
    answer: Answer, task: Task, names: Iterable[str], known: Mapping[str, Validator] | None = None
) -> tuple[Check, ...]:
    """Ask these validators, cheap first whatever the order given, up to the first that says no.

    Raises UsageError for a name nobody knows. A validator that raises has said no.
    """
    known = validators() if known is None else known
    asked = set(names)
    if unknown := sorted(asked - set(known)):
        raise UsageError(f"There is no validator called {unknown[0]}.", remedy=f"There are {', '.join(known)}.")
    done: list[Check] = []
    for name in (n for n in known if n in asked):
        try:
            said = known[name].check(answer, task)
            check = await said if inspect.isawaitable(said) else said
        except Exception as error:  # noqa: BLE001  it fails closed
            # The text of an arbitrary exception may quote the answer; its type does not.
            reason = getattr(error, "message", None) or f"the check broke ({type(error).__name__})"
            check = Check(name, passed=False, reason=str(reason))
        done.append(check)
        if not check.passed:
            break
    return tuple(done)
