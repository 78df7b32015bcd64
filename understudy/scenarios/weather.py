"""What goes wrong at a moment of the day: faults at providers, and at home. Chance is drawn from the seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from understudy.rehearsal.host import Weather
from understudy.rehearsal.script import Fault, Script
from understudy.scenarios.scenario import Event
from understudy.types import Clock

HOUR = 3600.0


@dataclass(slots=True)
class Sky:
    """The events of a day on a clock."""

    events: Sequence[Event]
    begins: float  # seconds since the epoch
    clock: Clock
    chance: random.Random
    _faults: dict[int, Fault] = field(default_factory=dict[int, Fault])

    def over(self, provider: str, script: Script) -> Weather:
        """The weather of one provider, whose script knows its models by all their names, and the order of its keys."""
        here = [e for e in self.events if not e.at_home and e.provider in ("", provider)]
        keys = script.accounts or {}

        def is_model(named: str, asked: str) -> bool:
            return not named or ((model := script.model(named)) is not None and model is script.model(asked))

        def now(account: str, key: str, model: str) -> Fault | None:
            for event in here:
                if (
                    self._is_on(event)
                    and event.account in ("", account)
                    and is_model(event.model, model)
                    and (not event.key or key in keys.get(account, ())[event.key - 1 : event.key])
                    and (event.share >= 1 or self.chance.random() < event.share)
                ):
                    return self._fault(event)
            return None

        return now

    def at_home(self, what: str) -> bool:
        """Whether this is wrong at home now."""
        return any(e.what == what and self._is_on(e) for e in self.events)

    def moments(self, what: str) -> tuple[float, ...]:
        """When this happens, in seconds since the epoch."""
        return tuple(self.begins + e.begins * HOUR for e in self.events if e.what == what)

    def _is_on(self, event: Event) -> bool:
        return event.begins <= (self.clock.now() - self.begins) / HOUR < event.ends

    def _fault(self, event: Event) -> Fault:
        known = self._faults.get(id(event))
        if known is None:
            table = {"kind": event.what, "retry_after": event.retry_after, "text": event.text}
            known = self._faults[id(event)] = Fault.model_validate(table)
        return known
