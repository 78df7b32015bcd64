"""A task with all that was found out about it before anybody works."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.policies.registry import NamedPolicy
from understudy.types import Decision, Facts, Guess, Sensitivity, Task, Verdict


@dataclass(frozen=True, slots=True)
class Decided:
    """verdict is the gate's word, guess the classifiers', decision the policy's."""

    task: Task
    verdict: Verdict
    guess: Guess
    facts: Facts
    decision: Decision
    policy: NamedPolicy

    @property
    def private(self) -> bool:
        return self.verdict.sensitivity is Sensitivity.PRIVATE
