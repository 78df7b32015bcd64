"""The real director, the real adapters, the simulated fleet: what a newcomer sees first."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pexpect
import pytest

from tests.cli.test_ask import KEYS


def test_one_task_is_answered_and_plainly_simulated(program) -> None:
    ended = program("rehearse", "What is the capital of France?", real=True)
    assert ended.code == 0
    assert "Paris" in ended.out
    assert "(simulated)" in ended.err
    assert "simulated: nothing here is a real answer" in ended.err


def test_its_json_is_that_of_ask(program) -> None:
    told = json.loads(program("rehearse", "What is the capital of France?", "--json", real=True).out)
    assert set(told) >= KEYS
    assert told["attempts"][-1]["simulated"] is True
    assert told["intent"]["name"] == "quick_qa"


@pytest.mark.slow
def test_the_tour_shows_every_intent_a_fallback_and_the_economics(program, home: Path) -> None:
    ended = program("rehearse", "--json", real=True, timeout=110)
    stops = {s["what"]: s["reply"] for s in json.loads(ended.out)["stops"]}
    assert ended.code == 0
    assert {r["intent"]["name"] for r in stops.values()} >= {"quick_qa", "coding", "web_research", "long_context"}
    private = stops["private"]
    assert private["sensitivity"]["label"] == "private"
    assert all(a["provider"] == "local" for a in private["attempts"])
    broken = stops["Groq is broken"]["attempts"]
    assert {a["outcome"] for a in broken if a["provider"] == "groq"} == {"overload"}
    assert broken[-1]["provider"] != "groq"
    assert not (home / "store").exists()
    ended = program("rehearse", real=True, timeout=110)
    assert "all on Opus" in ended.out
    assert ended.out.startswith("These models are simulated")


def test_the_repl_without_a_key_says_so_and_answers(home: Path) -> None:
    home.mkdir(mode=0o700)
    script = '[providers.groq]\nkind = "rehearsal"\nplays = "groq"\nmodels = [ { id = "llama-3.1-8b-instant" } ]\n'
    (home / "config.toml").write_text(script)
    environment = {**os.environ, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
    child = pexpect.spawn(sys.executable, ["-m", "understudy"], env=environment, encoding="utf-8", timeout=30)
    child.expect("1 simulated model at groq")
    child.expect("export GROQ_API_KEY")
    child.expect("understudy>")
    child.send("What is the capital of France?\r")
    child.expect("Paris")
    child.expect(r"\(simulated\)")
    child.expect("understudy>")
    assert "These models are simulated" not in child.before  # the first screen said it
    child.send("/why\r")
    child.expect("policy: v1")
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


def test_private_in_a_fleet_without_a_local_model_is_refused(program, home: Path) -> None:
    home.mkdir(mode=0o700)
    script = '[providers.groq]\nkind = "rehearsal"\nplays = "groq"\nmodels = [ { id = "llama-3.1-8b-instant" } ]\n'
    (home / "config.toml").write_text(script)
    ended = program("ask", "hello", "--private", "--json", real=True)
    assert ended.code == 3
    assert json.loads(ended.out)["error"]["type"] == "PrivacyRefused"
