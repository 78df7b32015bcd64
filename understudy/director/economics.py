"""What work cost, and what it would have cost if the frontier model had done all of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from understudy.store.replies import Economics, Line

FRONTIER = "opus"


@dataclass(frozen=True, slots=True)
class ListPrice:
    """Dollars per million tokens, and when they were last compared with their source."""

    model: str
    input_usd: float
    output_usd: float
    dated: str

    def of(self, input_tokens: int, output_tokens: int) -> float:
        """Dollars."""
        return (input_tokens * self.input_usd + output_tokens * self.output_usd) / 1e6


@cache
def opus() -> ListPrice:
    """The catalogue's price of the newest Opus: the first one it offers."""
    from understudy.agents import catalogue

    for row in catalogue.entries("anthropic"):
        if FRONTIER in row.model and row.input_usd is not None and row.output_usd is not None:
            dated = next((s.dated for s in row.sources if s.figures == "prices"), row.dated)
            return ListPrice(row.model, row.input_usd, row.output_usd, dated)
    raise LookupError("the catalogue has no Opus")


def all_opus(line: Line) -> float:
    """Dollars for the same tokens at Opus's list price."""
    return opus().of(line.input_tokens, line.output_tokens)


def free_share(economics: Economics) -> float:
    """The share of all tokens on free inference: neither paid for nor the director's. 1.0 when there are none."""
    director = economics.roles.get("director")
    free = economics.total.free_tokens - (director.free_tokens if director else 0)
    return free / economics.total.tokens if economics.total.tokens else 1.0
