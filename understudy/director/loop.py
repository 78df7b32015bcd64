"""The loop of a task: decide, then plan or work, then reply. Every end leaves its provenance in the store."""

from __future__ import annotations

import asyncio
import contextlib
import math
from dataclasses import replace

from understudy.director.budget import director_left
from understudy.director.decided import Decided
from understudy.director.outcome import build_reply
from understudy.director.parts import Parts
from understudy.director.plan import go_planned
from understudy.director.provenance import balance_to_dict, broken_to_dict, failure_to_dict, record_of, reply_to_dict
from understudy.director.trail import Trail
from understudy.director.way import decide, work
from understudy.errors import NoCandidate, StoreError, UnderstudyError
from understudy.store.patience import at_most
from understudy.telemetry.log import log
from understudy.types import Reply, Task

KEEP_SECONDS = 5.0  # for the record of a task that was cancelled
NOT_KEPT = "This reply is not in the store, and explain will not find it."


async def go(parts: Parts, trail: Trail, task: Task, *, session_private: bool = False) -> Reply:
    """The validated reply, or a typed failure. Both leave their provenance in the store."""
    decided: Decided | None = None
    try:
        decided = await decide(parts, trail, task, session_private=session_private)
        if decided.decision.plan and decided.task.plan is not False:
            planned = await go_planned(parts, trail, decided, go)
            if planned is not None:
                return await _keep(parts, trail, decided, planned)
        walk = await work(parts, trail, decided)
        return await _keep(parts, trail, decided, await build_reply(parts, trail, decided, walk))
    except UnderstudyError as error:
        error.reply_id, error.attempts, error.skipped = trail.id, trail.all_attempts(), tuple(trail.skipped)
        if isinstance(error, NoCandidate) and parts.notes:
            error.remedy = " ".join([error.remedy, *parts.notes[:3]])  # who is not there, and why
        told = failure_to_dict(error)
        facts, decision = (decided.facts, decided.decision) if decided else (None, None)
        moment = 0.0 if isinstance(error, StoreError) else math.inf  # who waits for the store has waited long enough
        with contextlib.suppress(StoreError), at_most(moment):  # the failure is what to tell, kept or not
            fleet = await parts.fleet_kept(facts.fleet if facts else None)
            await parts.store.replies.save(record_of(trail, facts, decision, told, fleet))
        _log(trail, "failed", type(error).__name__)
        raise
    except BaseException as error:
        await _keep_broken(parts, trail, decided, error)
        raise


async def _keep_broken(parts: Parts, trail: Trail, decided: Decided | None, error: BaseException) -> None:
    """The record of a task that was cancelled, ran out of time or met a bug. A call in flight was charged in full."""
    kind, message, code = "Bug", f"This is a bug in understudy ({type(error).__name__}).", 1
    if isinstance(error, asyncio.CancelledError) and parts.clock.now() >= trail.deadline:
        kind, message, code = "NoCandidate", "The task did not end within its deadline.", NoCandidate.exit_code
    elif isinstance(error, asyncio.CancelledError | KeyboardInterrupt):
        kind, message, code = "Interrupted", "The task was interrupted.", 130

    async def save() -> None:
        with contextlib.suppress(UnderstudyError):  # what ended the task is what to tell
            told = broken_to_dict(trail, kind, message, code)
            balance, _ = await director_left(parts.store.ledger, parts.settings, trail.session, trail.started)
            told["director"] = balance_to_dict(balance)
            facts, decision = (decided.facts, decided.decision) if decided else (None, None)
            fleet = await parts.fleet_kept(facts.fleet if facts else None)
            await parts.store.replies.save(record_of(trail, facts, decision, told, fleet))

    # A task of its own: who is cancelled twice does not wait for it any more, and it is done all the same.
    saving = asyncio.ensure_future(save())
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait({saving}, timeout=KEEP_SECONDS)
    _log(trail, "broken", kind)


def _log(trail: Trail, outcome: str, detail: str) -> None:
    """Ids, names and counts: never a text."""
    attempts = trail.all_attempts()
    # What a caller was answered has a line of the audit already.
    told = log().debug if trail.caller is not None and outcome == "answered" else log().info
    told(
        "task",
        reply=trail.id,
        outcome=outcome,
        detail=detail,
        attempts=[f"{a.candidate}: {a.outcome}" for a in attempts],
        tokens=sum(a.input_tokens + a.output_tokens for a in attempts),
    )


async def _keep(parts: Parts, trail: Trail, decided: Decided, reply: Reply) -> Reply:
    try:
        fleet = await parts.fleet_kept(decided.facts.fleet)
        await parts.store.replies.save(record_of(trail, decided.facts, decided.decision, reply_to_dict(reply), fleet))
    except StoreError as error:  # a disk that has filled up meanwhile: the answer is there, and is not thrown away
        reply = replace(reply, notes=(*reply.notes, f"{NOT_KEPT} {error.message}"))
    _log(trail, "answered", decided.decision.agent)
    return reply
