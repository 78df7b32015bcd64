"""`rehearse --scenario`: a whole day against simulated providers, and what it came to."""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from understudy.cli.ending import INTERRUPTED
from understudy.cli.render import dollars, plural, table
from understudy.cli.terminal import hint, is_lively, one_line, say
from understudy.config.pasted import shown
from understudy.errors import UsageError, ValidationFailed

if TYPE_CHECKING:
    from understudy.scenarios.rehearsal import Progress
    from understudy.scenarios.report import Report, Struck, Took
    from understudy.scenarios.scenario import Scenario

SIMULATED = "Providers, answers and the clock are simulated; the director, the dispatcher and the quota book are real."


def list_scenarios(*, as_json: bool) -> int:
    """The scenarios that come with the package."""
    from understudy.scenarios.scenario import load_scenario, shipped

    found = [load_scenario(name) for name in shipped()]
    if as_json:
        say(json.dumps({"scenarios": [{"name": s.name, "about": s.about, "requests": s.requests} for s in found]}))
    else:
        say(table(("scenario", "what it is about"), [(s.name, s.about) for s in found]))
        say("\nunderstudy rehearse --scenario NAME runs one; a TOML file of your own will do, too.")
    return 0


def rehearse_scenario(named: str, *, seed: int | None, requests: int | None, as_json: bool) -> int:
    """Run the day and report. Exit code 5 when it was not what the scenario expects, 130 when it was interrupted.

    Raises ConfigError, UsageError.
    """
    from understudy.scenarios.rehearsal import rehearse_day
    from understudy.scenarios.scenario import MOST, load_scenario

    scenario = load_scenario(named)
    own = scenario.requests
    if requests is not None and not 1 <= requests <= MOST:
        raise UsageError(f"A day has 1 to {MOST:,} requests.", remedy="Give another number.")
    scenario = replace(
        scenario,
        seed=scenario.seed if seed is None else seed,
        requests=scenario.requests if requests is None else requests,
    )
    if not as_json:
        say(f"{_title(scenario)}: {one_line(scenario.about) or 'a day'}\n{SIMULATED}\n")
    began, show = time.monotonic(), _progress(scenario)
    try:
        report = rehearse_day(scenario, show)
    finally:
        _wipe()
    took, broken = time.monotonic() - began, report.broken(scenario.expect)
    if as_json:
        say(json.dumps(report.to_dict() | {"broken": list(broken), "took": round(took, 1)}))
    else:
        for note in report.notes:
            hint(one_line(f"note: {note}"))
        if scenario.requests != own:
            hint(f"note: at {scenario.requests:,} tasks in place of {own:,} the shares are not those of the whole day.")
        if report.requests:
            say(table(("what", "came to"), [*_how_far(report, scenario), *_rows(report)]))
        _hint_ending(report, named, scenario, took)
    if report.interrupted:
        return INTERRUPTED
    if broken and not as_json:
        raise ValidationFailed(f"This day was not as it should be: {'; '.join(broken)}.", remedy="--json tells more.")
    return ValidationFailed.exit_code if broken else 0


def _title(scenario: Scenario) -> str:
    """The name of its file, which may hold anything."""
    return one_line(shown(scenario.name))


def _how_far(report: Report, scenario: Scenario) -> list[tuple[str, str]]:
    at = _time_of_day(report.lived)
    after = f"at {at} of the day, after {report.requests:,} of {plural(scenario.requests, 'task')}"
    return [("interrupted", after)] if report.interrupted else []


def _hint_ending(report: Report, named: str, scenario: Scenario, took: float) -> None:
    """How long it took, and how the same day is had again."""
    if report.interrupted:
        hint("interrupted" if report.requests else "interrupted before anything was counted")
        return
    hint(f"{plural(report.requests, 'task')} of {plural(report.hours, 'hour')} in {took:.0f} s")
    again = f"--scenario {shlex.quote(one_line(named))} --seed {scenario.seed} --requests {scenario.requests}"
    hint(f"digest {report.digest} of all answers; the same again with {again}")


def _rows(report: Report) -> list[tuple[str, str]]:
    """The report as lines of two."""
    rows = [
        ("seed", str(report.seed)),
        ("answered", f"{report.answered:,} of {report.requests:,} ({report.share:.3%})"),
        (
            "not answered",
            _counts(report.failed) + (f"; {report.told_when:,} told when to try again" if report.failed else ""),
        ),
        ("answered at a terminal", _seconds(report.interactive)),
        ("answered in batches", _seconds(report.batch)),
        ("failed after", _seconds(report.given_up)),
        ("who answered", ", ".join(f"{tier} {share:.1%}" for tier, share in report.tiers.items()) or "nobody"),
        *((f"{event.what} {event.where}", _struck(event)) for event in report.events),
        ("tokens", _counts(report.tokens)),
        ("calls", f"{report.calls:,}: {_counts(report.calls_by)}"),
        ("what they came to", _counts(report.outcomes)),
        ("429s we earned", _counts(report.earned)),
        ("director", f"{report.director_tokens:,} tokens"),
        ("at most in a conversation", f"{report.director_most:,} of {report.director_limit:,}"),
        ("money", dollars(report.paid_usd)),
        ("overspent", ", ".join(report.overspent) or "nothing"),
        ("private texts that left", str(report.leaks)),
        ("bad answers passed off as good", str(report.spoilt)),
    ]
    if report.unkept:
        rows.append(("answers without a record", f"{report.unkept:,}, which said so"))
    if report.crashed:
        rows.append(("crashed", _counts(report.crashed)))
    return rows


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {n:,}" for name, n in counts.items()) or "none"


def _struck(event: Struck) -> str:
    if not event.struck:
        return "struck nobody"
    return f"noticed {event.struck:,}x" if event.where == "at home" else f"struck {plural(event.struck, 'request')}"


def _seconds(took: Took | None) -> str:
    if took is None:
        return "-"
    return f"half within {took.p50:.2f} s, 95% {took.p95:.1f} s, 99% {took.p99:.1f} s, the longest {took.most:.1f} s"


def _progress(scenario: Scenario) -> Progress:
    """One line on a terminal that is written over; nothing elsewhere."""
    lively, title = is_lively(sys.stderr), _title(scenario)

    def show(done: int, of: int, hours: float) -> None:
        if lively:
            sys.stderr.write(f"\r{title}: {_time_of_day(hours)}, {done:,} of {of:,} tasks ")
            sys.stderr.flush()

    return show


def _time_of_day(hours: float) -> str:
    return f"{int(hours):02d}:{int(hours % 1 * 60):02d}"


def _wipe() -> None:
    if is_lively(sys.stderr):
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
