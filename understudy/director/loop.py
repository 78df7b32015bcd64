"""The loop of a task: decide, then plan or work, then reply. Every end leaves its provenance in the store."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from understudy.director.decided import Decided
from understudy.director.outcome import build_reply
from understudy.director.parts import Parts
from understudy.director.plan import go_planned
from understudy.director.provenance import failure_to_dict, record_of, reply_to_dict
from understudy.director.trail import Trail
from understudy.director.way import decide, work
from understudy.errors import NoCandidate, StoreError, UnderstudyError
from understudy.telemetry.log import log
from understudy.types import Reply, Task

NOT_KEPT = "This reply is not in the store, and explain will not find it."


async def go(parts: Parts, trail: Trail, task: Task, *, session_private: bool = False) -> Reply:
    """The validated reply, or a typed failure. Both leave their provenance in the store."""
    decided: Decided | None = None
    try:
        decided = await decide(parts, trail, task, session_private=session_private)
        if decided.decision.plan and task.plan is not False:
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
        with contextlib.suppress(StoreError):  # the failure is what to tell, also when it cannot be kept
            await parts.store.replies.save(record_of(trail, facts, decision, told, await parts.fleet_kept()))
        _log(trail, "failed", type(error).__name__)
        raise


def _log(trail: Trail, outcome: str, detail: str) -> None:
    """Ids, names and counts: never a text."""
    attempts = trail.all_attempts()
    log().info(
        "task",
        reply=trail.id,
        outcome=outcome,
        detail=detail,
        attempts=[f"{a.candidate}: {a.outcome}" for a in attempts],
        tokens=sum(a.input_tokens + a.output_tokens for a in attempts),
    )


async def _keep(parts: Parts, trail: Trail, decided: Decided, reply: Reply) -> Reply:
    try:
        fleet = await parts.fleet_kept()
        await parts.store.replies.save(record_of(trail, decided.facts, decided.decision, reply_to_dict(reply), fleet))
    except StoreError as error:  # a disk that has filled up meanwhile: the answer is there, and is not thrown away
        reply = replace(reply, notes=(*reply.notes, f"{NOT_KEPT} {error.message}"))
    _log(trail, "answered", decided.decision.agent)
    return reply
