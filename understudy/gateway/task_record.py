"""A task as a job keeps it, and what a job gives back: plain JSON both."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

from understudy.director.provenance import reply_to_dict
from understudy.errors import UnderstudyError, UsageError
from understudy.gateway.wording import worded
from understudy.types import Attachment, Chat, Reply, Role, Task, Turn, Usage

LARGEST = 16_000_000  # characters of a task's JSON
KEPT = tuple(f.name for f in fields(Task) if f.name != "caller")  # who asks is looked up when the job is run


def task_to_json(task: Task) -> str:
    """Everything but the caller. Raises UsageError for what is no JSON, or too much of it."""
    record = {name: getattr(task, name) for name in KEPT}
    record["chat"] = None if task.chat is None else _chat_kept(task.chat)
    record |= {"files": [asdict(f) for f in task.files], "history": [asdict(t) for t in task.history]}
    try:
        text = json.dumps(record, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError):
        raise UsageError("The task is no JSON.", remedy="Give strings, numbers, lists and tables.") from None
    if len(text) > LARGEST:
        raise UsageError(
            f"A job's task has {LARGEST:,} characters of JSON at the most; this one has {len(text):,}.",
            remedy="Give it in parts.",
        )
    return text


def task_from_json(text: str) -> Task:
    """Raises UsageError for what task_to_json has not written: a damaged row, or another version's."""
    try:
        record = json.loads(text)
        if not isinstance(record["text"], str):
            raise TypeError
        files = tuple(Attachment(str(f["path"]), str(f["text"])) for f in record.pop("files", ()))
        history = tuple(Turn(str(t["user"]), str(t["assistant"])) for t in record.pop("history", ()))
        record["chat"] = _chat_of(record.get("chat"))
        return Task(**record, files=files, history=history)
    except (TypeError, ValueError, KeyError, AttributeError, RecursionError):
        raise UsageError("The job's task cannot be read any more.", remedy="Ask again.") from None


def _chat_kept(chat: Chat) -> dict[str, Any]:
    kept = {f.name: getattr(chat, f.name) for f in fields(Chat) if f.name != "live"}
    return {**kept, "needs": sorted(chat.needs), "texts": list(chat.texts)}


def _chat_of(record: Any) -> Chat | None:
    if record is None:
        return None
    kept: dict[str, Any] = {**record, "needs": frozenset(record["needs"]), "texts": tuple(record["texts"])}
    return Chat(**kept)


def result_of(reply: Reply) -> dict[str, Any]:
    """The object of `ask --json`, with who answered, and the tokens of all calls."""
    told = reply_to_dict(reply)
    try:
        json.dumps(told["data"], allow_nan=False)
    except (TypeError, ValueError, RecursionError):  # NaN is no JSON; the text has it all the same
        told["data"] = None
    answered = next((a for a in reversed(reply.attempts) if a.role is Role.WORKER and a.outcome == "ok"), None)
    used = sum((Usage(a.input_tokens, a.output_tokens) for a in reply.attempts), Usage())
    return {
        **told,
        "message": reply.answer.message if reply.answer is not None else None,
        "candidate": answered.candidate if answered else None,
        "usage": {
            "input_tokens": used.input_tokens,
            "output_tokens": used.output_tokens,
            "total_tokens": used.total,
        },
    }


def error_of(error: UnderstudyError) -> dict[str, Any]:
    told = {**error.as_dict(), "remedy": worded(error.remedy, "http")}
    return {**told, "exit_code": error.exit_code, "reply_id": error.reply_id}
