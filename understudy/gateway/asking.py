"""What a request asks for beside its messages: who is to answer, for which conversation, how private, by when."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from understudy.gateway.fields import BadField, one_of, seconds, table
from understudy.types import Caller, Intent, Sensitivity, Task

OWN = "understudy"
_SESSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
# What a client says it does, in words of the routing table. Others are its own affair.
_ROLES: Mapping[str, Intent] = {
    "dream": Intent.MEMORY,
    "memory": Intent.MEMORY,
    "compaction": Intent.SUMMARIZATION,
    "summary": Intent.SUMMARIZATION,
    "title": Intent.QUICK_QA,
    "heartbeat": Intent.QUICK_QA,
}


@dataclass(frozen=True, slots=True)
class Marks:
    """The headers X-Understudy-..., or the same in the body's metadata; a header goes before. Empty: not said."""

    session: str = ""
    sensitivity: str = ""
    role: str = ""
    policy: str = ""
    deadline: str = ""


NAMES = ("session", "sensitivity", "role", "policy", "deadline")
_PREFIX = "x-understudy-"
_KNOWN = frozenset(_PREFIX + name for name in NAMES)


def marks_of(headers: Mapping[str, str], body: Mapping[str, Any]) -> Marks:
    """Raises BadField, also for a header of ours that is none: a mistyped wish for privacy must not go unheard."""
    for header in headers:
        if header.startswith(_PREFIX) and header not in _KNOWN:
            known = ", ".join(f"X-Understudy-{name.title()}" for name in NAMES)
            raise BadField(header[:60], "there is no such header", remedy=f"There are {known}.")
    metadata = body.get("metadata")
    said = table(metadata, "metadata") if metadata is not None else {}
    found: dict[str, str] = {}
    for name in NAMES:
        value = headers.get(f"x-understudy-{name}") or said.get(name)
        if value is None:
            continue
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = f"{value}"
        if not isinstance(value, str) or len(value) > 200:
            raise BadField(f"metadata.{name}", "it must be a string of at most 200 characters")
        found[name] = value.strip()
    if not found.get("session"):  # Claude Code names its own
        found["session"] = headers.get("x-claude-code-session-id", "")[:200]
    return Marks(**found)


def aimed(task: Task, model: str, marks: Marks) -> Task:
    """The task with who is to answer and the marks on it. Raises BadField for a name or mark nobody knows."""
    task = _addressed(task, model)
    if marks.sensitivity:
        label = Sensitivity(one_of(marks.sensitivity.lower(), "sensitivity", tuple(Sensitivity)))
        task = replace(task, sensitivity=label.raised_to(Sensitivity(task.sensitivity)))
    if marks.policy:
        task = replace(task, policy=marks.policy)
    if marks.deadline:
        task = replace(task, deadline=seconds(marks.deadline, "deadline"))
    if marks.role and task.intent is None and task.agent is None and task.chat is None:
        task = replace(task, intent=_ROLES.get(marks.role.lower()))
    return task


def _addressed(task: Task, model: str) -> Task:
    head, _, rest = model.partition("/")
    if head != OWN:
        return replace(task, candidate=model)
    name, _, policy = rest.partition("@")
    task = replace(task, policy=policy or None)
    if name in ("", "auto"):
        return task
    if name == "private":
        return replace(task, sensitivity=Sensitivity.PRIVATE)
    return replace(task, agent=name)


def is_named(model: str) -> bool:
    """Whether it is a candidate's name, and not one of ours."""
    return model.partition("/")[0] != OWN


def session_of(caller: Caller, marks: Marks) -> str | None:
    """The conversation's name in the ledger: nobody can charge, read or raise the privacy of another caller's."""
    if not marks.session:
        return None
    name = marks.session if _SESSION.fullmatch(marks.session) else digest(marks.session)
    prefix = caller.name if len(caller.name) <= 32 else digest(caller.name)
    return f"{prefix}:{name}"


def digest(*texts: str) -> str:
    return hashlib.blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
