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
    said_so = (*_all(headers, "x-understudy-sensitivity"), said.get("sensitivity"))
    if any(isinstance(one, str) and one.strip().lower() == Sensitivity.PRIVATE for one in said_so):
        found["sensitivity"] = Sensitivity.PRIVATE  # whoever says it is right, wherever it is said
    if not found.get("session"):  # Claude Code names its own
        found["session"] = headers.get("x-claude-code-session-id", "")[:200]
    return Marks(**found)


def _all(headers: Mapping[str, str], name: str) -> list[str]:
    """Every value of a header, the parts of one too: some clients and proxies join what is said twice."""
    several = getattr(headers, "getlist", None)
    values: list[str] = several(name) if several is not None else [headers.get(name, "")]
    return [part for value in values for part in value.split(",")]


def aimed(task: Task, model: str, marks: Marks, **more: Any) -> Task:
    """The task with who is to answer, the marks, and more fields on it. Raises BadField for a mark nobody knows."""
    changes = {**more, **_address(model)}
    if marks.sensitivity:
        label = Sensitivity(one_of(marks.sensitivity.lower(), "sensitivity", tuple(Sensitivity)))
        changes["sensitivity"] = label.raised_to(Sensitivity(changes.get("sensitivity", task.sensitivity)))
    if marks.policy:
        changes["policy"] = marks.policy
    if marks.deadline:
        changes["deadline"] = seconds(marks.deadline, "deadline")
    aim = replace(task, **changes)
    if marks.role and aim.intent is None and aim.agent is None and aim.chat is None:
        return replace(aim, intent=_ROLES.get(marks.role.lower()))
    return aim


def _address(model: str) -> dict[str, Any]:
    """What a model's name says, as fields of a task."""
    head, _, rest = model.partition("/")
    if head != OWN:
        return {"candidate": model}
    name, _, policy = rest.partition("@")
    if name in ("", "auto"):
        return {"policy": policy or None}
    if name == "private":
        return {"policy": policy or None, "sensitivity": Sensitivity.PRIVATE}
    return {"policy": policy or None, "agent": name}


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
