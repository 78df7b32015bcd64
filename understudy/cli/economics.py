"""Token economics: by role, what ran where, what was paid, and what an all-Opus run would have cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from understudy.cli.render import dollars, plural, table
from understudy.director.economics import all_opus, free_share, opus

if TYPE_CHECKING:
    from understudy.store.replies import Economics, Line


def report(economics: Economics, what: str) -> str:
    """The two tables and the sum."""
    if not economics.total.calls:
        return f"Nothing was called yet in {what}."
    columns = ("calls", "in", "out", "paid", "list price")
    total = economics.total
    saved, price = all_opus(total) - total.paid_usd, opus()
    return "\n".join(
        [
            f"{what}: {plural(economics.replies, 'reply')}",
            "",
            table(("role", *columns), [(name, *_cells(line)) for name, line in economics.roles.items()]),
            "",
            table(("who", *columns), [(name, *_cells(line)) for name, line in economics.candidates.items()]),
            "",
            f"paid {dollars(total.paid_usd)}; the same tokens at list price {dollars(total.list_usd)}; "
            f"all on Opus {dollars(all_opus(total))} ({price.model} at ${price.input_usd:g}/M in, "
            f"${price.output_usd:g}/M out, {price.dated}); "
            f"saved {dollars(saved) if saved >= 0 else '-' + dollars(-saved)}",
            f"{free_share(economics):.1%} of {total.tokens:,} tokens on free inference",
        ]
    )


def _cells(line: Line) -> tuple[str, ...]:
    tokens = (f"{line.calls:,}", f"{line.input_tokens:,}", f"{line.output_tokens:,}")
    return (*tokens, dollars(line.paid_usd), dollars(line.list_usd))
