"""Looking back: budgets, and why a reply is what it is."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from understudy.cli.render import dollars, duration, table
from understudy.cli.running import open_director
from understudy.cli.terminal import harmless, one_line, say
from understudy.errors import StoreError, UsageError
from understudy.types import Balance

if TYPE_CHECKING:
    from understudy.director.director import Director

T = TypeVar("T")
LAST = 20  # replies listed by explain without an id


async def budget(config: str | None, session: str | None, *, as_json: bool) -> int:
    """The director's tokens (conversation and day), the classifier's, and money."""
    async with open_director(config) as director:
        balances = await scopes(director, session)
    if as_json:
        say(json.dumps({"session": session, "scopes": [scope_to_dict(n, b) for n, b in balances]}))
        return 0
    say(budget_table(balances))
    if session is None:
        say("\nA conversation's own: understudy budget --session ID")
    return 0


async def scopes(director: Director, session: str | None) -> list[tuple[str, Balance]]:
    """(what it is, its balance). Without a session no conversation is shown."""
    from understudy.director import budget as names

    parts = director.parts
    now = parts.clock.now()
    wanted = {
        "director today": names.day_scope(now),
        "classifier today": names.classifier_scope(now),
        "money today": names.money_scope(now),
    }
    if session is not None:
        await parts.store.sessions.get(session)  # refuses what is no id
        wanted = {"director, this conversation": names.conversation_scope(session), **wanted}
    return [(n, await names.balance(parts.store.ledger, director.settings, scope)) for n, scope in wanted.items()]


def budget_table(balances: list[tuple[str, Balance]]) -> str:
    return table(("budget", "spent", "reserved", "limit", "left"), [_budget_row(n, b) for n, b in balances])


def _budget_row(name: str, b: Balance) -> tuple[str, ...]:
    if b.limit_tokens is None and b.limit_micro_usd is not None:
        spent, reserved, limit = (x / 1e6 for x in (b.spent.micro_usd, b.reserved.micro_usd, b.limit_micro_usd))
        return (name, dollars(spent), dollars(reserved), dollars(limit), dollars(max(0.0, limit - spent - reserved)))
    if b.limit_tokens is None:
        return (name, f"{b.spent.tokens:,}", f"{b.reserved.tokens:,}", "none", "-")
    left = max(0, b.limit_tokens - b.spent.tokens - b.reserved.tokens)
    return (name, f"{b.spent.tokens:,}", f"{b.reserved.tokens:,}", f"{b.limit_tokens:,}", f"{left:,} tokens")


def scope_to_dict(name: str, b: Balance) -> dict[str, Any]:
    def amounts(tokens: int | None, micro_usd: int | None) -> dict[str, Any]:
        return {"tokens": tokens, "usd": None if micro_usd is None else micro_usd / 1e6}

    return {
        "name": name,
        "scope": b.scope,
        "spent": amounts(b.spent.tokens, b.spent.micro_usd),
        "reserved": amounts(b.reserved.tokens, b.reserved.micro_usd),
        "limit": amounts(b.limit_tokens, b.limit_micro_usd),
    }


async def explain(config: str | None, reply_id: str | None, *, as_json: bool) -> int:
    """One reply's provenance, or the last ones. Raises UsageError for an unknown id."""
    async with open_director(config) as director:
        if reply_id is None:
            records = await director.parts.store.replies.recent(LAST)
            say(json.dumps({"replies": list(records)}) if as_json else replies_table(records))
            return 0
        try:
            record = await director.explain(reply_id)
        except UsageError:  # it may be one of the rehearsal's, which keeps its own store
            async with open_director(config, rehearsal=True) as rehearsal:
                record = await rehearsal.explain(reply_id)
    say(json.dumps(record) if as_json else explanation(record))
    return 0


def replies_table(records: tuple[dict[str, Any], ...]) -> str:
    if not records:
        return "There are no replies yet."
    rows = [_readable(_reply_row, r, (r["id"], when(r.get("time")), "damaged", "-", "-", "-", "")) for r in records]
    return table(("reply", "when", "intent", "agent", "answered by", "tokens", "conversation"), rows)


def _reply_row(r: Mapping[str, Any]) -> tuple[str, ...]:
    tokens = sum(a["input_tokens"] + a["output_tokens"] for a in _attempts(r))
    return (
        r["id"],
        when(r.get("time")),
        _intent(r),
        r.get("agent") or "-",
        _outcome(r),
        f"{tokens:,}",
        r.get("session", ""),
    )


def _readable(show: Callable[[Mapping[str, Any]], T], record: Mapping[str, Any], instead: T) -> T:
    """What is shown of a record; `instead` for one that lacks what every record has."""
    try:
        return show(record)
    except (KeyError, TypeError, ValueError, AttributeError):
        return instead


def explanation(record: Mapping[str, Any]) -> str:
    """A reply or a failure in plain words: what it was, who decided, every attempt, every check."""
    told = _readable(_explanation, record, "")
    if not told:
        raise StoreError(
            f"The record of the reply {record.get('id')} in the store is damaged.",
            remedy="understudy explain ID --json shows what is left of it; all others are sound.",
        )
    return told


def _explanation(record: Mapping[str, Any]) -> str:
    lines = [f"{record.get('id')}  {when(record.get('time'))}  conversation {record.get('session')}"]
    if error := record.get("error"):
        lines.append(f"failed: {error.get('type')}: {error.get('message')} {error.get('remedy', '')}".rstrip())
    if intent := record.get("intent"):
        lines.append(f"intent: {intent['name']} ({intent['probability']:.2f}, said by {intent['by']})")
    if label := record.get("sensitivity"):
        because = f" because of: {', '.join(label['reasons'])}" if label["reasons"] else ""
        lines.append(f"sensitivity: {label['label']}{because}")
    if policy := record.get("policy"):
        decided = cast("Mapping[str, Any]", record.get("decision") or {})
        lines.append(f"policy: {policy['name']} (hash {policy['hash']}), agent {decided.get('agent', '-')}")
    if decision := cast("Mapping[str, Any] | None", record.get("decision")):
        chain = ", ".join(link["domain"] for link in decision.get("chain", ()))
        lines.append(f"chain: {chain or 'nobody'}" + (f"  ({decision['why']})" if decision.get("why") else ""))
    lines += ["", _attempts_table(record)] if _attempts(record) else ["", "No call was made."]
    lines += [f"passed over: {s['domain']}: {s['why']}" for s in record.get("skipped") or ()]
    for check in record.get("validators") or ():
        lines.append(f"check {check['name']}: {'passed' if check['passed'] else 'failed'} {check['reason']}".rstrip())
    if steps := record.get("steps"):
        lines.append("steps: " + ", ".join(f"{s['id']} ({s['agent']})" for s in steps))
    if director := record.get("director"):
        limit = director["limit"]
        lines.append(f"director: {director['spent']:,} of {'no limit' if limit is None else f'{limit:,}'} tokens spent")
    if tokens := record.get("tokens"):
        lines.append(f"tokens: {tokens['total']:,}, {tokens['free_share']:.0%} on free inference")
    lines += [f"note: {note}" for note in record.get("notes") or ()]
    return harmless("\n".join(lines))


def _attempts_table(record: Mapping[str, Any]) -> str:
    columns = ("attempt", "role", "outcome", "in", "out", "paid", "list", "took", "why")
    rows = [
        (
            f"{a['candidate']} ({a['account']})",
            a["role"],
            a["outcome"],
            f"{a['input_tokens']:,}",
            f"{a['output_tokens']:,}",
            dollars(a["cost_usd"]),
            dollars(a["list_usd"]),
            duration(a["seconds"]),
            a.get("error") or "",
        )
        for a in _attempts(record)
    ]
    return table(columns, rows)


def when(moment: object) -> str:
    """Local time, to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment)) if isinstance(moment, int | float) else "-"


def _attempts(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(record.get("attempts") or ())


def _intent(record: Mapping[str, Any]) -> str:
    intent = cast("Mapping[str, Any]", record.get("intent") or {})
    return str(intent.get("name", "-"))


def _outcome(record: Mapping[str, Any]) -> str:
    if error := record.get("error"):
        return f"nobody: {error.get('type')}"
    done = [a["candidate"] for a in _attempts(record) if a["outcome"] == "ok" and a["role"] == "worker"]
    return one_line(", ".join(dict.fromkeys(done)) or "-")
