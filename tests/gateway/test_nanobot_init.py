"""understudy nanobot init: merged, shown, kept beside, written whole, and nothing of the user's lost or told."""

from __future__ import annotations

import io
import json
import os
import stat
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from understudy.cli import nanobot
from understudy.cli.main import run
from understudy.cli.nanobot import difference, read, write
from understudy.errors import ConfigError
from understudy.gateway.nanobot.settings import KEY, Mcp, merged

SECRETS = {"sk-abcdef1234567890abcdef", "123:telegram", "hush", "pa55", "plain-word"}
OLD = {
    "zeta": {"unknown": [1, 2.5, None, "ü"]},
    "providers": {
        "openai": {"apiKey": "sk-abcdef1234567890abcdef", "proxy": "http://me:pa55@proxy:1", "x": True},
        "other": {"apiBase": "http://h/v1", "extraHeaders": {"APP-Code": "plain-word"}},
    },
    "modelPresets": {"Mine": {"provider": "openai", "model": "gpt-5"}},
    "agents": {"defaults": {"modelPreset": "Mine", "fallbackModels": ["Mine"], "dream": {"intervalH": 3}}},
    "tools": {"mcpServers": {"theirs": {"command": "x", "args": ["--token", "hush"], "env": {"A": "hush"}}}},
    "channels": {"telegram": {"token": "123:telegram"}},
}


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing of this machine's own configuration and keys is found."""
    for name in list(os.environ):
        if name.startswith("UNDERSTUDY_") or name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    def call(*arguments: str) -> Ended:
        capsys.readouterr()
        code = run(list(arguments))
        return Ended(code, *capsys.readouterr())

    return call


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(OLD, indent=2, ensure_ascii=False))
    path.chmod(0o640)
    return path


def test_a_new_file_is_made_where_nanobot_looks(command, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    ended = command("nanobot", "init", "--yes")
    path = tmp_path / ".nanobot" / "config.json"
    table = json.loads(path.read_text())
    assert (ended.code, stat.S_IMODE(path.stat().st_mode)) == (0, 0o600)
    assert os.listdir(path.parent) == ["config.json"], "there was nothing to keep"
    assert {p["apiKey"] for p in table["providers"].values()} == {KEY}
    roles = {name: p["extraHeaders"]["X-Understudy-Role"] for name, p in table["providers"].items()}
    assert roles == {"understudy_main": "main", "understudy_dream": "dream", "understudy_private": "main"}
    assert table["providers"]["understudy_private"]["extraHeaders"]["X-Understudy-Sensitivity"] == "private"
    defaults = table["agents"]["defaults"]
    assert defaults == {"modelPreset": "Understudy", "dream": {"modelOverride": "Understudy dream"}}
    assert all(preset["provider"] in table["providers"] for preset in table["modelPresets"].values())
    assert "tools" not in table
    assert "understudy key add nanobot" in ended.out


def test_the_page_has_what_is_written() -> None:
    page = (Path(__file__).parents[2] / "docs" / "nanobot.md").read_text()
    shown = page.split("```json\n")[1].split("```")[0]
    assert json.dumps(merged({}, mcp=Mcp("/usr/local/bin/understudy")), indent=2) + "\n" == shown


def test_everything_else_stays_as_it_was(command, config: Path) -> None:
    assert command("nanobot", "init", "--config", str(config), "--yes", "--api-base", "http://[::1]:9/v1/").code == 0
    text = config.read_text()
    table = json.loads(text)
    assert list(table) == list(OLD), "the order"
    assert "ü" in text
    for part in ("zeta", "channels", "tools"):
        assert table[part] == OLD[part]
    assert {n: table["providers"][n] for n in OLD["providers"]} == OLD["providers"]
    assert table["modelPresets"]["Mine"] == OLD["modelPresets"]["Mine"]
    assert table["agents"]["defaults"]["dream"] == {"intervalH": 3, "modelOverride": "Understudy dream"}
    assert table["agents"]["defaults"]["fallbackModels"] == [], "a private text would go there when we are down"
    assert table["providers"]["understudy_main"]["apiBase"] == "http://[::1]:9/v1"
    assert stat.S_IMODE(config.stat().st_mode) == 0o640


def test_the_old_file_is_kept_for_its_owner_alone_and_never_overwritten(command, config: Path) -> None:
    before = config.read_bytes()
    taken = config.with_name("config.json.bak")
    taken.write_text("mine")
    ended = command("nanobot", "init", "--config", str(config), "--yes")
    kept = config.with_name("config.json.bak.1")
    assert (kept.read_bytes(), stat.S_IMODE(kept.stat().st_mode)) == (before, 0o600)
    assert taken.read_text() == "mine"
    assert str(kept) in ended.out


def test_the_second_time_there_is_nothing_to_do(command, config: Path) -> None:
    arguments = ("nanobot", "init", "--config", str(config), "--mcp", "--yes")
    command(*arguments)
    before, files = config.read_bytes(), sorted(os.listdir(config.parent))
    again = command(*arguments)
    assert (again.code, config.read_bytes(), sorted(os.listdir(config.parent))) == (0, before, files)
    assert "nothing to do" in again.out
    told = json.loads(command(*arguments, "--json").out)
    assert told == {"path": str(config), "changed": False, "written": False, "backup": None, "diff": ""}


def test_what_the_user_changed_in_our_parts_stays(command, config: Path) -> None:
    command("nanobot", "init", "--config", str(config), "--mcp", "--yes")
    table = json.loads(config.read_text())
    table["modelPresets"]["Understudy"]["maxTokens"] = 99
    table["providers"]["understudy_main"]["extraBody"] = {"a": 1}
    table["tools"]["mcpServers"]["understudy"] |= {"toolTimeout": 5, "enabledTools": ["*"]}
    config.write_text(json.dumps(table))
    assert "nothing to do" in command("nanobot", "init", "--config", str(config), "--mcp", "--yes").out


def test_a_key_in_the_file_becomes_a_reference(config: Path) -> None:
    table = merged({"providers": {"understudy_main": {"api_key": "us-literal", "api_base": "x"}}})
    provider = table["providers"]["understudy_main"]
    assert (provider["api_key"], "apiKey" in provider, "apiBase" in provider) == (KEY, False, False)


def test_names_are_changed_as_the_file_spells_them() -> None:
    old = {
        "model_presets": {"Mine": {"model": "m"}},
        "agents": {"defaults": {"model_preset": "Mine", "fallback_models": ["Mine"], "dream": {"model": "Mine"}}},
        "tools": {"mcp_servers": {"x": {}}},
    }
    table = merged(old, mcp=Mcp("understudy"))
    assert set(table) == {"model_presets", "agents", "tools", "providers"}
    assert set(table["model_presets"]) == {"Mine", "Understudy", "Understudy dream", "Understudy private"}
    defaults = {"model_preset": "Understudy", "fallback_models": [], "dream": {"model": "Understudy dream"}}
    assert table["agents"]["defaults"] == defaults
    assert set(table["tools"]["mcp_servers"]) == {"x", "understudy"}
    assert old["agents"]["defaults"]["model_preset"] == "Mine", "what is given is not changed"


def test_the_way_by_mcp_hands_on_places_and_keys_by_reference(command, config: Path, home, monkeypatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk_secretsecret")
    home.mkdir()
    own = home / "config.toml"
    own.write_text(
        '[providers.groq]\nkind = "groq"\naccounts = [{ name = "a", keys = ["env:GROQ_API_KEY", "env:UNSET_KEY"] }]\n'
    )
    command("--config", str(own), "nanobot", "init", "--config", str(config), "--mcp", "--yes")
    server = json.loads(config.read_text())["tools"]["mcpServers"]["understudy"]
    # nanobot does not start with a reference to what is not set.
    assert server["env"] == {
        "GROQ_API_KEY": "${GROQ_API_KEY}",
        "UNDERSTUDY_CONFIG": str(own),
        "UNDERSTUDY_HOME": str(home),
    }
    assert Path(server["command"]).is_absolute()
    assert (server["args"][-1], server["toolTimeout"], server["enabledTools"]) == ("mcp", 600, ["delegate"])


@pytest.mark.parametrize("flags", [(), ("--json",), ("--yes",), ("--yes", "--json")])
def test_no_secret_is_shown(command, config: Path, flags: tuple[str, ...]) -> None:
    ended = command("nanobot", "init", "--config", str(config), "--mcp", *flags)
    shown = ended.out + ended.err
    assert "understudy_dream" in shown
    assert not [secret for secret in SECRETS if secret in shown]


def test_all_of_a_file_is_hidden_where_it_may_be_a_secret(config: Path) -> None:
    found = read(config)
    whole = difference(found, {})
    assert whole.count("\n-") > 30, "all lines are in it"
    assert not [secret for secret in SECRETS if secret in whole]


def test_without_a_terminal_it_shows_and_says_how(command, config: Path) -> None:
    before = config.read_bytes()
    ended = command("nanobot", "init", "--config", str(config))
    assert (ended.code, config.read_bytes(), len(os.listdir(config.parent))) == (2, before, 1)
    assert '+    "understudy_main": {' in ended.out
    assert f"--yes writes {config}" in ended.err
    told = json.loads(command("nanobot", "init", "--config", str(config), "--json").out)
    assert (told["changed"], told["written"]) == (True, False)
    assert told["diff"] == ended.out


@pytest.mark.parametrize(
    ("said", "writes"), [("y\n", True), ("Yes\n", True), ("\n", False), ("n\n", False), ("", False)]
)
def test_at_a_terminal_it_asks(command, config: Path, monkeypatch, said: str, writes: bool) -> None:
    before = config.read_bytes()
    monkeypatch.setattr(nanobot, "is_terminal", lambda _stream: True)
    monkeypatch.setattr(sys, "stdin", io.StringIO(said))
    ended = command("nanobot", "init", "--config", str(config))
    assert (ended.code, config.read_bytes() != before) == (0, writes)
    assert "[y/N]" in ended.out


def spoil(path: Path, kind: str) -> None:
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "link":
        path.with_name("target.json").write_text("{}")
        path.symlink_to(path.with_name("target.json"))
    elif kind == "dangling link":
        path.symlink_to(path.with_name("nowhere"))
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.write_bytes(WRONG[kind])


WRONG = {
    "not JSON": b'{"a": 1,}',
    "empty": b"",
    "a list": b"[]",
    "not UTF-8": b'{"a": "\xff"}',
    "UTF-16": '{"a": 1}'.encode("utf-16"),
    "a key twice": b'{"providers": {"a": 1, "a": 2}}',
    "NaN": b'{"a": NaN}',
    "deep": b'{"a":' * 100_000,
    "providers": b'{"providers": []}',
    "a provider": b'{"providers": {"understudy_main": "x"}}',
    "defaults": b'{"agents": {"defaults": 5}}',
    "large": b'{"a": "' + b"x" * 4_000_001 + b'"}',
}


@pytest.mark.parametrize("kind", ["folder", "link", "dangling link", "pipe", *WRONG])
def test_what_cannot_be_merged_is_named_and_nothing_is_written(command, config: Path, kind: str) -> None:
    spoil(config, kind)
    before = sorted(os.listdir(config.parent))
    ended = command("nanobot", "init", "--config", str(config), "--yes", "--json")
    error = json.loads(ended.out)["error"]
    assert (ended.code, error["type"]) == (2, "ConfigError")
    assert error["remedy"]
    assert kind not in ("folder", "link") or f"is a {kind}" in error["message"]
    assert "Traceback" not in ended.err
    assert sorted(os.listdir(config.parent)) == before
    if kind in WRONG:
        assert config.read_bytes() == WRONG[kind]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_permissions_that_are_missing(command, config: Path) -> None:
    config.chmod(0)
    assert command("nanobot", "init", "--config", str(config), "--yes").code == 2
    config.chmod(0o600)
    config.parent.chmod(0o500)
    assert command("nanobot", "init", "--config", str(config), "--yes").code == 2
    config.parent.chmod(0o700)


def test_a_folder_that_cannot_be_made(command, config: Path) -> None:
    ended = command("nanobot", "init", "--config", str(config / "below" / "config.json"), "--yes")
    assert (ended.code, "Not a directory" in ended.err) == (2, True)


BASES = ["", "127.0.0.1:8791", "ftp://h/v1", "http://", "http://u:pa55@h/v1", "http://h/v1?a=b", "http://h:x"]


@pytest.mark.parametrize("base", [*BASES, "http://[::1", "http://a b"])
def test_an_address_that_is_none(command, config: Path, base: str) -> None:
    ended = command("nanobot", "init", "--config", str(config), "--yes", f"--api-base={base}")
    assert (ended.code, json.loads(config.read_text())) == (2, OLD)
    assert "pa55" not in ended.err


def test_a_file_that_changes_meanwhile_is_left_alone(config: Path) -> None:
    found = read(config)
    config.write_text("{}")
    with pytest.raises(ConfigError, match="changed meanwhile"):
        write(found, "[]")
    assert (config.read_text(), os.listdir(config.parent)) == ("{}", ["config.json"])


@pytest.mark.parametrize("text", ['{\n "a": "\\ud83d"\n}', '{\n\t"a": 1\n}\n', '{\r\n    "a": "\\u00fc"\r\n}'])
def test_the_form_of_the_file_is_kept(command, config: Path, text: str) -> None:
    config.write_bytes(text.encode())
    assert command("nanobot", "init", "--config", str(config), "--yes").code == 0
    now = config.read_bytes().decode()
    assert json.loads(now)["a"] == json.loads(text)["a"]
    assert now.endswith("\n") == text.endswith("\n")
    line = next(one for one in text.splitlines(keepends=True) if '"a"' in one)
    assert line.rstrip("\r\n}") in now
    assert ("\r\n" in now) == ("\r\n" in text)


def test_a_write_that_fails_leaves_the_file_whole(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = read(config)

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(ConfigError, match="No space left"):
        write(found, "{}")
    assert json.loads(config.read_text()) == OLD
    assert sorted(os.listdir(config.parent)) == ["config.json", "config.json.bak"]
