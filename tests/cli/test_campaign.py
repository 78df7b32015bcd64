"""`campaign plan` at the terminal: what is printed, as tables, as lines and as JSON, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Ended
from understudy.cli import campaign
from understudy.cli.main import run

FULL = str(ROOT / "examples" / "market_reflective_full.toml")
KEYS = {"volume", "tokens", "options", "best_mix", "reduced", "break_even", "notes"}


@pytest.fixture
def plan(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    def call(*options: str) -> Ended:
        capsys.readouterr()
        code = run(["campaign", "plan", *options])
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return call


def test_json_has_all_there_is(plan) -> None:
    ended = plan(FULL, "--json")
    assert (ended.code, ended.err) == (0, "")
    told = json.loads(ended.out)
    assert set(told) >= KEYS
    assert told["tokens"] == {"input": 138_412_800, "output": 34_603_200}
    wanted = {"provider", "plan", "accounts", "days", "binding", "usd", "verdict"}
    assert all(set(option) >= wanted for option in told["options"])
    assert {o["plan"] for o in told["options"]} == {"free", "paid", "batch", "local", "subscription"}
    assert told["best_mix"]["verdict"] == "fits"


def test_lines_where_there_is_no_terminal(plan) -> None:
    out = plan(FULL).out
    assert "market-reflective-full: 576,720 calls, within 14.0 days, for $20.00 at the most" in out
    assert "48,060 x 12" in out
    assert "\x1b" not in out
    assert "┃" not in out
    rows = [line.split() for line in out.splitlines()]
    assert [
        "groq/llama-3.1-8b-instant",
        "free",
        "1",
        "346.0",
        "days",
        "TPD",
        "346.0",
        "days",
        "$0",
        "too",
        "slow",
    ] in rows
    assert "Best mix: 13." in out
    assert "note: option B, Claude API: $3,114 counts every token twice" in out


def test_tables_on_a_terminal(plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "is_lively", lambda _: True)
    monkeypatch.setenv("COLUMNS", "220")
    out = plan(FULL).out
    assert "┃ who" in out
    assert "576,720" in out
    monkeypatch.setenv("COLUMNS", "60")  # too narrow: nothing is cut off
    out = plan(FULL).out
    assert "┃" not in out.split("Best mix")[0].split("Options")[1]
    assert "groq/llama-3.1-8b-instant" in out
    assert "…" not in out


def test_every_model_is_shown_when_asked_for(plan) -> None:
    assert "groq/qwen/qwen3-32b" not in plan(FULL).out.split("Best mix")[0]
    assert "groq/qwen/qwen3-32b" in plan(FULL, "--all").out.split("Best mix")[0]


def test_the_command_line_has_the_last_word(plan) -> None:
    told = json.loads(plan(FULL, "--deadline", "2days", "--usd", "0", "--accounts", "groq=3", "--json").out)
    assert (told["deadline_days"], told["usd_limit"]) == (2.0, 0.0)
    assert told["best_mix"]["verdict"] == "too slow"
    assert all(r["days"] <= 2 and r["usd"] == 0 for r in told["reduced"])
    assert {o["accounts"] for o in told["options"] if o["provider"] == "groq" and o["plan"] == "free"} == {3, 1}
    shown = plan(FULL, "--deadline", "2days", "--usd", "0").out
    assert "Reduced campaigns that fit" in shown
    assert "the largest there is" in shown
    gpu = ("--gpu-price", "900", "--gpu-watts", "300", "--gpu-speed", "50", "--electricity", "0.4", "--gpu-rent", "1")
    told = json.loads(plan(FULL, *gpu, "--against", "groq/llama-3.3-70b-versatile", "--json").out)
    assert [row["name"] for row in told["break_even"][:2]] == ["your GPU", "your rented GPU"]
    assert {row["against"] for row in told["break_even"]} == {"groq/llama-3.3-70b-versatile"}


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        (["nothing.toml"], "There is no SPEC nothing.toml."),
        ([FULL, "--accounts", "groq"], "--accounts groq is no number of accounts."),
        ([FULL, "--accounts", "groq=0"], "--accounts groq=0 is no number of accounts."),
        ([FULL, "--accounts", "grok=2"], "In the accounts there is no provider grok; did you mean groq?"),
        ([FULL, "--deadline", "soon"], "--deadline: write a length of time"),
        ([FULL, "--usd", "1e99"], "--usd:"),
        ([FULL, "--gpu-price", "1e99"], "--gpu.price_usd:"),
        ([FULL, "--against", "gpt-9"], "Nobody sells gpt-9 by the token."),
        ([FULL, "--config", "gone.toml"], "There is no configuration at"),
    ],
)
def test_what_is_wrong_is_named_with_a_remedy(plan, options: list[str], fault: str) -> None:
    ended = plan(*options)
    assert ended.code == 2
    assert ended.out == ""
    first, remedy = ended.err.splitlines()
    assert fault in first
    assert remedy
    assert json.loads(plan(*options, "--json").out)["error"]["exit_code"] == 2


def test_a_slip_in_the_spec_is_named(plan, tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_text("[shape]\ngruops = 2\n")
    ended = plan(str(tmp_path / "spec.toml"))
    assert ended.code == 2
    assert "unknown key shape.gruops, did you mean groups?" in ended.err


def test_it_runs_as_a_program_without_keys_or_a_home(program) -> None:
    ended = program("campaign", "plan", FULL, "--json", real=True)
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["volume"] == 576_720


def test_the_items_may_come_through_a_pipe(program, tmp_path: Path) -> None:
    spec = tmp_path / "spec.toml"
    spec.write_text('template = "Say {word}"\n[items]\npath = "-"\nformat = "jsonl"\n')
    ended = program("campaign", "plan", str(spec), "--json", real=True, stdin='{"word": "a"}\n{"word": "b"}\n')
    assert json.loads(ended.out)["volume"] == 2


@pytest.mark.parametrize(
    ("number", "said"), [(None, "-"), (2.4, "2.4 days"), (0.6, "14.4 h"), (0.005, "7 min"), (0, "0 min")]
)
def test_days_in_words(number: float | None, said: str) -> None:
    assert campaign.days(number) == said
