"""`campaign plan`: what a campaign takes, before anything is called."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from understudy.cli.render import dollars, plural, table
from understudy.cli.terminal import is_lively, one_line, say, width
from understudy.config.quota import DAY
from understudy.errors import UsageError

if TYPE_CHECKING:
    from understudy.pipelines.plan import Outlook, Plan
    from understudy.pipelines.spec import Spec

FITTING = ("fits", "too slow", "too dear", "too slow and too dear", "unknown", "not allowed", "cannot")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the command line says in the place of the SPEC. None: the SPEC's own word."""

    accounts: tuple[str, ...] = ()
    deadline: str | None = None
    usd: float | None = None
    gpu: Mapping[str, float | str | None] | None = None


def plan(config: str | None, named: str, wishes: Wishes, *, every: bool, as_json: bool) -> int:
    """Print the plan. Raises ConfigError, UsageError."""
    from understudy.config.load import load
    from understudy.pipelines.plan import plan_campaign
    from understudy.pipelines.spec import load_spec

    settings, _ = load(config)
    made = plan_campaign(_wished(load_spec(named), wishes), settings, accounts=_accounts(wishes.accounts))
    if as_json:
        say(json.dumps(made.to_dict()))
    else:
        for title, columns, rows in _sections(made, every=every):
            _show(title, columns, rows)
        for note in made.notes:
            say(f"note: {one_line(note)}")
    return 0


def _wished(spec: Spec, wishes: Wishes) -> Spec:
    from pydantic import ValidationError

    from understudy.config.slips import slips
    from understudy.pipelines.spec import Spec

    own = {name: value for name, value in (wishes.gpu or {}).items() if value is not None}
    changed = {"deadline": wishes.deadline, "usd": wishes.usd, "gpu": {**spec.gpu.model_dump(), **own} if own else None}
    try:
        return Spec.model_validate({**spec.model_dump(), **{k: v for k, v in changed.items() if v is not None}})
    except ValidationError as error:
        raise UsageError(f"--{slips(error, Spec)}.", remedy="Give another value.") from None


def _accounts(given: Sequence[str]) -> dict[str, int]:
    """groq=3. Raises UsageError."""
    found: dict[str, int] = {}
    for word in given:
        name, _, number = word.partition("=")
        if not name or not (number.isascii() and number.isdigit()) or not 1 <= int(number[:6]) <= 1000:
            raise UsageError(
                f"--accounts {one_line(word)[:60]} is no number of accounts.", remedy="Write it so: --accounts groq=3."
            )
        found[name] = int(number)
    return found


Section = tuple[str, tuple[str, ...], list[tuple[str, ...]]]


def _sections(plan: Plan, *, every: bool) -> list[Section]:
    return [
        _volume(plan),
        _options(plan, every=every),
        _mix(plan),
        *([_reduced(plan)] if plan.chosen.reduced else []),
        *([_break_even(plan)] if plan.break_even else []),
    ]


def _volume(plan: Plan) -> Section:
    spec, tokens = plan.spec, plan.spec.tokens
    rows = [(what, formula, f"{calls:,}") for what, formula, calls in plan.volume.steps]
    if not rows:
        rows = [("all", "one call for each row of the items", f"{plan.calls:,}")]
    total = plan.calls * tokens.total
    each = f"{tokens.input:,} in + {tokens.output:,} out a call"
    rows += [("tokens", each, f"{total:,}")]
    deadline = "no deadline" if spec.deadline is None else f"within {days(spec.deadline / DAY)}"
    money = "no limit of money" if spec.usd is None else f"for {dollars(spec.usd)} at the most"
    title = f"{spec.name}: {plural(plan.calls, 'call')}, {deadline}, {money}; tiers {', '.join(spec.allowed)}"
    return title, ("what", "how it is counted", "calls"), rows


def _options(plan: Plan, *, every: bool) -> Section:
    shown = sorted(plan.outlooks, key=lambda o: (*_rank(o), o.option.name))
    if not every:
        best: dict[tuple[str, str, bool], Outlook] = {}
        for outlook in shown:
            key = (outlook.option.provider, outlook.option.plan, outlook.option.claimed)
            if outlook.option.claimed:
                key = (outlook.option.name, outlook.option.plan, True)
            best.setdefault(key, outlook)
        shown = list(best.values())
    left = len(plan.outlooks) - len(shown)
    title = "Options: days at an even pace, soonest with windows nobody has used yet"
    title += f" (the best model of each; {left} more with --all)" if left else ""
    columns = ("who", "plan", "accounts", "days", "bound by", "soonest", "dollars", "verdict")
    return title, columns, [_option_row(o) for o in shown]


def _rank(outlook: Outlook) -> tuple[bool, int, bool, float, float]:
    days = outlook.days if outlook.days is not None else math.inf
    option = outlook.option
    return option.claimed, FITTING.index(outlook.verdict), not option.at_hand, outlook.usd, days


def _option_row(outlook: Outlook) -> tuple[str, ...]:
    option = outlook.option
    why = f": {outlook.why}" if outlook.why and outlook.verdict != "not allowed" else ""
    notes = " (as claimed)" if option.claimed else "" if option.at_hand else " (not yours)"
    return (
        option.name,
        option.plan,
        str(option.accounts),
        days(outlook.days),
        outlook.binding or "-",
        days(outlook.soonest),
        dollars(outlook.usd),
        f"{outlook.verdict}{why}{notes}",
    )


def _mix(plan: Plan) -> Section:
    mix = plan.chosen.mix or plan.chosen.fallback
    columns = ("who", "plan", "accounts", "calls", "soonest", "dollars")
    if mix is None:
        return "Best mix: none", columns, []
    told = "" if plan.chosen.mix else " (too slow: the soonest for this money)"
    title = f"Best mix: {days(mix.seconds / DAY)}, {dollars(mix.usd)}{told}"
    rows = [
        (
            p.option.name,
            p.option.plan,
            str(p.option.accounts),
            f"{p.calls:,}",
            days(p.option.soonest(p.calls) / DAY),
            dollars(p.option.usd(p.calls)),
        )
        for p in mix.parts
    ]
    return title, columns, rows


def _reduced(plan: Plan) -> Section:
    rows = [
        (
            "; ".join(f"{d} {old:,} -> {new:,}" for d, (old, new) in r.reduction.changes.items()),
            f"{r.reduction.calls:,}",
            days(r.mix.seconds / DAY),
            dollars(r.mix.usd),
            r.reduction.how,
        )
        for r in plan.chosen.reduced
    ]
    return "Reduced campaigns that fit", ("change", "calls", "soonest", "dollars", "how"), rows


def _break_even(plan: Plan) -> Section:
    from understudy.pipelines.breakeven import amount

    rows = [
        (
            b.name,
            b.kind,
            "-" if b.usd_per_million is None else dollars(b.usd_per_million),
            f"{dollars(b.against_usd_per_million)} {b.against}",
            "-" if b.break_even_tokens is None else amount(b.break_even_tokens),
            "-" if b.days is None else days(b.days),
            b.verdict,
        )
        for b in plan.break_even
    ]
    columns = ("machine", "how", "its M tokens", "M tokens hired", "pays from", "this campaign", "verdict")
    return f"A GPU of one's own (${plan.spec.gpu.electricity_usd:g} a kWh)", columns, rows


def days(number: float | None) -> str:
    """2.4 days, 14.0 h, 8 min; a dash where nobody knows."""
    if number is None or math.isinf(number):
        return "-"
    if number >= 2:
        return f"{number:,.1f} days"
    hours = number * 24
    return f"{hours:.1f} h" if hours >= 1 else f"{hours * 60:.0f} min"


def _show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table of rich's on a terminal that is wide enough, lines anywhere else."""
    widest = [max(len(one_line(cell)) for cell in cells) for cells in zip(columns, *rows, strict=True)]
    if not is_lively(sys.stdout) or sum(widest) + 3 * len(widest) + 1 > width():
        say(f"{one_line(title)}\n")
        say(f"{table(columns, rows)}\n" if rows else "-\n")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*columns, title=Text(one_line(title)), title_justify="left", title_style="bold")
    for row in rows:
        drawn.add_row(*(Text(one_line(cell)) for cell in row))
    Console(highlight=False).print(drawn)
