"""What a director is made of, put together from the settings. Nothing here decides anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.agents.keys import Rings
from understudy.clock import WallClock
from understudy.config.settings import Settings
from understudy.director.budget import declare, scopes_of
from understudy.fleet.book import Book
from understudy.fleet.dispatch import Dispatcher
from understudy.fleet.form import PageForm
from understudy.fleet.guards import SendGuard
from understudy.policies.record import fleet_hash, fleet_to_list
from understudy.types import Candidate, Clock, Role, Sensitivity, Validator, Worker

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
    _declared: set[str] = field(default_factory=set[str])
    _fleet_hash: str = ""
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
        self, candidate: Candidate, sensitivity: Sensitivity, role: Role, session: str, *, directs: bool = False
    ) -> SendGuard:
        scopes = scopes_of(candidate, role, directs=directs, session=session, now=self.clock.now())
        return SendGuard(candidate, sensitivity, self.store.ledger, scopes, self._declare)

    async def _declare(self, scopes: tuple[str, ...]) -> None:
        new = tuple(s for s in scopes if s not in self._declared)
        await declare(self.store.ledger, self.settings, new)
        self._declared.update(new)

    async def fleet_kept(self) -> str:
        """The hash of the fleet; the first time, the fleet itself goes into the store under it."""
        if not self._fleet_hash:
            name = fleet_hash(self.fleet)
            await self.store.replies.keep_fleet(name, fleet_to_list(self.fleet))
            self._fleet_hash = name
        return self._fleet_hash

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
    from understudy.store.shelves import open_pages
    from understudy.store.store import Store

    clock = clock or WallClock()
    store = await Store.open(home, clock)
    try:
        pages = await open_pages(settings.book.url, store.database, PageForm(), clock)
        listed = await roster(settings)
        return Parts(
            settings=settings,
            store=store,
            gate=Gate(settings.private_paths),
            scorer=LocalScorer.load(),
            validators=validators(),
            fleet=listed.candidates,
            notes=(*notes, *listed.notes),
            clock=clock,
            book=Book(pages),
        )
    except BaseException:
        await store.close()
        raise
