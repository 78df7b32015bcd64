"""I6 and I4 on campaigns: the program itself against a server that outlives it, killed with kill -9."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.house import House, open_house, script
from tests.store.servers import SERVERS, Server, find
from understudy.rehearsal.script import ModelLimits, Script

TOP = '[director]\ncandidate = "none/none"\n[classifier]\nenabled = false\n'
MODEL = "llama-3.1-8b-instant"
AT_ONCE = 12
SPEC = """
name = "fruits"
template = "Name fruit {{n}} please."
at_once = {at_once}
models = ["{model}"]
tiers = ["free"]
[calls]
intent = "quick_qa"
chunk = 40
[items]
path = "items.jsonl"
"""


@pytest.fixture
def postgres() -> Iterator[Server]:
    pytest.importorskip("psycopg_pool", reason="the extra postgres is missing")
    program, start = SERVERS["postgres"]
    if find(program) is None:
        pytest.skip(f"{program} is not on this machine: sh scripts/install_servers.sh")
    server = start()
    yield server
    server.close()


def one_model(*, latency: float, limits: ModelLimits | None = None) -> Script:
    whole = script("groq")
    (model,) = (m for m in whole.models if m.id == MODEL)
    changed = model.model_copy(update={"latency": latency, "limits": limits or ModelLimits()})
    return whole.model_copy(update={"models": (changed,)})


def write_spec(folder: Path, calls: int) -> Path:
    (folder / "items.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(calls)))
    spec = folder / "spec.toml"
    spec.write_text(SPEC.format(at_once=AT_ONCE, model=MODEL))
    return spec


def know_windows(house: House, limit: int, seconds: float) -> None:
    """In the place of the catalogue's."""
    windows = f'[{{ name = "RPM", counts = "requests", limit = {limit}, seconds = {seconds} }}]'
    limits = "limits = { tpm = false, tpd = false, rpd = false }"
    known = house.config.read_text()
    house.config.write_text(known.replace(f'id = "{MODEL}"', f'id = "{MODEL}", windows = {windows}, {limits}'))


def command(house: House, *words: str) -> list[str]:
    return [sys.executable, "-m", "understudy", "campaign", *words, "--config", str(house.config), "--json"]


@contextmanager
def started(house: House, *words: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "UNDERSTUDY_HOME": str(house.home / "state")}
    process = subprocess.Popen(
        command(house, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def told(house: House, *words: str) -> Any:
    with started(house, *words) as process:
        out, err = process.communicate(timeout=100)
    assert out, err
    return json.loads(out)


def texts(house: House, after: int = 0) -> list[str]:
    """The last user message of each completion the server was asked for."""
    asked = [r for r in list(house.servers["groq"].requests)[after:] if r.method == "POST"]
    return [json.loads(r.body)["messages"][-1]["content"] for r in asked]


def until(house: House, process: subprocess.Popen[str], received: int) -> None:
    limit = time.monotonic() + 60
    while house.received("groq") < received:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_killed_at_random_points_it_ends_with_every_answer_once(tmp_path: Path) -> None:
    calls = 240
    with open_house(tmp_path, {"groq": one_model(latency=0.05)}, top=TOP) as house:
        know_windows(house, 100_000, 60)
        spec = write_spec(tmp_path, calls)
        with started(house, "run", str(spec)) as process:
            until(house, process, 60)
            os.kill(process.pid, signal.SIGKILL)
        (known,) = told(house, "list")["campaigns"]
        name = known["id"]
        assert known["state"] == "interrupted"
        assert 0 < known["done"] <= 60 + AT_ONCE
        finished = answered(house)
        seen = len(house.servers["groq"].requests)
        with started(house, "resume", name) as process:
            until(house, process, 160)
            os.kill(process.pid, signal.SIGKILL)
        assert not finished & set(texts(house, seen)), "a finished call was made again"
        finished |= answered(house)
        seen = len(house.servers["groq"].requests)
        with started(house, "resume", name) as process:  # a third one is told to end, and says how to go on
            until(house, process, 200)
            process.send_signal(signal.SIGTERM)
            out, err = process.communicate(timeout=60)
            assert process.returncode == 143
            assert f"understudy campaign resume {name}" in err
            assert json.loads(out)["left"] > 0
        ended = told(house, "resume", name)
        asked = Counter(texts(house))
        assert not finished & set(texts(house, seen)), "a finished call was made again"
        assert (ended["state"], ended["done"], ended["left"], ended["set_aside"]) == ("done", calls, 0, 0)
        assert len(answered(house)) == calls
        assert len(asked) == calls
        assert max(asked.values()) <= 2, "what was in flight at a crash is sent once more"
        assert sum(asked.values()) <= calls + 2 * AT_ONCE


def answered(house: House) -> set[str]:
    """What has been asked and answered, by the store itself."""
    query = "SELECT i.input FROM campaign_items i JOIN campaign_results r ON r.campaign = i.campaign AND r.n = i.n"
    with closing(sqlite3.connect(house.home / "state" / "store" / "understudy.db")) as db:
        return {json.loads(row[0])["text"] for row in db.execute(query)}


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_killed_with_windows_on_it_earns_no_429(tmp_path: Path) -> None:
    limits = ModelLimits(rpm=20, minute="fixed", minute_seconds=3)
    with open_house(tmp_path, {"groq": one_model(latency=0.02, limits=limits)}, top=TOP) as house:
        know_windows(house, 20, 3)
        spec = write_spec(tmp_path, 100)
        with started(house, "run", str(spec)) as process:
            until(house, process, 30)
            os.kill(process.pid, signal.SIGKILL)
        name = told(house, "list")["campaigns"][0]["id"]
        ended = told(house, "resume", name)
        assert (ended["state"], ended["done"]) == ("done", 100)
        assert ended["failures"] == {}, "a refusal would stand here"


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(240)
def test_two_workers_share_one_on_postgres_and_the_living_one_takes_over(tmp_path: Path, postgres: Server) -> None:
    calls = 200
    with open_house(tmp_path, {"groq": one_model(latency=0.2)}, top=TOP) as house:
        know_windows(house, 100_000, 60)
        url = f'\n[campaigns]\nurl = "{postgres.url}"\n'
        house.config.write_text(house.config.read_text() + url)
        spec = write_spec(tmp_path, calls)
        with started(house, "run", str(spec)) as first:
            until(house, first, 20)
            name = told(house, "list")["campaigns"][0]["id"]
            with started(house, "resume", name) as second:
                limit = time.monotonic() + 60
                while len(told(house, "status", name)["workers"]) < 2:
                    assert time.monotonic() < limit
                    assert first.poll() is second.poll() is None
                os.kill(first.pid, signal.SIGKILL)
                out, err = second.communicate(timeout=120)
        ended = json.loads(out)
        asked = Counter(texts(house))
        assert (ended["state"], ended["done"], ended["set_aside"]) == ("done", calls, 0), err
        assert len(asked) == calls
        assert max(asked.values()) <= 2
        assert sum(asked.values()) <= calls + AT_ONCE
