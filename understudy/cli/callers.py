"""The keys of those who ask over the wire: made, listed, revoked."""

from __future__ import annotations

import contextlib
import difflib
import json
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from understudy.cli.looking import when
from understudy.cli.render import table
from understudy.cli.terminal import say
from understudy.clock import WallClock
from understudy.errors import UsageError
from understudy.types import Caller

if TYPE_CHECKING:
    from understudy.config.secrets import Secret
    from understudy.director.director import Director
    from understudy.store.callers import CallerKey
    from understudy.store.store import Store

USUAL = ("chat", "embeddings")  # what a client of a model needs
PRINTED = ("chat", "embeddings", "jobs", "fleet", "metrics")  # what somebody at the dashboard needs as well
REHEARSED = (
    "note: All models are simulated here, and a rehearsal has keys of its own: once a provider is set up (understudy "
    "doctor), make the key again."
)


async def add(config: str | None, wanted: Caller, *, as_json: bool) -> int:
    """The key alone on standard output, and what it may do beside it."""
    if wanted.policy is not None:
        from understudy.policies import registry

        registry.load(wanted.policy)
    director = _director(config)
    async with _open(director) as store:
        key, secret = await store.callers.add(replace(wanted, scopes=wanted.scopes or frozenset(USUAL)))
    if as_json:
        say(json.dumps({**_told(key, 0), "key": secret.reveal()}))
        return 0
    say(secret.reveal())
    print(f"This is the only time it is shown. It may: {_scopes(key)}.", file=sys.stderr)  # noqa: T201
    if director.rehearses:
        print(REHEARSED, file=sys.stderr)  # noqa: T201
    return 0


async def make_anew(config: str | None, name: str) -> tuple[Secret, bool]:
    """A key of this name; the one it had before is revoked. With whether there was one."""
    replaced = False
    async with _open(_director(config)) as store:
        with contextlib.suppress(UsageError):
            await store.callers.revoke(name)
            replaced = True
        _, secret = await store.callers.add(Caller(name, scopes=frozenset(PRINTED)))
    return secret, replaced


async def show(config: str | None, *, as_json: bool) -> int:
    async with _open(_director(config)) as store:
        keys = await store.callers.all()
        used = await _used_today(store)
    if as_json:
        say(json.dumps({"keys": [_told(key, used.get(key.caller.name, 0)) for key in keys]}))
        return 0
    if not keys:
        say("There are no keys yet: understudy key add NAME makes one.")
        return 0
    head = ("name", "id", "scopes", "tokens a day", "used today", "a minute", "only", "last used", "revoked")
    say(table(head, [_row(key, used.get(key.caller.name, 0)) for key in keys]))
    return 0


async def revoke(config: str | None, name: str, *, as_json: bool = False) -> int:
    """Raises UsageError for a name without a key."""
    async with _open(_director(config)) as store:
        try:
            gone = await store.callers.revoke(name)
        except UsageError as error:
            living = [k.caller.name for k in await store.callers.all() if k.revoked_at is None]
            near = difflib.get_close_matches(name, living, n=1)
            if near:
                raise UsageError(error.message, remedy=f"Did you mean {near[0]}?") from None
            raise
    from understudy.gateway.keys import AGE

    if as_json:
        say(json.dumps({"name": name, "id": gone, "seconds": AGE}))  # for so long a server that runs takes it
        return 0
    say(f"{name} (us-{gone}) is revoked. A server that runs takes it for {AGE:.0f} s more at the most.")
    return 0


def _director(config: str | None) -> Director:
    from understudy.director.director import Director
    from understudy.telemetry.log import configure

    director = Director.from_config(config)
    configure(director.home, director.settings.log_level)
    return director


@asynccontextmanager
async def _open(director: Director) -> AsyncGenerator[Store]:
    """The store alone: no candidate is looked for."""
    from understudy.store.store import Store

    async with await Store.open(director.home, WallClock()) as store:
        yield store


async def _used_today(store: Store) -> dict[str, int]:
    """By name: what is spent and reserved."""
    from understudy.director.budget import caller_scope

    now = WallClock().now()
    found = {b.scope: b.spent.tokens + b.reserved.tokens for b in await store.ledger.balances("caller:day:")}
    names = {key.caller.name for key in await store.callers.all()}
    return {name: found.get(caller_scope(name, now), 0) for name in names}


def _told(key: CallerKey, used: int) -> dict[str, Any]:
    c = key.caller
    return {
        "name": c.name,
        "id": c.id,
        "scopes": sorted(c.scopes),
        "policy": c.policy,
        "private": c.private,
        "tokens_per_day": c.tokens_per_day,
        "used_today": used,
        "requests_per_minute": c.requests_per_minute,
        "created": key.created,
        "last_used": key.last_used,
        "revoked_at": key.revoked_at,
    }


def _row(key: CallerKey, used: int) -> Sequence[str]:
    c = key.caller
    only = ", ".join([*([c.policy] if c.policy else []), *(["private"] if c.private else [])])
    limits = [f"{n:,}" if n is not None else "no limit" for n in (c.tokens_per_day, c.requests_per_minute)]
    last, gone = (when(at) if at is not None else "" for at in (key.last_used, key.revoked_at))
    return (c.name, c.id, _scopes(key), limits[0], f"{used:,}", limits[1], only or "-", last or "never", gone or "-")


def _scopes(key: CallerKey) -> str:
    from understudy.store.callers import SCOPES

    return ", ".join(scope for scope in SCOPES if scope in key.caller.scopes)
