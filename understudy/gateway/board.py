"""What the dashboard shows, as plain data: who can work now, what is under way, what it has cost. Never a text.

What belongs to nobody (windows, breakers, the director's day, money) is shown to whoever may look; a task, a failure, a
key's budget and what work came to only to whose they are, and to who has the scope admin.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from understudy.director import budget
from understudy.director.economics import all_opus, free_share, opus
from understudy.store.day import Day, Fell
from understudy.types import Balance, Caller

if TYPE_CHECKING:
    from understudy.director.running import Way
    from understudy.gateway.service import Service

FRESH = 0.4  # seconds; all who look within them see the same
NAMES_FRESH = 5.0  # likewise, for the names of the keys
MOST_TASKS = 30
MOST_KEYS = 100
CATCH_UP = 3  # looks at the day's replies in one go
STEADY = 1.5  # seconds by which a moment must move to be another one


@dataclass(frozen=True, slots=True)
class Place:
    """Which of the serving processes this one is."""

    number: int = 1
    of: int = 1


@dataclass(slots=True)
class Board:
    """One per process and configuration, for any number of lookers."""

    service: Service
    place: Place = Place()
    _day: Day | None = None
    _today: str = ""
    _house: dict[str, Any] = field(default_factory=dict[str, Any])
    _made: float = -math.inf
    _names: dict[str, int | None] = field(default_factory=dict[str, "int | None"])  # of keys, with their tokens a day
    _named: float = -math.inf
    _moments: dict[str, float] = field(default_factory=dict[str, float])
    _making: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def snapshot(self, caller: Caller) -> dict[str, Any]:
        """As this caller may see it. Raises StoreError."""
        await self._refresh()
        admin = "admin" in caller.scopes
        whose = None if admin else caller.name
        assert self._day is not None  # noqa: S101 - made by the refresh
        return {
            "you": {"name": caller.name, "admin": admin},
            **self._house,
            "tasks": await self._tasks(whose),
            "jobs": self.service.jobs.counts(whose),
            "budgets": [*self._house["budgets"], *await self._keys(caller, admin=admin)],
            "day": self._economics(self._day, whose),
            "failures": [_fell(fell, named=admin) for fell in self._day.fell(whose)],
        }

    async def _refresh(self) -> None:
        """What all see alike, at most every FRESH seconds."""
        async with self._making:
            loop = asyncio.get_running_loop()
            if loop.time() - self._made < FRESH:
                return
            parts = self.service.director.parts
            now = parts.clock.now()
            today = budget.day(now)
            if self._day is None or today != self._today:
                self._day, self._today = Day(parts.store.database, now - now % budget.DAY), today
            for _ in range(CATCH_UP):
                await self._day.read()
                if self._day.whole:
                    break
            self._house = {
                "process": {"number": self.place.number, "of": self.place.of, "policy": parts.settings.policy},
                "fleet": await self._fleet(now),
                "budgets": await self._shared(now),
            }
            self._made = loop.time()

    async def _fleet(self, now: float) -> list[dict[str, Any]]:
        parts = self.service.director.parts
        states = await parts.book.states(parts.fleet)
        rows: list[dict[str, Any]] = []
        for c in parts.fleet:
            state = states[c.domain]
            windows = [
                {
                    "name": level.name,
                    "counts": level.counts,
                    "limit": level.limit,
                    "left": level.left,
                    "free_at": self._steady(f"{c.quota} {level.name} {level.counts}", now + level.reset)
                    if level.used and level.reset
                    else None,
                    "stated": level.stated,
                }
                for level in state.windows(c)
            ]
            waits = 0 < state.wait < math.inf
            queue = state.queue
            rows.append(
                {
                    "domain": c.domain,
                    "name": c.name,
                    "account": c.account,
                    "local": c.local,
                    "free": c.free,
                    "simulated": c.simulated,
                    "breaker": state.breaker,
                    "why": state.why if state.wait > 0 else "",
                    "ready_at": self._steady(c.domain, now + state.wait) if waits else None,
                    "never": math.isinf(state.wait),
                    "latency": round(state.latency, 2),
                    "in_flight": state.in_flight,
                    "waiting": queue.waiting,
                    "waiting_since": self._steady(f"{c.domain} queue", now - queue.oldest_seconds)
                    if queue.waiting
                    else None,
                    "windows": windows,
                }
            )
        return rows

    def _steady(self, name: str, moment: float) -> float:
        """The same one as before as long as it is about the same: a wait that runs out is no news."""
        before = self._moments.get(name, -math.inf)
        if abs(moment - before) >= STEADY:
            self._moments[name] = before = round(moment, 1)
        return before

    async def _shared(self, now: float) -> list[dict[str, Any]]:
        parts = self.service.director.parts
        wanted = {
            "director today": budget.day_scope(now),
            "classifier today": budget.classifier_scope(now),
            "money today": budget.money_scope(now),
        }
        limits = {scope: budget.limits_of(parts.settings, scope) for scope in wanted.values()}
        found = await parts.store.ledger.balances_of(tuple(wanted.values()))
        told: list[dict[str, Any]] = []
        for name, balance in zip(wanted, found, strict=True):
            tokens, micro_usd = limits[balance.scope]
            told.append(_balance(name, replace(balance, limit_tokens=tokens, limit_micro_usd=micro_usd)))
        return told

    async def _keys(self, caller: Caller, *, admin: bool) -> list[dict[str, Any]]:
        """The day of the caller's key; for who may see all of them, of each that there is."""
        parts = self.service.director.parts
        now, names = parts.clock.now(), {caller.name: caller.tokens_per_day}
        if admin:
            await self._know_names()
            names = {**self._names, **names}
        scopes = {budget.caller_scope(name, now): name for name in names}
        told: list[dict[str, Any]] = []
        for balance in await parts.store.ledger.balances_of(tuple(scopes)):
            name = scopes[balance.scope]
            idle = not balance.spent.tokens and not balance.reserved.tokens
            if idle and name != caller.name and names[name] is None:
                continue
            told.append(_balance(f"key {name}", replace(balance, limit_tokens=names[name], limit_micro_usd=None)))
        return sorted(told, key=lambda one: -one["spent"])[:MOST_KEYS]

    async def _know_names(self) -> None:
        loop = asyncio.get_running_loop()
        if loop.time() - self._named < NAMES_FRESH:
            return
        keys = await self.service.director.parts.store.callers.all()
        self._names = {k.caller.name: k.caller.tokens_per_day for k in keys}  # the living one comes last
        self._named = loop.time()

    async def _tasks(self, whose: str | None) -> dict[str, Any]:
        parts = self.service.director.parts
        running, ended = parts.running.of(whose)
        shown = running[:MOST_TASKS]
        scopes = tuple(dict.fromkeys(budget.conversation_scope(way.trail.session) for way in shown))
        found = {b.scope: b for b in await parts.store.ledger.balances_of(scopes)} if scopes else {}
        limit = parts.settings.director.tokens_per_conversation
        return {
            "running": len(running),
            "shown": [_way(way, found, limit, named=whose is None) for way in shown],
            "ended": [_way(way, {}, limit, named=whose is None) for way in ended],
        }

    def _economics(self, day: Day, whose: str | None) -> dict[str, Any]:
        economics, failed = day.economics(whose)
        total, price = economics.total, opus()
        return {
            "date": self._today,
            "whole": day.whole,
            "replies": economics.replies,
            "failed": failed,
            "calls": total.calls,
            "tokens_in": total.input_tokens,
            "tokens_out": total.output_tokens,
            "free_share": round(free_share(economics), 4),
            "paid_usd": round(total.paid_usd, 6),
            "opus_usd": round(all_opus(total), 6),
            "opus": {"model": price.model, "in": price.input_usd, "out": price.output_usd, "dated": price.dated},
        }


def _way(way: Way, conversations: Mapping[str, Balance], limit: int, *, named: bool) -> dict[str, Any]:
    trail = way.trail
    told: dict[str, Any] = {
        "id": trail.id,
        "since": round(trail.started, 2),
        "ended": round(way.ended, 2) or None,
        "outcome": ("answered" if way.error is None else way.error.__name__) if way.ended else "",
        "intent": trail.intent,
        "policy": trail.policy,
        "stages": [{"name": s.name, "detail": s.detail, "at": round(s.at, 2)} for s in way.stages],
        "calls": [
            {
                "candidate": a.candidate,
                "role": str(a.role),
                "outcome": a.outcome,
                "tokens": a.input_tokens + a.output_tokens,
            }
            for a in trail.all_attempts()
        ],
    }
    if named:
        told["caller"] = way.caller
    conversation = conversations.get(budget.conversation_scope(trail.session))
    if conversation is not None:
        told["director"] = {"spent": conversation.spent.tokens + conversation.reserved.tokens, "limit": limit}
    return told


def _balance(name: str, balance: Balance) -> dict[str, Any]:
    """In tokens, or in micro-dollars where only money is limited."""
    money = balance.limit_micro_usd is not None
    spent, reserved = (a.micro_usd if money else a.tokens for a in (balance.spent, balance.reserved))
    limit = balance.limit_micro_usd if money else balance.limit_tokens
    unit = "micro_usd" if money else "tokens"
    return {"name": name, "unit": unit, "spent": spent, "reserved": reserved, "limit": limit}


def _fell(fell: Fell, *, named: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "at": round(fell.at, 2),
        "what": fell.what,
        "candidate": fell.candidate,
        "reply": fell.reply,
    }
    return {**told, "caller": fell.caller} if named else told
