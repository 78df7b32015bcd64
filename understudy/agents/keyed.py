"""A worker over all keys of its account: a refused one is set aside alone, and the next is tried at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from understudy.agents import failures
from understudy.agents.handover import Handover
from understudy.agents.keys import Key, KeyRing
from understudy.agents.relays.relay import Relay
from understudy.agents.wire import Wire
from understudy.agents.worker import ModelWorker, Traits
from understudy.config.secrets import Secret
from understudy.errors import CallFailed, ConfigError
from understudy.types import Answer, Call, Candidate, Failure, Guard, Worker

PROXY = 407  # a proxy on the way refused: that says nothing of the key
REMEDY = "Replace it, and that key is used at once; understudy doctor asks for all of them again."

Make = Callable[[Secret | None], Worker]


def keyed(
    candidate: Candidate,
    ring: KeyRing | None,
    connect: Callable[[Secret | None], Wire],
    traits: Traits,
    relay: Callable[[Secret | None], Relay],
) -> Worker:
    """The worker of a candidate whose account has this ring. No key is read before it is loaded."""

    def make(key: Secret | None) -> Worker:
        return ModelWorker(candidate, lambda: connect(key), traits, lambda: relay(key))

    return make(None) if ring is None else KeyedWorker(candidate, ring, make)


@dataclass(slots=True)
class _Inner:
    worker: Worker
    users: int = 0


class KeyedWorker:
    """Implements types.Worker over one inner worker for each key, made when the key is used first."""

    def __init__(self, candidate: Candidate, ring: KeyRing, make: Make) -> None:
        self.candidate = candidate
        self._ring = ring
        self._make = make
        self._inner: dict[str, _Inner] = {}
        self._unkeyed = make(None)  # for what needs no key: it never connects

    def __repr__(self) -> str:
        return f"KeyedWorker({self.candidate.domain}, {self._ring!r})"

    def load(self, call: Call) -> None:
        """Read the keys, and load what the first of them needs. Raises ConfigError when there is none."""
        self._ring.read()
        self._of(self._ring.keys[0]).worker.load(call)

    async def work(self, call: Call, guard: Guard, progress: Callable[[int], None] | None = None) -> Answer:
        """As the inner workers'. Raises CallFailed(AUTH) when no key is left, ConfigError if none was to try."""
        clock = asyncio.get_running_loop().time
        ends, refused, last = clock() + call.timeout, dict[str, str](), None
        handover = Handover(guard)
        try:
            while (key := await self._ring.take(self.candidate.model, refused)) is not None:
                left = ends - clock()
                if left <= 0:
                    raise failures.timed_out(self.candidate, call.timeout, sent=False)
                try:
                    async with self._lent(key) as worker:
                        return await worker.work(replace(call, timeout=left), handover, progress)
                except CallFailed as failure:
                    if failure.failure is not Failure.AUTH or failure.status == PROXY:
                        raise
                    await self._ring.refuse(key, self.candidate.model, failure.status)
                    if failure.charged or failure.usage is not None:
                        raise  # an earlier request of the same call was answered: doing it again would charge it twice
                    refused[key.fingerprint] = f" (HTTP {failure.status})" if failure.status else ""
                    last = failure
        finally:
            await handover.close()
        nobody = self._nobody(refused, last)
        if last is None:  # nothing was sent
            raise ConfigError(nobody.message, remedy=REMEDY)
        raise nobody

    def bound(self, call: Call) -> int:
        # What a worker learns of its requests counts, whichever key it was learnt with.
        return max(worker.bound(call) for worker in (self._unkeyed, *(one.worker for one in self._inner.values())))

    async def check(self) -> str:
        """Every key is asked for, also those that are set aside: one that works is taken back.

        Raises CallFailed when none works, ConfigError when there is none.
        """
        await self._ring.refresh()
        said: list[str] = []
        refused: dict[str, str] = {}
        other: CallFailed | None = None
        last: CallFailed | None = None
        for key in self._ring.keys:
            try:
                async with self._lent(key) as worker:
                    said.append(await worker.check())
                await self._ring.forgive(key, self.candidate.model)
            except CallFailed as failure:
                if failure.failure is not Failure.AUTH or failure.status == PROXY:
                    other = failure
                    continue
                await self._ring.refuse(key, self.candidate.model, failure.status)
                refused[key.fingerprint] = f" (HTTP {failure.status})" if failure.status else ""
                last = failure
        if said:
            dead = f", refused: {self._named(refused)}" if refused else ""
            return said[0] + dead
        raise other or self._nobody(refused, last)

    async def close(self) -> None:
        inner, self._inner = self._inner, {}
        for one in inner.values():
            await one.worker.close()

    def _of(self, key: Key) -> _Inner:
        if key.fingerprint not in self._inner:
            self._inner[key.fingerprint] = _Inner(self._make(key.secret))
        return self._inner[key.fingerprint]

    @asynccontextmanager
    async def _lent(self, key: Key) -> AsyncGenerator[Worker]:
        """The worker of a key. Those of keys that were replaced are closed when nobody uses them any more."""
        inner = self._of(key)
        inner.users += 1
        try:
            yield inner.worker
        finally:
            inner.users -= 1
            known = {key.fingerprint for key in self._ring.keys}
            for name in [n for n, one in self._inner.items() if n not in known and not one.users]:
                await self._inner.pop(name).worker.close()

    def _named(self, refused: dict[str, str]) -> str:
        """By source, never by value."""
        keys = [key for key in self._ring.keys if key.fingerprint in refused]
        return ", ".join(f"{key.source}{refused[key.fingerprint]}" for key in keys)

    def _nobody(self, refused: dict[str, str], last: CallFailed | None) -> CallFailed:
        aside = dict.fromkeys(self._ring.aside(self.candidate.model), " (set aside)")
        everything = aside | refused
        count = len(self._ring.keys)
        who = "its key was" if count == 1 else f"all its {count} keys were"
        missing = ", ".join(slot.source for slot in self._ring.missing)
        return CallFailed(
            Failure.AUTH,
            f"{self.candidate.name}: {who} refused: {self._named(everything)}{missing and f'; no key at {missing}'}.",
            remedy=REMEDY,
            status=last.status if last else None,
            charged=False,
            readings=last.readings if last else (),
        )
