"""./start with a uv that only writes down what it is asked for."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
UV = """#!/bin/sh
echo "$@" >> "{log}"
mkdir -p "{venv}/bin"
ln -sf {true} "{venv}/bin/understudy"
"""
CHECKED = "--inexact --all-groups --extra local --extra postgres --extra redis"


@pytest.fixture
def start(tmp_path: Path):
    """Runs ./start in a bare copy; returns the extras and groups uv was asked for, or None when it was not asked."""
    for name in ("start", "uv.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    log, tools = tmp_path / "log", tmp_path / "tools"
    tools.mkdir()
    (tools / "uv").write_text(UV.format(log=log, venv=tmp_path / ".venv", true=shutil.which("true")))
    (tools / "uv").chmod(0o755)

    def run(extras: str = "") -> str | None:
        log.unlink(missing_ok=True)
        environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "UNDERSTUDY_EXTRAS": extras}
        subprocess.run(["./start", "doctor"], cwd=tmp_path, env=environment, capture_output=True, check=True)
        return log.read_text().split("--quiet ")[1].strip() if log.exists() else None

    return run


def test_an_extra_is_added_once_asked_for_and_stays(start) -> None:
    assert start() == "--inexact --no-dev"
    assert start() is None
    assert start("secrets local") == "--inexact --no-dev --extra local --extra secrets"
    assert start() is None
    assert start("redis") == "--inexact --no-dev --extra local --extra redis --extra secrets"


def test_what_the_checks_built_is_kept(start, tmp_path: Path) -> None:
    start()
    (tmp_path / ".venv" / ".synced").write_text(f"{CHECKED} of another lock")
    assert start() == CHECKED
