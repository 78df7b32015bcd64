"""What happened on the way of one task: attempts, candidates passed over, notes. Grows; becomes the provenance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from understudy.types import Attempt, Caller, Event, Stage


@dataclass(slots=True)
class Trail:
    """deadline is a time of the clock, in seconds."""

    id: str
    session: str
    started: float
    deadline: float
    report: Callable[[Event], None] | None = None  # to who waits for the task
    watch: Callable[[Event], None] | None = None  # of stages, to who looks on: changes nothing of how it is worked on
    step: bool = False  # a step of a plan: the director has spoken already
    caller: Caller | None = None  # who pays for all of it, its steps too
    intent: str = ""  # as soon as it is known; the policy too
    policy: str = ""
    policy_hash: str = ""
    shadow: dict[str, Any] | None = None  # what a second policy decides; nobody acts on it
    attempts: list[Attempt] = field(default_factory=list[Attempt])
    below: list[Attempt] = field(default_factory=list[Attempt])  # of the steps of a plan, which keep their own records
    skipped: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    notes: list[str] = field(default_factory=list[str])

    def of_step(self, number: int, now: float) -> Trail:
        """The trail of one step of this task's plan."""
        name = f"{self.id}.{number}"
        return Trail(name, self.session, now, self.deadline, self.report, self.watch, step=True, caller=self.caller)

    def all_attempts(self) -> tuple[Attempt, ...]:
        """Its own and its steps', in the order they began."""
        return tuple(sorted([*self.attempts, *self.below], key=lambda a: a.started))

    def tell(self, event: Event) -> None:
        for told in (self.report, self.watch):
            if told is not None:
                told(event)

    def stage(self, name: str, detail: str = "") -> None:
        self.tell(Stage(name, detail))

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
