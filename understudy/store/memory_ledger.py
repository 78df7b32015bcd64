"""The ledger without a file, by the same rules: for one process that needs nothing to survive it, and for tests."""

from __future__ import annotations

import heapq
import uuid
from dataclasses import dataclass, replace

from understudy.store import ledger_rules as rules
from understudy.store.ledger_rules import Change, HoldState
from understudy.types import Amount, Balance, Clock, Hold


@dataclass(slots=True)
class _Record:
    hold: Hold
    expires: float
    state: HoldState


class MemoryLedger:
    """types.Ledger for one event loop. It never awaits inside, so every method is one critical section."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._balances: dict[str, Balance] = {}
        self._records: dict[str, _Record] = {}
        self._ends: list[tuple[float, str]] = []  # when each hold expires, a heap

    async def allow(self, scope: str, *, tokens: int | None, micro_usd: int | None) -> None:
        rules.check_scope(scope)
        rules.check_limits(tokens, micro_usd)
        known = self._balances.get(scope, rules.undeclared(scope))
        self._balances[scope] = replace(known, limit_tokens=tokens, limit_micro_usd=micro_usd)

    async def reserve(self, scopes: tuple[str, ...], amount: Amount, *, lease: float) -> Hold:
        rules.check_amount(amount)
        rules.check_lease(lease)
        hold = Hold(uuid.uuid4().hex, amount, rules.check_scopes(scopes))
        self._expire()
        for scope in hold.scopes:
            if scope not in self._balances:
                raise rules.refusal_of_undeclared(scope, amount)
            if refused := rules.refusal(self._balances[scope], amount):
                raise refused
        self._records[hold.id] = _Record(hold, self._clock.now() + lease, HoldState.OPEN)
        heapq.heappush(self._ends, (self._records[hold.id].expires, hold.id))
        self._apply(hold.scopes, Change(Amount(), amount))
        return hold

    async def settle(self, hold: Hold, actual: Amount) -> None:
        rules.check_amount(actual)
        if (record := self._records.get(hold.id)) is None:
            raise rules.unknown_hold()
        if change := rules.closing(record.state, record.hold.amount, actual):
            self._apply(record.hold.scopes, change)
            record.state = HoldState.CLOSED

    async def release(self, hold: Hold) -> None:
        await self.settle(hold, Amount())

    async def balance(self, scope: str) -> Balance:
        rules.check_scope(scope)
        self._expire()
        return self._balances.get(scope, rules.undeclared(scope))

    async def balances_of(self, scopes: tuple[str, ...]) -> tuple[Balance, ...]:
        return tuple([await self.balance(scope) for scope in scopes])

    async def balances(self, prefix: str = "") -> tuple[Balance, ...]:
        self._expire()
        return tuple(self._balances[scope] for scope in sorted(self._balances) if scope.startswith(prefix))

    async def sweep(self) -> int:
        return self._expire()

    def _expire(self) -> int:
        now, ended = self._clock.now(), 0
        while self._ends and self._ends[0][0] <= now:
            record = self._records[heapq.heappop(self._ends)[1]]
            if record.state is HoldState.OPEN:
                record.state = HoldState.EXPIRED
                self._apply(record.hold.scopes, rules.expiry(record.hold.amount))
                ended += 1
        return ended

    def _apply(self, scopes: tuple[str, ...], change: Change) -> None:
        for scope in scopes:
            self._balances[scope] = rules.changed(self._balances[scope], change)
