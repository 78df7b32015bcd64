"""I4: no call is sent that the book knows will be refused, by whichever process, also when one of them is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from understudy.rehearsal.script import Script, parse_script
from understudy.rehearsal.server import Server

ACCOUNTS = ("a", "b")
LIMIT, WINDOW = 8, 2.0  # requests an account, seconds
MODEL = "llama-3.1-8b-instant"
CONFIG = """
[director]
candidate = "none/none"
[classifier]
enabled = false
[providers.groq]
kind = "groq"
base_url = "{url}"
accounts = [{accounts}]
models = [{{ id = "{model}", windows = [ {{ name = "RPM", limit = {limit}, seconds = {seconds} }} ] }}]
"""


def script(shape: str) -> Script:
    limits = {"rpm": LIMIT, "minute": shape, "minute_seconds": WINDOW}
    models = [{"id": MODEL, "latency": 0.02, "limits": limits}]
    return parse_script({"accounts": {a: [f"key-{a}"] for a in ACCOUNTS}, "models": models}, "test")


def start(home: Path, server: Server, calls: int, *, limit: int = LIMIT) -> list[subprocess.Popen[str]]:
    config = home / "config.toml"
    accounts = ", ".join(f'{{ name = "{a}", keys = ["env:QUOTA_{a.upper()}"] }}' for a in ACCOUNTS)
    config.write_text(CONFIG.format(url=server.base_url, accounts=accounts, model=MODEL, limit=limit, seconds=WINDOW))
    keys = {f"QUOTA_{a.upper()}": f"key-{a}" for a in ACCOUNTS}
    env = {**os.environ, **keys, "UNDERSTUDY_HOME": str(home)}
    command = [sys.executable, "-m", "tests.e2e.quota_worker", str(config), str(calls)]
    return [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) for _ in range(3)]


def outcomes(workers: list[subprocess.Popen[str]]) -> list[str]:
    return [o for worker in workers for o in json.loads(worker.communicate(timeout=90)[0].splitlines()[-1])]


@pytest.mark.parametrize("shape", ["fixed", "bucket"])
def test_three_processes_earn_no_429(tmp_path: Path, shape: str) -> None:
    with Server("groq", script(shape)) as server:
        found = outcomes(start(tmp_path, server, 16))
        assert found == ["ok"] * 48
        assert len(server.requests) == 48


def test_a_catalogue_that_is_wrong_by_two_costs_one_429_a_domain(tmp_path: Path) -> None:
    with Server("groq", script("fixed")) as server:
        found = outcomes(start(tmp_path, server, 10, limit=2 * LIMIT))
    assert found.count("ok") == 30
    assert len(found) - 30 <= len(ACCOUNTS)


def test_a_killed_process_leaves_no_window_under_counted(tmp_path: Path) -> None:
    with Server("groq", script("fixed")) as server:
        workers = start(tmp_path, server, 12)
        victim = workers.pop()
        assert victim.stdout is not None
        assert victim.stdout.readline() == "ready\n"
        end = time.monotonic() + 30
        while len(server.requests) < 12 and time.monotonic() < end:
            time.sleep(0.01)
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
        assert outcomes(workers) == ["ok"] * 24
