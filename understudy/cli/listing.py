"""What there is: models, agents, policies. As tables, or as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from understudy.cli.render import table
from understudy.cli.running import open_director
from understudy.cli.terminal import hint, say
from understudy.types import Candidate

if TYPE_CHECKING:
    from understudy.config.settings import Settings


async def models(config: str | None, *, as_json: bool) -> int:
    """Every candidate; prices are list prices in dollars per million tokens. Exit code 3 when there is none."""
    async with open_director(config) as director:
        fleet, notes, settings = director.parts.fleet, director.parts.notes, director.parts.settings
    if as_json:
        say(json.dumps({"models": [model_to_dict(c, settings) for c in fleet], "notes": list(notes)}))
    elif fleet:
        say(models_table(fleet))
    for note in () if as_json else notes:
        hint(f"note: {note}")
    if not fleet and not as_json:
        hint("There is no model. understudy doctor says what is missing.")
    return 0 if fleet else 3


def models_table(fleet: tuple[Candidate, ...]) -> str:
    columns = ("model", "account", "where", "price in/out", "context", "output", "quality", "speed", "limits", "can")
    return table(columns, [_model_row(c) for c in fleet])


def _model_row(c: Candidate) -> tuple[object, ...]:
    where = "simulated" if c.simulated else "here" if c.local else "cloud"
    price = "free" if c.free else f"${c.input_price / 1e6:.2f}/{c.output_price / 1e6:.2f}"
    can = ", ".join(sorted(c.capabilities))
    sizes = (f"{c.context:,}", f"{c.output_cap:,}")
    return (c.name, c.account, where, price, *sizes, c.quality, c.speed, limits_in_brief(c), can)


def limits_in_brief(candidate: Candidate) -> str:
    """30 RPM, 14.4k RPD, 6k TPM: every window, the user's own by their names."""
    return ", ".join(f"{_rounded(w.limit)} {w.name}" for w in candidate.limits.windows) or "-"


def _rounded(amount: int) -> str:
    for size, letter in ((1_000_000, "M"), (1_000, "k")):
        if amount >= size:
            return f"{amount / size:.1f}".removesuffix(".0") + letter
    return str(amount)


def model_to_dict(candidate: Candidate, settings: Settings) -> dict[str, Any]:
    """The candidate and what is known of it; `quota` is the domain that shares its limits."""
    from understudy.agents.figures import figures_of

    prices = {"input_usd": candidate.input_price / 1e6, "output_usd": candidate.output_price / 1e6}
    names = {"name": candidate.name, "domain": candidate.domain, "quota": candidate.quota}
    record = {**names, **asdict(candidate), **prices, **asdict(figures_of(candidate, settings))}
    record["capabilities"] = sorted(candidate.capabilities)
    return {k: v for k, v in record.items() if k not in ("input_price", "output_price")}


def agents(*, as_json: bool) -> int:
    """Every specialist."""
    from understudy.agents.specialists import specialists

    known = specialists().values()
    if as_json:
        say(json.dumps({"agents": [asdict(s) for s in known]}))
        return 0
    rows = [(s.name, s.about, ", ".join(s.tools) or "-", ", ".join(s.checks) or "-", s.output_cap) for s in known]
    say(table(("agent", "what it does", "tools", "checks of its own", "output cap"), rows))
    return 0
