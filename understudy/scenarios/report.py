"""What a day came to, counted by a judge who looks at both sides: what callers got, and what arrived at providers."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

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
    """Seconds of the day's clock from asking to the answer."""

    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    most: float = 0.0


@dataclass(frozen=True, slots=True)
class Report:
    """Shares run from 0 to 1. digest: of every task's end, in order; the same scenario and seed have the same one."""

    scenario: str
    seed: int
    requests: int
    answered: int
    failed: Mapping[str, int]  # by type of error
    told_when: int  # of the failed, how many say when to try again
    crashed: Mapping[str, int]  # a bug of ours: what nobody should ever see
    interactive: Took
    batch: Took
    calls: int
    calls_by: Mapping[str, int]  # by provider
    outcomes: Mapping[str, int]  # of all calls
    earned: Mapping[str, int]  # refusals for quota that no fault asked for, by provider/account/model
    tiers: Mapping[str, float]  # share of the answered tasks
    tokens: Mapping[str, int]  # by tier
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
    digest: str

    @property
    def share(self) -> float:
        return self.answered / self.requests if self.requests else 1.0

    def broken(self, expect: Expect) -> tuple[str, ...]:
        """What the day was held to and did not keep."""
        earned = sum(self.earned.values())
        wrong = (
            (self.share < expect.answered, f"{self.share:.4%} answered, {expect.answered:.4%} expected"),
            (expect.earned is not None and earned > expect.earned, f"{earned} refusals for quota were earned"),
            (bool(self.crashed), f"{sum(self.crashed.values())} tasks crashed"),
            (bool(self.leaks), f"{self.leaks} private texts left the machine"),
            (bool(self.spoilt), f"{self.spoilt} spoilt answers were passed off as good"),
            (bool(self.overspent), f"overspent: {', '.join(self.overspent)}"),
            (bool(self.left_reserved), f"{self.left_reserved} tokens or micro-dollars are still reserved"),
        )
        return tuple(what for failed, what in wrong if failed)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"share": round(self.share, 6)}


@dataclass(slots=True)
class Tally:
    """Grows as tasks end."""

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
    sessions: Counter[str] = field(default_factory=Counter[str])
    days: Counter[str] = field(default_factory=Counter[str])
    money: Counter[str] = field(default_factory=Counter[str])
    took: dict[Priority, list[float]] = field(default_factory=lambda: {p: [] for p in Priority})
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
            self.told_when += isinstance(outcome, NoCandidate) and outcome.retry_after is not None
            self._ends[arrival.number] = f"{type(outcome).__name__} {who} {seconds:.3f}"

    def report(self, scenario: Scenario, hosts: Mapping[str, Host], balances: tuple[Balance, ...]) -> Report:
        limits = scenario.settings.director
        seen = {
            **{f"conversation {name}": (used, limits.tokens_per_conversation) for name, used in self.sessions.items()},
            **{f"director on {name}": (used, limits.tokens_per_day) for name, used in self.days.items()},
            **{
                f"money on {name}": (used, round(scenario.settings.money.usd_per_day * 1e6))
                for name, used in self.money.items()
            },
        }
        overspent = [what for what, (used, limit) in seen.items() if used > limit]
        overspent += [b.scope for b in balances if _over(b)]
        answered = sum(self.workers.values())
        digest = hashlib.sha256("\n".join(self._ends[n] for n in sorted(self._ends)).encode()).hexdigest()
        return Report(
            scenario=scenario.name,
            seed=scenario.seed,
            requests=self.ended,
            answered=self.answered,
            failed=dict(self.failed.most_common()),
            told_when=self.told_when,
            crashed=dict(self.crashed),
            interactive=_took(self.took[Priority.INTERACTIVE]),
            batch=_took(self.took[Priority.BATCH]),
            calls=sum(self.calls.values()),
            calls_by=dict(self.calls.most_common()),
            outcomes=dict(self.outcomes.most_common()),
            earned={f"{name}/{'/'.join(who)}": n for name, host in hosts.items() for who, n in host.earned.items()},
            tiers={tier: round(n / answered, 4) for tier, n in self.workers.most_common()},
            tokens=dict(self.tokens.most_common()),
            director_tokens=sum(self.days.values()),
            director_most=max(self.sessions.values(), default=0),
            director_limit=limits.tokens_per_conversation,
            paid_usd=round(self.paid, 4),
            overspent=tuple(overspent),
            left_reserved=sum(b.reserved.tokens + b.reserved.micro_usd for b in balances),
            leaks=self.leaks,
            spoilt=self.spoilt,
            unkept=self.unkept,
            hours=scenario.hours,
            digest=digest[:16],
        )


def _over(balance: Balance) -> bool:
    tokens, money = balance.spent.tokens + balance.reserved.tokens, balance.spent.micro_usd + balance.reserved.micro_usd
    return (balance.limit_tokens is not None and tokens > balance.limit_tokens) or (
        balance.limit_micro_usd is not None and money > balance.limit_micro_usd
    )


def _took(seconds: list[float]) -> Took:
    if not seconds:
        return Took()
    ordered = sorted(seconds)

    def at(share: float) -> float:
        return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)

    return Took(at(0.5), at(0.95), at(0.99), round(ordered[-1], 3))
