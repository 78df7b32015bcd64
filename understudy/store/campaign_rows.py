"""The statements of campaigns.py: each function is given a transaction that has begun. They hold on both shelves."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from understudy.store import campaign_records as kept
from understudy.store.campaign_records import Campaign, Failed, NewItem, OpenItem, Result, Tallies, WorkerRow
from understudy.store.campaign_shelf import Sql
from understudy.store.rows import Row

_HEAD = "id, name, state, reason, created, started, ended, items, chunks, limit_micro_usd, spec"
_COUNT = (
    "INSERT INTO campaign_tallies AS t (campaign, kind, name, count, input_tokens, output_tokens, micro_usd)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (campaign, kind, name) DO UPDATE SET count = t.count + excluded.count,"
    " input_tokens = t.input_tokens + excluded.input_tokens, output_tokens = t.output_tokens + excluded.output_tokens,"
    " micro_usd = t.micro_usd + excluded.micro_usd"
)
_RESULT = (
    "INSERT INTO campaign_results (campaign, n, at, reply, candidate, input_tokens, output_tokens, micro_usd, seconds,"
    " text, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (campaign, n) DO NOTHING"
)
CRASHES = 2  # with an item in flight, after which it is set aside
IN_FLIGHT = "two crashes with it in flight"


def create(db: Sql, id: str, name: str, spec: str, limit: int | None, now: float) -> None:  # noqa: A002
    db.execute(
        "INSERT INTO campaigns (id, name, state, created, limit_micro_usd, spec) VALUES (?, ?, ?, ?, ?, ?)",
        (id, name, kept.LOADING, now, limit, spec),
    )


def add(db: Sql, id: str, items: Sequence[NewItem], chunk: int) -> int:  # noqa: A002
    before = _whole(db, "SELECT items FROM campaigns WHERE id = ?", id)
    db.executemany(
        "INSERT INTO campaign_items (campaign, n, key, chunk, part, state, input) VALUES (?, ?, ?, ?, ?, 'open', ?)"
        " ON CONFLICT DO NOTHING",
        [(id, i.n, i.key, i.n // chunk, i.part, i.input) for i in items],
    )
    first, last = items[0].n, items[-1].n
    new = _whole(db, "SELECT count(*) FROM campaign_items WHERE campaign = ? AND n BETWEEN ? AND ?", id, first, last)
    db.execute("UPDATE campaigns SET items = ? WHERE id = ?", (before + new, id))
    return new


def seal(db: Sql, id: str, chunk: int, now: float, *, grouped: bool) -> Campaign:  # noqa: A002
    if grouped:
        db.execute(
            "UPDATE campaign_items SET chunk = s.c FROM (SELECT n AS m, (row_number() OVER (ORDER BY part, n) - 1) / ?"
            " AS c FROM campaign_items WHERE campaign = ?) AS s WHERE campaign = ? AND n = s.m",
            (chunk, id, id),
        )
    chunks = _whole(db, "SELECT count(DISTINCT chunk) FROM campaign_items WHERE campaign = ?", id)
    db.execute("UPDATE campaigns SET state = ?, started = ?, chunks = ? WHERE id = ?", (kept.RUNNING, now, chunks, id))
    found = find(db, id)
    assert found is not None  # noqa: S101 - it was read a moment ago, in this transaction
    return found


def find(db: Sql, id: str) -> Campaign | None:  # noqa: A002
    found = db.execute(f"SELECT {_HEAD} FROM campaigns WHERE id = ?", (id,)).fetchall()  # noqa: S608 - constants
    if not found and id:
        end = id[:-1] + chr(ord(id[-1]) + 1)
        query = f"SELECT {_HEAD} FROM campaigns WHERE id >= ? AND id < ?"  # noqa: S608
        found = db.execute(query, (id, end)).fetchall()
    return _campaign(found[0]) if len(found) == 1 else None


def every(db: Sql) -> tuple[Campaign, ...]:
    return tuple(map(_campaign, db.execute(f"SELECT {_HEAD} FROM campaigns ORDER BY created DESC").fetchall()))  # noqa: S608


def turn_to(db: Sql, id: str, state: str, reason: str, now: float, unless: Sequence[str]) -> bool:  # noqa: A002
    marks = ", ".join("?" * len(unless)) or "''"
    ended = now if state in kept.ENDED else None
    done = db.execute(
        f"UPDATE campaigns SET state = ?, reason = ?, ended = ? WHERE id = ? AND state NOT IN ({marks})",  # noqa: S608
        (state, reason, ended, id, *unless),
    )
    return done.rowcount > 0


def reopen(db: Sql, id: str, now: float) -> int:  # noqa: A002
    done = db.execute(
        "UPDATE campaign_items SET state = 'open', tries = 0, crashes = 0, why = ''"
        " WHERE campaign = ? AND state = 'aside'",
        (id,),
    )
    db.execute("DELETE FROM campaign_tallies WHERE campaign = ? AND kind = 'aside'", (id,))
    turn_to(db, id, kept.RUNNING, "", now, (kept.CANCELLED, kept.LOADING))
    return done.rowcount


def tallies(db: Sql, id: str) -> Tallies:  # noqa: A002
    found: dict[str, dict[str, kept.Tally]] = defaultdict(dict)
    query = "SELECT kind, name, count, input_tokens, output_tokens, micro_usd FROM campaign_tallies WHERE campaign = ?"
    for row in db.execute(query, (id,)).fetchall():
        v = Row("campaign_tallies", id, row)
        kind, name = v.text(), v.text()
        found[kind][name] = kept.Tally(v.whole(), v.whole(), v.whole(), v.whole())
    return kept.Tallies(**{kind: found[kind] for kind in ("tier", "model", "failure", "aside", "minute")})


def open_chunks(db: Sql, id: str) -> Mapping[int, int]:  # noqa: A002
    query = (
        "SELECT chunk, count(*) FROM campaign_items WHERE campaign = ? AND state IN ('open', 'flying')"
        " GROUP BY chunk ORDER BY chunk"
    )
    return {int(chunk): int(count) for chunk, count in db.execute(query, (id,)).fetchall()}


def take(db: Sql, id: str, chunk: int, worker: str, now: float) -> tuple[tuple[OpenItem, ...], int]:  # noqa: A002
    living = {w.id for w in workers(db, id) if w.is_alive(now)} - {worker}
    query = (
        "SELECT n, key, tries, crashes, state, worker, input FROM campaign_items WHERE campaign = ? AND chunk = ?"
        " AND state IN ('open', 'flying') ORDER BY part, n"
    )
    todo: list[OpenItem] = []
    lost: list[int] = []
    for row in db.execute(query, (id, chunk)).fetchall():
        v = Row("campaign_items", id, row)
        item, crashes, state, owner = (v.whole(), v.text(), v.whole()), v.whole(), v.text(), v.text()
        if state == "flying" and owner in living:
            continue
        if state == "flying":
            crashes += 1
            why = IN_FLIGHT if crashes >= CRASHES else ""
            if why:
                lost.append(item[0])
            db.execute(
                "UPDATE campaign_items SET state = ?, crashes = ?, why = ?, worker = '' WHERE campaign = ? AND n = ?",
                ("aside" if why else "open", crashes, why, id, item[0]),
            )
            if why:
                continue
        todo.append(kept.OpenItem(*item, input=v.text()))
    if lost:
        db.execute(_COUNT, (id, "aside", IN_FLIGHT, len(lost), 0, 0, 0))
    # Who was in flight at a crash goes first: it has waited longest.
    return tuple(sorted(todo, key=lambda i: i.tries == 0)), len(lost)


def begin(db: Sql, id: str, worker: str, numbers: Sequence[int]) -> frozenset[int]:  # noqa: A002
    begun: set[int] = set()
    for n in sorted(numbers):
        done = db.execute(
            "UPDATE campaign_items SET state = 'flying', worker = ?, tries = tries + 1"
            " WHERE campaign = ? AND n = ? AND state = 'open'",
            (worker, id, n),
        )
        if done.rowcount:
            begun.add(n)
    return frozenset(begun)


def put_back(db: Sql, id: str, worker: str, numbers: Sequence[int]) -> None:  # noqa: A002
    db.executemany(
        "UPDATE campaign_items SET state = 'open', worker = '', tries = tries - 1"
        " WHERE campaign = ? AND n = ? AND state = 'flying' AND worker = ?",
        [(id, n, worker) for n in sorted(numbers)],
    )


def finish(db: Sql, id: str, ended: Iterable[Result | Failed], now: float) -> None:  # noqa: A002
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0, 0])

    def count(kind: str, name: str, of: Result | Failed | None = None) -> None:
        spent = (of.input_tokens, of.output_tokens, of.micro_usd) if of is not None else (0, 0, 0)
        for place, value in enumerate((1, *spent)):
            counts[kind, name][place] += value

    minute = str(int(now // 60))
    for one in sorted(ended, key=lambda e: e.n):
        if isinstance(one, kept.Result):
            if not _keep(db, id, one):
                count("failure", "twice", one)  # another worker's answer was there first: this one is paid all the same
                continue
            count("tier", one.tier, one)
            count("model", one.candidate, one)
            count("minute", minute)
        else:
            count("failure", one.kind, one)
            done = db.execute(
                "UPDATE campaign_items SET state = ?, why = ?, worker = ''"
                " WHERE campaign = ? AND n = ? AND state = 'flying'",
                ("aside" if one.aside else "open", f"{one.kind}: {one.why}", id, one.n),
            )
            if one.aside and done.rowcount:
                count("aside", one.kind)
    for (kind, name), values in sorted(counts.items()):
        db.execute(_COUNT, (id, kind, name, *values))


def _keep(db: Sql, id: str, r: Result) -> bool:  # noqa: A002
    done = db.execute(
        _RESULT,
        (id, r.n, r.at, r.reply, r.candidate, r.input_tokens, r.output_tokens, r.micro_usd, r.seconds, r.text, r.data),
    )
    if not done.rowcount:
        return False
    db.execute("UPDATE campaign_items SET state = 'done', why = '' WHERE campaign = ? AND n = ?", (id, r.n))
    return True


def results(db: Sql, id: str, after: int, most: int) -> list[dict[str, Any]]:  # noqa: A002
    query = (
        "SELECT i.n, i.key, i.state, i.tries, i.why, i.input, r.at, r.reply, r.candidate, r.input_tokens,"
        " r.output_tokens, r.micro_usd, r.seconds, r.text, r.data FROM campaign_items i LEFT JOIN campaign_results r"
        " ON r.campaign = i.campaign AND r.n = i.n WHERE i.campaign = ? AND i.n > ? AND i.state IN ('done', 'aside')"
        " ORDER BY i.n LIMIT ?"
    )
    return [_told(row) for row in db.execute(query, (id, after, most)).fetchall()]


def asides(db: Sql, id: str, most: int) -> list[dict[str, Any]]:  # noqa: A002
    query = "SELECT n, key, tries, why FROM campaign_items WHERE campaign = ? AND state = 'aside' ORDER BY n LIMIT ?"
    names = ("n", "key", "tries", "why")
    return [dict(zip(names, row, strict=True)) for row in db.execute(query, (id, most)).fetchall()]


def join(db: Sql, id: str, worker: str, host: str, pid: int, now: float) -> None:  # noqa: A002
    db.execute(
        "INSERT INTO campaign_workers (id, campaign, host, pid, started, beat) VALUES (?, ?, ?, ?, ?, ?)",
        (worker, id, host, pid, now, now),
    )


def beat(db: Sql, id: str, worker: str, now: float) -> Campaign | None:  # noqa: A002
    query = "UPDATE campaign_workers SET beat = ? WHERE id = ? AND taken = ''"
    if not db.execute(query, (now, worker)).rowcount:
        return None
    oldest = str(int((now - kept.SEEN) // 60))
    db.execute(
        "DELETE FROM campaign_tallies WHERE campaign = ? AND kind = 'minute' AND name < ? AND length(name) = ?",
        (id, oldest, len(oldest)),
    )
    return find(db, id)


def workers(db: Sql, id: str) -> tuple[WorkerRow, ...]:  # noqa: A002
    query = "SELECT id, host, pid, started, beat, taken FROM campaign_workers WHERE campaign = ? ORDER BY started, id"
    found: list[WorkerRow] = []
    for row in db.execute(query, (id,)).fetchall():
        v = Row("campaign_workers", id, row)
        found.append(kept.WorkerRow(v.text(), v.text(), v.whole(), v.number(), v.number(), v.text()))
    return tuple(found)


def bury(db: Sql, id: str, worker: str, now: float, *, all_others: bool) -> tuple[str, ...]:  # noqa: A002
    known = workers(db, id)
    living = {w.id for w in known if w.is_alive(now) and (w.id == worker or not all_others)}
    mine: list[str] = []
    for w in known:
        if w.id in living or w.taken in living | {worker}:
            continue
        done = db.execute(
            "UPDATE campaign_workers SET taken = ? WHERE id = ? AND taken = ? AND beat = ?",
            (worker, w.id, w.taken, w.beat),
        )
        if done.rowcount:
            mine.append(w.id)
    return tuple(mine)


def grant(db: Sql, id: str, home: str, share: float) -> int | None:  # noqa: A002
    # The row is written first: on a server, whoever comes next waits for this transaction.
    db.execute("UPDATE campaigns SET limit_micro_usd = limit_micro_usd WHERE id = ?", (id,))
    row = db.execute("SELECT limit_micro_usd FROM campaigns WHERE id = ?", (id,)).fetchone()
    if row is None or row[0] is None:
        return None
    given = _whole(db, "SELECT CAST(coalesce(sum(micro_usd), 0) AS BIGINT) FROM campaign_grants WHERE campaign = ?", id)
    free = max(0, int(row[0]) - given)
    part = min(free, max(1, -(-int(free * share) // 1)))
    db.execute(
        "INSERT INTO campaign_grants AS g (campaign, home, micro_usd) VALUES (?, ?, ?)"
        " ON CONFLICT (campaign, home) DO UPDATE SET micro_usd = g.micro_usd + excluded.micro_usd",
        (id, home, part),
    )
    return _whole(db, "SELECT micro_usd FROM campaign_grants WHERE campaign = ? AND home = ?", id, home)


def give_back(db: Sql, id: str, home: str, micro_usd: int) -> None:  # noqa: A002
    db.execute(
        "UPDATE campaign_grants SET micro_usd = micro_usd - ? WHERE campaign = ? AND home = ? AND micro_usd >= ?",
        (micro_usd, id, home, micro_usd),
    )


def _told(row: Sequence[Any]) -> dict[str, Any]:
    n, key, state, tries, why, given, at, reply, candidate, tokens_in, tokens_out, micro_usd, seconds, text, data = row
    said: dict[str, Any] = {"n": n, "key": key, "state": state, "tries": tries, "fields": _json(given).get("fields")}
    if state == "aside":
        return {**said, "why": why}
    used = {"input_tokens": tokens_in, "output_tokens": tokens_out, "cost_usd": micro_usd / 1e6, "seconds": seconds}
    return {**said, "text": text, "data": _json(data), "candidate": candidate, "reply": reply, "at": at, **used}


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _whole(db: Sql, query: str, *values: Any) -> int:
    return Row("campaigns", str(values[0]), db.execute(query, values).fetchone() or ()).whole()


def _campaign(row: Sequence[object]) -> Campaign:
    v = Row("campaigns", row[0], row)
    return kept.Campaign(
        id=v.text(),
        name=v.text(),
        state=v.text(),
        reason=v.text(),
        created=v.number(),
        started=v.number_or_none(),
        ended=v.number_or_none(),
        items=v.whole(),
        chunks=v.whole(),
        limit_micro_usd=v.whole_or_none(),
        spec=v.text(),
    )
