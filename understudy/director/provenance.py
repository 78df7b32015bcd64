"""A reply, and a failure, as plain data: the JSON contract of `ask --json`, and what the store keeps for `explain`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from operator import attrgetter
from typing import Any

from understudy.director.trail import Trail
from understudy.errors import UnderstudyError
from understudy.policies.record import decision_to_dict, facts_to_dict
from understudy.types import Attempt, Balance, Check, Decision, Facts, Reply

_ATTEMPT = tuple(f.name for f in fields(Attempt))
_values = attrgetter(*_ATTEMPT)


def reply_to_dict(reply: Reply) -> dict[str, Any]:
    """The one object of `ask --json`."""
    return {
        "id": reply.id,
        "text": reply.text,
        "data": reply.data,
        "session": reply.session,
        "intent": {"name": str(reply.intent.intent), "probability": reply.intent.probability, "by": reply.intent.by},
        "sensitivity": {"label": str(reply.sensitivity.sensitivity), "reasons": list(reply.sensitivity.reasons)},
        "policy": {"name": reply.policy_name, "hash": reply.policy_hash},
        "agent": reply.agent,
        "attempts": [attempt_to_dict(a) for a in reply.attempts],
        "skipped": [{"domain": domain, "why": why} for domain, why in reply.skipped],
        "validators": [check_to_dict(c) for c in reply.checks],
        "director": balance_to_dict(reply.director),
        "tokens": {"total": reply.total_tokens, "free_share": round(reply.free_share, 4)},
        "seconds": reply.seconds,
        "notes": list(reply.notes),
        "steps": [{"id": s.id, "agent": s.agent, "intent": str(s.intent.intent)} for s in reply.steps],
    }


def attempt_to_dict(attempt: Attempt) -> dict[str, Any]:
    told = dict(zip(_ATTEMPT, _values(attempt), strict=True))
    told["role"] = str(attempt.role)
    return told


def check_to_dict(check: Check) -> dict[str, Any]:
    return {"name": check.name, "passed": check.passed, "reason": check.reason}


def balance_to_dict(balance: Balance) -> dict[str, Any]:
    return {"spent": balance.spent.tokens, "reserved": balance.reserved.tokens, "limit": balance.limit_tokens}


def failure_to_dict(error: UnderstudyError) -> dict[str, Any]:
    """What `ask --json` prints when there is no reply."""
    checks: Sequence[Check] = getattr(error, "checks", ())
    return {
        "id": error.reply_id,
        "text": None,
        "error": {**error.as_dict(), "exit_code": error.exit_code},
        "attempts": [attempt_to_dict(a) for a in error.attempts],
        "skipped": [{"domain": domain, "why": why} for domain, why in error.skipped],
        "validators": [check_to_dict(c) for c in checks],
    }


def broken_to_dict(trail: Trail, kind: str, message: str, exit_code: int) -> dict[str, Any]:
    """As failure_to_dict, of a task that nobody's typed error ended."""
    return {
        "id": trail.id,
        "error": {"type": kind, "message": message, "remedy": "", "exit_code": exit_code},
        "attempts": [attempt_to_dict(a) for a in trail.all_attempts()],
        "skipped": [{"domain": domain, "why": why} for domain, why in trail.skipped],
        "notes": list(trail.notes),
    }


def record_of(
    trail: Trail, facts: Facts | None, decision: Decision | None, told: Mapping[str, Any], fleet: str
) -> dict[str, Any]:
    """What the store keeps: everything but the texts. `fleet` is the hash under which the candidates are kept."""
    kept = {k: v for k, v in told.items() if k not in ("text", "data")}
    decided_by = {"name": trail.policy, "hash": trail.policy_hash} if trail.policy else None
    return {
        "policy": decided_by,  # of a failure too
        **kept,
        # A step's are in the step's own record.
        "attempts": [attempt_to_dict(a) for a in trail.attempts] if trail.below else told["attempts"],
        "id": trail.id,
        "session": trail.session,
        "caller": trail.caller.name if trail.caller else None,
        "time": trail.started,
        "facts": facts_to_dict(facts, fleet) if facts else None,
        "decision": decision_to_dict(decision) if decision else None,
        **({"shadow": trail.shadow} if trail.shadow is not None else {}),
    }
