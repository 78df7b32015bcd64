"""`campaign plan`: everything that is known of a campaign before anything is called."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from understudy.agents.catalogue import last_day
from understudy.agents.figures import STALE
from understudy.config.locality import is_local
from understudy.config.quota import DAY
from understudy.config.settings import Settings
from understudy.pipelines.breakeven import BreakEven, break_evens
from understudy.pipelines.claims import claimed_options, notes_on
from understudy.pipelines.items import count_items, items_of
from understudy.pipelines.mix import Mix, best_mix, most_calls, soonest_mix
from understudy.pipelines.options import Option, options_of
from understudy.pipelines.reduction import Reduction, reductions
from understudy.pipelines.spec import Spec
from understudy.pipelines.volume import Volume, counted
from understudy.tokens import estimate

FITS = "fits"
FIRST = 1000  # calls whose length is looked at


@dataclass(frozen=True, slots=True)
class Outlook:
    """One option and what it comes to. days: at an even pace; soonest: those with windows that nobody has used yet."""

    option: Option
    days: float | None
    soonest: float | None
    binding: str | None
    usd: float
    verdict: str
    why: str = ""

    def to_dict(self, calls: int) -> dict[str, Any]:
        pace = self.option.pace
        windows = {} if pace is None or self.option.refused else pace.even(calls)
        return {
            "provider": self.option.provider,
            "model": self.option.model,
            "plan": self.option.plan,
            "accounts": self.option.accounts,
            "days": _rounded(self.days),
            "soonest_days": _rounded(self.soonest),
            "binding": self.binding,
            "windows": {name: _rounded(days) for name, days in windows.items()},
            "usd": round(self.usd, 4),
            "verdict": self.verdict,
            "why": self.why,
            "at_hand": self.option.at_hand,
            "claimed": self.option.claimed,
            "source": self.option.source,
            "dated": self.option.dated,
        }


@dataclass(frozen=True, slots=True)
class Reduced:
    """A smaller campaign that fits, with the best mix for it."""

    reduction: Reduction
    mix: Mix

    def to_dict(self) -> dict[str, Any]:
        return {
            "changes": {d: {"from": old, "to": new} for d, (old, new) in self.reduction.changes.items()},
            "volume": self.reduction.calls,
            "days": _rounded(self.mix.seconds / DAY),
            "usd": round(self.mix.usd, 4),
            "how": self.reduction.how,
        }


@dataclass(frozen=True, slots=True)
class Chosen:
    """mix: None where none meets deadline and money; fallback is then the soonest for the money."""

    mix: Mix | None
    fallback: Mix | None
    reduced: tuple[Reduced, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """All that `campaign plan` says."""

    spec: Spec
    begins: datetime
    volume: Volume
    outlooks: tuple[Outlook, ...]
    chosen: Chosen
    break_even: tuple[BreakEven, ...]
    notes: tuple[str, ...]

    @property
    def calls(self) -> int:
        return self.volume.calls

    def to_dict(self) -> dict[str, Any]:
        calls, tokens = self.volume.calls, self.spec.tokens
        return {
            "name": self.spec.name,
            "begins": self.begins.isoformat(),
            "deadline_days": _rounded(self.spec.deadline / DAY) if self.spec.deadline else None,
            "usd_limit": self.spec.usd,
            "volume": calls,
            "steps": [{"what": w, "formula": f, "calls": c} for w, f, c in self.volume.steps],
            "tokens": {"input": calls * tokens.input, "output": calls * tokens.output},
            "options": [outlook.to_dict(calls) for outlook in self.outlooks],
            "best_mix": _mix_to_dict(self.chosen),
            "reduced": [r.to_dict() for r in self.chosen.reduced],
            "break_even": [b.to_dict() for b in self.break_even],
            "notes": list(self.notes),
        }


def _mix_to_dict(chosen: Chosen) -> dict[str, Any] | None:
    """The mix, or with another verdict the nearest to it."""
    told = chosen.mix or chosen.fallback
    if told is None:
        return None
    parts = [
        {
            "provider": p.option.provider,
            "model": p.option.model,
            "plan": p.option.plan,
            "accounts": p.option.accounts,
            "calls": p.calls,
            "days": _rounded(p.option.soonest(p.calls) / DAY),
            "usd": round(p.option.usd(p.calls), 4),
        }
        for p in told.parts
    ]
    return {
        "verdict": FITS if chosen.mix else "too slow",
        "volume": told.calls,
        "days": _rounded(told.seconds / DAY),
        "usd": round(told.usd, 4),
        "parts": parts,
    }


def plan_campaign(
    spec: Spec, settings: Settings, *, accounts: Mapping[str, int] | None = None, now: datetime | None = None
) -> Plan:
    """The plan. `accounts` of providers by name go before those of the SPEC and of the configuration.

    Raises ConfigError for items that cannot be read, UsageError for a name nobody has.
    """
    begins = spec.begins or now or datetime.now(UTC)
    spec, assumed = _with_tokens(spec)
    volume = counted(spec.shape) if spec.shape is not None else Volume(count_items(spec))
    wanted = {**spec.accounts, **(accounts or {})}
    options = options_of(spec, settings, wanted, begins)
    chosen = _chosen(spec, volume.calls, [o for o in options if o.at_hand and o.plan in spec.allowed])
    evens, checks = break_evens(spec.gpu, spec.tokens, volume.calls, options)
    outlooks = tuple(_outlook(o, volume.calls, spec) for o in (*options, *claimed_options(spec, begins)))
    claimed = notes_on(spec, volume.calls, begins)
    notes = (
        *claimed,
        *assumed,
        *_on_local(spec, settings),
        *_notes(spec, volume.calls, options, chosen, begins),
        *checks,
    )
    return Plan(spec, begins, volume, outlooks, chosen, evens, notes)


def _with_tokens(spec: Spec) -> tuple[Spec, tuple[str, ...]]:
    """With the input of a call estimated from the first calls, where nobody says what it is; and a note of that."""
    if "input" in spec.tokens.model_fields_set:
        return spec, ()
    if not _can_be_looked_at(spec):
        tokens = f"{spec.tokens.input:,} tokens in and {spec.tokens.output:,} out"
        return spec, (f"A call is taken for {tokens}: write [tokens] for better ones.",)
    first = [estimate(item.text) for item in islice(items_of(spec), FIRST)]
    mean = max(1, round(sum(first) / len(first))) if first else 1
    tokens = spec.tokens.model_copy(update={"input": max(mean, spec.tokens.cached)})
    looked = f"estimated at {mean:,} tokens from the first {len(first):,}"
    return spec.model_copy(update={"tokens": tokens}), (
        f"The input of a call is {looked}, without an agent's own words.",
    )


def _can_be_looked_at(spec: Spec) -> bool:
    """Whether the first calls can be made without using them up."""
    if not (spec.template or spec.template_file):
        return False
    if spec.items is not None:
        return str(spec.items.path) != "-"
    return spec.shape is not None and bool(spec.mutation_template or not spec.shape.mutations)


def _chosen(spec: Spec, calls: int, usable: Sequence[Option]) -> Chosen:
    deadline, usd, shares = spec.deadline, spec.usd, spec.shares
    mix = best_mix(usable, calls, deadline=deadline, usd=usd, shares=shares)
    if mix is not None:
        return Chosen(mix, None, ())
    return Chosen(None, soonest_mix(usable, calls, usd=usd, shares=shares), _reduced(spec, calls, usable))


def _outlook(option: Option, calls: int, spec: Spec) -> Outlook:
    usd, even, soonest = option.usd(calls), option.even(calls), option.soonest(calls) / DAY
    if option.refused:
        return Outlook(option, None, None, None, usd, "cannot", option.refused)
    if option.plan not in spec.allowed and not option.claimed:
        verdict, why = "not allowed", f"{option.plan} is not among the tiers"
    elif even is None and option.claimed:
        verdict, why = _verdict(0.0, usd, spec), "by its price alone"
    elif even is None:
        verdict, why = "unknown", "what its windows are, nobody says: state them under limits"
    else:
        verdict, why = _verdict(soonest * DAY, usd, spec), ""
    binding, days = even or (None, None)
    return Outlook(option, days, None if math.isinf(soonest) else soonest, binding or None, usd, verdict, why)


def _verdict(seconds: float, usd: float, spec: Spec) -> str:
    slow = spec.deadline is not None and seconds > spec.deadline
    dear = spec.usd is not None and usd > spec.usd
    words = [*(["too slow"] if slow else []), *(["too dear"] if dear else [])]
    return " and ".join(words) or FITS


def _reduced(spec: Spec, calls: int, usable: Sequence[Option]) -> tuple[Reduced, ...]:
    limits: dict[str, Any] = {"deadline": spec.deadline, "usd": spec.usd, "shares": spec.shares}
    most = most_calls(usable, calls, **limits)
    if spec.shape is None:
        found = (Reduction({"items": (calls, most)}, most, "a sample by the seed"),) if most else ()
    else:
        found = reductions(spec.shape, most, spec.smallest)
    fitted = ((r, best_mix(usable, r.calls, **limits)) for r in found if r.calls)
    return tuple(Reduced(r, mix) for r, mix in fitted if mix is not None)


def _notes(spec: Spec, calls: int, options: Sequence[Option], chosen: Chosen, begins: datetime) -> list[str]:
    """What a reader should know beside the figures."""
    free = [o for o in options if o.at_hand and o.plan == "free"]
    notes = [*_on_windows(calls, free), *_on_mix(spec, calls, chosen, begins)]
    if spec.shape is not None and not spec.shape.mutations and spec.shape.generations > 1:
        extra = spec.shape.groups * spec.shape.runs * spec.shape.generations
        notes.append(f"The shape has no mutations; each of a generation's would add {extra:,} calls.")
    if any(o.accounts > 1 for o in free):
        notes.append("Several accounts of one person, made to multiply a free tier, break the terms of most providers.")
    if any(o.plan == "subscription" and o.pace is None for o in options):
        notes.append("A subscription's windows are undisclosed: its days are not known, and no mix counts on it.")
    if any(o.pace and [r.name for r in o.pace.rates] == ["at once"] for o in options if o.plan == "paid"):
        notes.append(
            f"Where no window is published, {spec.at_once} calls at once of {spec.seconds:g} s each are what binds; "
            "your tier's own belong under limits of the configuration."
        )
    return notes


def _on_mix(spec: Spec, calls: int, chosen: Chosen, begins: datetime) -> list[str]:
    notes: list[str] = []
    mix = chosen.mix or chosen.fallback
    if mix is None:
        notes.append("With these tiers and this money it is never done: allow others, or more money.")
    elif chosen.mix is None:
        soonest = f"the soonest mix takes {mix.seconds / DAY:,.1f} days and ${mix.usd:,.2f}".removesuffix(".00")
        notes.append(f"The deadline cannot be met for this money: {soonest}.")
    alone = [r.reduction for r in chosen.reduced if len(r.reduction.changes) == 1 and spec.shape is not None]
    if alone:
        (dimension, (old, new)) = next(iter(alone[0].changes.items()))
        keeps = f"{new:,} of {old:,} keep {alone[0].calls / calls:.0%} of the calls"
        notes.append(f"To shrink one dimension alone, take {dimension}: {keeps}.")
    models = {p.option.model for p in mix.parts} if mix else set[str]()
    if len(models) > 1:
        notes.append(f"The mix answers with {len(models)} models: name models or shares where they must be alike.")
    dates = {p.option.dated for p in mix.parts if p.option.dated} if mix else set[str]()
    old_ones = sorted(d for d in dates if begins.date() - last_day(d) > STALE)
    if old_ones:
        notes.append(f"Figures of the mix that nobody has compared for 90 days: {', '.join(old_ones)}.")
    return notes


def _on_windows(calls: int, options: Sequence[Option]) -> list[str]:
    """Where the window one thinks of first is not the one that binds: of each provider the quickest such model."""
    told: dict[str, tuple[float, str]] = {}
    for option in options:
        if option.pace is None or option.refused:
            continue
        days = option.pace.even(calls)
        name, most = option.pace.binding(calls)
        if name == "RPD" or (requests := days.get("RPD")) is None or most < max(1.5 * requests, 1):
            continue
        each = next(r for r in option.pace.rates if r.name == "RPD").calls * option.accounts
        words = f"{option.name} {requests:,.1f} days by its {each:,.0f} a day, {most:,.1f} by its {name}"
        told[option.provider] = min(told.get(option.provider, (most, words)), (most, words))
    sentences = "; ".join(words for _, words in told.values())
    return [f"Requests a day are not always what binds: {sentences}."] if told else []


def _on_local(spec: Spec, settings: Settings) -> list[str]:
    """Servers and files on this machine, whose speed only a measurement tells."""
    here = [
        name for name, p in settings.providers.items() if p.enabled and is_local(p, "", settings.local_hosts)
    ]  # fmt: skip
    if not here or spec.local:
        return []
    return [f"How fast {', '.join(here)} is, nobody measured: say it under [[local]], and the mix counts on it."]


def _rounded(number: float | None) -> float | None:
    return None if number is None or math.isinf(number) else round(number, 4)
