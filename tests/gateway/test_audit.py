"""The audit: a whole line for each use, nobody waits for it, and none is lost on a normal end."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import FakeClock
from understudy.gateway import audit as module
from understudy.gateway.audit import Audit, Use

USE = Use("bot", "0123456789ab", "/v1/chat/completions", 200, "r-1", "groq/llama-3.3-70b", 120, 0.5)
NOON = 1_700_049_600.0  # 2023-11-15, noon


def lines(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted((home / "audit").iterdir()) for line in path.read_text().splitlines()]


def test_a_line_says_who_did_what(tmp_path: Path) -> None:
    audit = Audit(tmp_path, FakeClock(NOON))
    audit.note(USE)
    audit.close()
    (line,) = lines(tmp_path)
    assert line == {
        "time": "2023-11-15T12:00:00.000Z",
        "key": "bot",
        "id": "0123456789ab",
        "what": "/v1/chat/completions",
        "status": 200,
        "reply": "r-1",
        "candidate": "groq/llama-3.3-70b",
        "tokens": 120,
        "seconds": 0.5,
    }
    file = tmp_path / "audit" / "2023-11-15.jsonl"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_no_key_gets_in(tmp_path: Path) -> None:
    secret = "us-0123456789ab-" + "c" * 64
    audit = Audit(tmp_path, FakeClock(NOON))
    audit.note(Use("", "", f"/v1/{secret}/x?key={secret}", 401, reply=secret, candidate=secret))
    audit.note(Use("", "", "/v1/models?text=canary", 401))
    audit.close()
    written = (tmp_path / "audit" / "2023-11-15.jsonl").read_text()
    assert "cccc" not in written
    assert "canary" not in written


def test_each_day_has_its_file_and_old_ones_stay(tmp_path: Path) -> None:
    clock = FakeClock(NOON)
    audit = Audit(tmp_path, clock)
    audit.note(USE)
    clock.time += 43_200
    audit.note(USE)
    audit.close()
    assert sorted(p.name for p in (tmp_path / "audit").iterdir()) == ["2023-11-15.jsonl", "2023-11-16.jsonl"]
    audit.note(USE)  # after the end, too
    assert len(lines(tmp_path)) == 3


def test_nobody_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = Audit._put

    def slow(self: Audit, path: Path, data: bytes) -> int:
        time.sleep(0.3)
        return really(self, path, data)

    monkeypatch.setattr(Audit, "_put", slow)
    audit, began = Audit(tmp_path, FakeClock(NOON)), time.monotonic()
    for _ in range(2000):
        audit.note(USE)
    assert time.monotonic() - began < 0.3
    audit.close()
    assert len(lines(tmp_path)) == 2000


PROGRAM = """
import pathlib, sys
from tests.fakes import FakeClock
from tests.gateway.test_audit import NOON, USE
from understudy.gateway.audit import Audit
audit = Audit(pathlib.Path(sys.argv[1]), FakeClock(NOON))
for _ in range(5000):
    audit.note(USE)
"""


def test_programs_that_just_end_lose_none_and_tear_none(tmp_path: Path) -> None:
    programs = [subprocess.Popen([sys.executable, "-c", PROGRAM, str(tmp_path)]) for _ in range(2)]
    assert [p.wait(60) for p in programs] == [0, 0]
    assert len(lines(tmp_path)) == 10_000


def test_a_full_disk_loses_and_tears_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = [100, 0, 30, 0, 150, 1, 10_000_000]

    def write(file: int, data: bytes) -> int:
        some = data[: room[0] if len(room) == 1 else room.pop(0)]
        if not some:
            raise OSError(28, "full")
        return os.pwrite(file, some, os.fstat(file).st_size)

    monkeypatch.setattr(module.os, "write", write)
    monkeypatch.setattr(module, "AGAIN", 0.01)
    audit = Audit(tmp_path, FakeClock(NOON))
    for n in range(5):
        audit.note(Use("bot", "", "/x", n))
    until = time.monotonic() + 10
    while audit._lines and time.monotonic() < until:
        time.sleep(0.01)
    audit.close()
    seen: list[int] = []
    for line in (tmp_path / "audit" / "2023-11-15.jsonl").read_text().splitlines():
        try:
            seen.append(json.loads(line)["status"])
        except ValueError:
            continue  # the torn one, which stands once more below
    assert seen == [0, 1, 2, 3, 4]


def test_a_disk_that_stays_full_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 10)
    (tmp_path / "audit").write_text("in the way")
    audit = Audit(tmp_path, FakeClock(NOON))
    for _ in range(50):
        audit.note(USE)
    assert len(audit._lines) == 10
    audit.close()
