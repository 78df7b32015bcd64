"""Policies at the terminal: which there are, what they say, where two differ, what holds, what would have been."""

from __future__ import annotations

import json
import re
import time
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields, is_dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from understudy.cli.render import dollars, duration, plural, table
from understudy.cli.terminal import hint, say
from understudy.errors import UsageError, ValidationFailed
from understudy.policies import registry
from understudy.types import Candidate, Facts, Intent, Sensitivity

if TYPE_CHECKING:
    from understudy.policies.diff import Difference
    from understudy.policies.replay import Recorded, Replayed
    from understudy.store.store import Store

SHOWN = 20  # groups of a diff or of a replay
UNITS = {"m": 60.0, "h": 3_600.0, "d": 86_400.0}  # seconds


def policy_list(*, as_json: bool) -> int:
    """Every released policy, and the entry points of installed packages. Raises ConfigError for a broken one."""
    from importlib.metadata import entry_points

    from understudy.policies.own import GROUP

    known = [registry.load(name) for name in registry.RELEASED]
    offered = sorted({point.name for point in entry_points(group=GROUP)} - set(registry.RELEASED))
    known += [registry.load(name) for name in offered]
    if as_json:
        rows = [{"name": p.name, "hash": p.hash, "about": p.about, "released": not p.own} for p in known]
        say(json.dumps({"policies": rows}))
    else:
        say(table(("policy", "hash", "what it is"), [(p.name, p.hash, p.about) for p in known]))
    return 0


def policy_show(name: str, *, as_json: bool) -> int:
    """One policy's rows. Raises UsageError for an unknown name, ConfigError for one that breaks a rule."""
    policy = registry.load(name)
    rows = policy_rows(policy)
    if as_json:
        head = {"name": policy.name, "hash": policy.hash, "about": policy.about, "base": policy.base or None}
        say(json.dumps({**head, "rows": rows}))
        return 0
    over = f"  over {policy.base}" if policy.base else ""
    say(f"policy {policy.name}  hash {policy.hash}{over}\n{policy.about}\n")
    columns = ("intent", "agent", "primary", "fallback", "why")
    cells = [
        (
            r["intent"] or f"--agent {r['agent']}",
            r["agent"],
            ", ".join(r["primary"]) or "-",
            ", ".join(r["fallback"]) or "-",
            r["why"],
        )
        for r in rows
    ]
    say(table(columns, cells))
    if any("first" in r for r in rows):
        say("\nWhat it decides with a model of every kind in the fleet: the first two, and who stands behind them.")
    else:
        say("\nlocal/... is any model on this machine, * any model; behind these stand all others, paid ones last.")
    return 0


def policy_rows(policy: registry.NamedPolicy) -> list[dict[str, Any]]:
    """The rows of a policy as plain data; those that only an agent's name reaches have no intent.

    Of a policy that is no table: what it decides for each intent with the fleet of lattice.py; `first` marks these.
    """
    if policy.table:
        return _laid_rows(policy)
    rows: Any = getattr(policy.module, "TABLE", None)
    if isinstance(rows, Mapping) and all(is_dataclass(r) and hasattr(r, "primary") for r in cast("Any", rows).values()):
        found: list[tuple[str | None, Any]] = [(str(intent), row) for intent, row in cast("Any", rows).items()]
        found += [(None, row) for row in getattr(policy.module, "AGENTS", {}).values()]
        return [{"intent": intent, **_plain(asdict(row))} for intent, row in found]
    return _decided_rows(policy)


def policy_diff(one: str, other: str, *, whole: bool, as_json: bool) -> int:
    """Where two policies decide differently."""
    from understudy.policies import lattice
    from understudy.policies.diff import compare, for_which, group_to_dict

    before, after = registry.load(one), registry.load(other)
    found = compare(before.decide, after.decide, lattice.walk(whole=whole))
    if as_json:
        names = [{"name": p.name, "hash": p.hash} for p in (before, after)]
        groups = [group_to_dict(group, found.everywhere) for group in found.groups]
        say(json.dumps({"policies": names, "facts": found.looked, "differ": found.differ, "groups": groups}))
        return 0
    say(f"{before.name} ({before.hash}) -> {after.name} ({after.hash})")
    ways = plural(len(found.groups), "way")
    say(f"{found.differ:,} of {found.looked:,} facts are decided differently, in {ways}.\n")
    if found.groups:
        rows = [(f"{g.count:,}", "; ".join(g.changes), for_which(g, found.everywhere)) for g in found.groups[:SHOWN]]
        say(table(("facts", "what changes", "for which"), rows))
    _hint_more(len(found.groups), found)
    return 0


def policy_test(name: str, *, quick: bool, as_json: bool) -> int:
    """The rules over the fact space, then the cases. Raises ValidationFailed when something does not hold."""
    from understudy.policies import check, lattice
    from understudy.policies.cases import cases_of, differences
    from understudy.policies.own import numbers_of

    policy = registry.load(name)
    space = lattice.walk(whole=not quick, marks=numbers_of(policy) if policy.own else ())
    found, count = check.first_violation(policy.decide, space, twice=quick)
    if found is None and not quick:  # all of them twice would be held in memory
        found, _ = check.first_violation(policy.decide, lattice.walk(whole=False), twice=True)
    cases = [(case, differences(case, policy.decide)) for case in cases_of(policy)]
    failed = [(case.name, wrong) for case, wrong in cases if wrong]
    broken = None if found is None else {"rule": found.rule, "what": found.what, "facts": check.in_words(found.facts)}
    if as_json:
        wrong = [{"case": case, "differences": list(how)} for case, how in failed]
        told = {"facts": count, "broken": broken, "cases": len(cases), "failed": wrong}
        say(json.dumps({"name": policy.name, "hash": policy.hash, **told}))
        return ValidationFailed.exit_code if broken or failed else 0
    say(f"policy {policy.name}  hash {policy.hash}")
    if broken is None:
        say(f"{count:,} facts: each is answered, private work stays here, nobody stands twice, every cap can be kept.")
    say(f"{plural(len(cases), 'case')}: {len(cases) - len(failed)} as expected.")
    for case, how in failed:
        say(f"  {case}: {'; '.join(how)}")
    if broken is not None:
        what = f"{policy.name} breaks a rule ({broken['rule']}): {broken['what']}; for {broken['facts']}."
        raise ValidationFailed(what, remedy="Mend the policy; docs/policies.md lists the rules.")
    if failed:
        raise ValidationFailed(f"{plural(len(failed), 'case')} of {policy.name} fail.", remedy="Mend it, or the case.")
    return 0


async def policy_replay(
    config: str | None, name: str, *, since: str, where: str | None, rehearsal: bool, as_json: bool
) -> int:
    """Recorded tasks through a policy. Exit code 5 when the version that decided them decides otherwise now."""
    from understudy.clock import WallClock
    from understudy.director.director import Director
    from understudy.policies.replay import replay
    from understudy.store.store import Store

    policy = registry.load(name)
    wanted = _wanted(where)
    began = moment(since, time.time())
    director = Director.from_config(config, rehearsal=rehearsal)
    store = await Store.open(director.home, WallClock())
    try:
        recorded, lost = await _recorded(store, began, wanted)
    finally:
        await store.close()
    sums = replay(recorded, policy.decide, name=policy.name, hash=policy.hash)
    sums.undecided = lost
    if as_json:
        say(json.dumps({"name": policy.name, "hash": policy.hash, "since": began, **_replayed_to_dict(sums)}))
    else:
        _tell_replayed(policy.name, sums)
    if sums.broken and not as_json:
        what = f"{plural(len(sums.broken), 'task')} would be decided otherwise by the version that decided them: "
        raise ValidationFailed(what + f"{', '.join(sums.broken[:3])}.", remedy="Its source was changed: restore it.")
    return ValidationFailed.exit_code if sums.broken else 0


async def _recorded(store: Store, began: float, wanted: Mapping[str, str]) -> tuple[list[Recorded], int]:
    """The tasks that fit, and how many could not be read or were never decided."""
    from understudy.policies.record import fleet_from_list
    from understudy.policies.replay import read

    fleets: dict[str, tuple[Candidate, ...]] = {}
    found: list[Recorded] = []
    lost = 0
    async for record in store.replies.each(began):
        try:
            name = record["facts"]["fleet"] if record.get("facts") else ""
            if name and name not in fleets:
                fleets[name] = fleet_from_list(await store.replies.fleet(name))
            one = read(record, fleets.get(name, ()))
        except (KeyError, TypeError, ValueError, AttributeError, UsageError):
            one = None
        if one is None:
            lost += 1
        elif all(_fits(one, key, value) for key, value in wanted.items()):
            found.append(one)
    return found, lost


def moment(since: str, now: float) -> float:
    """Seconds since the epoch, of `24h` before now, or of a day or time in local time. Raises UsageError."""
    if ago := re.fullmatch(r"(\d{1,6})([mhd])", since):
        return now - int(ago[1]) * UNITS[ago[2]]
    try:
        return datetime.fromisoformat(since).astimezone().timestamp()
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"{since[:40]!r} is no time.", remedy="Write 90m, 24h or 7d, or a day or time such as 2026-11-20T15:00."
        ) from None


def _wanted(where: str | None) -> dict[str, str]:
    known = [*(f.name for f in fields(Facts) if f.name not in ("fleet", "standings", "resting")), "policy"]
    wanted: dict[str, str] = {}
    for pair in (where or "").split(","):
        key, given, value = (part.strip() for part in pair.partition("="))
        if not pair.strip():
            continue
        if key not in known or not given:
            raise UsageError(
                f"{pair.strip()[:60]!r} names no fact.", remedy=f"Write FACT=VALUE of: {', '.join(known)}."
            )
        if key == "intent" and value not in list(Intent):
            raise UsageError(f"There is no intent {value[:40]!r}.", remedy=f"Known: {', '.join(Intent)}.")
        wanted[key] = value
    return wanted


def _fits(one: Recorded, key: str, value: str) -> bool:
    found = one.policy if key == "policy" else getattr(one.facts, key)
    return value.lower() == str(found).lower()


def _tell_replayed(name: str, sums: Replayed) -> None:
    undecided = f"; {sums.undecided:,} more were never decided, or cannot be read" if sums.undecided else ""
    say(f"{plural(sums.tasks, 'task')} decided again by {name}{undecided}.")
    if not sums.tasks:
        return
    say(
        f"{sums.same:,} as before, {sums.differ:,} differently ({sums.same_first:,} of them with the same one first).\n"
    )
    if sums.groups:
        rows = [(f"{count:,}", "; ".join(changed)) for changed, count in sums.groups.most_common(SHOWN)]
        say(table(("tasks", "what would have changed"), rows))
        _hint_more(len(sums.groups), None)
        say("")
    known = sums.would_be.tasks
    columns = ("", "tasks", "answered", "seconds each", "list price", "paid")
    rows = [_sum_row("all, as they were", sums.was.to_dict())]
    if known:
        rows += [
            _sum_row("that differ and are known, as they were", sums.was_known.to_dict()),
            _sum_row("the same ones, as they would be", sums.would_be.to_dict()),
        ]
    say(table(columns, rows))
    if sums.unknown:
        say(f"unknown: what {plural(sums.unknown, 'task')} would have come to; too little is recorded of their models.")
    if (weighted := sums.weighted.to_dict()) is not None:
        say(
            f"weighted by propensity: {weighted['matched']:,} of {weighted['tasks']:,} explored tasks"
            f" (worth {weighted['effective']:,}): answered {weighted['answered']:.1%},"
            f" {duration(weighted['seconds'])}, {dollars(weighted['list_usd'])} a task"
        )


def _sum_row(what: str, sums: Mapping[str, float]) -> tuple[str, ...]:
    seconds, answered = duration(sums["seconds"]), f"{sums['answered']:.1%}"
    return (what, f"{int(sums['tasks']):,}", answered, seconds, dollars(sums["list_usd"]), dollars(sums["paid_usd"]))


def _replayed_to_dict(sums: Replayed) -> dict[str, Any]:
    intents = sorted({intent for intent, _ in sums.intents})
    return {
        "tasks": sums.tasks,
        "undecided": sums.undecided,
        "same": sums.same,
        "differ": sums.differ,
        "same_first": sums.same_first,
        "broken": list(sums.broken),
        "changes": [{"changes": list(changed), "tasks": count} for changed, count in sums.groups.most_common()],
        "intents": {i: {"same": sums.intents[i, True], "differ": sums.intents[i, False]} for i in intents},
        "was": sums.was.to_dict(),
        "known": {"was": sums.was_known.to_dict(), "would_be": sums.would_be.to_dict()},
        "unknown": sums.unknown,
        "director_tokens": sums.director_tokens,
        "weighted": sums.weighted.to_dict(),
    }


def _hint_more(count: int, found: Difference | None) -> None:
    if count > SHOWN:
        hint(f"{count - SHOWN:,} more; --json has them all{' with an example each' if found else ''}.")


def _laid_rows(policy: registry.NamedPolicy) -> list[dict[str, Any]]:
    """The rows of the policy under a table, with what the table says in their place."""
    own: dict[str, Any] = tomllib.loads(policy.table)
    rows = policy_rows(registry.load(policy.base))
    for row in rows:
        laid = own.get("rows", {}).get(row["intent"]) if row["intent"] else own.get("agents", {}).get(row["agent"])
        row.update({("output_cap" if key == "cap" else key): value for key, value in cast("Any", laid or {}).items()})
    return rows


def _decided_rows(policy: registry.NamedPolicy) -> list[dict[str, Any]]:
    from understudy.policies import lattice

    rows: list[dict[str, Any]] = []
    cases: Iterable[tuple[str | None, str | None]] = [
        *((str(intent), None) for intent in Intent),
        (None, "planner"),
        (None, "tester"),
    ]
    for intent, agent in cases:
        kind = Intent(intent or Intent.CODING)
        label = Sensitivity.PRIVATE if kind is Intent.PRIVATE else Sensitivity.PUBLIC
        facts = Facts(
            kind,
            1.0,
            label,
            120,
            agent=agent,
            director_left=2_000,
            rotation=3,
            fleet=lattice.FLEET,
            director=lattice.OPUS.domain,
        )
        decision = policy.decide(facts)
        names = {c.domain: c.name for c in lattice.FLEET}
        chain = list(dict.fromkeys(names[link.domain] for link in decision.chain))
        rows.append(
            {
                "intent": intent,
                "agent": decision.agent,
                "primary": chain[:2],
                "fallback": chain[2:5],
                "why": decision.why,
                "output_cap": decision.output_cap,
                "checks": list(decision.checks),
                "judge": decision.judge,
                "advice": decision.advice,
                "first": chain[0] if chain else None,
            }
        )
    return rows


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {
        key: sorted(cast("frozenset[str]", value)) if isinstance(value, frozenset) else value
        for key, value in row.items()
    }
