"""What a task is: the caller's word, its length, the local scorer, the 8B model, the director. Each only if needed."""

from __future__ import annotations

from dataclasses import replace

from understudy.director.acts import DECIDE, read_guess
from understudy.director.brain import ask, ask_director, handoff_cost, question
from understudy.director.parts import Parts
from understudy.director.trail import Trail
from understudy.errors import UsageError
from understudy.types import Call, Guess, Intent, Role, Sensitivity, Task

LONG = 32_000  # tokens: above it the task is long context whatever it asks (the task table's own number)
SURE = 0.5  # an 8B model's stated confidence below this is no answer
EXPECTED_ANSWER = 300  # tokens of a usual answer: a hand-off that costs more than the whole task is not made


def stated_intent(task: Task) -> Intent | None:
    """The caller's own word. Raises UsageError on an unknown one."""
    if task.intent is None:
        return None
    try:
        return Intent(str(task.intent).strip().lower().replace("-", "_"))
    except ValueError:
        known = ", ".join(i.value for i in Intent)
        raise UsageError(f"There is no intent {str(task.intent)!r}.", remedy=f"Known: {known}.") from None


async def classify(parts: Parts, trail: Trail, task: Task, sensitivity: Sensitivity, tokens: int) -> Guess:
    """Never fails: when nobody is sure, the local scorer's best guess stands (actions aside), marked as abstained."""
    stated = stated_intent(task)
    if stated is not None:
        return Guess(stated, 1.0, "caller")
    if sensitivity is Sensitivity.PRIVATE:
        return Guess(Intent.PRIVATE, 1.0, "gate")
    if tokens >= LONG:
        return Guess(Intent.LONG_CONTEXT, 1.0, "length")
    guess = parts.scorer.guess(task.text)
    if not guess.abstain:
        return guess
    trail.stage("classify", "the local scorer is unsure")
    sure = await _ask_small(parts, trail, task) or await _ask_director(parts, trail, task, tokens)
    return sure or _unsure(guess)


def _unsure(guess: Guess) -> Guess:
    """What stands when nobody is sure. "hello" is no action: a call in place of an answer needs more than a guess."""
    return replace(guess, intent=Intent.QUICK_QA) if guess.intent is Intent.TOOL_CALLING else guess


async def _ask_small(parts: Parts, trail: Trail, task: Task) -> Guess | None:
    from understudy.classifiers.remote import compose, parse

    candidate = parts.find(parts.settings.classifier.candidate) if parts.settings.classifier.enabled else None
    if candidate is None:
        return None
    call = compose(task.text, digest_chars=parts.settings.director.digest_chars)
    text = await ask(parts, trail, candidate, call, directs=False)
    guess = parse(text) if text else None
    return guess if guess and guess.probability >= SURE else None


async def _ask_director(parts: Parts, trail: Trail, task: Task, tokens: int) -> Guess | None:
    call: Call = question(DECIDE, task.text, parts, Sensitivity.PUBLIC, Role.DIRECTOR)
    if trail.step or handoff_cost(parts, call) > tokens + EXPECTED_ANSWER:
        return None
    text = await ask_director(parts, trail, call)
    return read_guess(text, "director") if text else None
