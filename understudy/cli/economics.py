"""Token economics: by role, what ran where, what was paid, and what an all-Opus run would have cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy.cli.render import dollars, plural, table

if TYPE_CHECKING:
    from understudy.store.replies import Economics, Line

# Opus at list price, dollars per million tokens (Anthropic's price list, in the project's brief).
OPUS_INPUT, OPUS_OUTPUT = 15.0, 75.0


def all_opus(line: Line) -> float:
    """Dollars for the same tokens at Opus's list price."""
    return (line.input_tokens * OPUS_INPUT + line.output_tokens * OPUS_OUTPUT) / 1e6


def free_share(economics: Economics) -> float:
    """The share of all tokens on free inference: neither paid for nor the director's. 1.0 when there are none."""
    director = economics.roles.get("director")
    free = economics.total.free_tokens - (director.free_tokens if director else 0)
    return free / economics.total.tokens if economics.total.tokens else 1.0


def report(economics: Economics, what: str) -> str:
    """The two tables and the sum."""
    if not economics.total.calls:
        return f"Nothing was called yet in {what}."
    columns = ("calls", "in", "out", "paid", "list price")
    total = economics.total
    saved = all_opus(total) - total.paid_usd
    return "\n".join(
        [
            f"{what}: {plural(economics.replies, 'reply')}",
            "",
            table(("role", *columns), [(name, *_cells(line)) for name, line in economics.roles.items()]),
            "",
            table(("who", *columns), [(name, *_cells(line)) for name, line in economics.candidates.items()]),
            "",
            f"paid {dollars(total.paid_usd)}; the same tokens at list price {dollars(total.list_usd)}; "
            f"all on Opus {dollars(all_opus(total))} (${OPUS_INPUT:.0f}/M in, ${OPUS_OUTPUT:.0f}/M out); "
            f"saved {dollars(saved) if saved >= 0 else '-' + dollars(-saved)}",
            f"{free_share(economics):.1%} of {total.tokens:,} tokens on free inference",
        ]
    )


def _cells(line: Line) -> tuple[str, ...]:
    tokens = (f"{line.calls:,}", f"{line.input_tokens:,}", f"{line.output_tokens:,}")
    return (*tokens, dollars(line.paid_usd), dollars(line.list_usd))
