"""Whether an answer is taken: not a question for advice, good by its checks, sure enough, right to a judge."""

from __future__ import annotations

from dataclasses import dataclass, replace

from understudy.director.advising import Adviser, asks
from understudy.director.confidence import Weighing
from understudy.director.decided import Decided
from understudy.director.judging import judge
from understudy.director.parts import Parts
from understudy.director.trail import Trail
from understudy.types import Answer, Candidate, Check

ON_CALLS = frozenset({"not_error", "not_truncated", "tool_calls"})  # checks that hold for a tool call too


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Of one task: asked of each answer. checks: the names of validators."""

    parts: Parts
    trail: Trail
    decided: Decided
    checks: tuple[str, ...]
    adviser: Adviser
    weighing: Weighing | None

    async def accept(self, answer: Answer, candidate: Candidate) -> tuple[Check, ...]:
        """What was found; the last one says no where it is not taken, with advice where there is any."""
        done = await self._checked(answer)
        if self.weighing is not None and all(c.passed for c in done):
            done = await self.weighing.weigh(answer, candidate, done)
        if self.decided.decision.judge != "none" and all(c.passed for c in done):
            self.trail.stage("judge", candidate.name)
            done = (*done, *await judge(self.parts, self.trail, self.decided, answer.text, candidate))
        return await self.adviser.advised(done, answer.text, candidate)

    async def _checked(self, answer: Answer) -> tuple[Check, ...]:
        from understudy.director.validators import validate

        decided, known = self.decided, self.parts.validators
        question = asks(answer.text) if decided.decision.advice else None
        if question is not None:
            return (question,)
        if decided.redaction is None:
            return await validate(answer, decided.task, self._asked(answer), known)
        # What the caller will get is what must be valid; what goes back to who wrote it has no value in it.
        whole = replace(answer, text=decided.redaction.restored(answer.text))
        done = await validate(whole, decided.redaction.original, self._asked(answer), known)
        return tuple(map(decided.redaction.hidden, done))

    def _asked(self, answer: Answer) -> tuple[str, ...]:
        chat = self.decided.task.chat
        if chat is not None and chat.dialect == "embeddings":
            return ()  # vectors; how many there are was counted where they came in
        # A tool call is no text: only what holds for calls is asked of it.
        return tuple(c for c in self.checks if c in ON_CALLS) if answer.calls else self.checks
