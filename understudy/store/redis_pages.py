"""Pages for several hosts, in Redis: a replicated log for each page.

One script appends a packed entry to the page's log and returns all that the caller has not seen, with the time of the
server at each. Every process applies the same entries in the same order with the same pure function, so all hold the
same page, nothing conflicts and no rule lives in Lua. Whoever sees a long log folds it into a snapshot.

A refused entry changes nothing but stays in the log, since others may have read it already. Callers who wait ask again
and again, so a page that has just refused is asked on a copy first, and only what would be granted is written.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from understudy.store import server_faults
from understudy.store.batches import Batches
from understudy.store.pages import Form
from understudy.types import Clock

P = TypeVar("P")
OLDEST = (6, 0)  # of the server: scripts may ask for the time and then write
FOLD = 256  # entries of a log that are folded into a snapshot
KEPT = 40 * 86_400  # seconds a page is kept that nobody turns
TIMEOUT = 2.0  # seconds

_SINCE = """
local function since(page, position, life)
  local base = tonumber(redis.call('HGET', page .. ':head', 'base') or '0')
  local known = redis.call('HGET', page .. ':head', 'life') or ''
  local snapshot = ''
  if known ~= life or position < base then
    snapshot = redis.call('HGET', page .. ':head', 'snapshot') or ''
    position = base
  end
  return {known, position, snapshot, redis.call('LRANGE', page .. ':log', position - base, -1)}
end
local function time()
  if ARGV[1] ~= '' then return ARGV[1] end
  local t = redis.call('TIME')
  return t[1] .. '.' .. string.format('%06d', t[2])
end
"""
# A page that is not there is begun, unless the caller knows it: then the server has lost it and is given it back.
_APPEND = (
    _SINCE
    + """
local root, name, position, life, kept = KEYS[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]
local page = root .. ':' .. name
if redis.call('EXISTS', page .. ':head') == 0 then
  if position > 0 then return {'', 0, '', {}, time()} end
  redis.call('HSET', page .. ':head', 'life', ARGV[6], 'base', 0)
  redis.call('SADD', root, name)
end
local now = time()
for i = 7, #ARGV do redis.call('RPUSH', page .. ':log', now .. ' ' .. ARGV[i]) end
redis.call('EXPIRE', page .. ':log', kept)
redis.call('EXPIRE', page .. ':head', kept)
local found = since(page, position, life)
found[5] = now
return found
"""
)
_LOOK = (
    _SINCE
    + """
local places = {}
for i = 2, #ARGV, 3 do places[ARGV[i]] = {tonumber(ARGV[i + 1]), ARGV[i + 2]} end
local found = {}
for _, name in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local place = places[name] or {0, ''}
  local page = KEYS[1] .. ':' .. name
  if redis.call('EXISTS', page .. ':head') == 1 then
    found[#found + 1] = {name, since(page, place[1], place[2])}
  else
    redis.call('SREM', KEYS[1], name)
  end
end
return {time(), found}
"""
)
_FOLD = """
local page, position, life = KEYS[1] .. ':' .. ARGV[1], tonumber(ARGV[2]), ARGV[3]
local known = redis.call('HGET', page .. ':head', 'life')
if ARGV[5] == 'restore' then
  if known then return 0 end
  redis.call('HSET', page .. ':head', 'life', life, 'base', position, 'snapshot', ARGV[4])
  redis.call('SADD', KEYS[1], ARGV[1])
  return 1
end
local base = tonumber(redis.call('HGET', page .. ':head', 'base') or '0')
if known ~= life or position <= base then return 0 end
redis.call('LTRIM', page .. ':log', position - base, -1)
redis.call('HSET', page .. ':head', 'base', position, 'snapshot', ARGV[4])
return 1
"""


@dataclass(slots=True)
class _Replica(Generic[P]):
    page: P
    position: int = 0  # of the next entry
    folded: int = 0
    life: str = ""  # of the log: another one when the server has lost it
    refusing: bool = False
    shown: tuple[tuple[str, int], P] | None = None


class RedisPages(Generic[P]):
    """Open with `await RedisPages.open(url, form)`. Raises StoreError and, without the extra, ConfigError.

    clock: instead of the server's, for tests.
    """

    def __init__(self, url: str, form: Form[P], client: Any, clock: Clock | None) -> None:
        self.ahead = 0.0  # seconds of the server's clock before this machine's, as last seen
        self._url, self._form, self._client, self._clock = url, form, client, clock
        # Processes of different forms do not understand each other's entries: to each its own pages.
        self._root = "{understudy:book:" + form.pack(form.blank())[:1].decode() + "}"
        self._replicas: dict[str, _Replica[P]] = {}
        self._batches = Batches(self._make)
        self._append, self._look, self._fold = (client.register_script(s) for s in (_APPEND, _LOOK, _FOLD))

    @classmethod
    async def open(cls, url: str, form: Form[P], *, clock: Clock | None = None) -> RedisPages[P]:
        try:
            from redis.asyncio import Redis
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
        except ImportError:
            raise server_faults.missing("redis", url) from None
        try:
            # Once more, since a server that was restarted has closed our connections; entries may arrive twice.
            client: Any = Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
                url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=Retry(NoBackoff(), 1)
            )
        except ValueError:
            raise server_faults.away(url, "the address cannot be read") from None
        pages = cls(url, form, client, clock)
        try:
            found = str((await pages._ask(client.info, "server"))["redis_version"])
            if tuple(int(part) for part in found.split(".")[:2]) < OLDEST:
                raise server_faults.outdated(url, found, ".".join(map(str, OLDEST)))
        except BaseException:
            await client.aclose()
            raise
        return pages

    async def turn(self, key: str, entry: Any) -> Any:
        return await self._batches.add(key, entry)

    async def look(self) -> tuple[Mapping[str, P], float]:
        async with AsyncExitStack() as stack:
            held = sorted(self._replicas)
            for key in held:
                await stack.enter_async_context(self._batches.lock(key))
            places = [part for key in held for part in (key, self._replicas[key].position, self._replicas[key].life)]
            now, found = await self._ask(self._look, keys=[self._root], args=[self._own_time(), *places])
            for name, (life, position, snapshot, log) in found:
                key = name.decode()
                if key in held or key not in self._replicas:
                    self._follow(key, life, position, snapshot, log)
        return self.known(), self._arrive(float(now))

    def known(self) -> dict[str, P]:
        """Every page as last seen, without asking. They are copies: reading ages a page, and replicas must agree."""
        return {key: self._show(replica) for key, replica in self._replicas.items()}

    async def close(self) -> None:
        await self._batches.settle()
        await self._client.aclose()

    async def _make(self, key: str, entries: Sequence[Any]) -> Sequence[Any]:
        replica = self._replicas.setdefault(key, _Replica(self._form.blank()))
        refused: dict[int, Any] = {}
        if replica.refusing and any(self._form.asks(entry) for entry in entries):
            refused = await self._try(key, replica, entries)
        written = [entry for number, entry in enumerate(entries) if number not in refused]
        outcomes = iter(await self._write(key, replica, written) if written else ())
        return [refused[number] if number in refused else next(outcomes) for number in range(len(entries))]

    async def _try(self, key: str, replica: _Replica[P], entries: Sequence[Any]) -> dict[int, Any]:
        """What the page as it stands now refuses, by its number. Nothing is written."""
        moment, _ = await self._send(key, replica, ())
        copy, refused = self._copy(replica.page), dict[int, Any]()
        for number, entry in enumerate(entries):
            outcome, changed = self._form.apply(copy, entry, moment)
            if not changed:
                refused[number] = outcome
        return refused

    async def _write(self, key: str, replica: _Replica[P], entries: Sequence[Any]) -> list[Any]:
        _, outcomes = await self._send(key, replica, [self._form.pack_entry(entry) for entry in entries])
        outcomes = outcomes[-len(entries) :]
        made = zip(entries, outcomes, strict=True)
        told = [changed for entry, (_, changed) in made if not self._form.passes(entry)]
        replica.refusing = not all(told) if told else replica.refusing
        if replica.position - replica.folded >= FOLD:
            replica.folded = replica.position
            args = [key, replica.position, replica.life, self._form.pack(replica.page), ""]
            await self._ask(self._fold, keys=[self._root], args=args)
        return [outcome for outcome, _ in outcomes]

    async def _send(
        self, key: str, replica: _Replica[P], bodies: Sequence[bytes]
    ) -> tuple[float, list[tuple[Any, bool]]]:
        """Append, and follow the log to its end. The server's time, and the outcome of all that was new."""
        while True:
            fresh = secrets.token_hex(8)
            args = [self._own_time(), key, replica.position, replica.life, KEPT, fresh, *bodies]
            life, position, snapshot, log, now = await self._ask(self._append, keys=[self._root], args=args)
            if life:
                return self._arrive(float(now)), self._follow(key, life, position, snapshot, log)
            # The server has lost its data. What we last saw is better than to begin anew.
            args = [key, replica.position, fresh, self._form.pack(replica.page), "restore"]
            await self._ask(self._fold, keys=[self._root], args=args)

    def _follow(
        self, key: str, life: bytes, position: int, snapshot: bytes, log: Sequence[bytes]
    ) -> list[tuple[Any, bool]]:
        """Apply what has been written since; the outcome of each."""
        replica = self._replicas.setdefault(key, _Replica(self._form.blank()))
        if replica.life != life.decode() or position > replica.position:
            replica.page = self._form.unpack(snapshot) if snapshot else self._form.blank()
            replica.position = replica.folded = position
            replica.life = life.decode()
        outcomes: list[tuple[Any, bool]] = []
        for line in log[replica.position - position :]:
            at, _, body = line.partition(b" ")
            outcomes.append(self._form.apply(replica.page, self._form.unpack_entry(body), float(at)))
        replica.position += len(outcomes)
        return outcomes

    def _copy(self, page: P) -> P:
        return self._form.unpack(self._form.pack(page))

    def _show(self, replica: _Replica[P]) -> P:
        place = (replica.life, replica.position)
        if replica.shown is None or replica.shown[0] != place:
            replica.shown = (place, self._copy(replica.page))
        return replica.shown[1]

    def _own_time(self) -> str:
        return "" if self._clock is None else repr(self._clock.now())

    def _arrive(self, now: float) -> float:
        if self._clock is None:
            self.ahead = now - time.time()
        return now

    async def _ask(self, command: Any, *args: Any, **more: Any) -> Any:
        from redis import exceptions

        try:
            return await command(*args, **more)
        except (exceptions.AuthenticationError, exceptions.NoPermissionError):
            raise server_faults.locked_out(self._url) from None
        except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
            raise server_faults.away(self._url, type(error).__name__) from None
        except exceptions.RedisError as error:
            word = str(error).split(" ", 1)[0]  # LOADING, READONLY, OOM; the rest may quote what was sent
            if word in ("NOAUTH", "WRONGPASS"):
                raise server_faults.locked_out(self._url) from None
            raise server_faults.refused(self._url, word if word.isupper() else type(error).__name__) from None
