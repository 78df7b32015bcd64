"""A task with all that was found out about it before anybody works."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.classifiers.redaction import Redaction
from understudy.policies.registry import NamedPolicy
from understudy.types import Decision, Facts, Guess, Sensitivity, Task, Verdict


@dataclass(frozen=True, slots=True)
class Decided:
    """verdict is the gate's word, guess the classifiers', decision the policy's.

    Of a redacted task, task and verdict are those of what is sent.
    """

    task: Task
    verdict: Verdict
    guess: Guess
    facts: Facts
    decision: Decision
    policy: NamedPolicy
    redaction: Redaction | None = None

    @property
    def private(self) -> bool:
        return self.verdict.sensitivity is Sensitivity.PRIVATE

    @property
    def told(self) -> Verdict:
        """The verdict over the task as the caller gave it."""
        return self.verdict if self.redaction is None else self.redaction.told

    @property
    def asked(self) -> Task:
        """The task as the caller gave it. Nothing of it may be sent."""
        return self.task if self.redaction is None else self.redaction.original
