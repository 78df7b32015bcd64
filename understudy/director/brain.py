"""Asking the director: a bounded question, charged to its budget before it is sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from understudy.director.acts import read_object
from understudy.director.budget import director_left, is_callers
from understudy.director.parts import Parts
from understudy.director.trail import Trail
from understudy.errors import BudgetRefused, CallFailed, ConfigError, PrivacyRefused
from understudy.fleet.admission import Wish
from understudy.fleet.calls import TooLate, within
from understudy.fleet.errand import Timing, attempt
from understudy.fleet.page import Wait
from understudy.types import Call, Candidate, Priority, Role, Sensitivity, Worker

BUDGET_GONE = "The director's budget cannot pay for another act: the policy decided alone."
CALLER_SHORT = "The key's budget of the day cannot pay for the director: the policy decided alone."
SHORTER_DIGESTS = (300, 150)  # characters, tried in turn when the rest of the budget is small
SHORT_WAIT = 1.0  # seconds a small question is worth waiting for room
TIMEOUT = 45.0  # seconds for one act; a frontier model needs 5 to 20 for so short an answer


async def ask_director(parts: Parts, trail: Trail, call: Call) -> str | None:
    """Its answer, or None: no director, no budget, a private task it may not see, or a failure (all noted)."""
    candidate, worker = _director(parts)
    if candidate is None or worker is None:
        return None
    _, left = await director_left(parts.store.ledger, parts.settings, trail.session, trail.started)
    return await ask(parts, trail, candidate, _fitted(call, worker, left), directs=True)


def _director(parts: Parts) -> tuple[Candidate | None, Worker | None]:
    """The director, if there is one whose key can still be read."""
    candidate = parts.find(parts.settings.director.candidate)
    try:
        return candidate, parts.worker(candidate) if candidate is not None else None
    except ConfigError:
        return candidate, None


def _fitted(call: Call, worker: Worker, left: int) -> Call:
    """The call with as much of its digest as the budget can pay for; the shortest one when nothing fits."""
    from understudy.classifiers.digest import digest

    for limit in (len(call.prompt), *SHORTER_DIGESTS):
        call = replace(call, prompt=digest(call.prompt, limit)) if limit < len(call.prompt) else call
        if worker.bound(call) + call.output_cap <= left:
            break
    return call


def no_object(text: str) -> str:
    """Every question of the director's asks for a JSON object."""
    return "" if read_object(text) else "format: there is no JSON object in the answer"


async def ask(
    parts: Parts,
    trail: Trail,
    candidate: Candidate,
    call: Call,
    *,
    directs: bool,
    unfit: Callable[[str], str] = no_object,
) -> str | None:
    """One small question to one candidate. Failures are attempts with an outcome, never exceptions.

    unfit says what is wrong with the form of an answer, or nothing; it is returned all the same.
    """
    if call.sensitivity is Sensitivity.PRIVATE and not candidate.local:
        return None
    now = parts.clock.now()
    left = trail.deadline - now
    if left <= 1.0:
        return None
    call = replace(call, timeout=within(call.timeout, min(TIMEOUT, left / 2)))
    caller, door = parts.dispatcher.caller, parts.dispatcher.door
    wish = Wish(trail.session, Priority.INTERACTIVE, now + min(SHORT_WAIT, parts.settings.patience))
    tab = await door.admit(
        [candidate], {candidate.domain: caller.cost(call, candidate)}, {candidate.domain: call.timeout}, wish
    )
    if isinstance(tab, Wait):
        return None
    guard = parts.guard(candidate, call.sensitivity, call.role, trail, directs=directs)
    now = parts.clock.now()
    try:
        answer = await caller.send(tab, call, guard, Timing(), deadline=trail.deadline)
    except BudgetRefused as refused:
        if directs:
            trail.note(CALLER_SHORT if is_callers(refused) else BUDGET_GONE)
        return None
    except (PrivacyRefused, ConfigError, TooLate):
        return None
    except CallFailed as failure:
        at, error = (now, parts.clock.now()), f"{failure.failure}: {failure.message}"
        made = attempt(candidate, call, str(failure.failure), error, at=at, usage=failure.usage, directs=directs)
        trail.attempts.append(made)
        return None
    except asyncio.CancelledError:
        at, error = (now, parts.clock.now()), "cancelled: the task ended meanwhile"
        trail.attempts.append(attempt(candidate, call, "cancelled", error, at=at, directs=directs))
        raise
    at = (now, parts.clock.now())
    error = unfit(answer.text) or None
    outcome = "rejected" if error else "ok"
    trail.attempts.append(attempt(candidate, call, outcome, error, at=at, answer=answer, directs=directs))
    return answer.text


def handoff_cost(parts: Parts, call: Call) -> int:
    """The most tokens this question can cost the director; 0 without one."""
    _, worker = _director(parts)
    return 0 if worker is None else worker.bound(call) + call.output_cap


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
