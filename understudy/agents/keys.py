"""The keys of one account: read when they are needed, used in turn, and set aside alone when they are refused.

Keys of one account share its limits: a second key adds no quota, it only outlives the first one's death.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from understudy.clock import WallClock
from understudy.config.secrets import Secret, no_key, read_key
from understudy.config.settings import Account, Provider
from understudy.errors import ConfigError
from understudy.store.keys import ANY_MODEL, Refusals
from understudy.store.memory_keys import MemoryKeys
from understudy.telemetry.log import log
from understudy.types import Clock

SET_ASIDE = 24 * 3600.0  # seconds; a refusal may be the provider's own mistake, and nobody tells us when it is mended
READ_AGAIN = 300.0  # seconds after which a key that works is read anew: so a rotation takes effect without a restart
LOOK_AGAIN = 10.0  # seconds after which one that does not is looked for again in a vault or a keyring
QUICK = ("env:", "file:")  # read in microseconds: looked at again each time
FORBIDDEN = 403  # may be about the one model that was asked for


class Memory(Protocol):
    """What is known of keys, by fingerprint; the store's own is shared by processes."""

    def fingerprint(self, place: str, value: str) -> str: ...

    async def meet(self, fingerprints: Collection[str], now: float) -> None: ...

    def met(self, fingerprints: Collection[str]) -> dict[str, float]: ...

    async def refuse(self, name: str, model: str, *, since: float, until: float) -> None: ...

    async def forgive(self, name: str, model: str) -> None: ...

    def refused(self, fingerprints: Collection[str], now: float) -> Refusals: ...


@dataclass(frozen=True, slots=True)
class Key:
    """A key that was read."""

    secret: Secret
    fingerprint: str

    @property
    def source(self) -> str:
        return self.secret.source


@dataclass(slots=True)
class Slot:
    """One source, and what was last found there. A key stays when reading it anew fails: vaults have outages."""

    source: str
    key: Key | None = None
    error: ConfigError | None = None
    read: float | None = None  # when
    told: bool = False  # that others may read it

    @property
    def quick(self) -> bool:
        return self.source.startswith(QUICK)


@dataclass(frozen=True, slots=True)
class KeyState:
    """since: when it was first seen here, or written, whichever is earlier. aside: until when, by model; "": any."""

    source: str
    since: float | None = None
    aside: Mapping[str, float] = field(default_factory=dict[str, float])
    error: ConfigError | None = None
    exposed: bool = False  # other users of this machine may read it


class KeyRing:
    """Of one account. Everything but `read` is for one event loop."""

    def __init__(
        self,
        account: str,
        place: str,
        sources: Sequence[str],
        memory: Memory,
        clock: Clock,
        *,
        alternatives: bool = False,
    ) -> None:
        """alternatives: only the first source that holds a key counts."""
        self.account = account
        self.slots = tuple(Slot(source) for source in dict.fromkeys(sources))
        self._place = place
        self._memory = memory
        self._clock = clock
        self._alternatives = alternatives
        self._turn = 0
        self._noted: set[str] = set()  # keys of which the memory has heard since they were read
        self._reading = threading.Lock()

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(slot.source for slot in self.slots)})"

    @property
    def keys(self) -> tuple[Key, ...]:
        """Those that were read, each once, whatever number of sources hold it."""
        found = {slot.key.fingerprint: slot.key for slot in self.slots if slot.key is not None}
        return tuple(found.values())[: 1 if self._alternatives else None]

    @property
    def missing(self) -> tuple[Slot, ...]:
        """The sources at which there is no key."""
        return () if self._alternatives and self.keys else tuple(slot for slot in self.slots if slot.key is None)

    def read(self) -> None:
        """Read what is due, blocking; for any thread. Raises ConfigError, naming the sources, when there is no key."""
        self._read_all(self._due(()))
        self._check()

    def glance(self) -> None:
        """Read what is due and read in microseconds, no vault and no keyring. What is missing is in `missing`."""
        if self._reading.acquire(blocking=False):  # whoever is reading already may be waiting for a vault
            try:
                for slot, _ in self._due(()):
                    if slot.quick:
                        self._read(slot)
            finally:
                self._reading.release()

    async def refresh(self) -> Refusals:
        """As read, on a thread, and remember that these keys are in use. What of them is set aside."""
        refusals = self._refusals()
        if due := self._due({name for name, _ in refusals}):
            await asyncio.to_thread(self._read_all, due)
            self._check()
            self._noted.clear()
        if new := [key.fingerprint for key in self.keys if key.fingerprint not in self._noted]:
            await self._memory.meet(new, self._clock.now())
            self._noted.update(new)
            refusals = self._refusals()
        return refusals

    async def take(self, model: str, tried: Collection[str] = ()) -> Key | None:
        """The next key in turn that is not set aside for this model. None: there is none. Raises ConfigError."""
        aside, keys = _for_model(await self.refresh(), model), self.keys
        for step in range(len(keys)):
            place = (self._turn + step) % len(keys)
            if keys[place].fingerprint not in aside and keys[place].fingerprint not in tried:
                self._turn = place + 1
                return keys[place]
        return None

    def aside(self, model: str) -> dict[str, tuple[float, float]]:
        """The keys that are set aside for this model: since when, and until when."""
        return _for_model(self._refusals(), model)

    async def refuse(self, key: Key, model: str, status: int | None) -> None:
        """Set the key aside, alone; another one that has taken its place meanwhile is read at once."""
        now = self._clock.now()
        which = model if status == FORBIDDEN else ANY_MODEL
        log().warning("key_refused", account=self.account, source=key.source, status=status)
        await self._memory.refuse(key.fingerprint, which, since=now, until=now + SET_ASIDE)
        for slot in self.slots:
            if slot.key is key:
                slot.read = None

    async def forgive(self, key: Key, model: str) -> None:
        """The key works."""
        if key.fingerprint in self.aside(model):
            await self._memory.forgive(key.fingerprint, model)

    def states(self) -> tuple[KeyState, ...]:
        """How each source that was looked at stands."""
        first, refusals = self._memory.met([key.fingerprint for key in self.keys]), self._refusals()
        counted = {key.fingerprint for key in self.keys}
        found: list[KeyState] = []
        for slot in self.slots:
            if slot.key is None and slot.error is not None and slot in self.missing:
                found.append(KeyState(slot.source, error=slot.error))
            elif slot.key is not None and slot.key.fingerprint in counted:
                name, written = slot.key.fingerprint, slot.key.secret.since
                known = [when for when in (first.get(name), written) if when is not None]
                aside = {model: until for (which, model), (_, until) in refusals.items() if which == name}
                exposed = slot.key.secret.exposed
                found.append(KeyState(slot.source, min(known, default=None), aside, slot.error, exposed=exposed))
        return tuple(found)

    def _refusals(self) -> Refusals:
        names = [key.fingerprint for key in self.keys]
        return self._memory.refused(names, self._clock.now()) if names else {}

    def _check(self) -> None:
        errors = [slot.error for slot in self.missing if slot.error is not None]
        if errors and not self.keys:
            raise no_key([slot.source for slot in self.slots], errors)

    def _due(self, aside: Collection[str]) -> list[tuple[Slot, float | None]]:
        """The sources to look at, each with when it was looked at last."""
        now = self._clock.now()
        return [(slot, slot.read) for slot in self.slots if self._is_due(slot, now, aside)]

    def _is_due(self, slot: Slot, now: float, aside: Collection[str]) -> bool:
        if slot.read is None or now < slot.read:
            return True
        if slot.error is None and slot.key is not None and slot.key.fingerprint not in aside:
            return now - slot.read >= READ_AGAIN
        return slot.quick or now - slot.read >= LOOK_AGAIN

    def _read_all(self, due: Sequence[tuple[Slot, float | None]]) -> None:
        with self._reading:
            still = [slot for slot, before in due if slot.read == before]  # others were read while this task waited
            for slot in still:
                if slot.quick:
                    self._read(slot)
            slow = [slot for slot in still if not slot.quick]
            if slow:  # side by side: a vault that is away costs its time limit once
                with ThreadPoolExecutor(len(slow), thread_name_prefix="understudy-keys") as threads:
                    list(threads.map(self._read, slow))

    def _read(self, slot: Slot) -> None:
        slot.read = self._clock.now()
        try:
            secret = read_key(slot.source)
        except ConfigError as error:
            slot.error = error
            if slot.quick:  # what is not there any more was taken away
                slot.key = None
            elif slot.key is not None:
                log().warning("key_not_read_again", account=self.account, source=slot.source)
            return
        slot.error = None
        if secret.exposed and not slot.told:
            slot.told = True
            log().warning("key_file_readable_by_others", account=self.account, source=slot.source, remedy="chmod 600")
        name = self._memory.fingerprint(self._place, secret.reveal())
        if slot.key is None or slot.key.fingerprint != name:
            slot.key = Key(secret, name)


def _for_model(refusals: Refusals, model: str) -> dict[str, tuple[float, float]]:
    return {name: when for (name, which), when in refusals.items() if which in (model, ANY_MODEL)}


class Rings:
    """The key rings of a process: all models of an account share one."""

    def __init__(self, memory: Memory | None = None, clock: Clock | None = None) -> None:
        self._memory = memory or MemoryKeys()
        self._clock = clock or WallClock()
        self._rings: dict[tuple[str, ...], KeyRing] = {}
        self._simulated: Rings | None = None

    def of(self, name: str, provider: Provider, account: Account, sources: Sequence[str] = ()) -> KeyRing | None:
        """The ring of an account of the provider called `name`; None: it has no keys."""
        sources = account.keys or tuple(sources)
        if not sources:
            return None
        place = f"{provider.kind} {provider.base_url or ''}"
        which = (name, account.name, place, *sources)
        if which not in self._rings:
            # Without keys of its own an account takes the first of the usual variables: GEMINI_API_KEY, else
            # GOOGLE_API_KEY, which may well be of another project.
            self._rings[which] = KeyRing(
                f"{name}/{account.name}", place, sources, self._memory, self._clock, alternatives=not account.keys
            )
        return self._rings[which]

    def known(self) -> tuple[KeyRing, ...]:
        """The rings that were asked for so far, without those of simulated keys."""
        return tuple(self._rings.values())

    def simulated(self) -> Rings:
        """For keys that are made up: what happens to them is not worth keeping."""
        if self._simulated is None:
            self._simulated = Rings(clock=self._clock)
        return self._simulated
