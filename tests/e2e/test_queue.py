"""What waits in one process is seen from another: `understudy fleet` sums up the lines of all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from understudy.rehearsal.script import parse_script
from understudy.rehearsal.server import Server

MODEL = "llama-3.1-8b-instant"
CONFIG = """
[director]
candidate = "none/none"
[classifier]
enabled = false
[providers.groq]
kind = "groq"
base_url = "{url}"
accounts = [{{ name = "a", keys = ["env:QUEUE_KEY"] }}, {{ name = "b", keys = ["env:QUEUE_KEY"] }}]
models = [{{ id = "{model}", windows = [
  {{ name = "RPM", counts = "requests", limit = 1, seconds = 20 }} ] }}]
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    limits = {"rpm": 1, "minute": "fixed", "minute_seconds": 20.0}
    models = [{"id": MODEL, "latency": 0.0, "limits": limits}]
    with Server("groq", parse_script({"accounts": {"a": ["queue-key"]}, "models": models}, "test")) as server:
        (tmp_path / "config.toml").write_text(CONFIG.format(url=server.base_url, model=MODEL))
        yield tmp_path


def environment(home: Path) -> dict[str, str]:
    return {
        **os.environ,
        "QUEUE_KEY": "queue-key",
        "UNDERSTUDY_HOME": str(home),
        "UNDERSTUDY_CONFIG": str(home / "config.toml"),
    }


def fleet(home: Path, *more: str) -> str:
    command = [sys.executable, "-m", "understudy", "fleet", *more]
    return subprocess.run(command, env=environment(home), capture_output=True, text=True, check=True, timeout=30).stdout


def queues(home: Path) -> list[dict[str, Any]]:
    return [candidate["queue"] for candidate in json.loads(fleet(home, "--json"))["fleet"]]


def until(seen: Callable[[list[dict[str, Any]]], bool], home: Path) -> list[dict[str, Any]]:
    end = time.monotonic() + 40
    while not seen(found := queues(home)):
        assert time.monotonic() < end, found
    return found


def test_another_process_sees_who_waits_and_no_ghosts(home: Path) -> None:
    command = [sys.executable, "-m", "tests.e2e.quota_worker", str(home / "config.toml"), "5"]
    worker = subprocess.Popen(command, env=environment(home), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        found = until(lambda queues: queues[0]["waiting"] >= 3, home)
        assert found[0]["waiting"] == found[1]["waiting"] <= 5, "one line in front of both accounts"
        assert 0.9 < found[0]["oldest_seconds"] < 40
        assert "waiting for" in fleet(home)
        assert until(lambda queues: queues[0]["oldest_seconds"] > found[0]["oldest_seconds"], home)
        worker.send_signal(signal.SIGINT)
        worker.wait(20)
        assert queues(home) == [{"waiting": 0, "oldest_seconds": 0.0}] * 2
    finally:
        worker.kill()
        worker.wait()
    assert "waiting for" not in fleet(home)
