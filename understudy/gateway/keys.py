"""Whose request it is: from its header to the caller, or a typed refusal.

What is known of a key is believed for AGE seconds, so that a request asks no database; a key that is revoked stops
working within that time, in every process.
"""

from __future__ import annotations

import contextlib
import hmac
import re
import secrets
from collections import OrderedDict
from dataclasses import dataclass, replace

from understudy.errors import Forbidden, RateRefused, StoreError, Unauthorized
from understudy.store.callers import FORM, CallerKey, Callers, hash_of
from understudy.types import Caller, Clock

AGE = 5.0  # seconds
USED_EVERY = 60.0  # seconds between two notes of a key's last use
MOST = 10_000  # ids that are remembered; those that nobody has count too
REMEDY = "Send Authorization: Bearer us-..., with a key that understudy key add has made."
_BEARER = re.compile(r"\s*(?:bearer\s+)?(\S+)\s*", re.IGNORECASE)


def looks_like_ours(header: str) -> bool:
    """Whether what is sent for a key was made by us."""
    bare = _BEARER.fullmatch(header)
    return bare is not None and FORM.fullmatch(bare[1]) is not None


@dataclass(frozen=True, slots=True)
class _Seen:
    key: CallerKey | None
    at: float


class Keys:
    """One per process. Raises StoreError when the store cannot be read."""

    def __init__(self, callers: Callers, clock: Clock, *, age: float = AGE) -> None:
        self._callers = callers
        self._clock = clock
        self._age = age
        self._seen: OrderedDict[str, _Seen] = OrderedDict()
        # An id nobody has is compared with this: it takes as long as one that somebody has.
        self._nobody = CallerKey(Caller(""), secrets.token_bytes(32), secrets.token_bytes(32))

    async def who(self, header: str | None, scope: str | None = None) -> Caller:
        """The caller of `Authorization: Bearer KEY`, or of the bare key, as x-api-key has it.

        scope: what the request needs; a request that is allowed counts in the key's minute. Raises Unauthorized,
        Forbidden and RateRefused.
        """
        key = self._known(header)
        caller, now = key.caller, self._clock.now()
        if key.last_used is None or now - key.last_used >= USED_EVERY:
            self._seen[caller.id] = _Seen(replace(key, last_used=now), self._seen[caller.id].at)
            with contextlib.suppress(StoreError):  # when it was used is not worth a request
                await self._callers.touch(caller.id, now)
        if scope is not None and scope not in caller.scopes:
            raise Forbidden(
                f"The key {caller.name} does not allow {scope}.",
                remedy=f"Make one that does: understudy key add NAME --scope {scope}.",
            )
        if caller.requests_per_minute is not None:
            wait = await self._callers.take(caller.name, caller.requests_per_minute)
            if wait:
                raise RateRefused(
                    f"The {caller.requests_per_minute:,} requests a minute of the key {caller.name} are used up.",
                    remedy=f"Try again in {wait:.0f} s.",
                    retry_after=wait,
                )
        return caller

    def _known(self, header: str | None) -> CallerKey:
        """The key, if it is one and was not revoked."""
        if not header or not header.strip():
            raise Unauthorized("There is no key in the request.", remedy=REMEDY)
        bare = _BEARER.fullmatch(header)
        form = FORM.fullmatch(bare[1]) if bare else None
        if form is None:
            raise Unauthorized("What the request has for a key is none of understudy's.", remedy=REMEDY)
        name, secret = form[1], form[2]
        found = self._look_up(name)
        key = found or self._nobody
        fits = hmac.compare_digest(hash_of(key.salt, secret), key.hash)
        if found is None or not fits:  # which of the two is not said
            raise Unauthorized(f"The key us-{name} is not known.", remedy=REMEDY, id=name)
        if key.revoked_at is not None:
            raise Unauthorized(f"The key {key.caller.name} was revoked.", remedy=REMEDY, id=name)
        return key

    def _look_up(self, name: str) -> CallerKey | None:
        now = self._clock.now()
        seen = self._seen.get(name)
        if seen is None or not seen.at <= now < seen.at + self._age:
            self._seen.pop(name, None)
            seen = self._seen[name] = _Seen(self._callers.find(name), now)
            if len(self._seen) > MOST:
                self._seen.popitem(last=False)
        return seen.key
