"""What a director is made of, put together from the settings. Nothing here decides anything."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.agents.keys import Rings
from understudy.clock import WallClock
from understudy.config.settings import Settings
from understudy.director.allowance import Allowance, AllowanceGuard, Turn
from understudy.director.budget import Limit, balance, caller_scope, declare, limits_of, scopes_of
from understudy.director.running import Running
from understudy.director.shadow import shadow_of
from understudy.director.ties import Ties
from understudy.director.trail import Trail
from understudy.errors import ConfigError, UnderstudyError
from understudy.fleet.book import Book
from understudy.fleet.dispatch import SMALLEST_ANSWER, Dispatcher
from understudy.fleet.form import PageForm
from understudy.fleet.guards import SendGuard
from understudy.policies.record import fleet_hash, fleet_to_list
from understudy.policies.registry import NamedPolicy
from understudy.types import Balance, Call, Caller, Candidate, Clock, Guard, Role, Sensitivity, Validator, Worker

if TYPE_CHECKING:
    from understudy.classifiers.gate import Gate
    from understudy.classifiers.local import LocalScorer
    from understudy.store.store import Store


@dataclass(slots=True)
class Parts:
    """Open resources of one process. workers are made on first use and live until close()."""

    settings: Settings
    store: Store
    gate: Gate
    scorer: LocalScorer
    validators: Mapping[str, Validator]
    fleet: tuple[Candidate, ...]
    notes: tuple[str, ...]
    clock: Clock
    book: Book
    workers: dict[str, Worker] = field(default_factory=dict[str, Worker])
    dispatcher: Dispatcher = field(init=False)
    rings: Rings = field(init=False)
    by_domain: Mapping[str, Candidate] = field(init=False)
    _declared: dict[str, Limit] = field(default_factory=dict[str, Limit])
    _allowances: dict[str, Allowance] = field(default_factory=dict[str, Allowance])
    _fleets: dict[tuple[int, ...], str] = field(default_factory=dict[tuple[int, ...], str])
    ties: Ties = field(default_factory=Ties)
    running: Running = field(default_factory=Running)
    shadow: NamedPolicy | UnderstudyError | None = None  # a second policy, or why there is none
    turns: int = 0  # tasks taken so far: round-robin among equal accounts

    def __post_init__(self) -> None:
        self.dispatcher = Dispatcher(self.worker, self.book, self.clock)
        self.rings = Rings(self.store.keys, self.clock)
        self.by_domain = {c.domain: c for c in self.fleet}

    def worker(self, candidate: Candidate) -> Worker:
        if candidate.domain not in self.workers:
            from understudy.agents.roster import worker_for

            self.workers[candidate.domain] = worker_for(candidate, self.settings, self.rings)
        return self.workers[candidate.domain]

    def guard(
        self,
        candidate: Candidate,
        sensitivity: Sensitivity,
        role: Role,
        trail: Trail,
        *,
        directs: bool = False,
        turn: Turn | None = None,
    ) -> Guard:
        """What a call made on this trail asks before each request. turn: of a worker, whose answer may be shorter."""
        caller = trail.caller
        if caller is not None and caller.private:
            sensitivity = Sensitivity.PRIVATE
        scopes = scopes_of(candidate, role, directs=directs, session=trail.session, caller=caller, now=self.clock.now())
        guard = SendGuard(candidate, sensitivity, self.store.ledger, scopes, partial(self._declare, caller))
        if caller is None or caller.tokens_per_day is None:
            return guard
        return AllowanceGuard(guard, self._allowance(caller), turn)

    def turn(self, caller: Caller | None, call: Call, chain: Sequence[Candidate]) -> Turn | None:
        """The place of one call before its caller's budget; None where there is no limit to wait at."""
        if caller is None or caller.tokens_per_day is None:
            return None
        least = partial(self._least, call, chain)  # of a tool loop each request is asked for
        return Turn(self._allowance(caller), self.clock, partial(self.balance_of, caller), least)

    def _least(self, call: Call, chain: Sequence[Candidate]) -> int:
        """The fewest tokens any of these can reserve for this call."""
        call, bounds = replace(call, tools=()), list[int]()
        for candidate in chain:
            with contextlib.suppress(ConfigError):  # it has no key any more: dispatch will say so
                bounds.append(self.worker(candidate).bound(call))
        return min(bounds, default=0) + min(call.output_cap, SMALLEST_ANSWER)

    async def balance_of(self, caller: Caller) -> Balance:
        """What a caller has spent and reserved today, against its key's limit."""
        scope = caller_scope(caller.name, self.clock.now())
        return await balance(self.store.ledger, self.settings, scope, caller)

    def _allowance(self, caller: Caller) -> Allowance:
        return self._allowances.setdefault(caller.name, Allowance())

    async def _declare(self, caller: Caller | None, scopes: tuple[str, ...]) -> None:
        limits = {scope: limits_of(self.settings, scope, caller) for scope in scopes}
        # A key that was revoked and made anew may have another limit on the same day.
        new = {scope: limit for scope, limit in limits.items() if self._declared.get(scope) != limit}
        await declare(self.store.ledger, new)
        self._declared.update(new)

    async def fleet_kept(self, fleet: tuple[Candidate, ...] | None = None) -> str:
        """The hash of a fleet a policy saw; the first time, the fleet itself goes into the store under it."""
        fleet = self.fleet if fleet is None else fleet
        members = tuple(map(id, fleet))  # all of them are of self.fleet, which lives as long as this
        if members not in self._fleets:
            name = fleet_hash(fleet)
            await self.store.replies.keep_fleet(name, fleet_to_list(fleet))
            self._fleets[members] = name
        return self._fleets[members]

    def find(self, name: str | None) -> Candidate | None:
        """A candidate by provider/model or kind/model; a part of the model's id will do when no other fits."""
        if not name:
            return None
        head, _, model = name.partition("/")
        same = [c for c in self.fleet if head in (c.provider, c.kind)]
        exact = [c for c in same if c.model == model]
        return next(iter(exact or [c for c in same if model and model in c.model]), None)

    async def close(self) -> None:
        for worker in self.workers.values():
            await worker.close()
        self.workers.clear()
        await self.dispatcher.door.announcer.close()
        await self.book.pages.close()
        await self.store.close()


async def open_parts(
    settings: Settings, home: Path, *, notes: tuple[str, ...] = (), clock: Clock | None = None
) -> Parts:
    """Open the store, list the fleet, load the classifiers. Raises ConfigError and StoreError."""
    from understudy.agents.roster import roster
    from understudy.classifiers.gate import Gate
    from understudy.classifiers.local import LocalScorer
    from understudy.director.validators import validators
    from understudy.policies import registry
    from understudy.store.shelves import open_pages
    from understudy.store.store import Store

    clock = clock or WallClock()
    store = await Store.open(home, clock)
    registry.forget()  # the policies of now
    try:
        pages = await open_pages(settings.book.url, store.database, PageForm(), clock)
        listed = await roster(settings)
        return Parts(
            settings=settings,
            store=store,
            gate=Gate(settings.private_paths, settings.privacy.operating_point),
            scorer=LocalScorer.load(),
            validators=validators(),
            fleet=listed.candidates,
            notes=(*notes, *listed.notes),
            clock=clock,
            book=Book(pages),
            shadow=shadow_of(settings.shadow),
        )
    except BaseException:
        await store.close()
        raise
