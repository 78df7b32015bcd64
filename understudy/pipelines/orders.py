"""What the workers of a campaign go by: its SPEC, as far as running it needs it, in one record that is kept with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from understudy.agents.catalogue import entry
from understudy.errors import UsageError
from understudy.types import Candidate, Priority, Sensitivity, Task

SCOPE = "campaign:"  # of the ledger, before the campaign's id


@dataclass(frozen=True, slots=True)
class Orders:
    """Seconds, dollars, shares. The text of each call is its item's."""

    name: str
    instructions: str = field(default="", repr=False)
    intent: str | None = None
    agent: str | None = None
    policy: str | None = None
    quality: str | None = None
    schema: Mapping[str, Any] | None = field(default=None, repr=False)
    private: bool = False
    max_tokens: int | None = None
    call_deadline: float = 600.0
    retries: int = 2  # beside the first try
    chunk: int = 500  # calls
    at_once: int = 32
    deadline: float | None = None  # from its beginning
    usd: float | None = None
    errors: float = 0.5  # of the last calls; above it the campaign stops
    begins: float | None = None  # a time; None: at once
    hours: tuple[str, ...] = ()
    zone: str = "UTC"
    tiers: tuple[str, ...] = ()  # allowed ones; empty: all
    models: tuple[str, ...] = ()
    shares: Mapping[str, float] = field(default_factory=dict[str, float])
    checks: tuple[str, ...] = ()
    seed: int = 1
    group_by: str = ""  # a field of the items: those that have it in common are asked one after another
    planned: float | None = None  # seconds, by the plan

    def to_json(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Orders:
        """Fields that this version does not know are left out."""
        known = {f.name for f in fields(cls)}
        loaded: dict[str, Any] = {k: v for k, v in json.loads(text).items() if k in known}
        for name in {"hours", "tiers", "models", "checks"} & set(loaded):
            loaded[name] = tuple(loaded[name])
        return cls(**loaded)


def task_of(orders: Orders, text: str, among: tuple[str, ...] = (), scopes: tuple[str, ...] = ()) -> Task:
    """The task of one item."""
    return Task(
        text=text,
        instructions=orders.instructions,
        intent=orders.intent,
        agent=orders.agent,
        policy=orders.policy,
        quality=orders.quality,
        schema=orders.schema,
        sensitivity=Sensitivity.PRIVATE if orders.private else Sensitivity.PUBLIC,
        max_tokens=orders.max_tokens,
        deadline=orders.call_deadline,
        priority=Priority.BATCH,
        plan=False,
        among=among,
        checks=orders.checks,
        scopes=scopes,
    )


def tier_of(candidate: Candidate) -> str:
    """local, subscription, free or paid."""
    if candidate.local:
        return "local"
    if candidate.kind == "claude_code":
        return "subscription"
    return "free" if candidate.free else "paid"


def is_meant(candidate: Candidate, name: str) -> bool:
    """By model, an alias of it, provider, kind, or provider/model; case does not matter."""
    found = entry(candidate.kind, candidate.model)
    models = (candidate.model, *(found.aliases if found is not None else ()))
    heads = (candidate.provider, candidate.kind)
    known = (*models, *heads, *(f"{head}/{model}" for head in heads for model in models))
    return name.lower() in {word.lower() for word in known}


def allowed(orders: Orders, fleet: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """Those of the fleet that the orders let work. Raises UsageError when there is none, or a share's model is not."""
    able = tuple(
        c
        for c in fleet
        if (not orders.tiers or tier_of(c) in orders.tiers)
        and (not orders.models or any(is_meant(c, name) for name in orders.models))
    )
    missing = [name for name in orders.shares if not any(is_meant(c, name) for c in able)]
    if not able or missing:
        wanted = missing or [*orders.models, *orders.tiers]
        raise UsageError(
            f"Nobody here is what the campaign asks for: {', '.join(wanted)[:300]}.",
            remedy="understudy models lists who is there; tiers, models and shares of the SPEC say who may work.",
        )
    return able


def chosen(orders: Orders, key: str, able: Sequence[Candidate]) -> tuple[str, ...]:
    """Who may answer this item: by the shares, the same on every machine and at every try; else everybody able."""
    if orders.shares:
        drawn = int.from_bytes(hashlib.sha256(f"{orders.seed}/{key}".encode()).digest()[:8]) / 2**64
        for name, share in sorted(orders.shares.items()):
            if drawn < share:
                return _names(c for c in able if is_meant(c, name))
            drawn -= share
        rest = _names(c for c in able if not any(is_meant(c, name) for name in orders.shares))
        return rest or _names(able)
    return _names(able)


def _names(of: Iterable[Candidate]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(c.name for c in of))
