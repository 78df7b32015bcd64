"""The scopes of the ledger, and which of them a call is charged to. All limits are hard."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import lru_cache

from understudy.config.settings import Settings
from understudy.types import Balance, Candidate, Ledger, Role


def day(now: float) -> str:
    """The day of a scope: UTC, so that it is the same for every process that shares the ledger."""
    return _named(int(now // 86_400))


@lru_cache(maxsize=8)
def _named(number: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(number * 86_400))


def conversation_scope(session: str) -> str:
    return f"director:conversation:{session}"


def day_scope(now: float) -> str:
    return f"director:day:{day(now)}"


def classifier_scope(now: float) -> str:
    return f"classifier:day:{day(now)}"


def money_scope(now: float) -> str:
    return f"money:day:{day(now)}"


def limits_of(settings: Settings, scope: str) -> tuple[int | None, int | None]:
    """(tokens, micro-dollars) of a scope; None is unlimited in that unit."""
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
        case _:
            raise KeyError(scope)


async def declare(ledger: Ledger, settings: Settings, scopes: tuple[str, ...]) -> None:
    """Give scopes their limits from the settings. A scope that nobody declared is refused, never unlimited."""
    for scope in scopes:
        tokens, micro_usd = limits_of(settings, scope)
        await ledger.allow(scope, tokens=tokens, micro_usd=micro_usd)


async def balance(ledger: Ledger, settings: Settings, scope: str) -> Balance:
    """What is spent and reserved, against the limits of the settings: also of a scope nothing was charged to yet."""
    return _limited(settings, await ledger.balance(scope))


def scopes_of(candidate: Candidate, role: Role, *, directs: bool, session: str, now: float) -> tuple[str, ...]:
    """Who pays for this call: directs says that the frontier model calls as the director (decide, plan or judge)."""
    scopes: list[str] = []
    if directs:
        scopes += [conversation_scope(session), day_scope(now)]
    elif role is Role.CLASSIFIER and not candidate.local:
        scopes.append(classifier_scope(now))
    if not candidate.free:
        scopes.append(money_scope(now))
    return tuple(scopes)


async def director_left(ledger: Ledger, settings: Settings, session: str, now: float) -> tuple[Balance, int]:
    """The conversation's balance, and the tokens the director may still spend under both of its limits."""
    found = await ledger.balances_of((conversation_scope(session), day_scope(now)))
    conversation, today = (_limited(settings, balance) for balance in found)
    return conversation, max(0, min(_left(conversation), _left(today)))


def _limited(settings: Settings, balance: Balance) -> Balance:
    tokens, micro_usd = limits_of(settings, balance.scope)
    return replace(balance, limit_tokens=tokens, limit_micro_usd=micro_usd)


def _left(balance: Balance) -> int:
    return (balance.limit_tokens or 0) - balance.spent.tokens - balance.reserved.tokens
