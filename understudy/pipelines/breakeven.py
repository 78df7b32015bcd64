"""Owning or renting a machine against paying for each token.

A million tokens are of the campaign's own kind, input and output as its calls have them. A machine's speed is that of
its output; reading takes no time to speak of. A month has 730 hours.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from understudy.config.pasted import shown
from understudy.errors import UsageError
from understudy.pipelines.options import NANO, Option
from understudy.pipelines.spec import Gpu, Tokens

MONTH_HOURS = 730
MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Machine:
    """Owned: price_usd and watts; rented: usd_per_hour. tokens_per_second: of output, all answers together."""

    name: str
    runs: str = ""
    price_usd: float | None = None
    watts: float | None = None
    usd_per_hour: float | None = None
    tokens_per_second: float | None = None
    against: str = ""
    source: str = ""
    dated: str = ""
    claims: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class BreakEven:
    """None: not known, or never. tokens: that pay for the machine; for a rented one, those of a month."""

    name: str
    kind: str  # own or rent
    runs: str
    against: str
    against_usd_per_million: float
    usd_per_million: float | None  # electricity, or rent at full speed
    break_even_tokens: float | None
    needs_tokens_per_second: float | None  # of output, all month, for a rented one to pay
    months: float | None  # at full speed, until an owned one has paid for itself
    days: float | None  # of this campaign
    usd: float | None  # of this campaign: the rent or the electricity
    verdict: str
    source: str
    dated: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def break_evens(
    gpu: Gpu, tokens: Tokens, calls: int, options: Sequence[Option]
) -> tuple[tuple[BreakEven, ...], tuple[str, ...]]:
    """Each machine against its own model's price where it is hired, or the reader's choice; the reader's first. Notes.

    Raises UsageError when nobody sells the model the reader names.
    """
    paid = [o for o in options if o.plan == "paid" and o.nano and not o.refused]
    if not paid:
        return (), ()
    cheapest = min(paid, key=lambda o: o.nano)
    made: list[BreakEven] = []
    notes: list[str] = []
    for machine in (*_readers(gpu), *known()):
        against = gpu.against or machine.against
        rival = next((o for o in paid if o.is_called(against)), None) if against else cheapest
        if rival is None and gpu.against:
            what = f"Nobody sells {shown(gpu.against)} by the token."
            raise UsageError(what, remedy="Name a paid model, such as groq/llama-3.3-70b-versatile.")
        made.append(_weighed(machine, rival or cheapest, gpu, tokens, calls))
        notes += _checked(machine, rival or cheapest, gpu, tokens)
    return tuple(made), tuple(notes)


@cache
def known() -> tuple[Machine, ...]:
    """Those of hardware.toml."""
    table = tomllib.loads((files("understudy.pipelines") / "hardware.toml").read_text(encoding="utf-8"))
    sources = table["sources"]
    rows = [*table["own"], *table["rent"]]
    return tuple(
        Machine(**{**r, "source": sources[r["source"]]["text"], "dated": sources[r["source"]]["dated"]}) for r in rows
    )


def _readers(gpu: Gpu) -> list[Machine]:
    speed, against = gpu.tokens_per_second, gpu.against
    made: list[Machine] = []
    if gpu.price_usd is not None:
        made.append(Machine("your GPU", "", gpu.price_usd, gpu.watts, None, speed, against, "the reader"))
    if gpu.rent_usd is not None:
        made.append(Machine("your rented GPU", "", None, None, gpu.rent_usd, speed, against, "the reader"))
    return made


def per_million(nano: int, tokens: Tokens) -> float:
    """Dollars for a million tokens of this kind, from nano-dollars of a call."""
    return nano / NANO / tokens.total * MILLION


def _weighed(machine: Machine, rival: Option, gpu: Gpu, tokens: Tokens, calls: int) -> BreakEven:
    price = per_million(rival.nano, tokens)
    speed = machine.tokens_per_second
    hours = MILLION / tokens.total * tokens.output / speed / 3600 if speed else None  # for a million tokens
    campaign = calls * tokens.total / MILLION
    days = campaign * hours / 24 if hours is not None else None
    running: float | None
    if machine.usd_per_hour is not None:
        month = machine.usd_per_hour * MONTH_HOURS
        even = month / price * MILLION if price else None
        running = machine.usd_per_hour * hours if hours is not None else None
        needs = even / (MONTH_HOURS * 3600) * tokens.output / tokens.total if even else None
        pays = None if running is None else running < price
        verdict = (
            "unknown" if pays is None else "cheaper than paying per token" if pays else "dearer than paying per token"
        )
        verdict = f"pays from {amount(even)} tokens a month" if pays is None and even else verdict
        kind, months = "rent", None
    else:
        watts = machine.watts
        running = watts / 1000 * gpu.electricity_usd * hours if watts is not None and hours is not None else None
        saved = price - (running or 0.0)
        even = (machine.price_usd or 0.0) / saved * MILLION if saved > 0 else None
        months = even / MILLION * hours / MONTH_HOURS if even is not None and hours is not None else None
        verdict = _owned(even, months, campaign)
        kind, needs = "own", None
    return BreakEven(
        name=machine.name,
        kind=kind,
        runs=machine.runs,
        against=rival.name,
        against_usd_per_million=round(price, 6),
        usd_per_million=None if running is None else round(running, 6),
        break_even_tokens=even,
        needs_tokens_per_second=needs,
        months=months,
        days=days,
        usd=None if running is None else running * campaign,
        verdict=verdict,
        source=machine.source,
        dated=machine.dated,
    )


def _owned(even: float | None, months: float | None, campaign: float) -> str:
    if even is None:
        return "never: its electricity alone costs more than the tokens"
    if even <= campaign * MILLION:
        return "paid for by this campaign"
    after = f"after {amount(even)} tokens" if months is None else f"after {months:,.1f} months of work without a pause"
    return f"pays {after}"


def _checked(machine: Machine, rival: Option, gpu: Gpu, tokens: Tokens) -> list[str]:
    """What the founding plans reckon, where it does not follow."""
    claims, price = machine.claims or {}, per_million(rival.nano, tokens)
    said = [*_on_electricity(machine, claims, gpu), *_on_payback(machine, claims)]
    cost, monthly = claims.get("usd_per_month"), claims.get("tokens_per_month")
    if cost and monthly:
        said.append(
            f"breaks even at {amount(monthly)} tokens a month for ${cost:,} with overhead, which takes "
            f"${cost / monthly * MILLION:.2f} a million to be saved. Against {rival.name} at ${price:.2f} it is "
            f"{amount(cost / price * MILLION)}; and {amount(monthly)} is twice its own workload of "
            f"{amount(claims['workload'])}, not {claims['times']} times."
        )
    elif cost and machine.usd_per_hour:
        rent = machine.usd_per_hour * MONTH_HOURS
        said.append(
            f"reckons ${cost:,} a month, of which ${rent:,.0f} is rent ({MONTH_HOURS} h); the rest is overhead."
        )
    return [f"{machine.name}: the founding plan {sentence}" for sentence in said]


def _on_electricity(machine: Machine, claims: Mapping[str, Any], gpu: Gpu) -> list[str]:
    speed, watts, said = machine.tokens_per_second, machine.watts, claims.get("electricity_usd_per_million")
    if not (speed and watts and said):
        return []
    hours = MILLION / speed / 3600
    real = hours * watts / 1000 * gpu.electricity_usd
    return [
        f"reckons ${said:g} of electricity for a million tokens. At its own {speed:g} tokens a second and {watts:g} W "
        f"a million of output takes {hours:.1f} h: ${real:.2f} at ${gpu.electricity_usd:g} a kWh, "
        f"{real / said:,.0f} times as much."
    ]


def _on_payback(machine: Machine, claims: Mapping[str, Any]) -> list[str]:
    speed = machine.tokens_per_second or math.inf
    most = speed * 3600 * MONTH_HOURS
    rows = [row for row in claims.get("payback", ()) if row["tokens"] > most]
    if not rows:
        return []
    told = " and ".join(f"{r['months']:g} months at {amount(r['tokens'])} tokens a month" for r in rows)
    return [f"has it pay back in {told}. At its own {speed:g} tokens a second it writes {amount(most)} a month."]


def amount(number: float) -> str:
    """950, 1.2k, 703M, 6.8B."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.0f}"
