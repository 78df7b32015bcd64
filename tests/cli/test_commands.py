"""The commands that look: what they print, as tables and as JSON."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.cli.conftest import SCRIPTED
from understudy.cli.initial import CONFIGURATION
from understudy.cli.render import plural
from understudy.config.load import load, parse
from understudy.policies import registry
from understudy.types import Intent


def test_version(scripted) -> None:
    assert scripted("--version").out.startswith("understudy 0.")


@pytest.mark.parametrize(
    "arguments", [("--nonsense",), ("askk",), ("policy",), ("policy", "shw"), ("explain", "a", "b")]
)
def test_a_wrong_command_line_is_two_lines_and_two(arguments: tuple[str, ...], scripted) -> None:
    ended = scripted(*arguments)
    assert ended.code == 2
    assert len(ended.err.splitlines()) == 2
    assert ended.out == ""


def test_models(scripted, home: Path) -> None:
    table = scripted("models")
    assert table.code == 0
    assert "here/ministral-3b" in table.out
    assert "note: a note about the fleet" in table.err
    told = json.loads(scripted("models", "--json").out)
    assert [m["domain"] for m in told["models"]] == ["groq/a/llama-3.1-8b-instant", "here/default/ministral-3b"]
    assert told["models"][1]["local"] is True


def test_models_tells_limits_ratings_and_sources(program, home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text(
        '[providers.g]\nkind = "groq"\naccounts = [ { name = "a", keys = ["env:UNDERSTUDY_TEST_KEY"] } ]\n'
        'shared = "account"\nmodels = [ { id = "llama-3.1-8b-instant", ratings = { coding = 20 } } ]\n'
    )
    table = program("models", real=True, UNDERSTUDY_TEST_KEY="k").out
    assert "30 RPM, 14.4k RPD, 6k TPM, 500k TPD" in table
    (told,) = json.loads(program("models", "--json", real=True, UNDERSTUDY_TEST_KEY="k").out)["models"]
    assert told["quota"] == "g/a"
    assert told["limits"]["windows"][2] == {
        "name": "TPM", "counts": "tokens", "limit": 6000, "seconds": 60.0, "zone": "",
    }  # fmt: skip
    assert (told["limits"]["charged"], told["limits"]["cached_free"]) == ("cap", True)
    assert (told["ratings"], told["modalities"], told["input_usd"]) == ({"coding": 20}, ["text"], 0.05)
    assert {"figures", "text", "dated"} == set(told["sources"][0])
    (state,) = json.loads(program("fleet", "--json", real=True, UNDERSTUDY_TEST_KEY="k").out)["fleet"]
    windows = [(level["name"], level["used"], level["left"]) for level in state["levels"]]  # before any request too
    assert windows == [("RPM", 0, 30), ("RPD", 0, 14400), ("TPM", 0, 6000), ("TPD", 0, 500_000)]
    assert told["dated"] == "2026-10"


def test_no_model_is_no_success(scripted, home: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text('policy = "nobody"\n')
    ended = scripted("models")
    assert ended.code == 3
    assert "understudy doctor" in ended.err


@pytest.mark.parametrize("as_json", [False, True])
def test_watching_the_fleet_ends_quietly(home: Path, as_json: bool) -> None:
    command = [sys.executable, str(SCRIPTED), "fleet", "--watch", *(["--json"] * as_json)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(1 if as_json else 4)]
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (0, "")
    assert "ministral-3b" in lines[-1]
    if as_json:
        assert all(set(json.loads(line)) == {"fleet"} for line in (*lines, *rest.splitlines()))


def test_the_fleet_in_a_pipe_of_commands_is_greeted_once(program) -> None:
    ended = program(stdin="/fleet\n/quit\n")
    assert ended.err.count("/help lists the commands") == 1
    assert "here/ministral-3b" in ended.out


@pytest.mark.parametrize(
    ("said", "words"), [((1, "task"), "1 task"), ((2000, "task"), "2,000 tasks"), ((0, "reply"), "0 replies")]
)
def test_one_is_one(said: tuple[int, str], words: str) -> None:
    assert plural(*said) == words


def test_agents(scripted) -> None:
    assert "researcher" in scripted("agents").out
    assert len(json.loads(scripted("agents", "--json").out)["agents"]) == 12


def test_policy_show_has_every_row_and_the_hash(scripted) -> None:
    policy = registry.load("v1")
    shown = scripted("policy", "show", "v1").out
    assert policy.hash in shown
    for intent in Intent:
        assert f"\n{intent} " in shown
    assert "--agent tester" in shown
    told = json.loads(scripted("policy", "show", "v1", "--json").out)
    assert told["hash"] == policy.hash
    assert len(told["rows"]) == len(Intent) + 2
    listed = json.loads(scripted("policy", "list", "--json").out)
    assert ("v1", policy.hash) in [(p["name"], p["hash"]) for p in listed["policies"]]
    wrong = scripted("policy", "show", "v2x")
    assert (wrong.code, wrong.out) == (2, "")


def test_budget_of_the_day_and_of_a_conversation(scripted) -> None:
    told = json.loads(scripted("budget", "--json").out)
    assert [s["name"] for s in told["scopes"]] == ["director today", "classifier today", "money today"]
    assert told["scopes"][2]["limit"]["usd"] == 5.0
    told = json.loads(scripted("budget", "--session", "tea", "--json").out)
    assert told["scopes"][0]["scope"] == "director:conversation:tea"
    assert told["scopes"][0]["limit"]["tokens"] == 2000
    assert "2,000 tokens" in scripted("budget", "--session", "tea").out
    assert scripted("budget", "--session", "no such id!").code == 2


def test_the_conversation_may_be_named_before_the_command(scripted) -> None:
    told = json.loads(scripted("--session", "tea", "budget", "--json").out)
    assert told["session"] == "tea"
    assert json.loads(scripted("--session", "tea", "budget", "--session", "soup", "--json").out)["session"] == "soup"
    assert json.loads(scripted("--session", "tea", "ask", "hello", "--json").out)["session"] == "tea"
    assert scripted("--session", "", "budget").code == 2


def test_explain_lists_and_explains(scripted) -> None:
    assert "There are no replies yet." in scripted("explain").out
    reply = json.loads(scripted("ask", "hello", "--json").out)
    assert reply["id"] in scripted("explain").out
    text = scripted("explain", reply["id"][:12]).out
    assert "intent: quick_qa (0.90, said by local)" in text
    assert "overload: try later" in text
    assert "passed over: gemini/a/gemini-2.5-flash: minute_quota, 12 s more" in text
    assert json.loads(scripted("explain", reply["id"], "--json").out)["attempts"] == reply["attempts"]
    assert scripted("explain", "r-none").code == 2


def test_init_writes_what_loads(scripted, home: Path) -> None:
    ended = scripted("init")
    path = home / "config.toml"
    assert ended.code == 0
    assert str(path) in ended.out
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    settings, where = load()
    assert where == path
    assert settings.director.tokens_per_conversation == 2000
    again = scripted("init")
    assert again.code == 2
    assert "--force" in again.err
    path.write_text("# mine")
    assert scripted("init", "--force").code == 0
    assert path.read_text() == CONFIGURATION


def test_init_says_every_default_as_it_is() -> None:
    assert parse(tomllib.loads(CONFIGURATION), "init").model_dump() == parse({}, "none").model_dump()


def test_every_commented_line_of_init_is_right_too() -> None:
    """The example with its comments taken away, section by section, is a configuration as well."""
    lines = []
    for line in CONFIGURATION.splitlines():
        bare = line.removeprefix("# ")
        looks = bare.split("  #")[0].rstrip()
        lines.append(bare if looks.startswith(("[providers", "[book")) or (" = " in looks and bare != line) else line)
    settings = parse(tomllib.loads("\n".join(lines)), "init")
    assert set(settings.providers) == {"groq", "gemini", "claude_code", "local", "ollama", "openai", "anthropic"}
    assert not settings.providers["openai"].enabled
    assert settings.private_paths


def test_init_prints_and_goes_where_it_is_told(scripted, home: Path, tmp_path: Path) -> None:
    assert scripted("init", "--stdout").out == CONFIGURATION
    assert not home.exists()
    assert scripted("init", "--config", str(tmp_path / "deep" / "c.toml")).code == 0
    assert (tmp_path / "deep" / "c.toml").exists()
    (tmp_path / "file").write_text("x")
    ended = scripted("init", "--config", str(tmp_path / "file" / "c.toml"))
    assert ended.code == 2
    assert "cannot be written" in ended.err
