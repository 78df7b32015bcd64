"""Scenario files: the shipped ones can be read, and a slip in one's own is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from understudy.errors import ConfigError
from understudy.rehearsal.script import CLI_FAULTS
from understudy.scenarios.day import live_through
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


@pytest.mark.parametrize(("begins", "seconds"), [("1971-01-01", 31_536_000), ("2199-12-31T23:00:00", 7_258_114_800)])
def test_a_day_begins_in_utc_and_within_reach_of_the_clock(tmp_path: Path, begins: str, seconds: float) -> None:
    scenario = load_scenario(written(tmp_path, f"begins = {begins}\nrequests = 3\nhours = 8784\n" + PROVIDER))
    assert scenario.begins == seconds
    assert live_through(scenario).answered == 3


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("reqests = 3\n" + PROVIDER, "requests"),
        ("requests = 0\n" + PROVIDER, "requests"),
        ("begins = 9999-12-31T23:30:00Z\n" + PROVIDER, "begins: give a date and time in the years"),
        ("begins = 0001-01-01T00:00:00+23:59\n" + PROVIDER, "begins"),
        ("begins = 1970-12-31\n" + PROVIDER, "begins"),
        ("begins = 07:00:00\n" + PROVIDER, "begins"),
        (PROVIDER + "[traffic]\nbtach = 1\n", "batch"),
        (PROVIDER + "[traffic]\nprivate = 2\n", "traffic.private"),
        (PROVIDER + "[traffic.tasks]\nsinging = 1\n", "traffic.tasks"),
        (PROVIDER + "[traffic.tasks]\nprivate = 1\n", "share of the traffic"),
        (PROVIDER + "[traffic.tasks]\nreasoning = 1e308\ncoding = 1e308\n", "weights"),
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


GROQ = """\
[accounts]
a = ["k1", "k2"]
b = ["k3"]
[[models]]
id = "scout"
aliases = ["meta/scout*"]
[[models]]
id = "idle"
"""
FLEET = """\
[config.providers.groq]
kind = "rehearsal"
plays = "groq"
script = "groq.toml"
models = [ { id = "meta/scout-17b" } ]
[config.providers.claude]
kind = "rehearsal"
plays = "claude_code"
accounts = [ { name = "mine" }, { name = "yours" } ]
[config.providers.home]
kind = "rehearsal"
plays = "local"
[[events]]
what = "overload"
"""


@pytest.mark.parametrize(
    "aim",
    [
        'provider = "groq"\naccount = "a"\nkey = 2\nmodel = "scout"',
        'provider = "groq"\nmodel = "meta/scout-17b-16e"',
        'provider = "claude"\naccount = "mine"\nkey = 1\nmodel = "claude-opus-5-5"',
        'provider = "home"\naccount = "default"\nmodel = "ministral-3b"',
        'account = "b"\nkey = 1',
        'model = "nemotron-12b"',
    ],
)
def test_an_event_may_name_whoever_can_be_struck(tmp_path: Path, aim: str) -> None:
    (tmp_path / "groq.toml").write_text(GROQ)
    assert len(load_scenario(written(tmp_path, FLEET + aim)).events) == 1


@pytest.mark.parametrize(
    ("aim", "named", "there"),
    [
        ('provider = "grok"', "the provider grok", "groq, claude, home"),
        ('provider = "groq"\naccount = "c"', "the account c, and there is none at groq", "a, b"),
        ('provider = "groq"\nmodel = "skout"', "the model skout", "scout"),
        ('provider = "groq"\nmodel = "idle"', "the model idle", "scout"),  # in the script, and never asked
        ('provider = "groq"\naccount = "a"\nkey = 3', "key 3", "a (2 keys)"),
        ('provider = "groq"\nkey = 77', "key 77", "a (2 keys), b (1 key)"),
        ('provider = "claude"\naccount = "yours"', "the account yours", "mine"),  # the CLI has one login
        ('provider = "home"\nkey = 1', "key 1", "default (any key)"),
        ('account = "c"', "the account c, and there is none.", "a, b, mine, default"),
        ('model = "opus"\naccount = "a"', "the account a", "mine"),  # somebody has each of them, nobody both
        ('account = "b"\nkey = 2', "key 2", "b (1 key)"),
    ],
)
def test_an_event_that_can_strike_nobody_is_told(tmp_path: Path, aim: str, named: str, there: str) -> None:
    (tmp_path / "groq.toml").write_text(GROQ)
    with pytest.raises(ConfigError) as caught:
        load_scenario(written(tmp_path, FLEET + aim))
    assert named in caught.value.message
    assert caught.value.remedy == f"There are: {there}."


@pytest.mark.parametrize("name", ["nowhere", "", "/", "/dev/zero", "a\0b", "x" * 5000, "~nobody-of-that-name/x"])
def test_what_is_no_file_is_told(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_scenario(name)
    assert caught.value.remedy
    assert len(str(caught.value)) < 1000
