"""Figures for a monitor: right whoever is asked, right after a kill, without a text, cheap."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.e2e.house import script
from tests.gateway.looking import ADMIN, Rig, opened
from tests.gateway.served import Served, make_key, served
from understudy import Task
from understudy.errors import BudgetRefused, NoCandidate, PrivacyRefused, RateRefused, UnderstudyError
from understudy.gateway.metering import Metered, scrape, why
from understudy.rehearsal.script import Fault
from understudy.telemetry import metrics as module
from understudy.telemetry.metrics import OTHER, Figure, Metrics, Shared, forget_live, make_folder
from understudy.types import Caller

CANARY = "CANARY-7741"
BOT = Caller("bot", scopes=frozenset({"chat", "metrics"}))
QUICK = Task(f"Name a fruit, {CANARY}.", intent="quick_qa", plan=False, caller=BOT)
EIGHT, SEVENTY = "groq/llama-3.1-8b-instant", "groq/llama-3.3-70b-versatile"


def samples(text: str | bytes) -> list[Sample]:
    told = text if isinstance(text, str) else text.decode()
    return [sample for family in text_string_to_metric_families(told) for sample in family.samples]


def value(text: str | bytes, name: str, **labels: str) -> float:
    return sum(s.value for s in samples(text) if s.name == f"understudy_{name}" and labels.items() <= s.labels.items())


async def test_tasks_and_calls_are_counted_as_they_end(tmp_path: Path) -> None:
    faults = {"70b": [Fault(kind="server_error", text=CANARY)]}
    async with opened(tmp_path, {"groq": script("groq", faults=faults)}) as rig:
        director = rig.service.director
        reply = await director.run(replace(QUICK, candidate=EIGHT))
        with pytest.raises(NoCandidate):
            await director.run(replace(QUICK, candidate=SEVENTY))
        with pytest.raises(PrivacyRefused):
            await director.run(replace(QUICK, candidate=EIGHT, sensitivity="private"))
        text, kind = await scrape(rig.service, BOT, rig.metrics)
        chief, _ = await scrape(rig.service, ADMIN, rig.metrics)
    assert kind.startswith("text/plain")
    answered = {"candidate": EIGHT, "intent": "quick_qa", "policy": "named", "outcome": "answered"}
    assert value(text, "tasks_total", **answered) == 1
    assert value(text, "tasks_total", outcome="no_candidate") == 1
    assert value(text, "tasks_total", outcome="privacy") == 1
    assert value(text, "attempts_total", candidate=EIGHT, outcome="ok") == 1
    assert value(text, "attempts_total", candidate=SEVENTY, outcome="overload") >= 1
    (made,) = reply.attempts
    assert value(text, "tokens_total", candidate=EIGHT, direction="in") == made.input_tokens
    assert value(text, "tokens_total", candidate=EIGHT, direction="out") == made.output_tokens
    assert value(text, "breaker", domain="groq/a/llama-3.1-8b-instant") == 1
    for told in (text, chief):
        assert CANARY.encode() not in told
    assert b"bot" not in text


async def test_callers_are_named_to_an_admin_alone(tmp_path: Path) -> None:
    async with opened(tmp_path, {"groq": script("groq")}) as rig:
        await rig.key("bot", "chat")
        reply = await rig.service.director.run(replace(QUICK, candidate=EIGHT))
        text, _ = await scrape(rig.service, BOT, rig.metrics)
        chief, _ = await scrape(rig.service, ADMIN, rig.metrics)
    assert b"bot" not in text
    assert value(chief, "caller_tokens_today", caller="bot") == reply.total_tokens


async def test_money_and_windows(tmp_path: Path) -> None:
    paid = '[director]\ncandidate = "none/none"\n[classifier]\nenabled = false\n[money]\nusd_per_day = 5\n'
    async with opened(tmp_path, {"anthropic": script("anthropic")}, top=paid) as rig:
        name = next(c.name for c in rig.service.director.parts.fleet if not c.free)
        reply = await rig.service.director.run(replace(QUICK, candidate=name))
        text, _ = await scrape(rig.service, BOT, rig.metrics)
    (made,) = reply.attempts
    assert made.cost_usd > 0
    assert value(text, "micro_dollars_total", candidate=name) == round(made.cost_usd * 1e6)
    assert value(text, "day_micro_dollars") == pytest.approx(made.cost_usd * 1e6, abs=1)


async def test_requests_are_counted_by_their_route_and_refusals_by_why(tmp_path: Path) -> None:
    async with opened(tmp_path, {"groq": script("groq")}) as rig:
        for error in (BudgetRefused(unit="t", scope="s", limit=0, spent=0, reserved=0, asked=1),
                      RateRefused("x", retry_after=1.0), PrivacyRefused("x"), ValueError()):  # fmt: skip
            rig.service.refusal(error)
        app = metered(rig)
        for path in ("/healthz", f"/{CANARY}", "/v1/models", "/v1/chat/completions"):
            await request(app, path)
        text, _ = await scrape(rig.service, BOT, rig.metrics)
    for word in ("budget", "rate", "privacy", "key", OTHER):
        assert value(text, "refused_total", why=word) == 1, word
    assert value(text, "requests_total", path="/healthz", status="200") == 1
    assert value(text, "requests_total", path=OTHER, status="404") == 1
    assert value(text, "requests_total", path="/v1/models", status="401") == 1
    assert value(text, "requests_total", path="/v1/chat/completions", status="405") == 1
    assert value(text, "request_seconds_count", path="/healthz") == 1
    assert value(text, "first_byte_seconds_bucket", path="/healthz", le="+Inf") == 1
    assert value(text, "in_flight") == 0
    assert CANARY.encode() not in text


def metered(rig: Rig) -> Metered:
    from understudy.gateway.app import application

    app = application(lambda: rig.service, lambda: "", rig.looking)
    assert isinstance(app, Metered)
    return app


async def request(app: Metered, path: str) -> None:
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [(b"host", b"127.0.0.1")]}
    scope |= {"client": ("127.0.0.1", 9), "server": ("127.0.0.1", 8791), "scheme": "http", "http_version": "1.1"}

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: object) -> None: ...

    await app(scope, receive, send)  # type: ignore[arg-type]


async def test_who_leaves_is_counted_too() -> None:
    metrics = Metrics()

    async def app(scope: object, receive: object, send: object) -> None:
        assert metrics.sums()["in_flight",] == (1.0,)
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await request(Metered(app, metrics), "/x")  # type: ignore[arg-type]
    assert metrics.sums()["in_flight",] == (0.0,)
    assert value(metrics.render()[0], "requests_total", status="499") == 1


def test_no_label_grows_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_SERIES", 5)
    metrics = Metrics()
    for n in range(50):
        metrics.task(f"p/m{n}", "quick_qa", "v1", "answered")
    text, _ = metrics.render()
    assert value(text, "tasks_total") == 50
    assert value(text, "tasks_total", candidate=OTHER) == 45


def test_a_label_may_hold_anything() -> None:
    metrics = Metrics()
    odd = 'a"b\\c\nd\u2028é'
    metrics.attempt(odd, "ok", 1, 1, 0)
    text, _ = metrics.render([Figure("odd", "Odd.", ("x",), [((odd,), 2.0)])])
    assert value(text, "attempts_total", candidate=odd) == 1
    assert value(text, "odd", x=odd) == 2


@pytest.mark.parametrize("shared", [False, True])
def test_a_request_costs_less_than_20_microseconds(tmp_path: Path, shared: bool) -> None:
    metrics = Metrics(Shared(tmp_path, 1) if shared else None)
    rounds, best = 2_000, 1.0
    for _ in range(12):
        began = time.process_time()
        for _ in range(rounds):
            metrics.began()
            metrics.attempt(EIGHT, "ok", 100, 50, 3)
            metrics.task(EIGHT, "quick_qa", "v1", "answered")
            metrics.ended("/v1/chat/completions", 200, 0.12, 0.05)
        best = min(best, (time.process_time() - began) / rounds)
    metrics.close()
    assert best < 20e-6


def test_folders_of_the_dead_are_removed_and_those_of_the_living_stay(tmp_path: Path) -> None:
    for name in ("999999999", str(os.getppid()), "notes"):
        (tmp_path / "metrics" / name).mkdir(parents=True)
    (tmp_path / "metrics" / str(os.getpid())).mkdir()
    (tmp_path / "metrics" / str(os.getpid()) / "1.cells").write_text("of before")
    folder = make_folder(tmp_path, os.getpid())
    assert list(folder.iterdir()) == []
    assert {p.name for p in (tmp_path / "metrics").iterdir()} == {str(os.getppid()), str(os.getpid()), "notes"}


def test_several_processes_as_one(tmp_path: Path) -> None:
    one, two = Metrics(Shared(tmp_path, 1)), Metrics(Shared(tmp_path, 2))
    for metrics in (one, two, two):
        metrics.began()
        metrics.attempt(EIGHT, "ok", 10, 5, 0)
    for metrics in (one, two):
        text, _ = metrics.render()
        assert value(text, "attempts_total") == 3
        assert value(text, "in_flight") == 3
    forget_live(Shared(tmp_path, 2))
    assert value(one.render()[0], "in_flight") == 1
    two.close()
    again = Metrics(Shared(tmp_path, 2))  # who takes its place
    again.attempt(EIGHT, "ok", 10, 5, 0)
    assert value(one.render()[0], "attempts_total") == 4
    (tmp_path / "3.cells").write_bytes(b"damaged")
    assert value(one.render()[0], "attempts_total") == 4
    one.close()
    again.close()


def test_without_a_folder_each_counts_for_itself(tmp_path: Path) -> None:
    metrics = Metrics(Shared(tmp_path / "nowhere", 1))
    metrics.attempt(EIGHT, "ok", 10, 5, 0)
    assert value(metrics.render()[0], "attempts_total") == 1


def test_every_error_has_a_class() -> None:
    def kinds(of: type[BaseException]) -> list[type[BaseException]]:
        return [of, *(k for sub in of.__subclasses__() for k in kinds(sub))]

    assert {why(kind) for kind in kinds(UnderstudyError)} <= {
        "budget", "privacy", "rate", "key", "forbidden", "validation", "no_candidate", "request", "store", OTHER,
    }  # fmt: skip


def counted(server: Served, key: str) -> float:
    return value(server.get("/metrics", key)[1], "requests_total", path="/v1/chat/completions", status="200")


@pytest.mark.slow
def test_any_of_several_workers_tells_of_all_and_a_killed_one_is_not_forgotten(tmp_path: Path) -> None:
    with served(tmp_path, "--workers", "2") as server:
        key = make_key(tmp_path, "bot", "chat", "metrics")
        for _ in range(10):
            assert server.chat(key) == 200
        assert [counted(server, key) for _ in range(12)] == [10.0] * 12
        assert len(list((tmp_path / "home").rglob("*.cells"))) == 2
        workers = psutil.Process(server.process.pid).children()
        assert len(workers) == 2
        os.kill(workers[0].pid, signal.SIGKILL)
        for _ in range(5):
            assert server.chat(key) == 200
        until = time.monotonic() + 60
        while time.monotonic() < until and len(alive(server)) < 2:
            time.sleep(0.2)
        time.sleep(1.0)
        for _ in range(5):
            assert server.chat(key) == 200
        assert [counted(server, key) for _ in range(12)] == [20.0] * 12
        assert value(server.get("/metrics", key)[1], "in_flight") == 1  # the scrape itself
    assert list((tmp_path / "home").rglob("*.cells")) == []


def alive(server: Served) -> list[psutil.Process]:
    return [p for p in psutil.Process(server.process.pid).children() if p.status() != psutil.STATUS_ZOMBIE]
