"""The guard at the send seam: asked before every request on the wire, tool loops included (I1, I2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from understudy.errors import PrivacyRefused
from understudy.types import Amount, Candidate, Hold, Ledger, Sensitivity, Usage

MOST_TOKENS = 100_000_000  # in or out of one call: ten times the largest context there is
LEASE = 900.0  # seconds a reservation may live: longer than any call; what is left after it is charged in full


@dataclass(frozen=True, slots=True)
class SendGuard:
    """Privacy first, then the ledger. No scopes: nothing is counted (free work outside the director's budget)."""

    candidate: Candidate
    sensitivity: Sensitivity
    ledger: Ledger
    scopes: tuple[str, ...] = ()
    declare: Callable[[tuple[str, ...]], Awaitable[None]] | None = None  # gives the scopes their limits

    async def before(self, input_tokens: int, output_cap: int) -> Hold | None:
        if self.sensitivity is Sensitivity.PRIVATE and not self.candidate.local:
            raise PrivacyRefused(
                f"A private task was about to be sent to {self.candidate.name}, which is not on this machine.",
                remedy="Nothing was sent. Add a local model (understudy doctor says how).",
            )
        if not self.scopes:
            return None
        if self.declare is not None:
            await self.declare(self.scopes)
        return await self.ledger.reserve(self.scopes, self.amount(input_tokens, output_cap), lease=LEASE)

    async def after(self, hold: Hold | None, usage: Usage | None) -> None:
        if hold is None:
            return
        if usage is None or not usage.measured or not _possible(usage):
            await self.ledger.settle(hold, hold.amount)
        else:
            await self.ledger.settle(hold, self.amount(usage.input_tokens, usage.output_tokens))

    async def unsent(self, hold: Hold | None) -> None:
        if hold is not None:
            await self.ledger.release(hold)

    def amount(self, input_tokens: int, output_tokens: int) -> Amount:
        return Amount(input_tokens + output_tokens, paid_price(self.candidate, input_tokens, output_tokens))


def _possible(usage: Usage) -> bool:
    """Whether a server can mean it: a count that is negative or beyond any context is no measurement."""
    return 0 <= usage.input_tokens <= MOST_TOKENS and 0 <= usage.output_tokens <= MOST_TOKENS


def list_price(candidate: Candidate, input_tokens: int, output_tokens: int) -> int:
    """Micro-dollars at list price, rounded up."""
    return -(-(input_tokens * candidate.input_price + output_tokens * candidate.output_price) // 1_000_000)


def paid_price(candidate: Candidate, input_tokens: int, output_tokens: int) -> int:
    """Micro-dollars that are really paid: none on free tiers, subscriptions and this machine."""
    return 0 if candidate.free else list_price(candidate, input_tokens, output_tokens)
