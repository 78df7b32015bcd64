"""A home's day, from the first task to the last: the real director and dispatcher, simulated providers."""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from understudy.agents.providers.rehearsal import staged
from understudy.agents.roster import Roster, roster
from understudy.director.director import Director
from understudy.director.parts import Parts
from understudy.director.validators import validators
from understudy.errors import ConfigError, UnderstudyError
from understudy.fleet.book import Book
from understudy.fleet.form import PageForm
from understudy.rehearsal.engine import Ask
from understudy.rehearsal.host import Host
from understudy.rehearsal.virtual import LoopClock, run_virtually
from understudy.scenarios.home import (
    BrokenLines,
    FarPages,
    HomeStore,
    RememberingGate,
    RememberingScorer,
    RememberingValidator,
)
from understudy.scenarios.report import Tally
from understudy.scenarios.scenario import Scenario
from understudy.scenarios.traffic import Arrival, traffic
from understudy.scenarios.weather import Sky
from understudy.store.standby_pages import StandbyPages
from understudy.types import Reply

if TYPE_CHECKING:
    from understudy.store.memory_ledger import MemoryLedger
    from understudy.store.store import Store

MARK = re.compile(r"mk\d{7}x")

AGAIN = 1_000  # tasks between two words about it

Progress = Callable[[Tally], None]  # what it has come to so far


def live_through(scenario: Scenario, progress: Progress = lambda sofar: None) -> Tally:
    """The whole day of one home; Ctrl-C ends it early. Raises ConfigError for one that cannot be set up.

    A crash is in the tally.
    """
    return run_virtually(_Day(scenario, progress).run(), start=scenario.begins)


@dataclass(slots=True)
class _Day:
    scenario: Scenario
    progress: Progress
    clock: LoopClock = field(default_factory=LoopClock)
    hosts: dict[str, Host] = field(default_factory=dict[str, Host])
    tally: Tally = field(default_factory=Tally)

    async def run(self) -> Tally:
        scenario = self.scenario
        sky = Sky(scenario.events, scenario.begins, self.clock, random.Random(f"weather {scenario.chance}"))  # noqa: S311
        self.tally.struck = sky.struck
        parts = await self._parts(sky)
        self.tally.notes = parts.notes
        director = Director.over(parts)
        going: set[asyncio.Task[None]] = set()
        try:
            for arrival in traffic(scenario):
                await self.clock.sleep(scenario.begins + arrival.at - self.clock.now())
                task = asyncio.ensure_future(self._one(director, arrival))
                going.add(task)
                task.add_done_callback(going.discard)
            while going:
                await asyncio.wait(set(going))
        except asyncio.CancelledError:
            return self._so_far()
        finally:
            for task in going:
                task.cancel()
            await parts.close()
        ledger = cast("MemoryLedger", parts.store.ledger)
        return self.tally.end(scenario.settings, self.hosts, await ledger.balances())

    async def _one(self, director: Director, arrival: Arrival) -> None:
        began = self.clock.now()
        outcome: Reply | UnderstudyError | Exception
        try:
            outcome = await director.run(arrival.task)
        except UnderstudyError as error:
            outcome = error
        except Exception as error:  # noqa: BLE001  a bug of ours is what a rehearsal is there to find
            outcome = error
        self.tally.count(arrival, outcome, self.clock.now() - began, self.hosts)
        if self.tally.ended % AGAIN == 0:
            self.progress(self._so_far())

    def _so_far(self) -> Tally:
        hours = (self.clock.now() - self.scenario.begins) / 3600
        return self.tally.so_far(self.scenario.settings, self.hosts, hours)

    async def _parts(self, sky: Sky) -> Parts:
        settings, clock = self.scenario.settings, self.clock
        listed = await roster(settings)
        self._check_all_are_there(listed)
        form = PageForm()
        pages = StandbyPages(FarPages(form, clock, sky), form, clock)
        parts = Parts(
            settings=settings,
            store=cast("Store", HomeStore(clock, sky)),  # all of it that a director asks for
            gate=RememberingGate(settings.private_paths),
            scorer=RememberingScorer.load(),
            validators={name: RememberingValidator(one) for name, one in validators().items()},
            fleet=listed.candidates,
            notes=listed.notes,
            clock=clock,
            book=Book(pages, random.Random(f"book {self.scenario.chance}")),  # noqa: S311  spreads, guards nothing
        )
        parts.dispatcher.door.lines = BrokenLines(sky)
        for candidate in listed.candidates:
            provider = settings.providers[candidate.provider]
            worker, host = staged(candidate, provider, parts.rings, self.hosts.get(candidate.provider), clock)
            if candidate.provider not in self.hosts:
                host.weather = sky.over(candidate.provider, host.script)
                host.watch = self._watch(local=candidate.local)
                self.hosts[candidate.provider] = host
            parts.workers[candidate.domain] = worker
        return parts

    def _check_all_are_there(self, listed: Roster) -> None:
        """A day without one of its providers would be another day. Raises ConfigError naming it, and why."""
        there = {candidate.provider for candidate in listed.candidates}
        enabled = [name for name, provider in self.scenario.settings.providers.items() if provider.enabled]
        missing = next((name for name in enabled if name not in there), None)
        if missing is None and there:
            return
        who = f"the provider {missing} offers no model" if missing else "every provider is switched off"
        why = next((note for note in listed.notes if note.startswith(f"{missing}:")), " ".join(listed.notes))
        raise ConfigError(
            f"{self.scenario.name}: {who}.", remedy=f"{why} Mend it, or take the provider out of [config].".strip()
        )

    def _watch(self, *, local: bool) -> Callable[[Ask], None]:
        """What stands in a private task must arrive nowhere but on this machine."""

        def look(ask: Ask) -> None:
            if not local:
                for text in (ask.user, ask.system, *ask.earlier):
                    if "mk" in text and MARK.search(text):
                        self.tally.leaks += 1

        return look
