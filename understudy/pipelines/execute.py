"""Running a pipeline: what is ready runs, each result is a checkpoint, and a killed run goes on from them."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from understudy.director.director import Director, check_task
from understudy.errors import NoCandidate, StepFailed, UnderstudyError, UsageError, ValidationFailed
from understudy.pipelines.fanout import asked
from understudy.pipelines.step import Step
from understudy.store.ids import check_id
from understudy.store.pipeline_steps import PipelineSteps
from understudy.types import Sensitivity, Task

if TYPE_CHECKING:
    from understudy.pipelines.pipeline import Pipeline

CRASHES = 2  # with a step in flight, after which the run says so instead of sending it again


async def execute(
    pipeline: Pipeline, inputs: Mapping[str, Any], director: Director, run: str | None, at_once: int
) -> Any:
    """As Pipeline.run, with inputs that were checked."""
    run = check_id(run, "run") if run else f"p-{secrets.token_hex(5)}"
    kept = PipelineSteps(director.parts.store.database, director.parts.clock)
    try:
        written = json.dumps(inputs, sort_keys=True)
    except (TypeError, ValueError):
        raise UsageError("The inputs are no JSON: they are kept with the run.", remedy="Give plain values.") from None
    if await kept.begin_run(run, pipeline.name, written) != (pipeline.name, written):
        raise UsageError(f"The run {run} was begun with other inputs.", remedy="Name another, or give the same.")
    hands = asyncio.Semaphore(at_once)
    results: dict[str, Any] = dict(inputs)
    ended = {name: asyncio.Event() for name in pipeline.steps}
    private: set[str] = set()  # steps whose results hold what is private, and those behind them

    async def go(s: Step) -> None:
        before = list(pipeline.graph.predecessors(s.name))
        for source in before:
            await ended[source].wait()
        work = _Work(s, run, director, kept, hands, private=s.private or not private.isdisjoint(before))
        results[s.name] = await work.all(_given(s, results))
        if work.private:
            private.add(s.name)
        ended[s.name].set()

    try:
        async with asyncio.TaskGroup() as group:
            for s in pipeline.steps.values():
                group.create_task(go(s))
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    last = pipeline.last
    return results[last[0]] if len(last) == 1 else {name: results[name] for name in last}


def _given(s: Step, results: Mapping[str, Any]) -> dict[str, Any]:
    return {parameter: results[source] for parameter, source in s.needs.items() if source in results}


class _Work:
    """One step of one run. private: what it is given is; afterwards, what it gives is."""

    def __init__(
        self, s: Step, run: str, director: Director, kept: PipelineSteps, hands: asyncio.Semaphore, *, private: bool
    ) -> None:
        self._step, self._run, self._director, self._kept, self._hands = s, run, director, kept, hands
        self.private = private

    async def all(self, given: dict[str, Any]) -> Any:
        s = self._step
        if not s.mapped:
            return await self._one(0, given)
        over = given[s.mapped]
        if not isinstance(over, list):
            raise self._failed(f"runs over {s.needs[s.mapped]}, which is no list")
        each = [{**given, s.mapped: value} for value in over]  # pyright: ignore[reportUnknownVariableType]
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._one(n, one)) for n, one in enumerate(each)]  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _one(self, n: int, given: Mapping[str, Any]) -> Any:
        async with self._hands:
            made = self._step.function(**given)
            if inspect.isawaitable(made):
                made = await made
            task = self._task(made) if self._step.ask else None
            key = self._key(made if task is None else task)
            done, before = await self._kept.begin(self._run, self._step.name, n, key)
            if done is not None:
                value, answers = done
                self.private |= any(told["private"] for told in answers)
                return value
            if before >= CRASHES:
                await self._kept.put_back(self._run, self._step.name, n)
                raise self._failed("was in flight at two crashes; once more sends it again")
            try:
                value, answers = (made, ()) if task is None else await self._asked(task)
                self.private |= any(told["private"] for told in answers)
                await self._kept.end(self._run, self._step.name, n, self._json(value), json.dumps(answers))
            except BaseException:
                await asyncio.shield(self._kept.put_back(self._run, self._step.name, n))
                raise
            return value

    async def _asked(self, task: Task) -> tuple[Any, Sequence[Mapping[str, Any]]]:
        for left in range(self._step.retries, -1, -1):
            try:
                value, answers = await asked(self._director, self._step, task)
                if not (why := self._wrong(value)):
                    return value, answers
                error: UnderstudyError = ValidationFailed(f"Its result was rejected: {why}.")
            except (NoCandidate, ValidationFailed) as failed:
                error = failed
            if not left:
                raise self._failed(error.message, error.remedy) from error
        raise AssertionError

    def _task(self, made: Any) -> Task:
        s = self._step
        if not isinstance(made, str | Task):
            raise self._failed(
                f"returned {type(made).__name__}, and not what is to be asked", "Return a text or a Task."
            )
        task = Task(made) if isinstance(made, str) else made
        named = {
            "agent": s.agent, "intent": s.intent, "policy": s.policy, "schema": s.schema, "max_tokens": s.max_tokens,
            "deadline": s.deadline, "checks": s.checks or None, "plan": False,
            "sensitivity": Sensitivity.PRIVATE if self.private else None,
        }  # fmt: skip
        task = replace(task, **{name: value for name, value in named.items() if value is not None})
        try:
            check_task(task)
        except UsageError as error:
            raise self._failed(error.message, error.remedy) from None
        return task

    def _wrong(self, value: Any) -> str:
        for check in self._step.checkers:
            said = check(value)
            if said is False or (isinstance(said, str) and said):
                return said or getattr(check, "__name__", "a validator")
        return ""

    def _key(self, of: Any) -> str:
        """Of what is asked, and of whom: another question is another step."""
        s = self._step
        told = repr((of, of.text, of.instructions, of.schema)) if isinstance(of, Task) else self._json(of)
        return hashlib.sha256(f"{told}\0{s.models}\0{s.keep}".encode("utf-8", "surrogatepass")).hexdigest()[:32]

    def _json(self, value: Any) -> str:
        try:
            return json.dumps(value)
        except (TypeError, ValueError):
            raise self._failed("gave a result that is no JSON", "Return texts, numbers, lists, tables.") from None

    def _failed(self, what: str, remedy: str = "") -> StepFailed:
        again = f"What is done stays done: the run {self._run} goes on from there."
        name = self._step.name
        return StepFailed(f"The step {name}: {what}", remedy=f"{remedy} {again}".strip(), step=name, run=self._run)
