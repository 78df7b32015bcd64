"""What somebody else reckoned for the same campaign: the figures under their assumptions, and where those err."""

from __future__ import annotations

from datetime import datetime

from understudy.agents.catalogue import Source, entries, entry
from understudy.agents.limits import SHORT, windows_of
from understudy.pipelines.options import NANO, Option, catalogued, cost_of
from understudy.pipelines.pace import Pace, gate_of, rates_of
from understudy.pipelines.spec import Claim, Spec
from understudy.types import Limits

NEAR = 0.05  # of each other: the same figure, rounded


def claimed_options(spec: Spec, begins: datetime) -> tuple[Option, ...]:
    """Each claim about a provider as an option under its own assumptions, to be shown beside the real ones."""
    return tuple(_option(claim, spec, begins) for claim in spec.claims if claim.provider)


def notes_on(spec: Spec, calls: int, begins: datetime) -> tuple[str, ...]:
    """One sentence or two for each figure that was claimed: that it follows, or why it does not."""
    notes: list[str] = []
    for claim in spec.claims:
        by = claim.by or "the claim"
        notes += _on_volume(claim, by, spec, calls)
        if claim.provider:
            own = _option(claim, spec, begins)
            real = catalogued(spec, begins, claim.provider, claim.model, claim.plan)
            notes += _on_days(claim, by, own, real, calls)
            notes += _on_money(claim, by, spec, own, real, calls)
    return tuple(notes)


def _option(claim: Claim, spec: Spec, begins: datetime) -> Option:
    figures = {short: value for short in SHORT if claim.limits and (value := getattr(claim.limits, short))}
    day = (claim.limits.day if claim.limits else None) or "rolling"
    limits = Limits(windows_of(figures, day))
    pace = Pace(rates_of(limits, spec.tokens, begins), claim.accounts, gate_of(spec, begins)) if figures else None
    nano = cost_of(spec.tokens, claim.input_usd or 0.0, claim.output_usd or 0.0)
    return Option(
        provider=claim.provider,
        model=claim.model or "(any)",
        plan=claim.plan,
        accounts=claim.accounts,
        pace=pace,
        nano=nano,
        pool="",
        at_hand=False,
        origin=Source("limits", claim.by or "a claim of the SPEC", ""),
        claimed=True,
    )


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= NEAR * max(abs(one), abs(other))


def _on_volume(claim: Claim, by: str, spec: Spec, calls: int) -> list[str]:
    notes: list[str] = []
    if claim.calls is not None and claim.calls != calls:
        notes.append(f"{by}: {claim.calls:,} calls; this SPEC makes {calls:,}.")
    total = calls * spec.tokens.total
    if claim.tokens is not None and not _near(claim.tokens, total):
        notes.append(f"{by}: {claim.tokens:,} tokens; {calls:,} calls of {spec.tokens.total:,} are {total:,}.")
    return notes


def _on_days(claim: Claim, by: str, own: Option, real: Option | None, calls: int) -> list[str]:
    reckoned = own.even(calls)
    if claim.days is None or reckoned is None:
        return []
    window, days = reckoned
    limit = next(r for r in own.pace.rates if r.name == window) if own.pace else None
    told = f"{by}: {claim.days:g} days"
    if abs(claim.days - days) > max(NEAR * days, 0.05):
        told += f", but its own limits make it {days:,.1f} ({window})"
    else:
        told += f" follow from its {window}" + (f" of {limit.calls * own.accounts:,.0f} calls" if limit else "")
    soonest = own.soonest(calls) / 86_400
    if soonest < 0.8 * days:
        told += f"; spread evenly, that is: nothing keeps them from being done in {soonest * 24:,.1f} h"
    if real is None:
        return [f"{told}."]
    found = real.even(calls)
    if found is None:
        return [f"{told}; {real.refused or 'what its windows are today, nobody says'}."]
    if _near(found[1], days):
        return [f"{told}, and {real.source} ({real.dated}) says the same."]
    windows = real.pace.even(calls).items() if real.pace else ()
    limits = "; ".join(f"{name} {n:,.1f}" for name, n in windows if name != "at once")
    told += f". By {real.source} ({real.dated}) it is {found[1]:,.1f} days, bound by its {found[0]} (days: {limits})"
    return [f"{told}{_whose(claim)}."]


def _whose(claim: Claim) -> str:
    """Whose limit it may have been: of another model of the provider, in the catalogue."""
    rpd = claim.limits.rpd if claim.limits else None
    known = entry(claim.provider, claim.model) if rpd else None
    if not known or any(w.limit == rpd for w in known.limits.windows):
        return ""
    others = [
        e.model for e in entries(claim.provider) if any(w.name == "RPD" and w.limit == rpd for w in e.limits.windows)
    ]
    return f". {rpd:,} requests a day are those of {', '.join(others)}, not its own" if others else ""


def _between(low: float, high: float) -> str:
    return f"${low:,.0f} to ${high:,.0f}, whatever their split," if high - low >= 1 else f"${low:,.0f}"


def _on_money(claim: Claim, by: str, spec: Spec, own: Option, real: Option | None, calls: int) -> list[str]:
    if claim.usd is None or not own.nano:
        return []
    tokens = calls * spec.tokens.total / 1_000_000
    inputs, outputs = claim.input_usd or 0.0, claim.output_usd or 0.0
    low, high = sorted((tokens * inputs, tokens * outputs))
    usd = own.nano * calls / NANO
    told = f"{by}: ${claim.usd:,.2f}".replace(".00", "")
    if _near(claim.usd, tokens * (inputs + outputs)) and not _near(claim.usd, usd):
        told += (
            f" counts every token twice, as input and as output. {tokens:,.0f}M tokens cost {_between(low, high)} at "
            f"these prices; ${usd:,.2f} at this SPEC's {spec.tokens.input:,} in and {spec.tokens.output:,} out"
        )
    elif not _near(claim.usd, usd):
        told += f"; at its prices this SPEC's tokens cost ${usd:,.2f}"
        if not low <= claim.usd <= high:
            told += f", and whatever the split {_between(low, high)}"
    else:
        told += " follows from its prices"
    if real is not None and real.nano and not _near(real.nano, own.nano):
        told += f"; by {real.source} ({real.dated}) it is ${real.usd(calls):,.2f}"
    return [f"{told}."]
