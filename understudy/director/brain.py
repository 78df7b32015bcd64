"""Asking the director: a bounded question, charged to its budget before it is sent."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from understudy.director.budget import director_left
from understudy.director.parts import Parts
from understudy.director.trail import Trail
from understudy.errors import BudgetRefused, CallFailed, ConfigError, PrivacyRefused
from understudy.fleet.dispatch import attempt
from understudy.types import Call, Candidate, Role, Sensitivity, Worker

BUDGET_GONE = "The director's budget cannot pay for another act: the policy decided alone."
SHORTER_DIGESTS = (300, 150)  # characters, tried in turn when the rest of the budget is small
TIMEOUT = 45.0  # seconds for one act; a frontier model needs 5 to 20 for so short an answer


async def ask_director(parts: Parts, trail: Trail, call: Call) -> str | None:
    """Its answer, or None: no director, no budget, a private task it may not see, or a failure (all noted)."""
    candidate = parts.find(parts.settings.director.candidate)
    if candidate is None:
        return None
    _, left = await director_left(parts.store.ledger, parts.settings, trail.session, trail.started)
    return await ask(parts, trail, candidate, _fitted(call, parts.worker(candidate), left), directs=True)


def _fitted(call: Call, worker: Worker, left: int) -> Call:
    """The call with as much of its digest as the budget can pay for; the shortest one when nothing fits."""
    from understudy.classifiers.digest import digest

    for limit in (len(call.prompt), *SHORTER_DIGESTS):
        call = replace(call, prompt=digest(call.prompt, limit)) if limit < len(call.prompt) else call
        if worker.bound(call) + call.output_cap <= left:
            break
    return call


async def ask(parts: Parts, trail: Trail, candidate: Candidate, call: Call, *, directs: bool) -> str | None:
    """One small question to one candidate. Failures are attempts with an outcome, never exceptions."""
    if call.sensitivity is Sensitivity.PRIVATE and not candidate.local:
        return None
    now = parts.clock.now()
    if candidate.domain in await parts.store.rests.resting(now):
        return None
    left = trail.deadline - now
    if left <= 1.0:
        return None
    try:
        worker = await parts.dispatcher.loaded(candidate)
    except ConfigError:
        return None
    now = parts.clock.now()
    call = replace(call, timeout=min(call.timeout, TIMEOUT, left / 2))
    guard = parts.guard(candidate, call.sensitivity, call.role, trail.session, directs=directs)
    try:
        async with asyncio.timeout(call.timeout + 1.0):
            answer = await worker.work(call, guard)
    except BudgetRefused:
        if directs:
            trail.note(BUDGET_GONE)
        return None
    except PrivacyRefused:
        return None
    except (CallFailed, TimeoutError) as error:
        failure = str(error.failure) if isinstance(error, CallFailed) else "transport"
        message = error.message if isinstance(error, CallFailed) else f"no answer in {call.timeout:.0f} s"
        at = (now, parts.clock.now())
        trail.attempts.append(attempt(candidate, call, failure, f"{failure}: {message}", at=at, directs=directs))
        if isinstance(error, CallFailed):
            await parts.dispatcher.remember(candidate, error)
        return None
    at = (now, parts.clock.now())
    trail.attempts.append(attempt(candidate, call, "ok", None, at=at, answer=answer, directs=directs))
    return answer.text


def handoff_cost(parts: Parts, call: Call) -> int:
    """The most tokens this question can cost the director; 0 without one."""
    candidate = parts.find(parts.settings.director.candidate)
    return 0 if candidate is None else parts.worker(candidate).bound(call) + call.output_cap


def question(instructions: str, text: str, parts: Parts, sensitivity: Sensitivity, role: Role = Role.DIRECTOR) -> Call:
    """A call with the director's caps and a digest of the text."""
    from understudy.classifiers.digest import digest

    return Call(
        prompt=digest(text, parts.settings.director.digest_chars),
        instructions=instructions,
        output_cap=parts.settings.director.output_tokens,
        timeout=TIMEOUT,
        role=role,
        sensitivity=sensitivity,
    )
