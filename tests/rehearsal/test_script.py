"""Script files: what they say, and what is said of broken ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from understudy.errors import ConfigError
from understudy.rehearsal import script as module
from understudy.rehearsal.fleet import default_models, rehearsal_table
from understudy.rehearsal.script import Fault, Script, ScriptedReply, load_script, parse_script


def documented() -> str:
    """The example of the module's own docstring."""
    lines = (module.__doc__ or "").splitlines()
    return "\n".join(line[4:] for line in lines if line.startswith("    "))


def test_the_documented_example_is_a_script(tmp_path: Path):
    path = tmp_path / "s.toml"
    path.write_text(documented().replace("status = 500", "status = 429").replace(', or pattern = "a regex"', ""))
    script = load_script(path)
    assert script.accounts == {"default": ("rehearsal-key",)}
    assert script.models[0].limits.tpm == 6000
    assert script.models[0].faults[0].retry_after == 7.5
    assert script.models[0].replies[0].match("Weather in Oslo") == "It rains in Oslo."
    assert script.replies[0].match("the CAPITAL of France?") == "Paris"


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"modles": []}, "unknown key modles, did you mean models?"),
        ({"models": [{"id": "m", "limits": {"rmp": 1}}]}, "unknown key models.0.limits.rmp, did you mean rpm?"),
        ({"models": [{"id": "m", "limits": {"rpm": -1}}]}, "models.0.limits.rpm"),
        ({"models": [{"id": "m", "limits": {"day": "Mars/Base"}}]}, "no time zone is called Mars/Base"),
        ({"models": [{"id": "m", "faults": [{"kind": "earthquake"}]}]}, "models.0.faults.0.kind"),
        ({"models": [{"id": "m", "faults": [{}]}]}, "models.0.faults.0.kind: Field required"),
        ({"models": [{"id": "m"}, {"id": "m"}]}, "models has m twice"),
        ({"replies": [{"contains": "x"}]}, "exactly one of text, json and tool"),
        ({"replies": [{"text": "x"}]}, "needs either contains or pattern"),
        ({"replies": [{"pattern": "(", "text": "x"}]}, "no regular expression"),
        ({"flavour": "cherry"}, "flavour"),
        ({"accounts": {"a": ["sk-secret"], "b": ["sk-secret"]}}, "one key twice"),
    ],
)
def test_a_broken_script_names_the_key(table: dict[str, Any], told: str):
    with pytest.raises(ConfigError) as caught:
        parse_script(table, "s.toml")
    assert told in str(caught.value)
    assert "s.toml" in str(caught.value)
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("content", [b"[[models", b"\xff\xfe\x00"])
def test_a_file_that_is_no_toml(tmp_path: Path, content: bytes):
    path = tmp_path / "s.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"s\.toml"):
        load_script(path)


def test_a_missing_file(tmp_path: Path):
    with pytest.raises(ConfigError, match="cannot be read"):
        load_script(tmp_path / "none.toml")


def test_when_a_fault_strikes():
    once = Fault(kind="reset", after=2, times=1)
    assert [once.strikes(n, 0) for n in range(4)] == [False, False, True, True]
    assert not once.strikes(3, 1)
    flapping = Fault(kind="reset", flap=2)
    assert [flapping.strikes(n, 0) for n in range(6)] == [True, True, False, False, True, True]


def test_replies_that_are_json_or_have_no_such_group():
    assert ScriptedReply.model_validate({"contains": "x", "json": {"a": [1]}}).match("xyz") == '{"a": [1]}'
    assert ScriptedReply(pattern="a(b)", text=r"\1\2").match("ab") == "b"
    assert ScriptedReply(contains="x", text="y").match("none") is None


def test_the_default_fleet_has_every_model_of_the_routing_table():
    table = rehearsal_table()["providers"]
    assert {name: len(p["models"]) for name, p in table.items()} == {
        "groq": 8,
        "gemini": 5,
        "claude_code": 3,
        "local": 3,
    }
    assert {m.id for m in default_models("local")} == {"nemotron-12b", "ministral-3b", "qwen3-coder-30b-a3b"}
    assert all(p["kind"] == "rehearsal" and p["plays"] == name for name, p in table.items())


def test_the_default_table_is_a_configuration():
    from understudy.config.load import parse

    settings = parse(rehearsal_table(), "the rehearsal")
    assert settings.director.candidate == "claude_code/opus"


def test_aliases_stand_for_other_names():
    script = Script(models=default_models("groq"))
    for name in ("qwen3-32b", "qwen/qwen3-32b", "meta-llama/llama-4-scout-17b-16e-instruct"):
        assert script.model(name) is not None
    assert script.model("gpt-5") is None
