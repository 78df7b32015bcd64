"""A task handed down by somebody else's model: from the arguments of `delegate` to a Task, and what is told back.

What a model writes may be anything, so every argument is looked at before anything runs, and nothing is raised at
those who gave it: they get a Refusal, in words that a model can act on.
"""

from __future__ import annotations

import asyncio
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from understudy.config.reading import LARGEST, read_text_file
from understudy.errors import BudgetRefused, UnderstudyError, UsageError
from understudy.gateway.wording import worded
from understudy.telemetry.log import chain, frames, log
from understudy.types import Attachment, Caller, Intent, Priority, Reply, Role, Sensitivity, Task

LONGEST = 24 * 3600.0  # seconds, of a deadline
MOST_FILES = 100  # of one task

ABOUT = (
    "Hand a self-contained piece of work to cheaper or local models, which understudy chooses, and get a checked "
    "answer back. For work in bulk: summaries, extraction, drafts, translations, reviews, small programs. They see "
    "nothing but the task and its files, so say everything that matters. Prefer files to pasted text: what they hold "
    "then costs you nothing. For private material pass sensitivity=private and the paths of the files instead of "
    "their text: it then stays on the user's machine, or is refused. What you pass as text you have already read."
)

ARGUMENTS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "task": {"type": "string", "minLength": 1, "description": "What to do, with all that is needed to do it."},
        "sensitivity": {
            "enum": [s.value for s in Sensitivity],
            "default": "public",
            "description": "private: no byte of it leaves the user's machine. What is found private is so anyway.",
        },
        "intent": {
            "enum": [i.value for i in Intent],
            "description": "What kind of work it is; left out, understudy finds out.",
        },
        "files": {
            "type": "array",
            "items": {"type": "string"},
            "maxItems": MOST_FILES,
            "description": "Paths of text files on this machine that belong to the task.",
        },
        "schema": {
            "type": "object",
            "description": "A JSON schema; the answer is then one object of it, and checked against it.",
        },
        "deadline": {"type": "number", "exclusiveMinimum": 0, "description": "Seconds after which to give up."},
    },
    "required": ["task"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What holds for a task whatever its arguments say."""

    deadline: float | None = None  # seconds, the most it may take; None: the settings'
    caller: Caller | None = None
    folders: tuple[Path, ...] | None = None  # whose files may be named; None: any that this process may read
    private: bool = False  # it is, whatever it says
    session: str | None = None
    priority: Priority = Priority.INTERACTIVE


async def read_task(arguments: Mapping[str, Any], terms: Terms = Terms()) -> Task:
    """As task_of; the files are read in a thread."""
    if not arguments.get("files"):
        return task_of(arguments, terms)
    return await asyncio.to_thread(task_of, arguments, terms)


def task_of(arguments: Mapping[str, Any], terms: Terms = Terms()) -> Task:
    """The task, with its files read. Raises UsageError naming the argument. Values of null are left out."""
    given = {name: value for name, value in arguments.items() if value is not None}
    if stray := sorted(str(name)[:40] for name in given.keys() - ARGUMENTS["properties"].keys()):
        raise UsageError(f"delegate has no argument {stray[0]!r}.", remedy=f"It has: {_list(ARGUMENTS['properties'])}.")
    text = _text(given.get("task"))
    schema = given.get("schema")
    if schema is not None:
        _check_schema(schema)
    sensitivity = _one_of(Sensitivity, given.get("sensitivity", Sensitivity.PUBLIC), "sensitivity")
    intent = given.get("intent")
    return Task(
        text=text,
        session=terms.session,
        sensitivity=Sensitivity.PRIVATE if terms.private else sensitivity,
        intent=None if intent is None else _one_of(Intent, intent, "intent"),
        schema=schema,
        deadline=_deadline(given.get("deadline"), terms.deadline),
        priority=terms.priority,
        caller=terms.caller,
        files=_files(given.get("files", ()), terms.folders),
    )


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError("delegate needs a task: a text.", remedy="Say in it what is to be done.")
    if len(_encoded(value, "task")) > LARGEST:
        raise UsageError(f"The task is larger than {LARGEST // 1_000_000} MB.", remedy="Give a part of it.")
    return value


def _encoded(text: str, name: str) -> bytes:
    """JSON can say half of a character, and no request can carry one."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise UsageError(f"The {name} is not UTF-8 text.", remedy="Leave out what is half a character.") from None


def _one_of(kinds: Any, value: object, name: str) -> Any:
    """The value is not repeated: it may be a text that stands in the wrong place."""
    try:
        return kinds(value)
    except ValueError:
        raise UsageError(f"The {name} is none of those there are.", remedy=f"Write one of {_list(kinds)}.") from None


def _check_schema(schema: object) -> None:
    from understudy.director.validators import check_schema

    if not isinstance(schema, dict):
        raise UsageError("The schema is no object.", remedy='Give one such as {"type": "object", ...}, not as a text.')
    check_schema(cast("dict[str, Any]", schema))
    _encoded(json.dumps(schema, ensure_ascii=False), "schema")


def _deadline(value: object, most: float | None) -> float | None:
    if value is None:
        return most
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= LONGEST:
        raise UsageError("The deadline is no number of seconds above 0, a day at most.", remedy="Give another.")
    return float(value if most is None else min(value, most))


def _files(value: object, folders: tuple[Path, ...] | None) -> tuple[Attachment, ...]:
    paths = cast("Sequence[object]", value)
    if not isinstance(value, list | tuple) or not all(isinstance(path, str) and path for path in paths):
        raise UsageError("The files are no list of paths.", remedy='Give them as ["first.txt", "second.txt"].')
    if len(paths) > MOST_FILES:
        raise UsageError(f"There are more than {MOST_FILES} files.", remedy="Make several tasks of them.")
    read: list[Attachment] = []
    left = LARGEST
    for path in cast("Sequence[str]", paths):
        _encoded(path, "path of a file")
        text = read_text_file(_allowed(path, folders), pipes=False)
        left -= len(text.encode())
        if left < 0:
            what = f"The files are larger than {LARGEST // 1_000_000} MB together."
            raise UsageError(what, remedy="Make several tasks of them.")
        read.append(Attachment(path, text))  # as it was written, which is what private_paths are matched against
    return tuple(read)


def _allowed(path: str, folders: tuple[Path, ...] | None) -> str:
    """The path to read. Whether there is such a file is not told of places that are not opened."""
    if folders is None:
        return path
    try:
        real = Path(os.path.realpath(Path(path).expanduser()))
    except (OSError, ValueError, RuntimeError):
        real = None
    if real is None or not any(real.is_relative_to(os.path.realpath(folder)) for folder in folders):
        where = f"They are below {_list(folders)}." if folders else "Put the text into the task."
        raise UsageError(f"{path[:200]!r} is not among the files that may be named here.", remedy=where)
    return str(real)


def _list(names: Any) -> str:
    return ", ".join(str(name) for name in names)


@dataclass(frozen=True, slots=True)
class Done:
    """A reply, as it is told back."""

    text: str = field(repr=False)
    data: Any = field(repr=False)  # the parsed object when the task had a schema
    reply_id: str
    candidate: str  # who answered; several where the task was planned
    tokens: int  # of all attempts
    director_tokens: int  # of those, the frontier model's
    cost_usd: float
    seconds: float
    private: bool
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {
            "text": self.text,
            "data": self.data,
            "reply_id": self.reply_id,
            "candidate": self.candidate,
            "tokens": self.tokens,
            "director_tokens": self.director_tokens,
            "cost_usd": round(self.cost_usd, 6),
            "seconds": round(self.seconds, 3),
            "private": self.private,
            "notes": list(self.notes),
        }

    @property
    def footer(self) -> str:
        """What was paid and to whom, in one line."""
        told = [f"understudy {self.reply_id}", self.candidate, f"{self.tokens:,} tokens", f"${self.cost_usd:.4f}"]
        return f"[{' · '.join([*told, *self.notes])}]"

    def words(self) -> str:
        """For a model to read: the answer, and below it what it cost."""
        return f"{self.text}\n\n{self.footer}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no answer, and what to do about it. retry_after: seconds; None when waiting does not help."""

    kind: str  # the class of the error
    message: str
    remedy: str = ""
    retry_after: float | None = None
    reply_id: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return {
            "type": self.kind,
            "message": self.message,
            "remedy": self.remedy,
            "retry_after": self.retry_after,
            "reply_id": self.reply_id,
        }

    def words(self) -> str:
        """For a model to read."""
        told = [f"{self.kind}: {self.message}", self.remedy]
        if self.retry_after is not None and "again in" not in self.remedy:
            told.append(f"Try again in {math.ceil(self.retry_after)} s.")
        if self.reply_id is not None:
            told.append(f"(explain {self.reply_id} says more.)")
        return " ".join(part for part in told if part)


def told(reply: Reply) -> Done:
    """What a reply comes to for who asked for it."""
    done = [a.candidate for a in reply.attempts if a.role is Role.WORKER and a.outcome == "ok"]
    return Done(
        text=reply.text,
        data=reply.data,
        reply_id=reply.id,
        candidate=", ".join(dict.fromkeys(done)),
        tokens=reply.total_tokens,
        director_tokens=sum(a.input_tokens + a.output_tokens for a in reply.attempts if a.directs),
        cost_usd=sum(a.cost_usd for a in reply.attempts),
        seconds=reply.seconds,
        private=reply.sensitivity.sensitivity is Sensitivity.PRIVATE,
        notes=reply.notes,
    )


def refusal(error: Exception, now: float) -> Refusal:
    """Any error as words. now: seconds since the epoch. One that is none of ours is a bug, and goes to the log."""
    if not isinstance(error, UnderstudyError):
        log().error("bug", classes=chain(error), where=frames(error.__traceback__))
        return Refusal("Bug", f"This is a bug in understudy ({type(error).__name__}).", "The log has the place.")
    if isinstance(error, BudgetRefused):
        from understudy.director.budget import retry_after

        wait = retry_after(error, now)
    else:
        wait = cast("float | None", getattr(error, "retry_after", None))
    wait = wait if wait is None or math.isfinite(wait) else None
    return Refusal(type(error).__name__, error.message, worded(error.remedy, "tool"), wait, error.reply_id)
