"""The doctor against real rooms: a simulated fleet, dead servers, broken files."""

from __future__ import annotations

import asyncio
import json
from datetime import date
from pathlib import Path

import pytest

from tests.agents.llama_setup import CHORES
from understudy.agents.keys import KeyState
from understudy.cli.aging import _finding
from understudy.cli.doctor import examine

REHEARSAL = '[providers.groq]\nkind = "rehearsal"\nplays = "groq"\nmodels = [ { id = "llama-3.1-8b-instant" } ]\n'
LOCAL = '[providers.here]\nkind = "rehearsal"\nplays = "local"\nmodels = [ { id = "ministral-3b" } ]\n'
DEAD = '[providers.dead]\nkind = "openai_compatible"\nbase_url = "http://127.0.0.1:9/v1"\nmodels = [ { id = "m" } ]\n'


@pytest.fixture
def doctor(program, home: Path):
    def call(config: str, **env: str) -> tuple[int, dict[str, dict]]:
        home.mkdir(exist_ok=True, mode=0o700)
        (home / "config.toml").write_text(config)
        ended = program("doctor", "--json", real=True, **env)
        told = json.loads(ended.out)
        assert told["can_answer"] is (ended.code == 0)
        return ended.code, {f["name"]: f for f in told["findings"]}

    return call


def test_a_fleet_that_answers(doctor) -> None:
    code, found = doctor(REHEARSAL + LOCAL)
    assert code == 0
    assert found["groq"]["state"] == found["here"]["state"] == "ok"
    assert found["private tasks"]["state"] == "ok"
    assert found["store"]["state"] == found["classifier"]["state"] == found["privacy gate"]["state"] == "ok"
    assert found["director"]["state"] == "note"


def test_without_a_local_model_private_tasks_will_be_refused(doctor) -> None:
    code, found = doctor(REHEARSAL + '[director]\ncandidate = "groq/llama-3.1-8b-instant"\n')
    assert code == 0
    assert "will be refused" in found["private tasks"]["text"]
    assert found["director"]["state"] == "ok"


def test_a_dead_server_is_told_and_one_living_is_enough(doctor) -> None:
    code, found = doctor(DEAD + REHEARSAL)
    assert code == 0
    assert found["dead"]["state"] == "wrong"
    assert found["dead"]["remedy"]


async def test_each_gguf_file_is_looked_at(home: Path, tmp_path: Path) -> None:
    config = tmp_path / "gguf.toml"
    paths = {"one": CHORES, "two": tmp_path / "two.gguf"}
    files = ", ".join(f'{{ id = "{name}", path = "{path}" }}' for name, path in paths.items())
    config.write_text(f'[providers.gpu]\nkind = "llama_cpp"\nmodels = [ {files} ]\n')
    told = [f for f in await examine(str(config)) if f.name == "gpu"]
    assert [f.state for f in told] == ["ok", "wrong"]
    assert "two.gguf" in told[1].text


def test_nobody_reachable_is_no(doctor) -> None:
    code, found = doctor(DEAD)
    assert code == 1
    assert found["models"]["state"] == "wrong"


def test_everything_switched_off_is_no(doctor) -> None:
    code, _ = doctor(REHEARSAL + "enabled = false\n")
    assert code == 1


def test_a_key_that_is_not_there_is_named_by_its_source_never_by_value(doctor, program) -> None:
    config = '[providers.groq]\nkind = "groq"\nbase_url = "http://127.0.0.1:9/openai/v1"\n'
    config += 'accounts = [ { name = "a", keys = ["env:GROQ_CANARY_KEY"] } ]\n'
    code, found = doctor(config)
    assert code == 1
    assert "GROQ_CANARY_KEY" in json.dumps(found)
    code, found = doctor(config, GROQ_CANARY_KEY="gsk_canaryvalue123456789")
    assert "canaryvalue" not in json.dumps(found)
    assert "env:GROQ_CANARY_KEY" in found["groq"]["text"]
    assert found["groq"]["remedy"] == "Check the network and base_url."


def test_a_broken_configuration_is_the_first_finding(doctor) -> None:
    code, found = doctor('polcy = "v1"\n')
    assert code == 1
    assert "did you mean policy?" in found["configuration"]["text"]


def test_an_unknown_policy_and_director_are_told(doctor) -> None:
    code, found = doctor('policy = "v9"\n[director]\ncandidate = "nobody/none"\n' + REHEARSAL)
    assert code == 1
    assert found["policy"]["state"] == "wrong"
    assert found["director"]["state"] == "wrong"


def test_a_damaged_store_is_told(doctor, home: Path) -> None:
    (home / "store").mkdir(parents=True, mode=0o700)
    (home / "store" / "understudy.db").write_bytes(b"this is no database" * 100)
    code, found = doctor(REHEARSAL)
    assert code == 1
    assert found["store"]["state"] == "wrong"
    assert found["store"]["remedy"]


def test_lines_for_people(program, home: Path) -> None:
    home.mkdir(mode=0o700)
    (home / "config.toml").write_text(REHEARSAL)
    ended = program("doctor", real=True)
    assert "ok      configuration: " in ended.out
    assert "missing private tasks: there is no local model: private tasks will be refused\n        -> " in ended.out
    assert ended.out.rstrip().endswith("The models are simulated: their answers are not real.")


GROQ = """\
[providers.groq]
kind = "groq"
accounts = [ { keys = ["env:UNDERSTUDY_TEST_KEY"] } ]
base_url = "http://127.0.0.1:9"
models = [ { id = "gpt-oss-20b" }, { id = "qwen3-32b", dated = "2027-02-20" } ]
"""


@pytest.mark.parametrize(("today", "old"), [(date(2027, 1, 29), False), (date(2027, 1, 30), True)])
def test_figures_that_nobody_compared_for_90_days(
    home: Path, monkeypatch: pytest.MonkeyPatch, today: date, old: bool
) -> None:
    monkeypatch.setattr("understudy.config.quota.today", lambda: today)
    monkeypatch.setenv("UNDERSTUDY_TEST_KEY", "k")
    monkeypatch.setenv("UNDERSTUDY_HOME", str(home))
    home.mkdir(exist_ok=True, mode=0o700)
    (home / "config.toml").write_text(GROQ + REHEARSAL.replace("providers.groq", "providers.play"))
    found = [f for f in asyncio.run(examine(str(home / "config.toml"), today)) if f.name == "catalogue"]
    assert len(found) == old
    for finding in found:
        assert finding.state == "note"
        assert "the figures of 1 model for 90 days: groq/openai/gpt-oss-20b (2026-10)" in finding.text
        assert f'dated = "{today}"' in finding.remedy


KEYED = '[providers.groq]\nkind = "groq"\nbase_url = "http://127.0.0.1:9"\naccounts = [ { keys = ["env:K_ONE"] } ]\n'


def test_a_key_is_new_the_first_time_it_is_looked_at(doctor) -> None:
    for _ in range(2):
        _, found = doctor(KEYED, K_ONE="k")
        assert found["groq/default key"]["text"] == "env:K_ONE: new today"


def test_a_refused_key_that_others_may_read_is_told_to_be_both() -> None:
    finding = _finding("groq/a", KeyState("file:/k", 0.0, {"": 2e9}, exposed=True), 30, 100 * 86_400.0)
    assert finding.state == "wrong"
    assert "refused and set aside until" in finding.text
    assert finding.text.endswith("other users of this machine may read it")
    assert finding.remedy.startswith("Make a new key")
    assert finding.remedy.endswith("chmod 600 /k")
