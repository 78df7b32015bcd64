"""Keys and private texts, looked for byte by byte in all that a program leaves or shows beside its answer."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.house import open_house, script
from understudy.rehearsal.script import Fault

TEXT = "zanzibarquokka"
KEY = "rehearsal-key"
FAULTS = ["overload", "error_text", "reset", "malformed", "server_error"]


def left_below(folder: Path) -> bytes:
    files = [p for p in folder.rglob("*") if p.is_file()]
    return b"".join(p.read_bytes() for p in files)


@pytest.mark.parametrize("fault", FAULTS)
def test_no_log_at_debug_level_and_no_error_holds_them(tmp_path: Path, fault: str) -> None:
    scripts = {"local": script("local", faults={"": [Fault(kind=fault)]}), "groq": script("groq")}  # type: ignore[arg-type]
    with open_house(tmp_path / "house", scripts, top='log_level = "debug"\n') as house:
        home = tmp_path / "home"
        env = {**os.environ, "UNDERSTUDY_HOME": str(home), "UNDERSTUDY_CONFIG": str(house.config)}
        command = [sys.executable, "-m", "understudy", "ask", "--private", f"Tell me about {TEXT}"]
        ended = subprocess.run(command, env=env, capture_output=True, check=False, timeout=60)
        assert ended.returncode in (3, 5)
        for left in (left_below(home), ended.stderr, ended.stdout):
            assert TEXT.encode() not in left
            assert KEY.encode() not in left
        assert (home / "log" / "understudy.jsonl").exists()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked at through /proc")
def test_nobody_else_sees_a_question_from_standard_input(tmp_path: Path) -> None:
    """Arguments of a process are anybody's to read; its environment is its own user's."""
    stall = script("local", faults={"": [Fault(kind="stall", seconds=30, after=0)]})
    with open_house(tmp_path / "house", {"local": stall}) as house:
        env = {**os.environ, "UNDERSTUDY_HOME": str(tmp_path / "home"), "UNDERSTUDY_CONFIG": str(house.config)}
        command = [sys.executable, "-m", "understudy", "ask", "--private", "-"]
        asking = subprocess.Popen(command, env=env, stdin=-1, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert asking.stdin is not None
        asking.stdin.write(f"Tell me about {TEXT}".encode())
        asking.stdin.close()
        until = time.monotonic() + 30
        while not house.received("local") and time.monotonic() < until:
            time.sleep(0.05)
        family = [asking.pid, *_children(asking.pid)]
        seen = b"".join(Path(f"/proc/{pid}/{what}").read_bytes() for pid in family for what in ("cmdline", "environ"))
        limits = Path(f"/proc/{asking.pid}/limits").read_text()
        asking.kill()
        asking.wait()
    assert TEXT.encode() not in seen
    core = next(line for line in limits.splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"], "a core file would hold the question and the keys"


def _children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
