from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.store.clock import HandClock
from understudy.errors import UsageError
from understudy.store.replies import Line, Replies
from understudy.store.store import Store


def record(name: str, *, session: str = "s", time: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"id": name, "session": session, "time": time, **more}


def attempt(
    role: str, candidate: str, tokens: tuple[int, int], *, cost: float, listed: float, free: bool
) -> dict[str, Any]:
    return {
        "role": role,
        "candidate": candidate,
        "input_tokens": tokens[0],
        "output_tokens": tokens[1],
        "cost_usd": cost,
        "list_usd": listed,
        "free": free,
    }


async def test_a_record_comes_back_by_id_and_by_its_beginning(store: Store) -> None:
    await store.replies.save(record("abc1", why="x"))
    await store.replies.save(record("abd2"))
    await store.replies.save(record("abd"))
    assert await store.replies.get("abc1") == record("abc1", why="x")
    assert await store.replies.get("abc") == record("abc1", why="x")
    assert await store.replies.get("abd") == record("abd"), "a whole id beats a beginning"
    assert await store.replies.get("zz") is None
    with pytest.raises(UsageError, match="abc1, abd, abd2"):
        await store.replies.get("ab")


async def test_the_latest_of_all_or_of_a_session(store: Store) -> None:
    for n in range(6):
        await store.replies.save(record(f"r{n}", session="st"[n % 2], time=float(n)))
    assert [r["id"] for r in await store.replies.recent(3)] == ["r5", "r4", "r3"]
    assert [r["id"] for r in await store.replies.recent(9, session="s")] == ["r4", "r2", "r0"]


async def test_text_is_never_kept(home: Path, clock: HandClock) -> None:
    deep = {"steps": [{"text": "SECRET", "id": "x", "data": {"a": "SECRET"}, "attempts": [{"prompt": "SECRET"}]}]}
    async with await Store.open(home, clock) as store:
        await store.replies.save(record("r", text="SECRET", data=["SECRET"], **deep))
        assert await store.replies.get("r") == record("r", steps=[{"id": "x", "attempts": [{}]}])
    for file in (home / "store").iterdir():
        assert b"SECRET" not in file.read_bytes()


async def test_economics_by_role_and_candidate(store: Store) -> None:
    work = attempt("worker", "groq/a", (100, 50), cost=0.0, listed=0.002, free=True)
    judge = attempt("judge", "groq/a", (10, 5), cost=0.0, listed=0.001, free=True)
    direct = attempt("director", "claude/opus", (200, 20), cost=0.25, listed=0.25, free=False)
    await store.replies.save(record("r1", time=1.0, attempts=[work, judge, direct]))
    await store.replies.save(record("r2", time=5.0, session="t", attempts=[work]))
    all_of_it = await store.replies.economics()
    assert all_of_it.replies == 2
    assert all_of_it.roles["worker"] == Line(2, 200, 100, 0.0, 0.004, 300)
    assert all_of_it.roles["director"] == Line(1, 200, 20, 0.25, 0.25, 0)
    assert all_of_it.candidates["groq/a"].tokens == 315
    assert all_of_it.total.tokens == 535
    assert all_of_it.total.list_usd == pytest.approx(0.255)
    assert (await store.replies.economics(session="t")).total.tokens == 150
    assert (await store.replies.economics(since=5.0)).replies == 1
    nothing = await store.replies.economics(session="nobody")
    assert (nothing.replies, nothing.total, nothing.roles) == (0, Line(), {})


async def test_saved_again_it_replaces(store: Store) -> None:
    work = attempt("worker", "groq/a", (100, 50), cost=0.0, listed=0.002, free=True)
    await store.replies.save(record("r", attempts=[work, work]))
    await store.replies.save(record("r", attempts=[work]))
    assert (await store.replies.economics()).total.calls == 1
    assert len(await store.replies.recent(9)) == 1


async def test_only_so_many_are_kept(store: Store) -> None:
    replies = Replies(store.database, kept=3)
    work = attempt("worker", "groq/a", (1, 0), cost=0.0, listed=0.0, free=True)
    for n in range(10):
        await replies.save(record(f"r{n}", attempts=[work]))
    assert [r["id"] for r in await replies.recent(99)] == ["r9", "r8", "r7"]
    assert (await replies.economics()).total.calls == 3


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"id": "r", "session": "s"},
        record("r", time=float("nan")),
        record("r", time=True),
        record("../r"),
        record("r", session="a b"),
        record("r", x=object()),
        record("r", x=float("inf")),
        record("r", attempts="no"),
        record("r", attempts=["no"]),
        record("r", attempts=[{"input_tokens": "many"}]),
        record("r", attempts=[{"cost_usd": "1e999"}]),
        record("r", attempts=[{"input_tokens": 2**63}]),
    ],
)
async def test_what_is_no_record_is_refused(store: Store, bad: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        await store.replies.save(bad)
    assert await store.replies.recent(9) == ()


async def test_what_is_kept_is_json(store: Store) -> None:
    await store.replies.save(record("r", notes=("a", "ü"), nested={"n": [1, None, True]}))
    assert json.dumps(await store.replies.get("r"), sort_keys=True)
    with pytest.raises(UsageError):
        await store.replies.recent(0)
