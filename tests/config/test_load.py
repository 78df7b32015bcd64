"""A configuration may be anything: it is read, or refused with what is wrong. Never a hang, never a bug report."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest

from understudy.cli import main
from understudy.config.load import load, parse
from understudy.config.places import home
from understudy.config.secrets import read_key
from understudy.errors import ConfigError

SECRET = "gsk_canary4242424242"

BAD_FILES = {
    "deep lists": "policy = " + "[" * 20_000 + "]" * 20_000,
    "deep tables": "policy = " + "{a=" * 3_000 + "1" + "}" * 3_000,
    "a number of 5,000 digits": "deadline = " + "1" * 5_000,
    "larger than any": "# " + "x" * 1_100_000,
    "not UTF-8": b'policy = "\xed\xa0\x80"',
    "no command": '[providers.c]\nkind = "claude_code"\ncommand = []',
    "infinite money": "[money]\nusd_per_day = inf",
    "more money than there is": "[money]\nusd_per_day = 1e300",
    "more tokens than can be counted": "[director]\ntokens_per_day = 10000000000000000000000000",
    "an infinite price": '[providers.g]\nkind = "openai"\nmodels = [{ id = "x", input_usd = inf }]',
    "an infinite deadline": "deadline = inf",
    "a home of nobody": '[providers.l]\nkind = "llama_cpp"\nmodels = [{ id = "x", path = "~nobody-at-all/x.gguf" }]',
    "NUL in a path": '[providers.l]\nkind = "llama_cpp"\nmodels = [{ id = "x", path = "/x\\u0000.gguf" }]',
    "a script without end": '[providers.l]\nkind = "rehearsal"\nscript = "~nobody-at-all/x.toml"',
    "a password in an address": f'[providers.g]\nkind = "groq"\nbase_url = "https://me:{SECRET}@127.0.0.1/v1"',
    "a broken address": '[providers.g]\nkind = "openai_compatible"\nbase_url = "http://[::1"',
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_refused_with_a_remedy(tmp_path: Path, name: str) -> None:
    file, content = tmp_path / "config.toml", BAD_FILES[name]
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as refusal:
        load(file)
    assert refusal.value.remedy
    assert SECRET not in f"{refusal.value}"


def test_pipes_and_devices_are_no_configuration(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with pytest.raises(ConfigError, match="not a file"):
            load(path)


@pytest.mark.parametrize("path", ["~nobody-at-all/x.toml", "/tmp/" + "a" * 5_000], ids=["nobody", "long"])
def test_a_path_that_is_none(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError):
        load(path)
    monkeypatch.setenv("UNDERSTUDY_HOME", path)
    with pytest.raises(ConfigError):
        load()


def test_a_home_of_nobody_is_told_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UNDERSTUDY_HOME", "~nobody-at-all/x")
    with pytest.raises(ConfigError):
        home()
    assert main.run(["budget"]) == 2
    said = capsys.readouterr()
    assert "~nobody-at-all" in said.err
    assert "Traceback" not in said.err


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("UNDERSTUDY_POLCY", "UNDERSTUDY_POLICY"),
        ("UNDERSTUDY_DIRECTR__TOKENS_PER_DAY", "UNDERSTUDY_DIRECTOR"),
        ("UNDERSTUDY_HOMEE", "UNDERSTUDY_HOME"),
    ],
)
def test_a_misspelt_variable_is_not_silently_no_limit(name: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "1")
    with pytest.raises(ConfigError, match=meant):
        parse({}, "here")


def test_variables_of_others_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_TEST_CLAUDE", "/x")
    monkeypatch.setenv("UNDERSTUDY_DEADLINE", "7")
    assert parse({}, "here").deadline == 7


def test_a_variable_that_is_nested_too_deeply(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNDERSTUDY_PROVIDERS", "[" * 100_000)
    with pytest.raises(ConfigError, match="deep"):
        parse({}, "here")


def test_a_key_file_is_a_small_plain_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_text("k" * 100_000)
    (tmp_path / "key").write_text(f"{SECRET}\n")
    for path in (tmp_path / "pipe", tmp_path / "large", tmp_path, "/dev/zero", "~nobody-at-all/key", "/x\0y"):
        with pytest.raises(ConfigError, match="key file"):
            read_key(f"file:{path}")
    assert read_key(f"file:{tmp_path}/key").reveal() == SECRET


PASTED = (
    "gsk_canary4242424242",
    "sk-proj-Canary7Xq2Lm9Rt4Vw8Zb1",
    "Canary7Xq2Lm9Rt4Vw8Zb1Yc6Nd3",
    "c4n4ry0123456789abcdef0123456789",
    "us-abcdefabcdef-abcdefabcdefabcdef",
)
PLACES = {
    "a key": "{} = 1",
    "a key of a table": "[director]\n{} = 1",
    "a key of a provider": '[providers.g]\nkind = "groq"\n{} = 1',
    "a key of an account": '[providers.g]\nkind = "groq"\naccounts = [{{ {} = 1 }}]',
    "a limit": '[providers.g]\nkind = "groq"\nlimits = {{ {} = 1 }}',
    "a provider": '[providers.{}]\nkind = "groq"',
    "a provider that is wrong": '[providers.{}]\nkind = "openai_compatible"',
    "a provider twice": '[providers.{0}]\nkind = "groq"\n[providers.{0}]\nkind = "groq"',
    "a key twice": "{0} = 1\n{0} = 2",
    "an account": '[providers.g]\nkind = "groq"\naccounts = [{{ name = "{}" }}]',
    "a literal": '[providers.g]\nkind = "groq"\naccounts = [{{ keys = ["{}"] }}]',
    "env": '[providers.g]\nkind = "groq"\naccounts = [{{ keys = ["env:{}"] }}]',
    "keyring": '[providers.g]\nkind = "groq"\naccounts = [{{ keys = ["keyring:{}"] }}]',
    "file": '[providers.g]\nkind = "groq"\naccounts = [{{ keys = ["file:{}"] }}]',
    "vault": '[providers.g]\nkind = "groq"\naccounts = [{{ keys = ["vault:secret/a#{}"] }}]',
    "book": '[book]\nurl = "env:{}"',
    "kind": '[providers.g]\nkind = "{}"',
    "no TOML": "{} {}",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("pasted", PASTED)
def test_a_key_in_the_wrong_place_is_refused_and_not_repeated(tmp_path: Path, place: str, pasted: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(PLACES[place].format(pasted, pasted))
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert pasted not in str(caught.value)
    assert pasted[6:18] not in repr(caught.value.as_dict())


@pytest.mark.parametrize(
    "name",
    [
        "groq",
        "my-second-groq-account-2026",
        "GROQ_API_KEY_2",
        "COMPANY_WIDE_OPENAI_API_KEY_PRODUCTION_02",
        "llama33instantversatile",
        "jane.doe@example.org",
        "skunkworks-provider",
    ],
)
def test_names_are_names(name: str) -> None:
    provider = {"kind": "groq", "accounts": [{"name": name, "keys": [f"env:{name}", f"file:~/.keys/{name}"]}]}
    assert parse({"providers": {name.replace("@", "."): provider}}, "here").providers


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("UNDERSTUDY_DIRECTOR__TOKENS_PER_DAY", "many", "valid integer"),
        ("UNDERSTUDY_DIRECTOR__TOKENS", "5", "did you mean"),
        ("UNDERSTUDY_PRIVATE_PATHS", "[1]", "valid string"),
    ],
)
def test_a_wrong_variable_is_named_and_not_the_file(
    name: str, value: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "config.toml"
    file.write_text('policy = "v1"')
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as refusal:
        load(file)
    assert refusal.value.message.startswith("the environment: ")
    assert name in refusal.value.message
    assert told in refusal.value.message
    file.write_text("deadline = -1")
    with pytest.raises(ConfigError) as both:
        load(file)
    assert str(file) in both.value.message
    assert "deadline" in both.value.message


def dated(when: str) -> str | None:
    table = {"providers": {"g": {"kind": "groq", "models": [{"id": "qwen3-32b", "dated": when}]}}}
    return parse(table, "test").providers["g"].models[0].dated


@pytest.mark.parametrize("when", ["2026-12", "2027-01-31", "2024-02-29"])
def test_when_figures_were_compared(when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy.config.quota.today", lambda: date(2026, 12, 31))
    assert dated(when) == when


@pytest.mark.parametrize(
    "when", ["9999-12", "2027-02", "2027-02-01", "2026-02-31", "2026-13", "2026-00", "0000-01", "2026-1", "٢٠٢٦-01"]
)
def test_figures_were_compared_on_no_day_to_come_and_on_none_there_never_was(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("understudy.config.quota.today", lambda: date(2026, 12, 31))
    with pytest.raises(ConfigError, match=r"models\.0\.dated") as caught:
        dated(when)
    assert caught.value.remedy
