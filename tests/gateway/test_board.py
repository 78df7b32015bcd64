"""What the dashboard is told: each caller its own, no text of anybody, figures of all processes."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.house import script
from tests.gateway.looking import ADMIN, Look, Rig, opened
from understudy import Director, Task
from understudy.errors import NoCandidate, UnderstudyError
from understudy.gateway import board as boards
from understudy.gateway import looking as module
from understudy.gateway.board import Board
from understudy.rehearsal.script import Fault, ModelLimits
from understudy.types import Caller, Stage

BOT = Caller("bot", scopes=frozenset({"chat", "fleet"}))
SPY = Caller("spy", scopes=frozenset({"chat", "fleet"}))
CANARY = "CANARY-7741"
QUICK = Task(f"Name a fruit, {CANARY}.", intent="quick_qa", plan=False)


@pytest.fixture
async def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rig]:
    monkeypatch.setattr(boards, "FRESH", 0.0)
    monkeypatch.setattr(boards, "NAMES_FRESH", 0.0)
    broken = {"8b": [], "70b": [Fault(kind="server_error", text=CANARY)]}
    async with opened(tmp_path, {"groq": script("groq", faults=broken)}) as made:
        yield made


async def seen(rig: Rig, caller: Caller) -> dict[str, Any]:
    told = await Board(rig.service).snapshot(caller)
    json.dumps(told, allow_nan=False)
    return told


async def fail(rig: Rig, caller: Caller) -> None:
    with pytest.raises(NoCandidate):
        await rig.service.director.run(replace(QUICK, candidate="groq/llama-3.3-70b-versatile", caller=caller))


async def test_a_caller_sees_its_own_and_nothing_of_another(rig: Rig) -> None:
    director = rig.service.director
    for caller in (BOT, SPY):
        await rig.key(caller.name, "chat", "fleet", tokens_per_day=54_321 if caller is BOT else None)
    replies = {c.name: await director.run(replace(QUICK, caller=c, session=f"{c.name}:x")) for c in (BOT, SPY)}
    await fail(rig, BOT)
    bot, spy, admin = [await seen(rig, c) for c in (replace(BOT, tokens_per_day=54_321), SPY, ADMIN)]

    own = json.dumps(spy)
    assert replies["spy"].id in own
    failed = bot["failures"][0]["reply"]
    for theirs in ("bot", replies["bot"].id, failed, "54321"):
        assert theirs not in own, theirs
        assert theirs in json.dumps(admin), theirs
    assert (spy["day"]["replies"], spy["day"]["failed"], spy["failures"]) == (1, 0, [])
    assert (bot["day"]["replies"], bot["day"]["failed"]) == (2, 1)
    assert (admin["day"]["replies"], admin["day"]["failed"]) == (3, 1)
    assert spy["day"]["tokens_in"] == sum(a.input_tokens for a in replies["spy"].attempts)
    assert {t["id"] for t in bot["tasks"]["ended"]} == {replies["bot"].id, failed}
    assert bot["failures"][0]["what"] == "NoCandidate"
    assert {f["what"] for f in bot["failures"]} >= {"NoCandidate", "overload"}
    assert {b["name"] for b in admin["budgets"]} >= {"key bot", "key spy"}
    assert {b["name"] for b in spy["budgets"]} == {"director today", "classifier today", "money today", "key spy"}
    for told in (bot, spy, admin):
        assert CANARY not in json.dumps(told)


async def test_what_is_under_way_is_its_callers_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = script("groq")
    slow = slow.model_copy(update={"models": tuple(m.model_copy(update={"latency": 3.0}) for m in slow.models)})
    async with opened(tmp_path, {"groq": slow}) as rig:
        running = asyncio.create_task(rig.service.director.run(replace(QUICK, caller=BOT)))
        told: dict[str, Any] = {}
        async with asyncio.timeout(30):
            while not any(s["name"] == "dispatch" for t in told.get("shown", ()) for s in t["stages"]):
                told = (await seen(rig, BOT))["tasks"]
                await asyncio.sleep(0.02)
        (task,) = told["shown"]
        assert [s["name"] for s in task["stages"]] == ["gate", "classify", "decide", "dispatch"]
        assert task["stages"][-1]["detail"].startswith("groq/")
        assert (task["ended"], task["outcome"], task["intent"], task["policy"]) == (None, "", "quick_qa", "v1")
        other, chief = await seen(rig, SPY), await seen(rig, ADMIN)
        assert other["tasks"] == {"running": 0, "shown": [], "ended": []}
        assert [t["caller"] for t in chief["tasks"]["shown"]] == ["bot"]
        assert CANARY not in json.dumps([told, chief])
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        (ended,) = (await seen(rig, BOT))["tasks"]["ended"]
        assert (ended["outcome"], ended["ended"] is not None) == ("CancelledError", True)
        assert not rig.service.director.parts.running.ways


async def test_who_looks_on_changes_nothing_of_how_a_task_is_asked(rig: Rig) -> None:
    await rig.service.director.run(replace(QUICK, caller=BOT))
    asked = [r for r in rig.house.servers["groq"].requests if r.method == "POST"]
    assert asked
    assert not any(json.loads(r.body).get("stream") for r in asked)
    told = [event async for event in rig.service.director.stream(replace(QUICK, caller=BOT))]
    names = [event.name for event in told if isinstance(event, Stage)]
    assert [s["name"] for s in (await seen(rig, BOT))["tasks"]["ended"][0]["stages"]] == names


async def test_windows_go_down_and_breakers_open_for_everybody(tmp_path: Path) -> None:
    limited = script("groq", faults={"70b": [Fault(kind="server_error")]})
    models = tuple(m.model_copy(update={"limits": ModelLimits(rpm=30, tpm=6000)}) for m in limited.models)
    async with opened(tmp_path, {"groq": limited.model_copy(update={"models": models})}) as rig:
        before = await seen(rig, SPY)
        await rig.service.director.run(replace(QUICK, candidate="groq/llama-3.1-8b-instant", caller=BOT))
        for _ in range(6):
            with pytest.raises(UnderstudyError):
                await rig.service.director.run(
                    replace(QUICK, candidate="groq/llama-3.3-70b-versatile", caller=BOT, patience=0.0)
                )
        after, now = await seen(rig, SPY), rig.service.director.parts.clock.now()

    def rpm(board: dict[str, Any], model: str) -> int:
        (row,) = [c for c in board["fleet"] if c["name"] == model]
        return next(w["left"] for w in row["windows"] if w["name"] == "RPM")

    assert rpm(before, "groq/llama-3.1-8b-instant") == 30
    assert rpm(after, "groq/llama-3.1-8b-instant") == 29
    (row,) = [c for c in after["fleet"] if c["name"].endswith("70b-versatile")]
    assert row["breaker"] == "open"
    assert row["ready_at"] > now


async def test_the_days_figures_are_those_of_all_processes(rig: Rig) -> None:
    async with Director(rig.service.director.settings, rig.house.home) as other:
        reply = await other.run(replace(QUICK, caller=BOT))
    told = await seen(rig, BOT)
    assert told["day"]["replies"] == 1
    assert told["day"]["tokens_in"] + told["day"]["tokens_out"] == reply.total_tokens
    assert told["tasks"]["ended"] == []  # these are this process's own
    price = told["day"]["opus"]
    whole = told["day"]["tokens_in"] * price["in"] + told["day"]["tokens_out"] * price["out"]
    assert told["day"]["opus_usd"] == pytest.approx(whole / 1e6, abs=1e-6)
    assert re.fullmatch(r"\d{4}-\d\d(-\d\d)?", price["dated"])
    assert told["day"]["free_share"] == 1.0


async def test_the_scope_decides_who_may_look(rig: Rig) -> None:
    fleet, chat, metrics = [await rig.key(s, s) for s in ("fleet", "chat", "metrics")]
    for path in ("/v1/board", "/v1/board/events", "/metrics"):
        assert (await rig.get(path))[0] == 401
        assert (await rig.get(path, chat))[0] == 403
        assert (await rig.get(path, "Bearer us-nonsense"))[0] == 401
    assert (await rig.get("/v1/board", metrics))[0] == 403
    assert (await rig.get("/metrics", fleet))[0] == 403
    status, body = await rig.get("/v1/board", fleet)
    assert status == 200
    assert json.loads(body)["you"] == {"name": "fleet", "admin": False}


async def test_without_a_key_only_a_name_of_this_machine_is_answered(rig: Rig) -> None:
    rig.service.is_open = True
    assert (await rig.get("/v1/board"))[0] == 200
    assert (await rig.get("/v1/board", host="evil.example:8791"))[0] == 403
    assert (await rig.get("/v1/board", host="localhost:8791"))[0] == 200
    assert (await rig.get("/v1/board", host="[::1]:8791"))[0] == 200


async def test_the_page_is_static_and_may_do_little(rig: Rig) -> None:
    async with Look(rig, "/") as look:
        pass
    policy = look.headers["content-security-policy"]
    assert look.status == 200
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert len(re.findall(r"'sha256-[\w+/]{43}='", policy)) == 2
    html = look.body.decode()
    assert not re.search(r"\son\w+=|\sstyle=|innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", html)
    assert not re.search(r"""(?:src|href|url\()\s*=?\s*["']?(?:https?:)?//""", html)
    assert "data-open" not in html.partition("<head>")[0]
    rig.service.is_open = True
    async with Look(rig, "/") as look:
        pass
    assert look.body.startswith(b"<!doctype html>\n<html data-open ")


async def test_news_is_told_and_no_news_is_not(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY", 0.02)
    monkeypatch.setattr(module, "QUIET", 0.2)
    key = await rig.key("bot", "fleet")
    async with Look(rig, "/v1/board/events", key) as look:
        first = await look.board()
        assert look.headers["content-type"].startswith("text/event-stream")
        assert await look.next() == b": still here\n\n"  # nothing else meanwhile
        assert rig.looking._lookers["bot"] == 1
        reply = await rig.service.director.run(replace(QUICK, caller=BOT))
        while not first["tasks"]["ended"]:
            first = await look.board()
        assert first["tasks"]["ended"][0]["id"] == reply.id
    assert rig.looking._lookers["bot"] == 0


async def test_a_revoked_key_sees_no_more(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY", 0.02)
    monkeypatch.setattr(module, "CHECKED", 0.1)
    rig.service.keys._age = 0.05
    key = await rig.key("bot", "fleet", requests_per_minute=1)  # to look on is one request
    async with Look(rig, "/v1/board/events", key) as look:
        await look.board()
        await asyncio.sleep(0.3)
        assert not look.running.done()  # type: ignore[union-attr]
        await rig.service.keys._callers.revoke("bot")
        while not (event := await look.next()).startswith(b"event: end"):
            pass
        assert json.loads(event.partition(b"data: ")[2])["again"] is False
        await asyncio.wait_for(look.running, 10)  # type: ignore[arg-type]


async def test_a_process_that_ends_ends_its_streams(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "EVERY", 0.02)
    async with Look(rig, "/v1/board/events", await rig.key("bot", "fleet")) as look:
        await look.board()
        rig.ending = True
        while not (event := await look.next()).startswith(b"event: end"):
            pass
        assert json.loads(event.partition(b"data: ")[2])["again"] is True


async def test_not_more_look_on_than_may(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_OF_ONE", 2)
    one, other = await rig.key("bot", "fleet"), await rig.key("spy", "fleet")
    async with Look(rig, "/v1/board/events", one) as a, Look(rig, "/v1/board/events", one) as b:
        await a.board()
        await b.board()
        status, body = await rig.get("/v1/board/events", one)
        assert (status, b"retry" in body or b"Close" in body) == (429, True)
        async with Look(rig, "/v1/board/events", other) as c:
            await c.board()


async def test_looking_leaves_a_line_in_the_audit(rig: Rig) -> None:
    key = await rig.key("bot", "fleet")
    await rig.get("/v1/board", key)
    await rig.get("/metrics", key)
    await asyncio.to_thread(rig.service.audit.close)
    lines = [
        json.loads(line) for file in rig.house.home.rglob("audit/*.jsonl") for line in file.read_text().splitlines()
    ]
    assert [(line["key"], line["what"], line["status"]) for line in lines] == [
        ("bot", "/v1/board", 200),
        ("", "/metrics", 403),
    ]


async def test_many_tasks_show_the_oldest_and_a_long_way_its_ends(rig: Rig) -> None:
    from understudy.director.running import LONGEST_WAY, Running
    from understudy.director.trail import Trail

    running, clock = Running(), rig.service.director.parts.clock
    way = running.begin(Trail("r-1", "s", 0.0, 1.0, caller=BOT), clock)
    for n in range(200):
        way.trail.stage(f"s{n}")
    assert len(way.stages) == LONGEST_WAY
    assert (way.stages[0].name, way.stages[-1].name) == ("s0", "s199")
    for n in range(100):
        running.end(running.begin(Trail(f"r-{n}", "s", 0.0, 1.0, caller=Caller(f"c{n % 3}")), clock), ValueError())
    assert len(running.of("c0")[1]) == 12
    assert running.of("spy") == ([], [])


async def test_jobs_that_wait_are_counted_for_whose_they_are(rig: Rig) -> None:
    """Nobody runs them here; the metrics count those that have ended, too."""
    mine, chief = await rig.key("ann", "fleet"), await rig.key("chief", "fleet", "admin", "metrics")
    jobs = rig.service.jobs
    ann = replace(ADMIN, name="ann", id="a")
    first = await jobs.submit(ann, Task("One"))
    await jobs.submit(ann, Task("Two"))
    await jobs.submit(replace(ADMIN, name="bob", id="b"), Task("Three"))
    await jobs.cancel(ann, first.id)
    told = [json.loads((await rig.get("/v1/board", key))[1])["jobs"] for key in (mine, chief)]
    assert told == [{"queued": 1, "running": 0}, {"queued": 2, "running": 0}]
    text = (await rig.get("/metrics", chief))[1].decode()
    for state, count in (("queued", 2), ("cancelled", 1), ("done", 0)):
        assert f'understudy_jobs{{state="{state}"}} {count}.0' in text
