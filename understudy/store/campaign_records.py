"""What is known of campaigns, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LOADING, RUNNING, PAUSED, STOPPED, CANCELLED, DONE = "loading", "running", "paused", "stopped", "cancelled", "done"
ENDED = frozenset({CANCELLED, DONE})
LEASE = 15.0  # seconds without a beat after which a worker counts as dead
SEEN = 7_200.0  # seconds of the past whose minutes are counted one by one


@dataclass(frozen=True, slots=True)
class Campaign:
    """Times are seconds since the epoch. `spec` is the caller's, as JSON text; `reason` says why it was stopped."""

    id: str
    name: str
    state: str
    reason: str
    created: float
    started: float | None
    ended: float | None
    items: int
    chunks: int
    limit_micro_usd: int | None
    spec: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewItem:
    """key: of its input, so that the same is asked once. part: what it shares with its neighbours (a prefix)."""

    n: int
    key: str
    part: str
    input: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenItem:
    n: int
    key: str
    tries: int
    input: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Result:
    """tier: local, free, paid; candidate: provider/model; data: JSON text, where the task had a schema."""

    n: int
    at: float
    reply: str
    candidate: str
    tier: str
    input_tokens: int
    output_tokens: int
    micro_usd: int
    seconds: float
    text: str = field(repr=False)
    data: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Failed:
    """A try that failed. kind: its class; why: in words; aside: it is not tried again; spent: what it cost."""

    n: int
    kind: str
    why: str = field(repr=False)
    aside: bool
    input_tokens: int = 0
    output_tokens: int = 0
    micro_usd: int = 0


@dataclass(frozen=True, slots=True)
class Tally:
    count: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    micro_usd: int = 0


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """Somebody at work on a campaign; alive as long as it beats."""

    id: str
    host: str
    pid: int
    started: float
    beat: float
    taken: str = ""  # who has taken over what it left

    def is_alive(self, now: float) -> bool:
        return not self.taken and self.beat > now - LEASE


@dataclass(frozen=True, slots=True)
class Tallies:
    """Counts by name: results by tier and by model, failed tries and items set aside by class, results by minute."""

    tier: Mapping[str, Tally]
    model: Mapping[str, Tally]
    failure: Mapping[str, Tally]
    aside: Mapping[str, Tally]
    minute: Mapping[str, Tally]

    @property
    def done(self) -> int:
        return sum(t.count for t in self.tier.values())

    @property
    def set_aside(self) -> int:
        return sum(t.count for t in self.aside.values())

    @property
    def micro_usd(self) -> int:
        """Of all tries, those that failed too."""
        return sum(t.micro_usd for kind in (self.tier, self.failure) for t in kind.values())
