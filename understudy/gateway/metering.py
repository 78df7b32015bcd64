"""What a monitor is told: requests and tasks counted as they end, and how the fleet stands when somebody asks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from understudy.director import budget
from understudy.errors import (
    BudgetRefused,
    Forbidden,
    NoCandidate,
    PrivacyRefused,
    RateRefused,
    StoreError,
    Unauthorized,
    UsageError,
    ValidationFailed,
)
from understudy.telemetry.metrics import OTHER, Figure, Metrics
from understudy.types import Caller

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from understudy.director.running import Way
    from understudy.gateway.service import Service

MOST_CALLERS = 100
LEFT: int = 499  # nobody was there to be told
# The first that fits.
_WHY: tuple[tuple[type[BaseException], str], ...] = (
    (BudgetRefused, "budget"),
    (PrivacyRefused, "privacy"),
    (RateRefused, "rate"),
    (Unauthorized, "key"),
    (Forbidden, "forbidden"),
    (ValidationFailed, "validation"),
    (NoCandidate, "no_candidate"),
    (UsageError, "request"),
    (StoreError, "store"),
    (asyncio.CancelledError, "left"),
)


def why(error: type[BaseException]) -> str:
    """The class of what ended a request or a task, as a label."""
    return next((word for kind, word in _WHY if issubclass(error, kind)), OTHER)


def attach(service: Service, metrics: Metrics) -> None:
    """Count the tasks and the refusals of this service. Callers of a service before have counted there."""
    service.refused = lambda error: metrics.refused(why(type(error)))
    service.director.parts.running.ended.append(lambda way: count(metrics, way))


def count(metrics: Metrics, way: Way) -> None:
    """A task that has ended, with all its calls."""
    trail = way.trail
    answered = ""
    for made in trail.all_attempts():
        metrics.attempt(made.candidate, made.outcome, made.input_tokens, made.output_tokens, round(made.cost_usd * 1e6))
        if made.outcome == "ok" and made.role == "worker":
            answered = made.candidate
    outcome = "answered" if way.error is None else why(way.error)
    candidate = answered if way.error is None else ""
    metrics.task(candidate, trail.intent, trail.policy, outcome)


@dataclass(slots=True)
class Metered:
    """An ASGI application around another. paths: by the endpoint the router found, whatever stands in them."""

    app: ASGIApp
    metrics: Metrics
    paths: Mapping[int, str] = field(default_factory=dict[int, str])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began, status, first = time.perf_counter(), LEFT, None
        self.metrics.began()

        async def telling(message: Message) -> None:
            nonlocal status, first
            if message["type"] == "http.response.start":
                status = message["status"]
            elif first is None and message.get("body"):
                first = time.perf_counter() - began
            await send(message)

        try:
            await self.app(scope, receive, telling)
        finally:
            path = self.paths.get(id(scope.get("endpoint")), OTHER)
            self.metrics.ended(path, status, time.perf_counter() - began, first)


async def windows(service: Service, caller: Caller) -> list[Figure]:
    """How the fleet stands, of all processes together. Raises StoreError."""
    parts = service.director.parts
    states = await parts.book.states(parts.fleet)
    left: list[tuple[tuple[str, ...], float]] = []
    limit: list[tuple[tuple[str, ...], float]] = []
    breakers: list[tuple[tuple[str, ...], float]] = []
    ready: list[tuple[tuple[str, ...], float]] = []
    queues: dict[tuple[str, ...], float] = {}
    oldest: dict[tuple[str, ...], float] = {}
    for c in parts.fleet:
        state = states[c.domain]
        for level in state.windows(c):
            labels = c.domain, level.name, level.counts
            left.append((labels, level.left))
            limit.append((labels, level.limit))
        breakers += [((c.domain, one), float(state.breaker == one)) for one in ("closed", "half-open", "open")]
        ready.append(((c.domain,), float(state.wait <= 0)))
        queues[c.name,], oldest[c.name,] = state.queue.waiting, round(state.queue.oldest_seconds, 3)
    window = ("domain", "window", "counts")
    return [
        Figure("quota_left", "What is left of a window.", window, left),
        Figure("quota_limit", "Its limit.", window, limit),
        Figure("breaker", "1 for the state a breaker is in.", ("domain", "state"), breakers),
        Figure("ready", "Whether a small request could be sent now.", ("domain",), ready),
        Figure("queue_waiting", "Tasks that wait for a model.", ("candidate",), list(queues.items())),
        Figure("queue_oldest_seconds", "How long the first of them has.", ("candidate",), list(oldest.items())),
    ]


async def budgets(service: Service, caller: Caller) -> list[Figure]:
    """What the day has cost; of the keys only for who may see them. Raises StoreError."""
    parts = service.director.parts
    now, ledger = parts.clock.now(), parts.store.ledger
    names = {"director": budget.day_scope(now), "classifier": budget.classifier_scope(now)}
    tokens = await ledger.balances_of((*names.values(), budget.money_scope(now)))
    *of_tokens, money = tokens
    spent = [((name,), float(b.spent.tokens)) for name, b in zip(names, of_tokens, strict=True)]
    limits = [((name,), float(budget.limits_of(parts.settings, scope)[0] or 0)) for name, scope in names.items()]
    paid = [((), float(money.spent.micro_usd))]
    figures = [
        Figure("budget_spent_tokens", "Of the day's budgets.", ("budget",), spent),
        Figure("budget_limit_tokens", "Their limits.", ("budget",), limits),
        Figure("day_micro_dollars", "Spent today, in millionths of a dollar.", (), paid),
    ]
    if "admin" in caller.scopes:
        keys = [key.caller.name for key in await parts.store.callers.all() if key.revoked_at is None][:MOST_CALLERS]
        scopes = tuple(budget.caller_scope(name, now) for name in keys)
        found = await ledger.balances_of(scopes) if scopes else ()
        used = [((name,), float(b.spent.tokens)) for name, b in zip(keys, found, strict=True)]
        figures.append(Figure("caller_tokens_today", "Of each key.", ("caller",), used))
    return figures


async def jobs(service: Service, caller: Caller) -> list[Figure]:
    """How many there are in each state. Raises StoreError."""
    counts = [((state,), float(n)) for state, n in (await service.jobs.kept()).items()]
    return [Figure("jobs", "Jobs.", ("state",), counts)]


Source = Callable[["Service", Caller], Awaitable[list[Figure]]]
SOURCES: tuple[Source, ...] = (windows, budgets, jobs)  # who has more to tell stands here too


async def scrape(service: Service, caller: Caller, metrics: Metrics) -> tuple[bytes, str]:
    """The text, and its type. Raises StoreError."""
    figures: list[Figure] = []
    for source in SOURCES:
        figures += await source(service, caller)
    return await asyncio.to_thread(metrics.render, figures)


def paths_of(routes: Any) -> dict[int, str]:
    """By endpoint, of starlette's routes; of one that has several the first."""
    return {id(route.endpoint): str(route.path) for route in reversed(routes)}
