"""Advice: the director says how to mend an answer, or how to go about a task, in a bounded number of words and times.

The executor comes first. Advice is asked for when its answer was rejected, or when it asks itself; it reaches whoever
tries again with the reason (fleet/dispatch.py). It is never recorded.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from understudy.director.acts import read_object
from understudy.director.brain import ask_director, question
from understudy.director.decided import Decided
from understudy.director.parts import Parts
from understudy.director.trail import Trail
from understudy.types import Candidate, Check

ASKS = "ADVICE NEEDED:"
ASKING = (
    f"If you cannot do this well by yourself, answer with one line and nothing else: {ASKS} and your question. "
    "You will be advised once, and then do it."
)
ADVISE = (
    "You advise a smaller model that works on this task. Say in at most 80 words what it must do or mend; do not do "
    'the task. You see digests. JSON only: {"advice": "..."}'
)
LONGEST = 1_000  # characters of an advice that are passed on
ASKED = "asked"  # the check's name: what was answered is a question


@dataclass(slots=True)
class Adviser:
    """Of one task. left: times it may still be asked."""

    parts: Parts
    trail: Trail
    decided: Decided
    left: int

    @property
    def instructions(self) -> str:
        """What the executor is told of it; where an object is wanted there is no room for a question."""
        return ASKING if self.left and self.decided.task.schema is None else ""

    async def advised(self, checks: tuple[Check, ...], answer: str, author: Candidate) -> tuple[Check, ...]:
        """The same checks; the one that says no has the advice with it, as long as there is any to be had."""
        wrong = next((c for c in checks if not c.passed), None)
        if wrong is None or self.left <= 0 or _is_director(self.parts, author):
            return checks
        self.left -= 1
        told = f"It asks: {answer}" if wrong.name == ASKED else f"Rejected ({wrong.name}: {wrong.reason}):\n{answer}"
        self.trail.stage("advise", author.name)
        text = f"TASK:\n{self.decided.task.text}\n\nANSWER:\n{told}"
        sensitivity = self.decided.verdict.sensitivity
        said = await ask_director(self.parts, self.trail, question(ADVISE, text, self.parts, sensitivity))
        advice = str(read_object(said or "").get("advice", "")).strip()[:LONGEST]
        return tuple(replace(c, advice=advice) if c is wrong else c for c in checks) if advice else checks


def asks(text: str) -> Check | None:
    """The check that a question in place of an answer does not pass; None: it is none."""
    if not text.lstrip().startswith(ASKS):
        return None
    return Check(ASKED, passed=False, reason="it asked for advice: what there is of it stands here; now do the task")


def adviser_of(parts: Parts, trail: Trail, decided: Decided) -> Adviser:
    """No advice for what is handed on as it is, nor by a director who may not see the task, nor without one."""
    director = parts.find(parts.settings.director.candidate)
    allowed = director is not None and decided.task.chat is None and (director.local or not decided.private)
    return Adviser(parts, trail, decided, decided.decision.advice if allowed else 0)


def _is_director(parts: Parts, author: Candidate) -> bool:
    director = parts.find(parts.settings.director.candidate)
    return director is not None and (director.provider, director.model) == (author.provider, author.model)
