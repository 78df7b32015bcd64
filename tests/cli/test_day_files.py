"""rehearse --scenario, as a program: what it prints, what it exits with, and where it looks for a day's files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

DAY = """\
about = "A few tasks."
requests = 40
hours = 0.2
[traffic]
private = 0.0
[config.providers.groq]
kind = "rehearsal"
plays = "groq"
script = "scripts/groq.toml"
"""
GROQ = """\
[[models]]
id = "only-here-8b"
latency = 0.2
"""
DEAF = '[[events]]\nwhat = "overload"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that is not the one the program runs in."""
    place = tmp_path / "days"
    (place / "scripts").mkdir(parents=True)
    (place / "scripts" / "groq.toml").write_text(GROQ)
    return place


def written(folder: Path, text: str, name: str = "mine.toml") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_a_file_in_another_folder_finds_its_script_beside_it(program, folder: Path) -> None:
    ended = program("rehearse", "--scenario", written(folder, DAY + "[expect]\nanswered = 1.0\n"), real=True)
    assert (ended.code, ended.err.count("understudy:")) == (0, 0)
    assert ended.out.startswith("mine: A few tasks.\nProviders, answers and the clock are simulated")
    assert "40 of 40 (100.000%)" in ended.out
    (folder / "scripts" / "groq.toml").unlink()
    gone = program("rehearse", "--scenario", str(folder / "mine.toml"), real=True)
    assert gone.code == 2
    assert str(folder / "scripts" / "groq.toml") in gone.err


def test_a_day_that_is_not_as_expected_ends_with_5(program, folder: Path) -> None:
    file = written(folder, DAY + DEAF + "[expect]\nanswered = 0.5\n")
    ended = program("rehearse", "--scenario", file, real=True)
    assert ended.code == 5
    assert "0 of 40" in ended.out
    assert "This day was not as it should be: 0.0000% answered, 50.0000% expected." in ended.err
    ended = program("rehearse", "--scenario", file, "--json", real=True)
    told = json.loads(ended.out)
    assert ended.code == 5
    assert told["broken"] == ["0.0000% answered, 50.0000% expected"]
    assert (told["answered"], told["requests"]) == (0, 40)


def test_another_seed_is_another_day(program, folder: Path) -> None:
    file = written(folder, DAY)
    said = [
        json.loads(program("rehearse", "--scenario", file, "--json", *more, real=True).out)
        for more in ((), ("--seed", "1"), ("--seed", "7"))
    ]
    assert [day["seed"] for day in said] == [1, 1, 7]
    assert said[0]["digest"] == said[1]["digest"] != said[2]["digest"]
    assert "broken" in said[0]


def test_no_text_of_a_scenario_steers_the_terminal(program, folder: Path) -> None:
    about = r'about = "\u001b[2J\u001b]0;pwned\u0007a \u202equiet day"'
    sly = DAY.replace('about = "A few tasks."', about).replace("only-here", r"only\u001b[31m-here")
    (folder / "scripts" / "groq.toml").write_text(GROQ.replace("only-here", r"only\u001b[31m-here"))
    ended = program("rehearse", "--scenario", written(folder, sly, "\x1b]0;pwned\x07.toml"), real=True)
    assert ended.code == 0
    assert "a quiet day" in ended.out
    ended_badly = program("rehearse", "--scenario", written(folder, "\x1b[2J", "\x1b]0;p\x07.toml"), real=True)
    assert ended_badly.code == 2
    for text in (ended.out, ended.err, ended_badly.out, ended_badly.err):
        assert not set(text) & set("\x1b\x07\u202e")


@pytest.mark.parametrize("requests", ["0", "2000001"])
def test_a_number_of_tasks_no_day_has(program, requests: str) -> None:
    ended = program("rehearse", "--scenario", "normal", "--requests", requests, real=True)
    assert ended.code == 2
    assert "1 to 2,000,000" in ended.err
