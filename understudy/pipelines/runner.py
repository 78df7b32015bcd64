"""One worker's hands: it takes the items of a chunk through the director, so many at once, and keeps what comes back.

Pacing is the quota book's: an item that has to wait for quota waits in the director, behind everybody at a terminal.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from understudy.director.budget import comes_back, retry_after
from understudy.director.director import Director
from understudy.errors import BudgetRefused, NoCandidate, PrivacyRefused, StoreError, UnderstudyError, UsageError
from understudy.pipelines.hours import Hours
from understudy.pipelines.orders import SCOPE, Orders, allowed, chosen, task_of, tier_of
from understudy.store.batches import Batches
from understudy.store.campaign_records import STOPPED, Failed, OpenItem, Result
from understudy.store.campaigns import CampaignTable
from understudy.telemetry.log import chain, frames, log
from understudy.types import Attempt, Candidate, Failure, Reply, Task

LOOKED_AT = 200  # tries, of which the share that failed is told
FEWEST = 20  # tries; of fewer no share is told
NAP = 1.0  # seconds until money that is reserved may have come back
LONGEST_WAIT = 3600.0  # seconds until an item that waits for quota asks again
BACKOFF = 2.0  # seconds before the second try; each further one waits three times as long
SLICE = 0.1  # of the money nobody has yet, for one machine at a time


@dataclass(slots=True)
class Runner:
    """For one campaign in one process. `stopping` is set when no new call may begin."""

    director: Director
    table: CampaignTable
    campaign: str
    orders: Orders
    worker: str
    home: str  # names the machine's ledger
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    broken: BaseException | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)  # a chunk has
    _hands: asyncio.Semaphore = field(init=False)
    _hours: Hours = field(init=False)
    _seen: deque[str] = field(default_factory=lambda: deque[str](maxlen=LOOKED_AT))  # class of failure; "": answered
    _flying: dict[int, asyncio.Task[None]] = field(default_factory=dict[int, "asyncio.Task[None]"])
    _able: tuple[Candidate, ...] = field(init=False)
    _tiers: dict[str, str] = field(init=False)
    _begins: Batches = field(init=False)
    _ends: Batches = field(init=False)

    def __post_init__(self) -> None:
        self._hands = asyncio.Semaphore(self.orders.at_once)
        self._hours = Hours.parse(tuple(self.orders.hours), self.orders.zone)
        self._begins, self._ends = Batches(self._begin_all), Batches(self._end_all)
        self._able = allowed(self.orders, self.director.parts.fleet)
        self._tiers = {c.name: tier_of(c) for c in self.director.parts.fleet}

    @property
    def scope(self) -> str:
        return f"{SCOPE}{self.campaign}"

    async def chunk(self, campaign: str, number: int) -> None:
        """All items of it that have no end yet. Ends early when no new call may begin: what is left stays open."""
        running: set[asyncio.Task[None]] = set()
        try:
            items, _ = await self.table.take(campaign, number, self.worker)
            for item in items:
                await self._until_open()
                await self._hands.acquire()
                if self.stopping.is_set():
                    self._hands.release()
                    break
                task = asyncio.create_task(self._work(item))
                self._flying[item.n] = task
                running.add(task)
                task.add_done_callback(running.discard)
            if running:
                await asyncio.wait(set(running))
        except StoreError as error:
            self.give_up(error)
        finally:
            self.ended.set()

    async def drain(self, seconds: float) -> None:
        """No new calls; those under way have so long to end, then they are given up: charged, and open again."""
        self.stopping.set()
        flying = set(self._flying.values())
        if flying:
            await asyncio.wait(flying, timeout=seconds)
        for task in flying:
            task.cancel()
        await asyncio.gather(*flying, return_exceptions=True)

    @property
    def in_flight(self) -> int:
        return len(self._flying)

    async def _until_open(self) -> None:
        clock = self.director.parts.clock
        begins = self.orders.begins or 0.0
        while not self.stopping.is_set():
            now = clock.now()
            wait = begins - now if begins > now else self._hours.until_open(now)
            if wait <= 0:
                return
            await self._nap(min(wait, LONGEST_WAIT))  # a clock may be set meanwhile

    async def _work(self, item: OpenItem) -> None:
        """One item, to its end or until no call may begin."""
        try:
            tries = item.tries
            while not self.stopping.is_set() and await self._begins.add(self.campaign, item.n):
                tries += 1
                wait = await self._try(item, tries)
                if wait is None:
                    return
                tries -= wait < 0  # a wait that was no try
                await self._nap(abs(wait))
                await self._until_open()
        except StoreError as error:
            self.give_up(error)
        except asyncio.CancelledError:
            with contextlib.suppress(StoreError):
                await asyncio.shield(self.table.put_back(self.campaign, self.worker, [item.n]))
            raise
        except BaseException as error:  # noqa: BLE001  the crew tells it
            self.give_up(error)
        finally:
            self._flying.pop(item.n, None)
            self._hands.release()

    async def _try(self, item: OpenItem, tries: int) -> float | None:
        """None: it has ended. Else seconds until it is tried again; below 0: this was no try."""
        try:
            reply = await self.director.run(self._task(item))
        except StoreError:
            await self.table.put_back(self.campaign, self.worker, [item.n])
            raise
        except BudgetRefused as refused:
            return await self._poor(item, refused)
        except NoCandidate as nobody:
            if not nobody.attempts and nobody.retry_after is not None and not isinstance(nobody, PrivacyRefused):
                await self.table.put_back(self.campaign, self.worker, [item.n])
                return -min(max(nobody.retry_after, 0.1), LONGEST_WAIT)
            return await self._failed(item, nobody, tries)
        except UnderstudyError as error:
            return await self._failed(item, error, tries)
        except Exception as bug:  # noqa: BLE001  one item's bug is no reason to lose the others
            log().error("campaign item broke", classes=chain(bug), where=frames(bug.__traceback__))
            return await self._failed(item, bug, tries)
        self._seen.append("")
        await self._ends.add(self.campaign, self._result(item, reply))
        return None

    def _task(self, item: OpenItem) -> Task:
        scopes = (self.scope,) if self.orders.usd is not None else ()
        among = chosen(self.orders, item.key, self._able)
        return task_of(self.orders, json.loads(item.input)["text"], among, scopes)

    def _result(self, item: OpenItem, reply: Reply) -> Result:
        ok = next((a for a in reversed(reply.attempts) if a.outcome == "ok"), None)
        name = ok.candidate if ok is not None else ""
        tokens_in, tokens_out, micro_usd = _spent(reply.attempts)
        return Result(
            n=item.n,
            at=self.director.parts.clock.now(),
            reply=reply.id,
            candidate=name,
            tier=self._tiers.get(name, "none"),
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            micro_usd=micro_usd,
            seconds=reply.seconds,
            text=reply.text,
            data=None if reply.data is None else json.dumps(reply.data),
        )

    async def _failed(self, item: OpenItem, error: Exception, tries: int) -> float | None:
        kind, hopeless = _class_of(error)
        aside = hopeless or tries > self.orders.retries
        tokens_in, tokens_out, micro_usd = _spent(getattr(error, "attempts", ()))
        why = error.message if isinstance(error, UnderstudyError) else type(error).__name__
        await self._ends.add(
            self.campaign, Failed(item.n, kind, why[:500], aside, tokens_in, tokens_out, micro_usd)
        )  # fmt: skip
        self._seen.append(kind)
        await self._stop_if_hopeless()
        if aside:
            return None
        asked = getattr(error, "retry_after", None) or 0.0
        return max(BACKOFF * 3.0 ** (tries - 1), min(asked, LONGEST_WAIT))

    async def _poor(self, item: OpenItem, refused: BudgetRefused) -> float | None:
        """Money or tokens are short: get another slice, wait for what comes back, or stop the campaign."""
        await self.table.put_back(self.campaign, self.worker, [item.n])
        if refused.scope == self.scope:
            before = refused.limit
            if (now := await self.declare()) is not None and now > before:
                return -0.001
            if comes_back(refused):
                return -NAP
            await self._stop(
                f"money: {_usd(refused.spent)} of {_usd(self.limit)} is spent, and another call does not fit"
            )
            return None
        wait = retry_after(refused, self.director.parts.clock.now())
        if wait is None:
            await self._stop(f"budget: {refused.message}")
            return None
        return -min(wait, LONGEST_WAIT)

    @property
    def limit(self) -> int:
        return round((self.orders.usd or 0.0) * 1e6)

    async def declare(self) -> int | None:
        """Give the ledger's scope of this campaign what this machine may spend; micro-dollars, None: no limit.

        Where nobody else can work on it, that is all of it at once.
        """
        if self.orders.usd is None:
            return None
        share = SLICE if self.table.shelf.shared else 1.0
        granted = await self.table.grant(self.campaign, self.home, share)
        await self.director.parts.store.ledger.allow(self.scope, tokens=None, micro_usd=granted)
        return granted

    async def _stop_if_hopeless(self) -> None:
        failed = [kind for kind in self._seen if kind]
        if len(self._seen) >= FEWEST and len(failed) > self.orders.errors * len(self._seen):
            worst, _ = Counter(failed).most_common(1)[0]
            share = len(failed) / len(self._seen)
            await self._stop(f"errors: {share:.0%} of the last {len(self._seen)} tries failed, most of them {worst}")

    async def _stop(self, reason: str) -> None:
        self.stopping.set()
        await self.table.turn_to(self.campaign, STOPPED, reason, unless=("done", "cancelled", "paused", "stopped"))

    def give_up(self, error: BaseException) -> None:
        """No new calls: this is what broke."""
        self.broken = self.broken or error
        self.stopping.set()
        self.ended.set()

    async def _nap(self, seconds: float) -> None:
        """Sleep on the clock, or until no call may begin."""
        waits = [
            asyncio.ensure_future(self.director.parts.clock.sleep(seconds)),
            asyncio.ensure_future(self.stopping.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _begin_all(self, _: str, numbers: Sequence[int]) -> Sequence[bool]:
        begun = await self.table.begin(self.campaign, self.worker, numbers)
        return [n in begun for n in numbers]

    async def _end_all(self, _: str, ended: Sequence[Result | Failed]) -> Sequence[None]:
        await self.table.finish(self.campaign, ended)
        return [None] * len(ended)


def _spent(attempts: Sequence[Attempt]) -> tuple[int, int, int]:
    """Input tokens, output tokens, micro-dollars."""
    return (
        sum(a.input_tokens for a in attempts),
        sum(a.output_tokens for a in attempts),
        sum(math.ceil(a.cost_usd * 1e6 - 1e-6) for a in attempts),
    )


def _class_of(error: Exception) -> tuple[str, bool]:
    """The failure's class, and whether the same task would only fail again."""
    attempts: Sequence[Attempt] = getattr(error, "attempts", ())
    last = attempts[-1].outcome if attempts else ""
    if isinstance(error, NoCandidate) and last:
        return last, last == Failure.CONTENT_FILTER
    hopeless = isinstance(error, UsageError | PrivacyRefused) or not isinstance(error, UnderstudyError)
    return type(error).__name__, hopeless


def _usd(micro: int) -> str:
    return f"${micro / 1e6:,.4f}"
