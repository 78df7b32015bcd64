"""A home of its own for every test, and two ways to run the command line: in this process, and as a program."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import understudy
from understudy.cli.main import run
from understudy.telemetry import log as logs

ROOT = Path(understudy.__file__).parent.parent
SCRIPTED = Path(__file__).with_name("scripted.py")


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of this machine's own configuration, keys, programs or servers is found."""
    place = tmp_path / "home"
    for name in list(os.environ):
        if name.startswith("UNDERSTUDY_") or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("UNDERSTUDY_HOME", str(place))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "120")
    # What a program sets for its whole process is put back after the test.
    monkeypatch.setattr(logging, "lastResort", logging.lastResort)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    yield place
    logs.silence()


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """The command line in this process, over the scripted director."""
    from tests.cli.scripted import ScriptedDirector

    monkeypatch.setattr("understudy.director.director.Director", ScriptedDirector)

    def call(*arguments: str) -> Ended:
        capsys.readouterr()
        code = run(list(arguments))
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return call


@pytest.fixture
def program() -> Callable[..., Ended]:
    """The command line as a program; real=True: with the real director, else the scripted one."""

    def call(*arguments: str, stdin: str | bytes = b"", real: bool = False, timeout: float = 60, **env: str) -> Ended:
        command = [sys.executable, *(["-m", "understudy"] if real else [str(SCRIPTED)]), *arguments]
        data = stdin.encode() if isinstance(stdin, str) else stdin
        done = subprocess.run(
            command, input=data, capture_output=True, timeout=timeout, env={**os.environ, **env}, check=False
        )
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    return call
