"""The budget ledger on SQLite: spent + reserved never exceeds a limit, over processes and through `kill -9`."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

from understudy.store import ledger_rules as rules
from understudy.store.database import Database
from understudy.store.ledger_rules import Change, HoldState
from understudy.store.rows import Damaged, Row, is_number, sound
from understudy.types import Amount, Balance, Clock, Hold

CLOSED_KEPT = 86_400.0  # seconds a closed hold is remembered, so that closing it again is known to be the second time
PURGED = 500  # rows forgotten at a time, every so many reservations: no one turn of the writer takes long
PURGE_EVERY = 250
EXPIRED_KEPT = 30 * 86_400.0  # seconds an expired one may still be corrected: a laptop may sleep for weeks
LONGEST_LEASE = 1_800.0  # seconds; ended too early it is charged in full, and corrected when the truth comes
_LIMITS = (int, type(None))
_COLUMNS = "scope, limit_tokens, limit_micro_usd, spent_tokens, spent_micro_usd, reserved_tokens, reserved_micro_usd"
# A count that is no number would be added to as if it were 0: it stays damaged, and its scope refuses.
_COUNTS = " AND ".join(
    f"typeof({column}) = 'integer'"
    for column in ("spent_tokens", "spent_micro_usd", "reserved_tokens", "reserved_micro_usd")
)


class SqliteLedger:
    """types.Ledger. Bad arguments raise UsageError, an unreadable store StoreError, no budget BudgetRefused.

    A scope that was never declared is a budget of 0: reserving in it raises BudgetRefused with limit 0, and its
    balance is 0 of 0. Cancelling `reserve` leaves nothing reserved; `settle` and `release`, once begun, are done
    whether or not their caller is still there.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._reservations = 0

    async def allow(self, scope: str, *, tokens: int | None, micro_usd: int | None) -> None:
        """Declare a scope, or change the limits of one; what it has spent stays."""
        rules.check_scope(scope)
        rules.check_limits(tokens, micro_usd)

        def declare(db: sqlite3.Connection) -> None:
            db.execute(
                "INSERT INTO scopes (scope, limit_tokens, limit_micro_usd) VALUES (?, ?, ?) ON CONFLICT (scope) DO"
                " UPDATE SET limit_tokens = excluded.limit_tokens, limit_micro_usd = excluded.limit_micro_usd"
                " WHERE limit_tokens IS NOT excluded.limit_tokens OR limit_micro_usd IS NOT excluded.limit_micro_usd",
                (scope, tokens, micro_usd),
            )

        await self._database.write(declare)

    async def reserve(self, scopes: tuple[str, ...], amount: Amount, *, lease: float) -> Hold:
        """Take `amount` from every scope, or from none. Not settled within `lease` seconds, it is charged in full."""
        rules.check_amount(amount)
        rules.check_lease(lease)
        hold = Hold(uuid.uuid4().hex, amount, rules.check_scopes(scopes))

        def take(db: sqlite3.Connection) -> None:
            now = self._clock.now()
            self._reservations += 1
            if self._reservations % PURGE_EVERY == 0:
                _purge(db, now)
            balances, first_end = _look_up(db, hold.scopes)
            if is_number(first_end) and cast("float", first_end) <= now:
                _expire(db, now)
                balances, _ = _look_up(db, hold.scopes)
            for scope in hold.scopes:
                if scope not in balances:
                    raise rules.refusal_of_undeclared(scope, amount)
                if refused := rules.refusal(balances[scope], amount):
                    raise refused
            db.execute(
                "INSERT INTO holds (id, tokens, micro_usd, scopes, expires, state) VALUES (?, ?, ?, ?, ?, ?)",
                (hold.id, amount.tokens, amount.micro_usd, _as_json(hold.scopes), now + lease, "open"),
            )
            _apply(db, hold.scopes, Change(Amount(), amount))

        await self._database.promptly(take, undo=lambda db, _: _close(db, hold.id, Amount(), self._clock.now()))
        return hold

    async def settle(self, hold: Hold, actual: Amount) -> None:
        """Charge what was used, even above what was reserved: then the scope is overspent, shows it, and refuses.

        The first settle or release counts; after the lease it corrects the full charge. An unknown hold: UsageError.
        """
        rules.check_amount(actual)
        await self._database.promptly(lambda db: _close(db, hold.id, actual, self._clock.now()))

    async def release(self, hold: Hold) -> None:
        """Give all of it back: it is certain that nothing was charged."""
        await self._database.promptly(lambda db: _close(db, hold.id, Amount(), self._clock.now()))

    async def balance(self, scope: str) -> Balance:
        """With the leases that have ended by now charged."""
        return (await self.balances_of((scope,)))[0]

    async def balances_of(self, scopes: tuple[str, ...]) -> tuple[Balance, ...]:
        for scope in scopes:
            rules.check_scope(scope)

        def look(db: sqlite3.Connection) -> tuple[Balance, ...] | None:
            found, first_end = _look_up(db, scopes)
            if first_end is not None and first_end <= self._clock.now():
                return None
            return tuple(found.get(scope) or rules.undeclared(scope) for scope in scopes)

        def look_again(db: sqlite3.Connection) -> tuple[Balance, ...]:
            found, _ = _look_up(db, scopes)
            return self._with_ended_leases(db, tuple(found.get(scope) or rules.undeclared(scope) for scope in scopes))

        balances = self._database.glance(look, whole=False)
        return self._database.glance(look_again) if balances is None else balances

    async def balances(self, prefix: str = "") -> tuple[Balance, ...]:
        """Every scope whose name begins so, by name."""

        def look(db: sqlite3.Connection) -> tuple[Balance, ...]:
            query = f"SELECT {_COLUMNS} FROM scopes WHERE substr(scope, 1, ?) = ? ORDER BY scope"  # noqa: S608 - constants
            rows = db.execute(query, (len(prefix), prefix))
            return self._with_ended_leases(db, tuple(_balance(row) for row in rows))

        return await self._database.read(look)

    async def sweep(self) -> int:
        """Charge the reservations whose lease has ended and forget what is long closed. How many were charged.

        Nothing depends on it being called: reserving and reading do the same for themselves.
        """

        def tidy(db: sqlite3.Connection) -> int:
            now = self._clock.now()
            _purge(db, now)
            # Nobody asks for so long a lease: the clock was set back since, and a dead process's would live on with it.
            db.execute(
                "UPDATE holds SET expires = ? WHERE state = ? AND expires > ?",
                (now + LONGEST_LEASE, HoldState.OPEN, now + LONGEST_LEASE),
            )
            return _expire(db, now)

        return await self._database.write(tidy)

    def _with_ended_leases(self, db: sqlite3.Connection, balances: tuple[Balance, ...]) -> tuple[Balance, ...]:
        changed = {balance.scope: balance for balance in balances}
        for _, held, scopes in _ended(db, self._clock.now()):
            for scope in scopes:
                if scope in changed:
                    changed[scope] = rules.changed(changed[scope], rules.expiry(held))
        return tuple(changed.values())


def _balance(row: Sequence[Any]) -> Balance:
    scope, tokens, micro_usd, *counts = row
    if (
        all(type(count) is int for count in counts)
        and type(scope) is str
        and type(tokens) in _LIMITS
        and type(micro_usd) in _LIMITS
    ):
        spent, spent_usd, reserved, reserved_usd = counts
        return Balance(scope, tokens, micro_usd, Amount(spent, spent_usd), Amount(reserved, reserved_usd))
    values = Row("scopes", row[0], row)  # it says what is wrong
    return Balance(
        values.text(),
        values.whole_or_none(),
        values.whole_or_none(),
        Amount(values.whole(), values.whole()),
        Amount(values.whole(), values.whole()),
    )


def _look_up(db: sqlite3.Connection, scopes: tuple[str, ...]) -> tuple[dict[str, Balance], float | None]:
    """Those that are declared, and when the first lease of all ends.

    In one statement: between two of them the thread gives up the interpreter's lock and, beside a busy event loop,
    waits up to 5 ms to have it back, with every other process waiting behind it.
    """
    rows = db.execute(_looking_up(len(scopes)), scopes).fetchall()
    return {row[0]: _balance(row[:7]) for row in rows}, rows[0][7] if rows else None


@lru_cache(maxsize=1024)
def _as_json(scopes: tuple[str, ...]) -> str:
    return json.dumps(scopes)


@lru_cache(maxsize=64)
def _looking_up(count: int) -> str:
    return (
        f"SELECT {_COLUMNS}, (SELECT min(expires) FROM holds WHERE state = 'open')"  # noqa: S608 - constants and marks
        f" FROM scopes WHERE scope IN ({','.join('?' * count)})"
    )


def _marks(scopes: tuple[str, ...]) -> str:
    return ",".join("?" * len(scopes))


def _ended(db: sqlite3.Connection, now: float) -> list[tuple[str, Amount, tuple[str, ...]]]:
    rows = db.execute(
        "SELECT id, tokens, micro_usd, scopes FROM holds WHERE state = ? AND expires <= ?", (HoldState.OPEN, now)
    ).fetchall()
    # Of a damaged one nobody knows what to charge: it stays reserved, which is never too little.
    return sound(rows, _held)


def _held(row: Sequence[object]) -> tuple[str, Amount, tuple[str, ...]]:
    values = Row("holds", row[0], row)
    return values.text(), Amount(values.whole(), values.whole()), values.texts()


def _expire(db: sqlite3.Connection, now: float) -> int:
    ended = _ended(db, now)
    for name, held, scopes in ended:
        db.execute("UPDATE holds SET state = ? WHERE id = ?", (HoldState.EXPIRED, name))
        _apply(db, scopes, rules.expiry(held))
    return len(ended)


def _purge(db: sqlite3.Connection, now: float) -> None:
    for state, kept in ((HoldState.CLOSED, CLOSED_KEPT), (HoldState.EXPIRED, EXPIRED_KEPT)):
        db.execute(
            "DELETE FROM holds WHERE id IN (SELECT id FROM holds WHERE state = ? AND expires < ? LIMIT ?)",
            (state, now - kept, PURGED),
        )


def _close(db: sqlite3.Connection, name: str, actual: Amount, now: float) -> None:
    # The usual way in one statement. From now on the time says how long it is remembered.
    rows = db.execute(
        "UPDATE holds SET state = 'closed', expires = ? WHERE id = ? AND state = 'open'"
        " RETURNING id, tokens, micro_usd, scopes",
        (now, name),
    ).fetchall()
    if rows:
        _, held, scopes = _held(rows[0])
        _apply(db, scopes, Change(spent=actual, reserved=Amount(-held.tokens, -held.micro_usd)))
        return
    row = db.execute("SELECT id, tokens, micro_usd, scopes, state FROM holds WHERE id = ?", (name,)).fetchone()
    if row is None:
        raise rules.unknown_hold()
    _, held, scopes = _held(row[:4])
    if row[4] not in set(HoldState):
        raise Damaged("holds", name)
    change = rules.closing(HoldState(row[4]), held, actual)
    if change is None:
        return
    # The scopes are those of the reservation as it was made, not as the caller remembers it.
    _apply(db, scopes, change)
    # From now on the time says how long it is remembered.
    db.execute("UPDATE holds SET state = ?, expires = ? WHERE id = ?", (HoldState.CLOSED, now, name))


def _apply(db: sqlite3.Connection, scopes: tuple[str, ...], change: Change) -> None:
    spent, reserved = change.spent, change.reserved
    db.execute(
        "UPDATE scopes SET spent_tokens = spent_tokens + ?, spent_micro_usd = spent_micro_usd + ?,"  # noqa: S608 - marks
        " reserved_tokens = reserved_tokens + ?, reserved_micro_usd = reserved_micro_usd + ?"
        f" WHERE scope IN ({_marks(scopes)}) AND {_COUNTS}",
        (spent.tokens, spent.micro_usd, reserved.tokens, reserved.micro_usd, *scopes),
    )
