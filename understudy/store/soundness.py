"""Which rows are damaged, for the doctor: in use they are met one by one."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

# table -> column -> what it must hold, as SQLite's typeof() says it; json: a text that is JSON.
_COLUMNS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "scopes": {
        "scope": ("text",),
        "limit_tokens": ("integer", "null"),
        "limit_micro_usd": ("integer", "null"),
        "spent_tokens": ("integer",),
        "spent_micro_usd": ("integer",),
        "reserved_tokens": ("integer",),
        "reserved_micro_usd": ("integer",),
    },
    "holds": {"tokens": ("integer",), "micro_usd": ("integer",), "scopes": ("json",), "expires": ("real", "integer")},
    "sessions": {"created": ("real", "integer"), "updated": ("real", "integer"), "title": ("text",)},
    "turns": {"user": ("text",), "assistant": ("text",)},
    "replies": {"id": ("text",), "record": ("json",)},
    "attempts": {"input_tokens": ("integer",), "output_tokens": ("integer",), "cost_usd": ("real", "integer")},
    "fleets": {"record": ("json",)},
    "pages": {"version": ("integer",), "body": ("blob",)},
    "salts": {"salt": ("blob",)},
    "keys": {"first": ("real", "integer"), "last": ("real", "integer")},
    "refusals": {"since": ("real", "integer"), "until": ("real", "integer")},
    "callers": {
        "name": ("text",),
        "salt": ("blob",),
        "hash": ("blob",),
        "scopes": ("json",),
        "policy": ("text", "null"),
        "private": ("integer",),
        "tokens_per_day": ("integer", "null"),
        "requests_per_minute": ("integer", "null"),
        "created": ("real", "integer"),
        "revoked_at": ("real", "integer", "null"),
        "last_used": ("real", "integer", "null"),
    },
    "caller_rates": {"slots": ("json",)},
    "jobs": {
        "id": ("text",),
        "caller": ("text",),
        "key": ("text",),
        "session": ("text",),
        "state": ("text",),
        "priority": ("integer",),
        "created": ("real", "integer"),
        "due": ("real", "integer"),
        "keep": ("real", "integer"),
        "started": ("real", "integer", "null"),
        "ended": ("real", "integer", "null"),
        "expires": ("real", "integer", "null"),
        "lease": ("real", "integer", "null"),
        "attempts": ("integer",),
        "cancel": ("integer",),
        "events": ("integer",),
        "task": ("text", "null"),
        "result": ("text", "null"),
        "error": ("text", "null"),
    },
    "job_events": {"event": ("json",)},
    "campaigns": {"id": ("text",), "state": ("text",), "items": ("integer",), "spec": ("json",)},
    "campaign_items": {
        "n": ("integer",),
        "key": ("text",),
        "state": ("text",),
        "tries": ("integer",),
        "crashes": ("integer",),
        "input": ("json",),
    },
    "campaign_results": {"text": ("text",), "input_tokens": ("integer",), "output_tokens": ("integer",)},
    "campaign_tallies": {"count": ("integer",), "micro_usd": ("integer",)},
    "pipeline_runs": {"inputs": ("json",)},
    "pipeline_steps": {"begun": ("integer",), "value": ("text", "null")},
}


def damaged_rows(db: sqlite3.Connection) -> dict[str, int]:
    """How many, by table; tables without any are left out."""
    found: dict[str, int] = {}
    for table, columns in _COLUMNS.items():
        wrong = " OR ".join(_is_wrong(column, kinds) for column, kinds in columns.items())
        count: int = db.execute(f"SELECT count(*) FROM {table} WHERE {wrong}").fetchone()[0]  # noqa: S608 - constants
        if count:
            found[table] = count
    return found


def _is_wrong(column: str, kinds: tuple[str, ...]) -> str:
    if kinds == ("json",):
        return f"typeof({column}) != 'text' OR NOT json_valid({column})"
    return f"typeof({column}) NOT IN ({', '.join(repr(kind) for kind in kinds)})"
