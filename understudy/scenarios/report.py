"""What a day came to, counted by a judge who looks at both sides: what callers got, and what arrived at providers."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from understudy.config.settings import Settings
from understudy.director.budget import day
from understudy.errors import NoCandidate, UnderstudyError
from understudy.rehearsal.host import Host
from understudy.scenarios.scenario import Expect, Scenario
from understudy.scenarios.traffic import Arrival
from understudy.types import Balance, Priority, Reply

TIERS: Mapping[str, str] = {
    "local": "local",
    "groq": "free",
    "gemini": "free",
    "claude_code": "subscription",
    "anthropic": "paid",
    "openai": "paid",
}  # by what a provider plays


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of the day's clock from asking to the end."""

    p50: float
    p95: float
    p99: float
    most: float


@dataclass(frozen=True, slots=True)
class Struck:
    """An event, and how often it struck a request or was noticed at home."""

    what: str
    where: str
    struck: int


@dataclass(frozen=True, slots=True)
class Report:
    """Shares run from 0 to 1. digest: of every task's end, in order; the same scenario and seed have the same one.

    Where nothing was waited for, the seconds are None. interrupted: the day was not lived to its end, and what is
    known only then (reservations left, the digest) is not in the report.
    """

    scenario: str
    seed: int
    requests: int
    answered: int
    failed: Mapping[str, int]  # by type of error
    told_when: int  # of the failed, how many say when to try again
    crashed: Mapping[str, int]  # a bug of ours: what nobody should ever see
    interactive: Took | None  # of the answered tasks
    batch: Took | None
    given_up: Took | None  # of those that were not answered
    calls: int
    calls_by: Mapping[str, int]  # by provider
    outcomes: Mapping[str, int]  # of all calls
    earned: Mapping[str, int]  # refusals for quota that no fault asked for, by provider/account/model
    tiers: Mapping[str, float]  # share of the answered tasks
    tokens: Mapping[str, int]  # by tier
    homes: int
    director_tokens: int
    director_most: int  # in one conversation
    director_limit: int  # per conversation
    paid_usd: float
    overspent: tuple[str, ...]  # scopes beyond their limit
    left_reserved: int  # tokens and micro-dollars that nobody settled
    leaks: int  # private texts that arrived at a provider not on this machine
    spoilt: int  # errors and refusals in disguise that were passed off as answers
    unkept: int  # answers whose record could not be kept; they said so
    hours: float
    lived: float  # of these, when it was interrupted
    events: tuple[Struck, ...]  # in the scenario's order
    notes: tuple[str, ...]  # accounts that are not there, and why; events that struck nobody
    digest: str
    interrupted: bool = False

    @property
    def share(self) -> float:
        return self.answered / self.requests if self.requests else 1.0

    def broken(self, expect: Expect) -> tuple[str, ...]:
        """What the day was held to and did not keep."""
        earned = sum(self.earned.values())
        wrong = (
            (self.share < expect.answered, f"{self.share:.4%} answered, {expect.answered:.4%} expected"),
            (expect.earned is not None and earned > expect.earned, f"refusals for quota that were earned: {earned}"),
            (bool(self.crashed), f"tasks that crashed: {sum(self.crashed.values())}"),
            (bool(self.leaks), f"private texts that left the machine: {self.leaks}"),
            (bool(self.spoilt), f"spoilt answers that were passed off as good: {self.spoilt}"),
            (bool(self.overspent), f"overspent: {', '.join(self.overspent)}"),
            (bool(self.left_reserved), f"tokens or micro-dollars that are still reserved: {self.left_reserved}"),
        )
        return tuple(what for failed, what in wrong if failed)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"share": round(self.share, 6)}


@dataclass(slots=True)
class Tally:
    """What one home's day came to. Grows as tasks end."""

    ended: int = 0
    answered: int = 0
    told_when: int = 0
    leaks: int = 0
    spoilt: int = 0
    unkept: int = 0
    paid: float = 0.0
    failed: Counter[str] = field(default_factory=Counter[str])
    crashed: Counter[str] = field(default_factory=Counter[str])
    outcomes: Counter[str] = field(default_factory=Counter[str])
    calls: Counter[str] = field(default_factory=Counter[str])
    workers: Counter[str] = field(default_factory=Counter[str])
    tokens: Counter[str] = field(default_factory=Counter[str])
    earned: Counter[str] = field(default_factory=Counter[str])
    sessions: Counter[str] = field(default_factory=Counter[str])
    days: Counter[str] = field(default_factory=Counter[str])
    money: Counter[str] = field(default_factory=Counter[str])
    took: dict[Priority, list[float]] = field(default_factory=lambda: {p: [] for p in Priority})
    given_up: list[float] = field(default_factory=list[float])
    struck: Counter[int] = field(default_factory=Counter[int])  # by the event's place
    overspent: tuple[str, ...] = ()
    left_reserved: int = 0
    notes: tuple[str, ...] = ()
    digest: str = ""
    interrupted: bool = False
    hours: float = 0.0  # of the day, when it was interrupted
    _ends: dict[int, str] = field(default_factory=dict[int, str], repr=False)

    def count(
        self, arrival: Arrival, outcome: Reply | UnderstudyError | Exception, seconds: float, hosts: Mapping[str, Host]
    ) -> None:
        self.ended += 1
        if not isinstance(outcome, Reply | UnderstudyError):
            self.crashed[type(outcome).__name__] += 1
            self._ends[arrival.number] = f"crashed {type(outcome).__name__}"
            return
        session = outcome.session if isinstance(outcome, Reply) else arrival.task.session or f"of {arrival.number}"
        for made in outcome.attempts:
            used = made.input_tokens + made.output_tokens
            self.calls[made.provider] += 1
            self.outcomes[made.outcome] += 1
            self.tokens[TIERS[hosts[made.provider].plays]] += used
            self.paid += made.cost_usd
            self.money[day(made.started)] += round(made.cost_usd * 1e6)
            if made.directs:
                self.sessions[session] += used
                self.days[day(made.started)] += used
        who = "-".join(f"{a.candidate}/{a.account}:{a.outcome}" for a in outcome.attempts)
        if isinstance(outcome, Reply):
            self.answered += 1
            self.took[Priority(str(arrival.task.priority))].append(seconds)
            worker = next((a for a in reversed(outcome.attempts) if a.outcome == "ok"), None)
            if worker is not None:
                self.workers[TIERS[hosts[worker.provider].plays]] += 1
            self.spoilt += any(outcome.text in host.spoilt for host in hosts.values())
            self.unkept += any("not in the store" in note for note in outcome.notes)
            self._ends[arrival.number] = f"{outcome.agent} {who} {seconds:.3f} {outcome.text}"
        else:
            self.failed[type(outcome).__name__] += 1
            self.given_up.append(seconds)
            self.told_when += isinstance(outcome, NoCandidate) and outcome.retry_after is not None
            self._ends[arrival.number] = f"{type(outcome).__name__} {who} {seconds:.3f}"

    def so_far(self, settings: Settings, hosts: Mapping[str, Host], hours: float) -> Tally:
        """A copy for a report in the middle of the day: what is reserved may well be settled yet."""
        copy = replace(self, interrupted=True, hours=hours, earned=Counter[str](), _ends={})
        return copy.end(settings, hosts, ())

    def end(self, settings: Settings, hosts: Mapping[str, Host], balances: tuple[Balance, ...]) -> Tally:
        """The day is over: what is left of the two sides' books. Returns itself."""
        limits = settings.director
        seen = {
            **{f"conversation {name}": (used, limits.tokens_per_conversation) for name, used in self.sessions.items()},
            **{f"director on {name}": (used, limits.tokens_per_day) for name, used in self.days.items()},
            **{
                f"money on {name}": (used, round(settings.money.usd_per_day * 1e6)) for name, used in self.money.items()
            },
        }
        self.overspent = (
            *(what for what, (used, limit) in seen.items() if used > limit),
            *(b.scope for b in balances if _over(b)),
        )
        self.left_reserved = sum(b.reserved.tokens + b.reserved.micro_usd for b in balances)
        for name, host in hosts.items():
            self.earned.update({f"{name}/{'/'.join(who)}": n for who, n in host.earned.items()})
        ends = "\n".join(self._ends[n] for n in sorted(self._ends))
        self.digest = hashlib.sha256(ends.encode()).hexdigest()
        self._ends.clear()
        return self


def sum_up(scenario: Scenario, homes: Sequence[Tally]) -> Report:
    """The day of all homes. Each has a director's budget of its own."""

    def summed(pick: Callable[[Tally], Counter[str]]) -> dict[str, int]:
        return dict(sum((pick(home) for home in homes), Counter[str]()).most_common())

    workers = summed(lambda home: home.workers)
    calls = summed(lambda home: home.calls)
    interrupted = any(home.interrupted for home in homes)
    struck = sum((home.struck for home in homes), Counter[int]())
    events = tuple(Struck(e.what, e.where, struck[number]) for number, e in enumerate(scenario.events))
    digest = "" if interrupted else homes[0].digest
    if len(homes) > 1 and not interrupted:
        digest = hashlib.sha256(" ".join(home.digest for home in homes).encode()).hexdigest()
    return Report(
        scenario=scenario.name,
        seed=scenario.seed,
        requests=sum(home.ended for home in homes),
        answered=sum(home.answered for home in homes),
        failed=summed(lambda home: home.failed),
        told_when=sum(home.told_when for home in homes),
        crashed=summed(lambda home: home.crashed),
        interactive=_took([s for home in homes for s in home.took[Priority.INTERACTIVE]]),
        batch=_took([s for home in homes for s in home.took[Priority.BATCH]]),
        given_up=_took([s for home in homes for s in home.given_up]),
        calls=sum(calls.values()),
        calls_by=calls,
        outcomes=summed(lambda home: home.outcomes),
        earned=summed(lambda home: home.earned),
        tiers={tier: round(n / sum(workers.values()), 4) for tier, n in workers.items()},
        tokens=summed(lambda home: home.tokens),
        homes=len(homes),
        director_tokens=sum(sum(home.days.values()) for home in homes),
        director_most=max((used for home in homes for used in home.sessions.values()), default=0),
        director_limit=scenario.settings.director.tokens_per_conversation,
        paid_usd=round(sum(home.paid for home in homes), 4),
        overspent=tuple(what for home in homes for what in home.overspent),
        left_reserved=sum(home.left_reserved for home in homes),
        leaks=sum(home.leaks for home in homes),
        spoilt=sum(home.spoilt for home in homes),
        unkept=sum(home.unkept for home in homes),
        hours=scenario.hours,
        lived=min(home.hours for home in homes if home.interrupted) if interrupted else scenario.hours,
        events=events,
        notes=(*homes[0].notes, *(_of_nobody(e) for e in events if not e.struck)),
        digest=digest[:16],
        interrupted=interrupted,
    )


def _of_nobody(event: Struck) -> str:
    return f"{event.what} {event.where} struck nobody: without it the day would have been the same."


def _over(balance: Balance) -> bool:
    tokens, money = balance.spent.tokens + balance.reserved.tokens, balance.spent.micro_usd + balance.reserved.micro_usd
    return (balance.limit_tokens is not None and tokens > balance.limit_tokens) or (
        balance.limit_micro_usd is not None and money > balance.limit_micro_usd
    )


def _took(seconds: list[float]) -> Took | None:
    if not seconds:
        return None
    ordered = sorted(seconds)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)

    return Took(at(0.5), at(0.95), at(0.99), round(ordered[-1], 3))
