"""A task of several steps as a DAG: each step takes the same way, results pass by reference."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Protocol

from understudy.director import way
from understudy.director.acts import JUDGE, PLAN, PLAN_SCHEMA, Step, read_judgement, read_plan
from understudy.director.brain import ask_director, question
from understudy.director.decided import Decided
from understudy.director.outcome import reply_of
from understudy.director.parts import Parts
from understudy.director.trail import Trail
from understudy.errors import UnderstudyError
from understudy.types import Check, Reply, Role, Sensitivity, Task

AT_ONCE = 4  # steps in flight: more would only queue at the same free tiers


class Go(Protocol):
    """The loop itself: each step takes the whole way again."""

    async def __call__(self, parts: Parts, trail: Trail, task: Task, *, session_private: bool = False) -> Reply: ...


async def go_planned(parts: Parts, trail: Trail, decided: Decided, go: Go) -> Reply | None:
    """The reply of the whole plan, or None when there is no plan worth following (then it is one step after all)."""
    trail.stage("plan")
    steps = await _plan(parts, trail, decided)
    if not steps:
        return None
    try:
        replies = await _run(parts, trail, decided, steps, go)
    except UnderstudyError as error:
        trail.note(f"The plan broke ({type(error).__name__}); the task was done in one step.")
        return None
    text = _joined(steps, replies)
    checks: tuple[Check, ...] = ()
    call = question(
        JUDGE, f"TASK:\n{decided.task.text}\n\nANSWER:\n{text}", parts, decided.verdict.sensitivity, Role.JUDGE
    )
    judgement = read_judgement(await ask_director(parts, trail, call) or "")
    if judgement.verdict == "reject":
        trail.note("The director rejected the planned result; the task was done in one step.")
        return None
    if judgement.verdict == "accept":
        checks = (Check("director", passed=True, reason=judgement.reason),)
    done = tuple(replies[s.id] for s in steps)
    checks = (*(c for r in done for c in r.checks), *checks)
    return await reply_of(parts, trail, decided, text, checks=checks, steps=done)


async def _plan(parts: Parts, trail: Trail, decided: Decided) -> tuple[Step, ...]:
    """By the director; by the planner when there is no director, no budget, or the task is not for its eyes."""
    sensitivity = decided.verdict.sensitivity
    call = question(PLAN, decided.task.text, parts, sensitivity, Role.DIRECTOR)
    call = replace(call, output_cap=max(call.output_cap, 300))
    steps = read_plan(await ask_director(parts, trail, call) or "")
    if steps:
        return steps
    task = Task(
        text=f"{PLAN}\n\nThe task:\n{decided.task.text}",
        agent="planner",
        sensitivity=sensitivity,
        policy=decided.task.policy,
        schema=PLAN_SCHEMA,
        intent=decided.guess.intent,
        plan=False,
    )
    try:
        planned = await way.decide(parts, trail, task, session_private=sensitivity is Sensitivity.PRIVATE)
        walk = await way.work(parts, trail, planned)
    except UnderstudyError:
        return ()
    return read_plan(walk.answer.text) if walk.answer else ()


async def _run(parts: Parts, trail: Trail, decided: Decided, steps: tuple[Step, ...], go: Go) -> dict[str, Reply]:
    done: dict[str, Reply] = {}
    ready = {s.id: asyncio.Event() for s in steps}
    seats = asyncio.Semaphore(AT_ONCE)

    async def run(number: int, step: Step) -> None:
        for need in step.needs:
            await ready[need].wait()
        async with seats:
            trail.stage("step", f"{number}/{len(steps)}")
            sub = trail.of_step(number, parts.clock.now())
            try:
                done[step.id] = await go(
                    parts,
                    sub,
                    _task_of(step, decided, done),
                    session_private=decided.private,
                )
            finally:
                trail.below += sub.attempts
                trail.skipped += sub.skipped
        ready[step.id].set()

    try:
        async with asyncio.TaskGroup() as group:
            for number, step in enumerate(steps, 1):
                group.create_task(run(number, step))
    except ExceptionGroup as broken:  # one broken step breaks the plan
        raise next(e for e in broken.exceptions if isinstance(e, UnderstudyError)) from None
    return done


def _task_of(step: Step, decided: Decided, done: dict[str, Reply]) -> Task:
    """The step with the results it needs; the last step also sees the task's files."""
    given = "".join(f"\n\n--- result of step {n} ---\n{done[n].text}" for n in step.needs)
    whole = decided.task
    return Task(
        text=step.task + given,
        sensitivity=decided.verdict.sensitivity,
        policy=whole.policy,
        quality=whole.quality,
        files=whole.files if not step.needs else (),
        history=whole.history if not step.needs else (),
        plan=False,
    )


def _joined(steps: tuple[Step, ...], replies: dict[str, Reply]) -> str:
    """The results nobody else needed: one as it is, several under their steps' names."""
    needed = {n for s in steps for n in s.needs}
    last = [s for s in steps if s.id not in needed]
    if len(last) == 1:
        return replies[last[0].id].text
    return "\n\n".join(f"## {s.task}\n\n{replies[s.id].text}" for s in last)
