"""A rehearsed day at the terminal: what is printed, how it is had again, and what is refused."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.conftest import Ended
from understudy.cli.main import run
from understudy.scenarios import rehearsal

SCENARIO = """\
requests = 12
hours = 1
seed = 7
[traffic]
batch = 0
private = 0
[config.providers.here]
kind = "rehearsal"
plays = "local"
[[events]]
what = "queue_broken"
"""


@pytest.fixture
def day(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    (tmp_path / "my day.toml").write_text(SCENARIO)

    def call(*options: str) -> Ended:
        capsys.readouterr()
        code = run(["rehearse", "--scenario", str(tmp_path / "my day.toml"), *options])
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return call


def test_a_day_says_how_it_is_had_again(day) -> None:
    ended = day()
    assert ended.code == 0
    rows = {line[:24].strip(): line[24:].strip() for line in ended.out.splitlines()[3:]}
    assert rows["seed"] == "7"
    assert "half within" in rows["answered at a terminal"]
    assert rows["answered in batches"] == rows["failed after"] == "-"
    assert rows["queue_broken at home"] == "struck nobody"
    assert "note: queue_broken at home struck nobody" in ended.err
    assert "12 tasks of 1 hour in" in ended.err
    digest, _, again = ended.err.splitlines()[-1].partition(" of all answers; the same again with ")
    told = json.loads(day(*shlex.split(again)[2:], "--json").out)
    assert digest == f"digest {told['digest']}"
    assert told["interrupted"] is False
    assert told["batch"] is None


def test_another_number_of_tasks_is_another_day(day) -> None:
    assert "note: at 3 tasks in place of 12" in day("--requests", "3").err
    assert "in place of" not in day("--requests", "12").err


@pytest.fixture
def interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    lived = rehearsal.rehearse_day

    def live(*args: object) -> object:
        return replace(lived(*args), interrupted=True, requests=9, lived=0.5)  # type: ignore[arg-type]

    monkeypatch.setattr(rehearsal, "rehearse_day", live)


@pytest.mark.usefixtures("interrupted")
def test_an_interrupted_day_is_marked(day) -> None:
    ended = day()
    assert ended.code == 130
    assert "at 00:30 of the day, after 9 of 12 tasks" in ended.out
    assert ended.err.splitlines()[-1] == "interrupted"
    ended = day("--json")
    assert ended.code == 130
    assert json.loads(ended.out)["interrupted"] is True


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ("--seed 3", "--seed belongs to a whole day"),
        ("--requests 5 hello", "--requests belongs to a whole day"),
        ("--seed 1 --requests 5", "--seed and --requests belong to"),
        ("--scenario normal hello", "--scenario takes no text"),
        ("--scenario normal --scenarios", "--scenarios lists the days, and takes no --scenario"),
        ("--scenarios hello", "takes no task"),
    ],
)
def test_what_does_not_go_together_is_named(options: str, fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rehearse", *options.split()]) == 2
    told = capsys.readouterr().err.splitlines()
    assert fault in told[0]
    assert len(told) == 2
