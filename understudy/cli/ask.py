"""`ask`: one task, from the command line to its answer."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from understudy.cli.live import LiveLine, words_of
from understudy.cli.reading import read_attachment, read_schema, read_task_text
from understudy.cli.render import footer, show_answer
from understudy.cli.running import open_director
from understudy.cli.terminal import hint, is_lively, say
from understudy.cli.warm import in_background
from understudy.errors import UnderstudyError, UsageError
from understudy.telemetry.log import log
from understudy.types import Event, Finished, Progress, Quality, Reply, Sensitivity, Stage, Task, Text

if TYPE_CHECKING:
    from understudy.director.director import Director

BETWEEN = {"json": 0.1, "lines": 1.0}  # seconds between two told progresses: a model may report every token


@dataclass(frozen=True, slots=True)
class Wishes:
    """The command line of `ask` as it was written."""

    words: tuple[str, ...]
    files: tuple[str, ...] = ()
    schema: str | None = None
    private: bool = False
    intent: str | None = None
    policy: str | None = None
    agent: str | None = None
    quality: str | None = None
    max_tokens: int | None = None
    deadline: float | None = None
    session: str | None = None

    def read(self) -> Task:
        """The task, with its files read. Raises UsageError."""
        files = tuple(read_attachment(path) for path in self.files)
        text = read_task_text(self.words)
        if not text.strip() and not files:
            raise UsageError("There is no task.", remedy='Write one: understudy ask "Why is the sky blue?"')
        return Task(
            text=text,
            session=self.session,
            sensitivity=Sensitivity.PRIVATE if self.private else Sensitivity.PUBLIC,
            intent=self.intent,
            policy=self.policy,
            agent=self.agent,
            quality=self.quality,
            schema=read_schema(self.schema) if self.schema is not None else None,
            files=files,
            max_tokens=self.max_tokens,
            deadline=self.deadline,
        )


async def ask_for(config: str | None, wishes: Wishes, *, as_json: bool, stream: bool) -> int:
    """Raises UsageError for wishes that cannot be, and what the director raises."""
    # In a thread: a pipe nobody writes to would leave the loop deaf to Ctrl-C and to SIGTERM.
    return await ask(config, await in_background(wishes.read), as_json=as_json, stream=stream)


def check_wishes(task: Task) -> None:
    """Names that do not exist are refused before anything is opened. Raises UsageError."""
    from understudy.agents.specialists import specialist
    from understudy.director.classify import stated_intent
    from understudy.policies import registry

    if task.quality is not None and task.quality not in list(Quality):
        raise UsageError(f"There is no quality {task.quality!r}.", remedy=f"Known: {', '.join(Quality)}.")
    stated_intent(task)
    if task.policy is not None:
        registry.load(task.policy)
    if task.agent is not None:
        specialist(task.agent)


async def ask(config: str | None, task: Task, *, as_json: bool = False, stream: bool = False) -> int:
    """Answer on stdout, everything else on stderr. Raises what the director raises."""
    check_wishes(task)
    async with open_director(config, deadline=task.deadline) as director:
        reply = await _run(director, task, as_json=as_json, stream=stream)
    if as_json:
        from understudy.director.provenance import reply_to_dict

        told = reply_to_dict(reply)
        _print_json({"event": "reply", **told} if stream else told)
        return 0
    show_answer(reply.text)
    for line in footer(reply):
        hint(line)
    return 0


async def _run(director: Director, task: Task, *, as_json: bool, stream: bool) -> Reply:
    started = time.monotonic()
    noted = log(command="ask")
    noted.info("task started")
    try:
        if stream:
            reply = await follow(director, task, _Teller(as_json=as_json).tell)
        elif not as_json and is_lively(sys.stderr):
            async with LiveLine() as line:
                reply = await follow(director, task, line.show)
        else:
            reply = await director.run(task)
    except UnderstudyError as error:
        noted.warning("task failed", error=type(error).__name__, seconds=round(time.monotonic() - started, 3))
        raise
    noted.info(
        "task answered", reply=reply.id, attempts=len(reply.attempts), seconds=round(time.monotonic() - started, 3)
    )
    return reply


async def follow(director: Director, task: Task, tell: Callable[[Event], None]) -> Reply:
    """Run a task and tell its events; cancelling this cancels the task."""
    reply: Reply | None = None
    async with aclosing(_events(director, task)) as events:
        async for event in events:
            tell(event)
            if isinstance(event, Finished):
                reply = event.reply
    if reply is None:
        raise RuntimeError("the stream of a task ended without its reply")
    return reply


def _events(director: Director, task: Task) -> Any:
    return director.stream(task)


@dataclass(slots=True)
class _Teller:
    """Events as lines: JSON on stdout, or plain words on stderr."""

    as_json: bool
    last: float = float("-inf")

    def tell(self, event: Event) -> None:
        if isinstance(event, Progress):
            now = time.monotonic()
            if now - self.last < BETWEEN["json" if self.as_json else "lines"]:
                return
            self.last = now
        if not self.as_json:
            if words := words_of(event):
                hint(f"· {words}")
        elif told := event_to_dict(event):
            _print_json(told)


def event_to_dict(event: Event) -> dict[str, Any]:
    """One line of `ask --stream --json`; empty for the last event, whose line holds the whole reply."""
    if isinstance(event, Stage):
        return {"event": "stage", "name": event.name, "detail": event.detail}
    if isinstance(event, Progress):
        return {"event": "progress", "candidate": event.candidate, "chars": event.chars}
    if isinstance(event, Text):
        return {"event": "text", "text": event.text}
    return {}


def _print_json(value: object) -> None:
    say(json.dumps(value))
