"""One turn of the REPL: a task with what the conversation adds to it, its live line, its answer."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from understudy.cli.ask import follow
from understudy.cli.live import LiveLine
from understudy.cli.render import footer, show_answer
from understudy.cli.terminal import hint
from understudy.types import Sensitivity, Task

if TYPE_CHECKING:
    from understudy.cli.repl import Repl
    from understudy.director.director import Director


async def take_turn(repl: Repl, text: str) -> None:
    """Raises what the director raises; the files stay attached then, and a private mark too."""
    talk = repl.conversation
    async with LiveLine(sys.stdout) as line:
        director = await repl.director()  # only now is it known whether a resumed conversation is private
        task = Task(
            text=text,
            session=talk.session,
            sensitivity=Sensitivity.PRIVATE if talk.is_private else Sensitivity.PUBLIC,
            policy=talk.policy,
            agent=talk.agent,
            files=tuple(talk.files),
        )
        if not is_private(director, task):
            repl.input.remember(text)
        reply = await follow(director, task, line.show)
    talk.last_reply = reply.id
    talk.turns += 1
    talk.private = talk.private or reply.sensitivity.sensitivity is Sensitivity.PRIVATE
    talk.next_private = False
    talk.files.clear()
    show_answer(reply.text)
    from understudy.director.outcome import SIMULATED

    known = [SIMULATED] if simulated_only(director) else []  # the first screen said it
    for said in footer(replace(reply, notes=tuple(note for note in reply.notes if note not in known))):
        hint(said)


def simulated_only(director: Director) -> bool:
    fleet = director.parts.fleet
    return bool(fleet) and all(c.simulated for c in fleet)


def is_private(director: Director, task: Task) -> bool:
    """The gate's word, here and now: what it calls private enters no file of ours but the store."""
    return director.parts.gate.judge(task).sensitivity is Sensitivity.PRIVATE
