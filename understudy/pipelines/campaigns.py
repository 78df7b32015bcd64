"""Campaigns: begun, worked on, paused, resumed, cancelled, looked at, taken out. Over one open director."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any, Protocol

from understudy.director.director import Director, check_task
from understudy.director.validators import check_schema
from understudy.errors import ConfigError, UsageError
from understudy.pipelines.crew import Crew
from understudy.pipelines.hours import Hours
from understudy.pipelines.orders import Orders, allowed, task_of
from understudy.pipelines.progress import Progress, progress_of
from understudy.store.campaign_records import (
    CANCELLED,
    DONE,
    LOADING,
    PAUSED,
    RUNNING,
    STOPPED,
    Campaign,
    NewItem,
)
from understudy.store.campaign_shelf import HouseShelf, PostgresShelf, Shelf
from understudy.store.campaigns import CampaignTable
from understudy.store.shelves import resolve

BATCH = 5_000  # items written at a time
PAGE = 1_000  # results read at a time
LARGEST_CHUNK = 1_000  # calls

LONGEST_FIELD = 500  # characters of an item's field that are kept beside its text


class Asked(Protocol):
    """One call to be made. key: of what is asked, so that the same is asked once."""

    @property
    def key(self) -> str: ...
    @property
    def fields(self) -> Mapping[str, Any]: ...
    @property
    def text(self) -> str: ...


class Campaigns:
    """`async with open_campaigns(director) as campaigns:`. Raises StoreError, UsageError, ConfigError."""

    def __init__(self, director: Director, shelf: Shelf) -> None:
        self._director = director
        self.table = CampaignTable(shelf, director.parts.clock)

    async def begin(self, orders: Orders, items: Iterable[Asked]) -> Campaign:
        """A new campaign of these, read one by one. A key that comes twice is asked once.

        Nothing is called. Raises UsageError for what could not work: no items, unknown names, nobody who may work.
        """
        self.check(orders)
        id_ = f"c-{secrets.token_hex(4)}"
        stream = iter(items)
        first = next(stream, None)
        if first is None:
            raise UsageError("The campaign has no items.", remedy="Look at the file that [items] names.")
        check_task(task_of(orders, first.text))  # what is wrong with one is wrong with most
        limit = None if orders.usd is None else round(orders.usd * 1e6)
        await self.table.create(id_, orders.name, orders.to_json(), limit_micro_usd=limit)
        number = 0
        batch = [first, *islice(stream, BATCH - 1)]
        while batch:
            rows = [_row(n, item, orders) for n, item in enumerate(batch, number)]
            await self.table.add(id_, rows, orders.chunk)
            number += len(batch)
            batch = list(islice(stream, BATCH))
        return await self.table.seal(id_, orders.chunk, grouped=bool(orders.group_by))

    def check(self, orders: Orders) -> None:
        """Raises UsageError, ConfigError."""
        from understudy.agents.specialists import specialist
        from understudy.director.classify import stated_intent
        from understudy.policies import registry
        from understudy.types import Task

        allowed(orders, self._director.parts.fleet)
        Hours.parse(tuple(orders.hours), orders.zone)
        stated_intent(Task("-", intent=orders.intent))
        if orders.policy is not None:
            registry.load(orders.policy)
        if orders.agent is not None:
            specialist(orders.agent)
        if orders.schema is not None:
            check_schema(orders.schema)
        known = self._director.parts.validators
        if strange := next((name for name in orders.checks if name not in known), None):
            raise UsageError(f"There is no validator {strange!r}.", remedy=f"There are {', '.join(known)}.")
        if not 1 <= orders.chunk <= LARGEST_CHUNK:
            raise UsageError("A chunk has 1 to 1,000 calls.", remedy="500 is a good one.")

    async def get(self, id: str) -> Campaign:  # noqa: A002 - the field's word
        """By its id or the unique beginning of one. Raises UsageError."""
        found = await self.table.find(id.strip()[:100])
        if found is None:
            raise UsageError(f"There is no campaign {id[:60]!r}.", remedy="understudy campaign list names them.")
        return found

    async def every(self) -> tuple[Campaign, ...]:
        return await self.table.every()

    def crew(self, campaign: Campaign, *, drain: float = 10.0) -> Crew:
        """A worker for it, in this process."""
        return Crew(self._director, self.table, campaign, drain=drain)

    async def reopen(self, id: str, *, usd: float | None = None) -> tuple[Campaign, int]:  # noqa: A002
        """It runs, and what was set aside is asked again: the campaign, and how many calls are missing.

        usd: another money limit. Of one that runs nothing changes. Raises UsageError for one that was cancelled.
        """
        campaign = await self.get(id)
        if campaign.state == CANCELLED:
            raise UsageError(
                f"The campaign {campaign.id} was cancelled.",
                remedy=f"What it has can be had: understudy campaign export {campaign.id}.",
            )
        if campaign.state == LOADING:
            raise UsageError(
                f"The campaign {campaign.id} was interrupted while its items were read; nothing was called.",
                remedy="Begin it anew: understudy campaign run SPEC.",
            )
        if usd is not None:
            await self.table.limit(campaign.id, round(usd * 1e6), _with_usd(campaign.spec, usd))
        if campaign.state in (PAUSED, STOPPED, DONE):
            await self.table.reopen(campaign.id)
        tallies = await self.table.tallies(campaign.id)
        return await self.get(campaign.id), campaign.items - tallies.done - tallies.set_aside

    async def pause(self, id: str) -> Campaign:  # noqa: A002
        """No new calls, by any worker, from their next look on (about two seconds)."""
        return await self._turn(id, PAUSED, "paused", (RUNNING,))

    async def cancel(self, id: str) -> Campaign:  # noqa: A002
        """For good. What it has stays."""
        return await self._turn(id, CANCELLED, "cancelled", (RUNNING, PAUSED, STOPPED, LOADING))

    async def progress(self, id: str) -> Progress:  # noqa: A002
        campaign = await self.get(id)
        return await progress_of(self.table, campaign, self._director.parts.clock.now())

    async def results(self, id: str) -> AsyncGenerator[Mapping[str, Any]]:  # noqa: A002
        """Items that have ended, in their order: with a text, or with the reason why they were set aside."""
        campaign, after = await self.get(id), -1
        while page := await self.table.results(campaign.id, after, PAGE):
            for row in page:
                yield row
            after = page[-1]["n"]

    async def _turn(self, id: str, state: str, reason: str, among: tuple[str, ...]) -> Campaign:  # noqa: A002
        campaign = await self.get(id)
        others = {LOADING, RUNNING, PAUSED, STOPPED, CANCELLED, DONE} - set(among)
        if not await self.table.turn_to(campaign.id, state, reason, unless=others) and campaign.state != state:
            raise UsageError(
                f"The campaign {campaign.id} is {campaign.state}: it cannot be {reason}.",
                remedy=f"understudy campaign status {campaign.id} says how it stands.",
            )
        return await self.get(campaign.id)


@asynccontextmanager
async def open_campaigns(director: Director) -> AsyncGenerator[Campaigns]:
    """Where [campaigns] of the configuration says, else in this machine's store."""
    url = resolve(director.settings.campaigns.url)
    if url and not url.lower().startswith("postgres"):
        raise ConfigError("The address of [campaigns] is no PostgreSQL server's.", remedy="Write postgresql://...")
    shelf: Shelf = await PostgresShelf.open(url) if url else HouseShelf(director.parts.store.database)
    try:
        yield Campaigns(director, shelf)
    finally:
        await shelf.close()


def _row(n: int, item: Asked, orders: Orders) -> NewItem:
    part = str(item.fields.get(orders.group_by, "")) if orders.group_by else ""
    kept = {"text": item.text, "fields": {str(name): _short(value) for name, value in item.fields.items()}}
    return NewItem(n, item.key, part, json.dumps(kept, ensure_ascii=False, separators=(",", ":"), default=str))


def _short(value: Any) -> Any:
    """The text of a long one stands in the item's text already."""
    if not isinstance(value, str) or len(value) <= LONGEST_FIELD:
        return value
    return value[: LONGEST_FIELD - 1] + "…"


def _with_usd(spec: str, usd: float) -> str:
    return json.dumps({**json.loads(spec), "usd": usd}, separators=(",", ":"))
