"""How a task ends: the reply with its provenance, or the typed failure that says what to do."""

from __future__ import annotations

import math
from collections import Counter

from understudy.director import budget
from understudy.director.decided import Decided
from understudy.director.parts import Parts
from understudy.director.trail import Trail
from understudy.errors import NoCandidate, PrivacyRefused, UnderstudyError, ValidationFailed
from understudy.fleet.dispatch import SIZE, SOON, TIME_IS_UP, Walk
from understudy.types import Answer, Attempt, Check, Failure, Reply, Task

SIMULATED = (
    "These models are simulated: nothing here is a real answer. "
    "For a real one: export GROQ_API_KEY=... (free at Groq), or run understudy doctor."
)


def explain_failure(walk: Walk, decided: Decided, now: float, *, room: int | None = None) -> UnderstudyError:
    """What to tell when nobody's answer was accepted. room: the tokens its caller's budget had left for one."""
    private = decided.private
    retry = walk.retry_after(now)
    if walk.stopped is not None:
        return NoCandidate(
            walk.stopped.message, remedy=walk.stopped.remedy or "Rephrase the task.", attempts=walk.attempts
        )
    outcomes = {a.outcome for a in walk.attempts}
    if outcomes and outcomes <= {"rejected", "malformed"}:
        last, count = walk.attempts[-1], len(walk.attempts)
        every = "The one answer was rejected" if count == 1 else f"All {count} answers were rejected; the last one"
        return ValidationFailed(
            f"{every}: {(last.error or '').rstrip('.')}.",
            remedy=_after_rejection(last, decided.task, room),
            attempts=walk.attempts,
            checks=walk.checks,
        )
    if not walk.attempts and walk.refusals:
        return walk.refusals[0]
    if private and not decided.decision.chain and decided.task.candidate is not None:
        return PrivacyRefused(
            f"This task is private ({', '.join(decided.verdict.reasons)}) and {decided.task.candidate} is not on this"
            " machine.",
            remedy="Nothing was sent. Name a local model, or understudy/private.",
            skipped=walk.skipped,
        )
    if private and not decided.decision.chain:
        return PrivacyRefused(
            f"This task is private ({', '.join(decided.verdict.reasons)}) and there is no local model.",
            remedy="Nothing was sent. Start a local server or add a GGUF file (understudy doctor says how).",
            skipped=walk.skipped,
        )
    told = [f"{a.candidate}: {a.outcome}" for a in walk.attempts] or [f"{d}: {why}" for d, why in walk.skipped[:3]]
    tried = "; ".join(_counted(told)) or "nobody could be asked"
    late = any(why == TIME_IS_UP for _, why in walk.skipped)
    helps = [f"Try again in {math.ceil(retry)} s."] if retry is not None and not (late and retry <= SOON) else []
    if late:
        helps.append("Give it more time: --deadline.")
    helps += dict.fromkeys(walk.remedies)
    too_large = _too_large(walk)
    if too_large:
        helps.append(
            "The prompt is too long for whoever may answer: send less, or let understudy choose a larger model."
        )
    return NoCandidate(
        f"No candidate could answer ({tried}).",
        remedy=" ".join(helps or ["understudy doctor says what is missing."]),
        retry_after=retry,
        attempts=walk.attempts,
        skipped=walk.skipped,
        too_large=too_large,
    )


def _too_large(walk: Walk) -> bool:
    """Whether its size is what everybody was asked or passed over for in vain."""
    asked = [a.outcome in (Failure.TOO_LARGE, Failure.CONTEXT) for a in walk.attempts]
    reasons = [*asked, *(why.startswith(SIZE) for _, why in walk.skipped)]
    return bool(reasons) and all(reasons)


def _counted(told: list[str]) -> list[str]:
    """Each once; p/m1: overload (twice)."""
    times = {1: "", 2: " (twice)"}
    return [f"{what}{times.get(n, f' ({n} times)')}" for what, n in Counter(told).items()]


def _after_rejection(last: Attempt, task: Task, room: int | None) -> str:
    """What would let an answer pass: room, where the caller gave too little of it."""
    check = (last.error or "").partition(":")[0]
    if room is not None and check in ("not_truncated", "length"):
        return f"The key's tokens of the day had room for {room:,} only: wait for the next day."
    if task.max_tokens is not None and check in ("not_truncated", "length"):
        return f"Give it more room than {task.max_tokens} tokens: --max-tokens."
    return "Say the task more plainly, or ask for --quality best."


async def build_reply(parts: Parts, trail: Trail, decided: Decided, walk: Walk) -> Reply:
    if walk.answer is None:
        raise explain_failure(walk, decided, parts.clock.now())
    data = None
    if decided.task.schema is not None and not walk.answer.calls:
        from understudy.director.validators import parse_json

        data = parse_json(walk.answer.text)
    answer = walk.answer if decided.task.chat is not None else None
    return await reply_of(parts, trail, decided, walk.answer.text, data=data, checks=walk.checks, answer=answer)


async def reply_of(
    parts: Parts,
    trail: Trail,
    decided: Decided,
    text: str,
    *,
    data: object = None,
    checks: tuple[Check, ...] = (),
    steps: tuple[Reply, ...] = (),
    answer: Answer | None = None,
) -> Reply:
    if (
        decided.task.session is None and not trail.step and not any(a.directs for a in trail.attempts)
    ):  # a name that was made for it
        balance = budget.unspent(parts.settings, trail.session)
    else:
        balance, _ = await budget.director_left(parts.store.ledger, parts.settings, trail.session, trail.started)
    if any(a.simulated for a in trail.attempts):
        trail.note(SIMULATED)
    return Reply(
        id=trail.id,
        text=text,
        data=data,
        session=trail.session,
        intent=decided.guess,
        sensitivity=decided.told,
        policy_name=decided.policy.name,
        policy_hash=decided.policy.hash,
        agent=decided.decision.agent,
        attempts=trail.all_attempts(),
        skipped=tuple(trail.skipped),
        checks=checks,
        director=balance,
        seconds=round(parts.clock.now() - trail.started, 4),
        notes=tuple(trail.notes),
        steps=steps,
        answer=answer,
    )
