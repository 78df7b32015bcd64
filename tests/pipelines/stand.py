"""A real director over providers that answer in this process, and campaigns in its store."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from understudy import Director
from understudy.agents.providers.rehearsal import staged
from understudy.config.load import parse
from understudy.pipelines.campaigns import Campaigns, open_campaigns
from understudy.pipelines.orders import Orders
from understudy.rehearsal.host import Host
from understudy.types import Clock

SCRIPT = """
[accounts]
default = ["k-default"]
[[models]]
id = "llama-3.1-8b-instant"
latency = {latency}
first_token = 0.0
pace = 0
limits = {{ {limits} }}
{faults}
"""


def settings_for(
    home: Path, *, latency: float = 0.0, limits: str = "", faults: str = "", free: bool = True, url: str = ""
) -> Any:
    """One simulated model, at list price where it is not free."""
    home.mkdir(parents=True, exist_ok=True)
    script = home / "script.toml"
    script.write_text(SCRIPT.format(latency=latency, limits=limits, faults=faults))
    provider = {"kind": "rehearsal", "plays": "groq", "script": str(script), "free": free}
    table: dict[str, Any] = {
        "director": {"candidate": "none/none"},
        "classifier": {"enabled": False},
        "providers": {"groq": provider},
        "money": {"usd_per_day": 100.0},
    }
    if url:
        table["campaigns"] = {"url": url}
    return parse(table, "the test")


@dataclass
class Stand:
    director: Director
    campaigns: Campaigns
    host: Host
    asked: Counter[str] = field(default_factory=Counter[str])  # how often each text arrived at the provider


def stage(director: Director) -> Host:
    """Every worker of the director answers in this process."""
    parts, host = director.parts, None
    for candidate in parts.fleet:
        provider = director.settings.providers[candidate.provider]
        parts.workers[candidate.domain], host = staged(candidate, provider, parts.rings, host, parts.clock)
    assert host is not None
    return host


@asynccontextmanager
async def open_stand(home: Path, *, clock: Clock | None = None, **more: Any) -> AsyncGenerator[Stand]:
    async with Director(settings_for(home, **more), home, clock=clock) as director:
        host = stage(director)
        async with open_campaigns(director) as campaigns:
            stand = Stand(director, campaigns, host)
            host.watch = lambda ask: stand.asked.update([ask.user])
            yield stand


def orders(**more: Any) -> Orders:
    return Orders(**{"name": "fruit", "intent": "quick_qa", **more})


@dataclass(frozen=True)
class Fruit:
    key: str
    fields: dict[str, Any]
    text: str


def numbers(count: int, text: str = "Name fruit {}, please.") -> Iterable[Fruit]:
    return (Fruit(f"k{n}", {"number": n}, text.format(n)) for n in range(count))
