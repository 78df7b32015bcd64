"""Any interleaving of reserve, settle, release, expiry and changed limits, against a model that recounts everything."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from tests.store.clock import HandClock
from understudy.errors import BudgetRefused
from understudy.store.ledger import SqliteLedger
from understudy.store.memory_ledger import MemoryLedger
from understudy.store.store import Store
from understudy.types import Amount, Hold

SCOPES = ("conversation", "day", "role", "other")
amounts = st.builds(Amount, st.integers(0, 40), st.integers(0, 40))
limits = st.one_of(st.none(), st.integers(0, 120))


@dataclass
class Told:
    """What the model knows of one reservation."""

    hold: Hold
    expires: float
    actual: Amount | None = None  # told by a settle or a release

    def spent(self, now: float) -> Amount:
        if self.actual is not None:
            return self.actual
        return self.hold.amount if self.expires <= now else Amount()

    def reserved(self, now: float) -> Amount:
        return self.hold.amount if self.actual is None and self.expires > now else Amount()


class LedgerMachine(RuleBasedStateMachine):
    holds = Bundle("holds")
    closed = Bundle("closed")

    def __init__(self) -> None:
        super().__init__()
        self.clock = HandClock()
        self.runner = asyncio.Runner()
        self.told: list[Told] = []
        self.limits: dict[str, tuple[int | None, int | None]] = {}
        self.last: dict[str, tuple[int, int]] = {}
        self.may_grow: tuple[str, ...] = ()

    def begin(self) -> SqliteLedger | MemoryLedger:
        raise NotImplementedError

    @initialize(tokens=limits, micro_usd=limits)
    def first_scope(self, tokens: int | None, micro_usd: int | None) -> None:
        self.ledger = self.begin()
        self.allow("conversation", tokens, micro_usd)

    @rule(scope=st.sampled_from(SCOPES[:3]), tokens=limits, micro_usd=limits)
    def allow(self, scope: str, tokens: int | None, micro_usd: int | None) -> None:
        self.runner.run(self.ledger.allow(scope, tokens=tokens, micro_usd=micro_usd))
        self.limits[scope] = (tokens, micro_usd)

    @rule(
        target=holds,
        scopes=st.lists(st.sampled_from(SCOPES), min_size=1, max_size=4).map(tuple),
        amount=amounts,
        lease=st.sampled_from([1.0, 5.0, 50.0]),
    )
    def reserve(self, scopes: tuple[str, ...], amount: Amount, lease: float) -> object:
        fits = all(self.fits(scope, amount) for scope in scopes)
        try:
            hold = self.runner.run(self.ledger.reserve(scopes, amount, lease=lease))
        except BudgetRefused:
            assert not fits
            return multiple()
        assert fits
        self.told.append(Told(hold, self.clock.now() + lease))
        self.may_grow = scopes
        return self.told[-1]

    def fits(self, scope: str, amount: Amount) -> bool:
        if scope not in self.limits:
            return False
        used = self.used(scope)
        return all(
            limit is None or have + asked <= limit
            for limit, have, asked in zip(self.limits[scope], used, (amount.tokens, amount.micro_usd), strict=True)
        )

    def used(self, scope: str) -> tuple[int, int]:
        spent, reserved = self.sums(scope)
        return spent.tokens + reserved.tokens, spent.micro_usd + reserved.micro_usd

    def sums(self, scope: str) -> tuple[Amount, Amount]:
        now = self.clock.now()
        mine = [told for told in self.told if scope in told.hold.scopes]
        spent, reserved = [t.spent(now) for t in mine], [t.reserved(now) for t in mine]
        return (
            Amount(sum(a.tokens for a in spent), sum(a.micro_usd for a in spent)),
            Amount(sum(a.tokens for a in reserved), sum(a.micro_usd for a in reserved)),
        )

    @rule(target=closed, told=consumes(holds), share=st.floats(0, 1))
    def settle(self, told: Told, share: float) -> Told:
        actual = Amount(int(told.hold.amount.tokens * share), int(told.hold.amount.micro_usd * share))
        self.runner.run(self.ledger.settle(told.hold, actual))
        told.actual = actual
        return told

    @rule(target=closed, told=consumes(holds))
    def release(self, told: Told) -> Told:
        self.runner.run(self.ledger.release(told.hold))
        told.actual = Amount()
        return told

    @rule(told=closed, actual=amounts)
    def close_again(self, told: Told, actual: Amount) -> None:
        self.runner.run(self.ledger.settle(told.hold, actual))
        self.runner.run(self.ledger.release(told.hold))

    @rule(seconds=st.sampled_from([0.5, 1.0, 4.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.time += seconds

    @rule()
    def sweep(self) -> None:
        self.runner.run(self.ledger.sweep())

    @invariant()
    def the_budget_holds_and_the_sums_agree(self) -> None:
        for balance in self.runner.run(self.ledger.balances()):
            assert (balance.limit_tokens, balance.limit_micro_usd) == self.limits[balance.scope]
            assert (balance.spent, balance.reserved) == self.sums(balance.scope)
            units = (
                (balance.limit_tokens, balance.spent.tokens + balance.reserved.tokens),
                (balance.limit_micro_usd, balance.spent.micro_usd + balance.reserved.micro_usd),
            )
            # A limit may be lowered below what is used. Then nothing is added: growth happens under the limit only.
            for (limit, used), before in zip(units, self.last.get(balance.scope, (0, 0)), strict=True):
                assert used <= before or (balance.scope in self.may_grow and (limit is None or used <= limit))
            self.last[balance.scope] = (units[0][1], units[1][1])
        self.may_grow = ()

    def teardown(self) -> None:
        self.runner.close()


class SqliteMachine(LedgerMachine):
    def begin(self) -> SqliteLedger:
        self.folder = tempfile.TemporaryDirectory()
        self.store = self.runner.run(Store.open(Path(self.folder.name), self.clock))
        return self.store.ledger

    @rule()
    def restart(self) -> None:
        self.runner.run(self.store.close())
        self.store = self.runner.run(Store.open(Path(self.folder.name), self.clock))
        self.ledger = self.store.ledger

    def teardown(self) -> None:
        self.runner.run(self.store.close())
        self.folder.cleanup()
        super().teardown()


class MemoryMachine(LedgerMachine):
    def begin(self) -> MemoryLedger:
        return MemoryLedger(self.clock)


TestSqlite = SqliteMachine.TestCase
TestSqlite.settings = settings(
    max_examples=20, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestMemory = MemoryMachine.TestCase
TestMemory.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
