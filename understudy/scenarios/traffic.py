"""What is asked in a day: tasks with the moment they come, drawn from the scenario's seed."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from understudy.scenarios.sayings import LONG, PRIVATE, SAYINGS, SCHEMA, THINGS, UNCLEAR
from understudy.scenarios.scenario import Scenario, Traffic
from understudy.types import Intent, Priority, Quality, Sensitivity, Task

HOUR = 3600.0
TURNS = 4  # of a conversation, on average
# Of a working day's tasks, how many come in each hour, in the proportions of an office's web traffic: little at night,
# most before noon and in the afternoon.
WORKING_DAY = (1, 1, 1, 1, 1, 2, 4, 7, 11, 14, 15, 14, 11, 13, 15, 14, 12, 9, 7, 6, 5, 4, 3, 2)
BURST = 60.0  # seconds into which an hour's tasks fall


@dataclass(frozen=True, slots=True)
class Arrival:
    """A task and when it comes, in seconds since the day began. mark: what stands in a private one and nowhere else."""

    number: int
    at: float
    task: Task
    mark: str = ""


def traffic(scenario: Scenario) -> Iterator[Arrival]:
    """Every task of the day, in the order they come."""
    chance = random.Random(f"traffic {scenario.chance}")  # noqa: S311  a made-up day, no secret
    moments = sorted(_moment(scenario, chance) for _ in range(scenario.requests))
    intents = list(scenario.traffic.tasks)
    bounds = list(accumulate(scenario.traffic.tasks.values()))
    talk = _Talk(chance)
    for number, at in enumerate(moments):
        intent = intents[min(bisect(bounds, chance.random() * bounds[-1]), len(intents) - 1)]
        yield _arrival(number, at, intent, scenario.traffic, chance, talk)


def _moment(scenario: Scenario, chance: random.Random) -> float:
    shape, hours = scenario.traffic.shape, scenario.hours
    if shape == "flat":
        return chance.random() * hours * HOUR
    if shape == "bursts":
        return chance.randrange(max(1, int(hours))) * HOUR + chance.random() * min(BURST, hours * HOUR)
    place = chance.random() * sum(WORKING_DAY)
    for number, weight in enumerate(WORKING_DAY):
        if place < weight:
            return (number + place / weight) * HOUR * hours / len(WORKING_DAY)
        place -= weight
    return hours * HOUR


class _Talk:
    """Conversations that are going on: most tasks of one go to the latest few."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._count = 0
        self._open: list[str] = []

    def session(self) -> str:
        if len(self._open) < 20 or self._chance.random() < 1 / TURNS:
            self._count += 1
            self._open = [*self._open[-19:], f"c-{self._count}"]
            return self._open[-1]
        return self._chance.choice(self._open)


def _arrival(number: int, at: float, intent: Intent, shape: Traffic, chance: random.Random, talk: _Talk) -> Arrival:
    thing = chance.choice(THINGS)
    batch = chance.random() < shape.batch
    session = talk.session() if chance.random() < shape.conversations else None
    label, mark, quality, schema = Sensitivity.PUBLIC, "", None, None
    if chance.random() < shape.private:
        mark = f"mk{number:07d}x"
        text = chance.choice(PRIVATE).format(mark=mark, thing=thing)
        if chance.random() < 0.5:  # the other half is for the gate to find
            label = Sensitivity.PRIVATE
    elif chance.random() < shape.unclear:
        text = chance.choice(UNCLEAR).format(thing=thing)
    elif intent is Intent.LONG_CONTEXT:
        text = f"{chance.choice(LONG)}"
    else:
        text = chance.choice(SAYINGS[intent]).format(thing=thing)
        quality = Quality.BEST if chance.random() < shape.best else None
        schema = SCHEMA if chance.random() < shape.json_share else None
    task = Task(
        text=text,
        session=session,
        sensitivity=label,
        quality=quality,
        schema=schema,
        deadline=shape.batch_deadline if batch else shape.deadline,
        priority=Priority.BATCH if batch else Priority.INTERACTIVE,
    )
    return Arrival(number, at, task, mark)
