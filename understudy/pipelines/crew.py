"""One worker of a campaign from its coming to its leaving: beats, taking over from the dead, ending in order."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import secrets
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from understudy.director.director import Director
from understudy.errors import StoreError, UsageError
from understudy.pipelines.engine import NOT_ENDED, Engine
from understudy.pipelines.orders import Orders
from understudy.pipelines.runner import Runner
from understudy.store.campaign_records import DONE, ENDED, PAUSED, RUNNING, STOPPED, Campaign
from understudy.store.campaign_shelf import PostgresShelf
from understudy.store.campaigns import CampaignTable

BEAT = 2.0  # seconds between two beats; a worker is dead after campaign_records.LEASE without one
DRAIN = 10.0  # seconds calls under way have to end when the worker has to go


class Crew:
    """`await Crew(director, table, campaign).work()`. `stop` ends it in order, from the same loop."""

    def __init__(self, director: Director, table: CampaignTable, campaign: Campaign, *, drain: float = DRAIN) -> None:
        self._director, self._table, self._campaign, self._drain = director, table, campaign, drain
        self._orders = Orders.from_json(campaign.spec)
        self._leaving = False
        self._sign_on()

    def stop(self) -> None:
        """No new calls; work() returns when those under way have ended."""
        self._leaving = True
        self._runner.stopping.set()
        self._runner.ended.set()

    async def work(self, tell: Callable[[], None] = lambda: None) -> Campaign:
        """The campaign as it stands when this worker has nothing more to do in it. tell: called about each second.

        Raises UsageError when another process of this machine is at it, where only one can be; what broke otherwise.
        """
        with _alone(None if self._table.shelf.shared else self._file.with_suffix(".lock"), self._campaign.id):
            await self._shift(tell)
            while self._dead and not self._leaving and self._runner.broken is None:
                self._sign_on()  # it slept so long that others took it for dead: it comes back as somebody else
                await self._shift(tell)
        if self._runner.broken is not None:
            raise self._runner.broken
        found = await self._table.find(self._campaign.id)
        assert found is not None  # noqa: S101 - campaigns are never deleted
        if found.state in ENDED and not self._table.shelf.shared:
            _remove(self._file)
        return found

    def _sign_on(self) -> None:
        self.worker = f"{socket.gethostname()[:40]}-{os.getpid()}-{secrets.token_hex(4)}"
        home = machine(self._director.home)
        self._runner = Runner(self._director, self._table, self._campaign.id, self._orders, self.worker, home)
        self._dead = False

    async def _shift(self, tell: Callable[[], None]) -> None:
        """From joining to leaving under one name."""
        address = self._table.shelf.url if isinstance(self._table.shelf, PostgresShelf) else self._file
        await self._table.join(self._campaign.id, self.worker, socket.gethostname()[:80], os.getpid())
        beating = asyncio.create_task(self._beat_on())
        try:
            await self._runner.declare()
            async with Engine(address, self._campaign.id, self.worker, self._runner.chunk) as engine:
                await self._table.bury(self._campaign.id, self.worker, all_others=not self._table.shelf.shared)
                await self._reconcile(engine)
                await self._watch(engine, tell)
                await self._runner.drain(self._drain)
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
            with contextlib.suppress(StoreError):
                await self._table.leave(self.worker)

    async def _beat_on(self) -> None:
        """It lives, however long the queue takes to open; and it hears what others make of the campaign."""
        try:
            while True:
                campaign = await self._table.beat(self._campaign.id, self.worker)
                self._dead = campaign is None
                if campaign is None or campaign.state != RUNNING:
                    self._runner.stopping.set()
                    self._runner.ended.set()
                await asyncio.sleep(BEAT)
        except StoreError as error:
            self._runner.give_up(error)

    @property
    def _file(self) -> Path:
        return self._director.home / "campaigns" / f"{self._campaign.id}.db"

    async def _watch(self, engine: Engine, tell: Callable[[], None]) -> None:
        """Until the campaign has ended, or does not run any more, or this worker has to go."""
        runner, looked = self._runner, time.monotonic()
        while not runner.stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(runner.ended.wait(), 1.0)
            left, _ = runner.ended.is_set(), runner.ended.clear()
            tell()
            if time.monotonic() - looked >= BEAT or left:
                looked = time.monotonic()
                if runner.stopping.is_set() or await self._is_over():
                    return
                if await self._table.bury(self._campaign.id, self.worker) or left:
                    await self._reconcile(engine)

    async def _is_over(self) -> bool:
        campaign, now = self._campaign, self._director.parts.clock.now()
        tallies = await self._table.tallies(campaign.id)
        if tallies.done + tallies.set_aside >= campaign.items:
            await self._table.turn_to(campaign.id, DONE, unless=(*ENDED, PAUSED, STOPPED))
            return True
        if self._orders.deadline is not None and now > (campaign.started or now) + self._orders.deadline:
            await self._table.turn_to(campaign.id, STOPPED, "deadline: its time is over", unless=(*ENDED, PAUSED))
            return True
        return False

    async def _reconcile(self, engine: Engine) -> None:
        """Every chunk with something to do is in the queue or with a living worker. Asked twice, it does no harm."""
        open_chunks = await self._table.open_chunks(self._campaign.id)
        rounds = await engine.rounds()
        now = self._director.parts.clock.now()
        living = {w.id for w in await self._table.workers(self._campaign.id) if w.is_alive(now)}
        fresh: dict[int, int] = {}
        orphans: dict[int, int] = {}
        for chunk in open_chunks:
            number, status, owner = rounds.get(chunk, (0, "", ""))
            if status not in NOT_ENDED:
                fresh[chunk] = number + 1
            elif status == "PENDING" and owner not in living:
                orphans[chunk] = number
        await engine.enqueue(fresh)
        await engine.take_over(orphans)


def machine(home: Path) -> str:
    """The name of this machine's ledger, made once."""
    path = home / "campaigns" / "machine"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError), path.open("x") as file:
        file.write(f"{socket.gethostname()[:40]}-{secrets.token_hex(6)}")
    return path.read_text().strip()


@contextmanager
def _alone(path: Path | None, campaign: str) -> Generator[None]:
    """A lock that dies with its process. Raises UsageError."""
    if path is None:
        yield
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                f"Another process is at work on the campaign {campaign}.",
                remedy=f"understudy campaign status {campaign} shows it; several workers share one on PostgreSQL: "
                "url of [campaigns].",
            ) from None
        yield


def _remove(file: Path) -> None:
    for ending in (".db", ".db-wal", ".db-shm", ".lock"):
        file.with_suffix(ending).unlink(missing_ok=True)
