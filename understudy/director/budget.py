"""The scopes of the ledger, and which of them a call is charged to. All limits are hard."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from understudy.config.settings import Settings
from understudy.errors import BudgetRefused
from understudy.types import Amount, Balance, Caller, Candidate, Ledger, Role

DAY = 86_400
Limit = tuple[int | None, int | None]  # tokens, micro-dollars; None: unlimited in that unit


def day(now: float) -> str:
    """The day of a scope: UTC, so that it is the same for every process that shares the ledger."""
    return _named(int(now // DAY))


@lru_cache(maxsize=8)
def _named(number: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(number * DAY))


def conversation_scope(session: str) -> str:
    return f"director:conversation:{session}"


def day_scope(now: float) -> str:
    return f"director:day:{day(now)}"


def classifier_scope(now: float) -> str:
    return f"classifier:day:{day(now)}"


def money_scope(now: float) -> str:
    return f"money:day:{day(now)}"


def caller_scope(name: str, now: float) -> str:
    return f"caller:day:{name}:{day(now)}"


def limits_of(settings: Settings, scope: str, caller: Caller | None = None) -> Limit:
    """Of a scope, by the settings; a caller's by its key."""
    kind, _, rest = scope.partition(":")
    match kind, rest.partition(":")[0]:
        case "director", "conversation":
            return settings.director.tokens_per_conversation, None
        case "director", "day":
            return settings.director.tokens_per_day, None
        case "classifier", "day":
            return settings.classifier.tokens_per_day, None
        case "money", "day":
            return None, round(settings.money.usd_per_day * 1e6)
        case "caller", "day" if caller is not None and rest.removeprefix("day:").rpartition(":")[0] == caller.name:
            return caller.tokens_per_day, None
        case _:
            raise KeyError(scope)


async def declare(ledger: Ledger, limits: Mapping[str, Limit]) -> None:
    """Give scopes their limits. One that nobody declared is refused, never unlimited."""
    for scope, (tokens, micro_usd) in limits.items():
        await ledger.allow(scope, tokens=tokens, micro_usd=micro_usd)


async def balance(ledger: Ledger, settings: Settings, scope: str, caller: Caller | None = None) -> Balance:
    """What is spent and reserved, against the limits in force: also of a scope nothing was charged to yet."""
    return _limited(settings, await ledger.balance(scope), caller)


def scopes_of(
    candidate: Candidate, role: Role, *, directs: bool, session: str, caller: Caller | None, now: float
) -> tuple[str, ...]:
    """Who pays for this call: directs says that the frontier model calls as the director (decide, plan or judge).

    A caller pays for all that is done for it, whoever does it.
    """
    scopes: list[str] = []
    if caller is not None:
        scopes.append(caller_scope(caller.name, now))
    if directs:
        scopes += [conversation_scope(session), day_scope(now)]
    elif role is Role.CLASSIFIER and not candidate.local:
        scopes.append(classifier_scope(now))
    if not candidate.free:
        scopes.append(money_scope(now))
    return tuple(scopes)


def is_callers(refused: BudgetRefused) -> bool:
    return refused.scope.startswith("caller:")


def comes_back(refused: BudgetRefused) -> bool:
    """Whether calls in flight may leave some of what they reserved."""
    return refused.reserved > 0 and refused.spent < refused.limit


def retry_after(refused: BudgetRefused, now: float) -> float | None:
    """Seconds until there may be more of a day's budget; None when waiting does not help."""
    if comes_back(refused):
        return 1.0
    return DAY - now % DAY if ":day:" in refused.scope else None


async def director_left(ledger: Ledger, settings: Settings, session: str, now: float) -> tuple[Balance, int]:
    """The conversation's balance, and the tokens the director may still spend under both of its limits."""
    found = await ledger.balances_of((conversation_scope(session), day_scope(now)))
    conversation, today = (_limited(settings, balance) for balance in found)
    return conversation, max(0, min(_left(conversation), _left(today)))


def unspent(settings: Settings, session: str) -> Balance:
    """The director's, of a conversation to which nothing was ever charged."""
    scope = conversation_scope(session)
    tokens, micro_usd = limits_of(settings, scope)
    return Balance(scope, tokens, micro_usd, Amount(), Amount())


def _limited(settings: Settings, balance: Balance, caller: Caller | None = None) -> Balance:
    tokens, micro_usd = limits_of(settings, balance.scope, caller)
    return replace(balance, limit_tokens=tokens, limit_micro_usd=micro_usd)


def _left(balance: Balance) -> int:
    return (balance.limit_tokens or 0) - balance.spent.tokens - balance.reserved.tokens
