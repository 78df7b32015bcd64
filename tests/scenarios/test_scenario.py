"""Scenario files: the shipped ones can be read, and a slip in one's own is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from understudy.errors import ConfigError
from understudy.rehearsal.script import CLI_FAULTS
from understudy.scenarios.scenario import HOME, INSTEAD, load_scenario, shipped

PROVIDER = '[config.providers.x]\nkind = "rehearsal"\nplays = "local"\n'


def written(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


def test_there_is_one_for_each_fault_that_must_be_survived() -> None:
    needed = {"normal", "outage", "disaster", "accounts_exhausted", "provider_down", "book_damaged", "queue_broken"}
    assert needed | {"book_gone", "store_gone", "keys_die"} <= set(shipped())


@pytest.mark.parametrize("name", shipped())
def test_a_shipped_one_says_what_it_is_about_and_what_it_expects(name: str) -> None:
    scenario = load_scenario(name)
    assert len(scenario.about) > 20
    assert scenario.requests == 100_000
    assert scenario.expect.answered > 0
    assert {e.what for e in scenario.events if e.at_home} <= set(HOME)


def test_a_file_of_ones_own_needs_little(tmp_path: Path) -> None:
    scenario = load_scenario(written(tmp_path, PROVIDER + "[traffic.tasks]\nreasoning = 1\n"))
    assert (scenario.name, scenario.hours) == ("mine", 24)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("reqests = 3\n" + PROVIDER, "requests"),
        ("requests = 0\n" + PROVIDER, "requests"),
        (PROVIDER + "[traffic]\nbtach = 1\n", "batch"),
        (PROVIDER + "[traffic]\nprivate = 2\n", "traffic.private"),
        (PROVIDER + "[traffic.tasks]\nsinging = 1\n", "traffic.tasks"),
        (PROVIDER + "[traffic.tasks]\nprivate = 1\n", "share of the traffic"),
        (PROVIDER + '[[events]]\nwhat = "rain"\n', "events.0.what: there is no fault rain docs"),
        (
            PROVIDER + '[[events]]\nwhat = "overlod"\n',
            "events.0.what: there is no fault overlod; did you mean overload?",
        ),
        (PROVIDER + "[[events]]\nwhat = 3\n", "events.0.what: write the name of a fault"),
        (
            PROVIDER + "[traffic.tasks]\nchatting = 1\n",
            "traffic.tasks.chatting: there is no task type chatting; there are",
        ),
        (PROVIDER + '[traffic]\nshape = "flt"\n', "traffic.shape: there is no shape flt; did you mean flat?"),
        (PROVIDER + '[[events]]\nwhat = "overload"\nform = 3\n', "from"),
        (PROVIDER + '[[events]]\nwhat = "overload"\nfrom = 3\nuntil = 2\n', "until comes after from"),
        (PROVIDER + '[[events]]\nwhat = "overload"\nprovider = "y"\n', "provider y"),
        (PROVIDER + '[[events]]\nwhat = "store_gone"\nprovider = "x"\n', "happens here"),
        (PROVIDER + '[[events]]\nwhat = "overload"\nfrom = 24\n', "events.0.from: the day has 24 hours"),
        (PROVIDER + '[[events]]\nwhat = "hang"\n', "events.0.what: hang happens to the program claude"),
        (PROVIDER + '[[events]]\nwhat = "store_gone"\nshare = 0.5\n', "events.0.share: store_gone happens at home"),
        (PROVIDER + '[[events]]\nwhat = "book_gone"\nretry_after = 5\n', "events.0.retry_after"),
        (PROVIDER + '[[events]]\nwhat = "cut"\nretry_after = 5\n', "events.0.retry_after: cut is not an error"),
        (PROVIDER + '[config.book]\nurl = "redis://127.0.0.1/0"\n', "config.book: a rehearsed day keeps its book"),
        ("seed = 1\n", "there is no provider"),
        ('[config.providers.x]\nkind = "groq"\n', "is real"),
        ('[config.providers.x]\nkind = "rehearsal"\nplay = "groq"\n', "plays"),
        ("seed =\n", "not TOML"),
        ("seed = " + "9" * 5000 + "\n", "cannot be read"),
    ],
)
def test_a_slip_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_scenario(written(tmp_path, text))
    assert named in str(caught.value)
    assert caught.value.remedy
    assert len(str(caught.value)) < 600
    assert "private" not in str(caught.value) or "private" in text


def test_each_fault_of_the_claude_program_has_another_that_comes_to_the_same() -> None:
    assert set(INSTEAD) == CLI_FAULTS
    assert not set(INSTEAD.values()) & CLI_FAULTS


@pytest.mark.parametrize("name", ["nowhere", "", "/", "/dev/zero", "a\0b", "x" * 5000, "~nobody-of-that-name/x"])
def test_what_is_no_file_is_told(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_scenario(name)
    assert caught.value.remedy
    assert len(str(caught.value)) < 1000
