"""Nothing of a supervised command is left: not on success, deadline, too much output, cancel, or our own death."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from understudy.tools import processes
from understudy.tools.processes import Ended, run_supervised

ESCAPE = "setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' >/dev/null 2>&1 &\n"  # own session, deaf to SIGTERM


@pytest.fixture
def mark() -> str:
    return f"test-{uuid.uuid4().hex}"


def alive(mark: str) -> list[int]:
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if f"MARK={mark}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


def eventually(condition, seconds: float = 5.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


async def run(script: str, mark: str, tmp_path: Path, **changes) -> Ended:
    settings = {"seconds": 10.0, "grace": 0.3, "directory": tmp_path} | changes
    environment = {"PATH": os.environ["PATH"], "MARK": mark}
    return await run_supervised(["sh", "-c", script], environment=environment, **settings)


async def test_output_code_and_standard_input_arrive(tmp_path, mark):
    ended = await run("cat; echo oops >&2; exit 7", mark, tmp_path, stdin=b"x" * 500_000)
    assert (ended.code, len(ended.stdout), ended.stderr, ended.cut) == (7, 500_000, b"oops\n", "")


async def test_a_command_that_does_not_read_gets_no_error(tmp_path, mark):
    assert (await run("exit 0", mark, tmp_path, stdin=b"x" * 5_000_000)).code == 0


async def test_the_signal_that_ended_it_is_in_the_code(tmp_path, mark):
    assert (await run("kill -9 $$", mark, tmp_path)).code == 137


async def test_a_daemon_is_gone_when_the_command_ends(tmp_path, mark):
    ended = await run(ESCAPE + "echo done", mark, tmp_path)
    assert ended.stdout == b"done\n"
    assert alive(mark) == []


async def test_the_deadline_stops_everybody(tmp_path, mark):
    started = time.monotonic()
    ended = await run(ESCAPE + "trap '' TERM; echo begun; sleep 60; sleep 60", mark, tmp_path, seconds=0.5)
    assert (ended.cut, ended.stdout) == ("deadline", b"begun\n")
    assert time.monotonic() - started < 3
    assert alive(mark) == []


async def test_a_command_may_end_well_within_the_grace(tmp_path, mark):
    ended = await run("trap 'echo bye; exit 3' TERM; sleep 60 & wait", mark, tmp_path, seconds=0.5, grace=3.0)
    assert (ended.code, ended.stdout) == (3, b"bye\n")
    assert alive(mark) == []


async def test_too_much_output_stops_it(tmp_path, mark):
    ended = await run("yes", mark, tmp_path, output_limit=100_000)
    assert ended.cut == "output"
    assert len(ended.stdout) <= 100_000
    assert alive(mark) == []


async def test_cancelling_waits_until_everybody_is_gone(tmp_path, mark):
    task = asyncio.create_task(run(ESCAPE + "sleep 60", mark, tmp_path))
    assert await asyncio.to_thread(eventually, lambda: len(alive(mark)) >= 3)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()  # an impatient caller
    with pytest.raises(asyncio.CancelledError):
        await task
    assert alive(mark) == []


async def test_its_folder_goes_with_it(tmp_path, mark):
    folder = tmp_path / "private"
    folder.mkdir()
    (folder / "prompt").write_text("secret")
    await run("true", mark, tmp_path, remove=folder)
    assert not folder.exists()


async def test_what_cannot_be_started_says_so(tmp_path, mark):
    ended = await run_supervised(["/nonexistent"], environment={}, directory=tmp_path, seconds=5)
    assert ended.code == 127
    with pytest.raises(OSError, match="nowhere"):
        await run("true", mark, tmp_path, directory=tmp_path / "nowhere")


PROGRAM = """
import asyncio, pathlib, sys
from understudy.tools.processes import run_supervised
asyncio.run(run_supervised(["sh", "-c", sys.argv[1]], environment={"PATH": sys.argv[2], "MARK": sys.argv[3]},
                           directory=pathlib.Path(sys.argv[4]), seconds=60, grace=0.3,
                           remove=pathlib.Path(sys.argv[5])))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_a_killed_parent(tmp_path, mark, number):
    folder = tmp_path / "private"
    folder.mkdir()
    root = str(Path(processes.__file__).parents[2])
    parent = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, ESCAPE + "sleep 60", os.environ["PATH"], mark, str(tmp_path), str(folder)],
        env=os.environ | {"PYTHONPATH": root},
    )
    try:
        assert eventually(lambda: len(alive(mark)) >= 4)  # supervisor, sh, its sleep, the deaf one
        parent.send_signal(number)
    finally:
        parent.wait(10)
    assert eventually(lambda: not alive(mark) and not folder.exists())


def test_even_a_killed_supervisor_takes_the_command_along(tmp_path, mark):
    parent = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "exec sleep 60", os.environ["PATH"], mark, str(tmp_path), str(tmp_path / "x")],
        env=os.environ | {"PYTHONPATH": str(Path(processes.__file__).parents[2])},
        stderr=subprocess.DEVNULL,
    )
    try:
        assert eventually(lambda: len(alive(mark)) == 2)
        supervisor = min(alive(mark))
        os.kill(supervisor, signal.SIGKILL)
        assert eventually(lambda: not alive(mark))
    finally:
        parent.kill()
        parent.wait(10)
