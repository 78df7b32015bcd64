"""A share of live tasks is decided by a second policy, too: recorded beside the first, acted on by nobody.

Which tasks: drawn from the id, so that the same tasks are in the share for every process. Deciding is pure and takes a
fraction of a millisecond; whatever goes wrong with it is recorded, and the task never hears of it.
"""

from __future__ import annotations

import hashlib
from typing import Any

from understudy.config.settings import ShadowSettings
from understudy.errors import UnderstudyError
from understudy.policies import registry
from understudy.policies.diff import changes
from understudy.policies.record import decision_to_dict
from understudy.policies.registry import NamedPolicy
from understudy.types import Decision, Facts


def drawn(id: str, use: str) -> float:  # noqa: A002 - the field's word
    """Evenly from 0 to 1, the same for the same id and use: ids are drawn by the system."""
    digest = hashlib.blake2b(id.encode(), digest_size=6, person=use.encode()).digest()
    return round(int.from_bytes(digest) / 2**48, 6)


def shadow_of(settings: ShadowSettings) -> NamedPolicy | UnderstudyError | None:
    """The second policy, loaded before any task comes; or why it cannot be; None: there is none."""
    if not settings.policy or not settings.share:
        return None
    try:
        return registry.load(settings.policy)
    except UnderstudyError as error:
        return error


def shadow(
    policy: NamedPolicy | UnderstudyError | None,
    share: float,
    id: str,  # noqa: A002 - the field's word
    facts: Facts,
    decision: Decision,
) -> dict[str, Any] | None:
    """What the second policy decides for these facts, as plain data; None: this task is not in the share."""
    if policy is None or drawn(id, "shadow") >= share:
        return None
    told: dict[str, Any] = {"share": share}
    if isinstance(policy, UnderstudyError):
        return {**told, "error": _error(policy)}
    told["policy"] = {"name": policy.name, "hash": policy.hash}
    try:
        other = policy.decide(facts)
    except UnderstudyError as error:
        return {**told, "error": _error(error)}
    changed = changes(decision, other, facts)
    return {**told, "same": not changed, "changes": list(changed), "decision": decision_to_dict(other)}


def _error(error: UnderstudyError) -> dict[str, str]:
    return {"type": type(error).__name__, "message": error.message}
