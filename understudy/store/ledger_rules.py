"""The arithmetic of the ledger, pure: what is refused, and what closing a reservation changes.

A hold is open until it is settled, released, or its lease ends. Expired, it is charged in full; the truth, when it
comes after all, corrects that once. Closed is closed: everything later changes nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from understudy.errors import BudgetRefused, UsageError
from understudy.types import Amount, Balance

LARGEST = 2**40  # of one amount; 8 million of them fit into SQLite's integers
LARGEST_LIMIT = 2**62
SCOPE_LENGTH = 200  # characters


class HoldState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Change:
    """What to add to each scope of a hold; negative values take away."""

    spent: Amount
    reserved: Amount


def check_amount(amount: Amount) -> None:
    """UsageError unless both units are integers from 0 to LARGEST. True is not 1 here."""
    for unit, value in (("tokens", amount.tokens), ("micro-dollars", amount.micro_usd)):
        _check_integer(unit, value, LARGEST)


def check_limits(tokens: int | None, micro_usd: int | None) -> None:
    for unit, value in (("limit in tokens", tokens), ("limit in micro-dollars", micro_usd)):
        if value is not None:
            _check_integer(unit, value, LARGEST_LIMIT)


def _check_integer(name: str, value: object, largest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= largest:
        shown = value if isinstance(value, int | float) and len(repr(value)) < 40 else type(value).__name__
        raise UsageError(f"{name} must be an integer from 0 to {largest:,}, not {shown}.", remedy="Give whole numbers.")


def check_scope(scope: str) -> None:
    if not isinstance(scope, str) or not 0 < len(scope) <= SCOPE_LENGTH or not scope.isprintable():  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError(
            f"A budget's name is printable text of 1 to {SCOPE_LENGTH} characters.",
            remedy="Name it like conversation:ID or day:2025-01-31:director.",
        )


def check_scopes(scopes: tuple[str, ...]) -> tuple[str, ...]:
    """The scopes, each once. None at all would be no limit at all: UsageError."""
    if isinstance(scopes, str) or not scopes:
        raise UsageError("A reservation names its budgets as a tuple.", remedy="Give at least one scope.")
    for scope in scopes:
        check_scope(scope)
    return tuple(dict.fromkeys(scopes))


def check_lease(lease: float) -> None:
    """Seconds; finite and above 0, or a reservation of a dead process would never be charged."""
    if isinstance(lease, bool) or not isinstance(lease, int | float) or not math.isfinite(lease) or lease <= 0:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise UsageError("A lease is a number of seconds above 0.", remedy="Give the time after which to charge.")


def undeclared(scope: str) -> Balance:
    """A scope nobody declared allows nothing."""
    return Balance(scope, 0, 0, Amount(), Amount())


def refusal(balance: Balance, asked: Amount) -> BudgetRefused | None:
    """Why this cannot be reserved, or None. A scope that is overspent refuses even nothing."""
    units = (
        ("tokens", balance.limit_tokens, balance.spent.tokens, balance.reserved.tokens, asked.tokens),
        (
            "micro-dollars",
            balance.limit_micro_usd,
            balance.spent.micro_usd,
            balance.reserved.micro_usd,
            asked.micro_usd,
        ),
    )
    for unit, limit, spent, reserved, wanted in units:
        if limit is not None and spent + reserved + wanted > limit:
            return BudgetRefused(
                unit=unit, scope=balance.scope, limit=limit, spent=spent, reserved=reserved, asked=wanted
            )
    return None


def refusal_of_undeclared(scope: str, asked: Amount) -> BudgetRefused:
    unit, wanted = (
        ("tokens", asked.tokens) if asked.tokens or not asked.micro_usd else ("micro-dollars", asked.micro_usd)
    )
    refused = BudgetRefused(unit=unit, scope=scope, limit=0, spent=0, reserved=0, asked=wanted)
    refused.message = f"The budget {scope} was never declared, so it allows 0 {unit}: {wanted:,} asked for."
    refused.remedy = "Declare it with its limit first."
    return refused


def closing(state: HoldState, held: Amount, actual: Amount) -> Change | None:
    """Settling at `actual`; releasing is settling at nothing. None: it was closed before."""
    if state is HoldState.OPEN:
        return Change(spent=actual, reserved=Amount(-held.tokens, -held.micro_usd))
    if state is HoldState.EXPIRED:  # charged in full already
        return Change(Amount(actual.tokens - held.tokens, actual.micro_usd - held.micro_usd), Amount())
    return None


def expiry(held: Amount) -> Change:
    return Change(spent=held, reserved=Amount(-held.tokens, -held.micro_usd))


def unknown_hold() -> UsageError:
    return UsageError(
        "There is no such reservation.",
        remedy="It was closed more than a day ago, or its store was replaced; nothing was charged.",
    )


def changed(balance: Balance, change: Change) -> Balance:
    return replace(balance, spent=_sum(balance.spent, change.spent), reserved=_sum(balance.reserved, change.reserved))


def _sum(one: Amount, other: Amount) -> Amount:
    return Amount(one.tokens + other.tokens, one.micro_usd + other.micro_usd)
