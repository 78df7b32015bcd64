"""How a campaign stands: counts, rates, when it will have ended, what it cost. Read from its tables by anybody."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from understudy.pipelines.hours import Hours
from understudy.pipelines.orders import Orders
from understudy.store.campaign_records import RUNNING, Campaign, Tallies, Tally, WorkerRow
from understudy.store.campaigns import CampaignTable

RECENT = 5  # minutes a rate is taken over


@dataclass(frozen=True, slots=True)
class Progress:
    """rate: results a second of late. Seconds to go: as it went of late, and by the plan; None: nobody knows."""

    campaign: Campaign
    tallies: Tallies
    workers: tuple[WorkerRow, ...]
    now: float
    rate: float
    left_seen: float | None
    left_planned: float | None

    @property
    def done(self) -> int:
        return self.tallies.done

    @property
    def set_aside(self) -> int:
        return self.tallies.set_aside

    @property
    def left(self) -> int:
        return max(0, self.campaign.items - self.done - self.set_aside)

    @property
    def interrupted(self) -> bool:
        """It should run, and nobody is at it."""
        return self.campaign.state == RUNNING and not self.workers

    def as_dict(self) -> dict[str, Any]:
        c = self.campaign
        return {
            "id": c.id,
            "name": c.name,
            "state": "interrupted" if self.interrupted else c.state,
            "reason": c.reason,
            "items": c.items,
            "done": self.done,
            "set_aside": self.set_aside,
            "left": self.left,
            "rate": round(self.rate, 3),
            "eta": {"seen": _rounded(self.left_seen), "planned": _rounded(self.left_planned)},
            "tiers": _shares(self.tallies.tier),
            "models": _shares(self.tallies.model),
            "failures": {name: t.count for name, t in sorted(self.tallies.failure.items())},
            "aside": {name: t.count for name, t in sorted(self.tallies.aside.items())},
            "tokens": {
                "input": sum(t.input_tokens for t in _spending(self.tallies)),
                "output": sum(t.output_tokens for t in _spending(self.tallies)),
            },
            "usd": self.tallies.micro_usd / 1e6,
            "limit_usd": None if c.limit_micro_usd is None else c.limit_micro_usd / 1e6,
            "created": c.created,
            "started": c.started,
            "ended": c.ended,
            "workers": [{"id": w.id, "host": w.host, "pid": w.pid} for w in self.workers],
        }


async def progress_of(table: CampaignTable, campaign: Campaign, now: float) -> Progress:
    tallies = await table.tallies(campaign.id)
    workers = tuple(w for w in await table.workers(campaign.id) if w.is_alive(now) and _may_live(w))
    orders = Orders.from_json(campaign.spec)
    rate = _rate(tallies, now)
    left = max(0, campaign.items - tallies.done - tallies.set_aside)
    share = Hours.parse(tuple(orders.hours), orders.zone).share()
    seen = left / rate / share if rate > 0 else (0.0 if not left else None)
    planned = None
    if orders.planned is not None and campaign.items:
        planned = orders.planned * left / campaign.items
    return Progress(campaign, tallies, workers, now, rate, seen, planned)


def _rate(tallies: Tallies, now: float) -> float:
    """Results a second in the last minutes in which there were any, the one under way included."""
    this = int(now // 60)
    recent = {int(m): t.count for m, t in tallies.minute.items() if int(m) > this - RECENT}
    if not recent:
        return 0.0
    return sum(recent.values()) / max(1.0, now - 60.0 * min(recent))


def _may_live(worker: WorkerRow) -> bool:
    """A process of this machine that is gone does not wait for its lease to end."""
    if worker.host != socket.gethostname()[:80]:
        return True
    import os

    try:
        os.kill(worker.pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _spending(tallies: Tallies) -> Sequence[Tally]:
    return [*tallies.tier.values(), *tallies.failure.values()]


def _shares(counts: Mapping[str, Tally]) -> dict[str, dict[str, Any]]:
    total = sum(t.count for t in counts.values())
    return {
        name: {"calls": t.count, "share": round(t.count / total, 4), "usd": t.micro_usd / 1e6}
        for name, t in sorted(counts.items(), key=lambda pair: -pair[1].count)
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
