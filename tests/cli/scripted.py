"""The command line over a director that does what the task's text says; everything else of it is real.

Run as a program it is `python -m understudy` with that director.
"""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace
from typing import Any

import understudy.director.director as real
from understudy.classifiers.gate import Gate
from understudy.clock import WallClock
from understudy.config.load import load
from understudy.config.places import home
from understudy.director import budget
from understudy.director.parts import Parts
from understudy.director.provenance import reply_to_dict
from understudy.errors import (
    BudgetRefused,
    CallFailed,
    ConfigError,
    NoCandidate,
    PrivacyRefused,
    StoreError,
    UsageError,
    ValidationFailed,
)
from understudy.fleet.book import Book
from understudy.fleet.form import PageForm
from understudy.store.pages import SqlitePages
from understudy.store.store import Store
from understudy.types import (
    Attempt,
    Candidate,
    Check,
    Event,
    Failure,
    Guess,
    Intent,
    Progress,
    Reply,
    Role,
    Stage,
    Task,
    Turn,
)

FLEET = (
    Candidate("groq", "groq", "a", "llama-3.1-8b-instant", speed=95, context=131_072),
    Candidate("here", "openai_compatible", "default", "ministral-3b", local=True),
)
ATTEMPT = Attempt("groq/llama-3.1-8b-instant", "groq", "a", "llama-3.1-8b-instant", Role.WORKER, "ok", None, 40, 2)
FAILED = replace(ATTEMPT, outcome="overload", error="overload: try later", input_tokens=0, output_tokens=0)
DIRECTED = replace(
    ATTEMPT, candidate="claude_code/opus", role=Role.DIRECTOR, directs=True, input_tokens=100, output_tokens=20
)
FAILURES: dict[str, Exception] = {
    "usage": UsageError("That is no task.", remedy="Write another."),
    "config": ConfigError("The configuration is wrong.", remedy="Mend it."),
    "store": StoreError("The store is damaged.", remedy="Move it aside."),
    "nobody": NoCandidate("Nobody could answer.", remedy="Try again in 7 s.", retry_after=7.0, attempts=[FAILED]),
    "privacy": PrivacyRefused("There is no local model.", remedy="Start one."),
    "budget": BudgetRefused(unit="tokens", scope="director:day:x", limit=2000, spent=1900, reserved=50, asked=400),
    "validation": ValidationFailed(
        "All answers were rejected.",
        remedy="Say it plainly.",
        attempts=[ATTEMPT],
        checks=[Check("schema", False, "no")],
    ),
    "call": CallFailed(Failure.AUTH, "The key was refused.", remedy="Get another."),
    "group": ExceptionGroup("two", [UsageError("In a group.", remedy="Out."), ValueError("canary")]),
    "bug": KeyError("canary-text"),
    "assertion": AssertionError("canary-text"),
}


class ScriptedDirector(real.Director):
    """`fail NAME`, `wait`, `simulated`, `esc`; anything else is told back."""

    @classmethod
    def from_config(cls, path: Any = None, *, rehearsal: bool = False) -> ScriptedDirector:
        settings, _ = load(path)
        return cls(settings, home())

    async def __aenter__(self) -> ScriptedDirector:
        clock = WallClock()
        store = await Store.open(self.home, clock)
        self._parts = Parts(
            settings=self.settings,
            store=store,
            gate=Gate(self.settings.private_paths),
            scorer=None,
            validators={},
            fleet=() if self.settings.policy == "nobody" else FLEET,
            notes=("a note about the fleet",),
            clock=clock,
            book=Book(SqlitePages(store.database, PageForm(), clock)),
        )
        return self

    async def _run(self, task: Task, events: asyncio.Queue[Event | None] | None) -> Reply:
        parts, started = self.parts, time.time()
        say = events.put_nowait if events is not None else lambda _: None
        session = task.session or "s-none"
        say(Stage("gate"))
        known = await parts.store.sessions.get(session)
        verdict = parts.gate.judge(task, bool(known and known.private))
        say(Stage("dispatch", "groq/llama-3.1-8b-instant"))
        say(Progress("groq/llama-3.1-8b-instant", 12))
        head, _, rest = task.text.partition(" ")
        if head == "fail":
            raise FAILURES[rest]
        if head == "wait":
            await asyncio.sleep(60)
        turns = len(known.turns) if known else 0
        text = f"You said **{task.text}** (turn {turns + 1}, agent {task.agent}, files {[f.path for f in task.files]})"
        if head == "esc":
            text = "before \x1b]0;owned\x07\x1b[2Jafter"
        balance, _ = await budget.director_left(parts.store.ledger, self.settings, session, started)
        reply = Reply(
            id=f"r-{time.time_ns():x}",
            text=text,
            data={"said": task.text} if task.schema else None,
            session=session,
            intent=Guess(Intent.QUICK_QA, 0.9, "local"),
            sensitivity=verdict,
            policy_name="v1",
            policy_hash="0" * 16,
            agent=task.agent or "quick",
            attempts=(DIRECTED, FAILED, replace(ATTEMPT, simulated=head == "simulated")),
            skipped=(("gemini/a/gemini-2.5-flash", "minute_quota, 12 s more"),),
            checks=(Check("not_empty", True),),
            director=balance,
            seconds=time.time() - started,
            notes=("a note for the reader",),
        )
        await parts.store.replies.save({**reply_to_dict(reply), "time": started, "facts": None, "decision": None})
        if task.session:
            await parts.store.sessions.append(
                session, Turn(task.text, text), private=str(verdict.sensitivity) == "private"
            )
        return reply


if __name__ == "__main__":
    real.Director = ScriptedDirector  # type: ignore[misc]
    from understudy.cli.main import main

    main()
    sys.exit(99)  # main() never comes back
