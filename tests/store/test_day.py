"""The sums of a day, caller by caller, read as replies are added."""

from __future__ import annotations

from typing import Any

from tests.store.test_replies import attempt
from understudy.store import day as module
from understudy.store.day import Day
from understudy.store.store import Store


def reply(name: str, caller: str | None, *, time: float = 100.0, error: str = "", **more: Any) -> dict[str, Any]:
    told = {"error": {"type": error}} if error else {}
    made = {**attempt("worker", "p/m", (10, 5), cost=0.0, listed=0.1, free=True), "outcome": "ok", "started": time}
    return {"id": name, "session": "s", "time": time, "caller": caller, "attempts": [made], **told, **more}


async def test_what_is_added_is_added(store: Store) -> None:
    day = Day(store.database, 50.0)
    await day.read()
    assert day.economics(None)[0].replies == 0
    await store.replies.save(reply("old", "bot", time=49.0))
    await store.replies.save(reply("a", "bot"))
    await day.read()
    await day.read()
    await store.replies.save(reply("b", "spy", error="NoCandidate"))
    await store.replies.save(reply("c", None))
    await day.read()
    assert day.whole
    counts = {
        who: (e.replies, e.total.tokens, failed)
        for who in ("bot", "spy", "", None)
        for e, failed in [day.economics(who)]
    }
    assert counts == {"bot": (1, 15, 0), "spy": (1, 15, 1), "": (1, 15, 0), None: (3, 45, 1)}
    assert [(f.caller, f.reply, f.what, f.candidate) for f in day.fell(None)] == [("spy", "b", "NoCandidate", "")]
    assert day.fell("bot") == []


async def test_a_day_that_was_long_is_read_piece_by_piece(store: Store, monkeypatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 4)
    for n in range(10):
        await store.replies.save(reply(f"r{n}", "bot"))
    day, reads = Day(store.database, 50.0), 0
    while not day.whole:
        await day.read()
        reads += 1
    assert (reads, day.economics("bot")[0].replies) == (3, 10)


async def test_one_who_fails_often_hides_nobody_else(store: Store) -> None:
    bad = {**attempt("worker", "p/bad", (1, 0), cost=0.0, listed=0.0, free=True), "outcome": "overload"}
    lost = {**bad, "outcome": "cancelled"}  # the slower one of two
    await store.replies.save(reply("spy", "spy", attempts=[{**bad, "started": 90.0, "seconds": 1.0}, lost]))
    for n in range(60):
        await store.replies.save(reply(f"r{n}", "bot", attempts=[{**bad, "started": 100.0 + n}]))
    day = Day(store.database, 50.0)
    while not day.whole:
        await day.read()
    (fell,) = day.fell("spy")
    assert (fell.what, fell.candidate, fell.at) == ("overload", "p/bad", 91.0)
    latest = day.fell("bot")
    assert (len(latest), latest[0].reply, latest[-1].reply) == (20, "r59", "r40")
    assert day.fell(None) == latest


async def test_who_was_passed_over_is_named_where_nobody_was_asked(store: Store) -> None:
    skipped = [{"domain": "p/a/m", "why": "x"}]
    await store.replies.save(reply("a", "bot", attempts=[], error="NoCandidate", skipped=skipped))
    day = Day(store.database, 50.0)
    await day.read()
    assert [(f.what, f.candidate) for f in day.fell("bot")] == [("NoCandidate", "p/a/m")]


async def test_damaged_records_say_nothing_and_break_nothing(store: Store) -> None:
    for n, record in enumerate(("{", "[1]", '{"attempts": "x"}', '{"attempts": ["x", {"outcome": 5}]}', "5", b"\xff")):
        await store.replies.save(reply(f"r{n}", "bot"))

        def spoil(db: Any, record: object = record, name: str = f"r{n}") -> None:
            db.execute("UPDATE replies SET record = ? WHERE id = ?", (record, name))

        await store.database.write(spoil)
    await store.replies.save(reply("good", "bot"))
    day = Day(store.database, 50.0)
    await day.read()
    assert day.whole
    assert day.economics("bot")[0].replies == 1
    assert day.economics(None)[0].replies == 7
