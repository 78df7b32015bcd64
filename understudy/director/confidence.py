"""Is the small model's answer good enough? Asked after the checks, before the judge; the next in the chain if not.

Every call made for it is an attempt of its own in the role of a judge: it takes its room in the quota book, is reserved
and settled like any other, and never leaves the machine for a private task. Whoever cannot be asked says nothing, and
where nobody can tell, an answer that passed its checks is accepted, with a note.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from understudy.classifiers import confidence as rules
from understudy.classifiers.confidence import Estimate
from understudy.director.brain import ask, question
from understudy.director.decided import Decided
from understudy.director.judging import cheap_judge
from understudy.director.parts import Parts
from understudy.director.trail import Trail
from understudy.fleet.errand import Walk
from understudy.types import Amount, Answer, Call, Candidate, Check, Confidence, Role

SCORE = (
    "You see a task and an answer to it. How sure are you that the answer is right?"
    " Say one digit, from 0 (certainly wrong) to 9 (certainly right), and nothing else."
)
SCORE_TOKENS = 8  # a digit, and what a template puts around it
VARIED = 0.7  # temperature of a sample: at 0 a model agrees with itself whatever it says
NOT_KNOWN = "Nobody could say how sure this answer is: it passed its checks and was accepted."
KEPT = "Nobody else could answer: this is the answer the policy was not sure of."


@dataclass(slots=True)
class Weighing:
    """How sure one answer is, by what the policy names. Holds the answer that was not sure enough."""

    parts: Parts
    trail: Trail
    decided: Decided
    call: Call
    chain: tuple[Candidate, ...]
    wish: Confidence
    unsure: tuple[Answer, Candidate, tuple[Check, ...]] | None = None

    async def weigh(self, answer: Answer, candidate: Candidate, done: tuple[Check, ...]) -> tuple[Check, ...]:
        """The checks with what confidence says, where a better model stands behind this one. Once for a task."""
        if answer.calls or self.unsure is not None or not self._better(candidate):
            return done
        self.trail.stage("judge", f"{candidate.name}: how sure")
        found = await self._estimate(answer, candidate, done)
        if found is None:
            self.trail.note(NOT_KNOWN)
            return done
        enough = found.probability >= self.wish.threshold - 1e-9
        told = f"{found.probability:.2f} by {found.by}, {found.calls} calls, {found.cost.tokens} tokens"
        reason = told if enough else f"{told}; {self.wish.threshold:.2f} were asked for"
        checks = (*done, Check("confidence", enough, reason, escalate=not enough))
        if not enough:
            self.unsure = (answer, candidate, checks)
        return checks

    def fall_back(self, walk: Walk) -> None:
        """Nobody else answered: the answer that passed every check but this one is given, and said to be unsure."""
        if self.unsure is None:
            return
        walk.answer, walk.candidate, walk.checks = self.unsure
        for place, made in enumerate(self.trail.attempts):
            its = made.candidate == walk.candidate.name and (made.error or "").startswith("confidence:")
            if its and made.outcome == "rejected":
                self.trail.attempts[place] = replace(made, outcome="ok")
        self.trail.note(KEPT)

    def _better(self, candidate: Candidate) -> bool:
        """Whether a model of a higher rating stands behind it in the chain."""
        if candidate not in self.chain:
            return False
        return any(c.quality > candidate.quality for c in self.chain[self.chain.index(candidate) + 1 :])

    async def _estimate(self, answer: Answer, candidate: Candidate, done: tuple[Check, ...]) -> Estimate | None:
        """What the first estimator that can tell says."""
        for name in self.wish.estimators:
            before = len(self.trail.attempts)
            said = await self._ask(name, answer, candidate, done)
            if said is not None:
                made = [a for a in self.trail.attempts[before:] if a.role is Role.JUDGE]
                tokens = sum(a.input_tokens + a.output_tokens for a in made)
                cost = Amount(tokens, round(sum(a.cost_usd for a in made) * 1e6))
                return rules.curved(Estimate(said, name, cost, len(made)), self.wish)
        return None

    async def _ask(self, name: str, answer: Answer, candidate: Candidate, done: tuple[Check, ...]) -> float | None:
        if name == "validators":
            return rules.PASSED if any(c.name in rules.DECISIVE and c.passed and not c.reason for c in done) else None
        if name == "logprobs":
            return None if answer.logprob is None else rules.of_logprob(answer.logprob)
        if name == "self_score":
            return await self._self_score(answer, candidate)
        if name == "second":
            peer = cheap_judge(self.parts, self.decided, candidate)
            other = await self._again(peer) if peer is not None and peer.model != candidate.model else None
            return None if other is None else rules.agreement(answer.text, [other])
        return await self._samples(answer, candidate)

    async def _self_score(self, answer: Answer, candidate: Candidate) -> float | None:
        text = f"TASK:\n{self.decided.task.text}\n\nANSWER:\n{answer.text}"
        call = question(SCORE, text, self.parts, self.call.sensitivity, Role.JUDGE)
        call = replace(call, output_cap=SCORE_TOKENS, temperature=0.0)
        said = await ask(self.parts, self.trail, candidate, call, directs=False, unfit=_no_digit)
        return None if said is None else rules.of_self_score(said)

    async def _samples(self, answer: Answer, candidate: Candidate) -> float | None:
        """More answers of the same model, one after the other, until they cannot agree enough any more.

        None when some could not be had and those that were agree: that is no doubt, only not enough to be sure.
        """
        said: list[str] = []
        while len(said) < self.wish.samples - 1:
            other = await self._again(candidate)
            if other is None:
                return None
            said.append(other)
            left = [answer.text] * (self.wish.samples - 1 - len(said))
            best = Estimate(rules.agreement(answer.text, [*said, *left]), "samples")
            if rules.curved(best, self.wish).probability < self.wish.threshold - 1e-9:
                break
        return rules.agreement(answer.text, said)

    async def _again(self, candidate: Candidate) -> str | None:
        """The same task put once more. Its answer is compared, never given out."""
        warm = max(self.call.temperature or 0.0, VARIED)
        chat = self.call.chat and replace(self.call.chat, live=None)
        call = replace(self.call, role=Role.JUDGE, temperature=warm, chat=chat)
        return await ask(self.parts, self.trail, candidate, call, directs=False, unfit=_empty)


def _no_digit(text: str) -> str:
    return "" if rules.of_self_score(text) is not None else "format: there is no digit in the answer"


def _empty(text: str) -> str:
    return "" if text.strip() else "not_empty: the answer is empty"
