"""What goes wrong at a moment of the day: faults at providers, and at home. Chance is drawn from the seed.

An event is counted whenever it strikes a request, or is noticed at home.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from understudy.rehearsal.host import Weather
from understudy.rehearsal.script import Fault, Script
from understudy.scenarios.scenario import Event
from understudy.types import Clock

HOUR = 3600.0


@dataclass(slots=True)
class Sky:
    """The events of a day on a clock. struck: how often each did, by its place among them."""

    events: Sequence[Event]
    begins: float  # seconds since the epoch
    clock: Clock
    chance: random.Random
    struck: Counter[int] = field(default_factory=Counter[int])
    _faults: dict[int, Fault] = field(default_factory=dict[int, Fault])

    def over(self, provider: str, script: Script) -> Weather:
        """The weather of one provider, whose script knows its models by all their names, and the order of its keys."""
        here = [(n, e) for n, e in enumerate(self.events) if not e.at_home and e.provider in ("", provider)]
        keys = script.accounts or {}

        def is_model(named: str, asked: str) -> bool:
            return not named or ((model := script.model(named)) is not None and model is script.model(asked))

        def now(account: str, key: str, model: str) -> Fault | None:
            for number, event in here:
                if (
                    self._is_on(event)
                    and event.account in ("", account)
                    and is_model(event.model, model)
                    and (not event.key or key in keys.get(account, ())[event.key - 1 : event.key])
                    and (event.share >= 1 or self.chance.random() < event.share)
                ):
                    self.struck[number] += 1
                    return self._fault(event)
            return None

        return now

    def at_home(self, what: str) -> bool:
        """Whether this is wrong at home now."""
        return any(e.what == what and self._is_on(e) for e in self.events)

    def strikes(self, what: str) -> bool:
        """As at_home, to somebody who suffers from it."""
        number = next((n for n, e in enumerate(self.events) if e.what == what and self._is_on(e)), None)
        if number is not None:
            self.struck[number] += 1
        return number is not None

    def moments(self, what: str) -> tuple[tuple[float, int], ...]:
        """When this happens, in seconds since the epoch, and the event's place."""
        found = ((self.begins + e.begins * HOUR, n) for n, e in enumerate(self.events) if e.what == what)
        return tuple(sorted(found))

    def _is_on(self, event: Event) -> bool:
        return event.begins <= (self.clock.now() - self.begins) / HOUR < event.ends

    def _fault(self, event: Event) -> Fault:
        known = self._faults.get(id(event))
        if known is None:
            table = {"kind": event.what, "retry_after": event.retry_after, "text": event.text}
            known = self._faults[id(event)] = Fault.model_validate(table)
        return known
