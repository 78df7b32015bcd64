"""Keys out of HashiCorp Vault, by the real hvac over HTTP."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from tests.config.vault_server import TOKEN, Vault, open_vault
from understudy.config import vault as reader
from understudy.config.load import parse
from understudy.config.secrets import check_key, read_key
from understudy.errors import ConfigError

SOURCE = "vault:secret/llm/groq#key"
KEY = "gsk_canary_vault_4242"


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Vault]:
    for name in [n for n in os.environ if n.startswith("VAULT_") or n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    with open_vault() as running:
        monkeypatch.setenv("VAULT_ADDR", running.address)
        monkeypatch.setenv("VAULT_TOKEN", TOKEN)
        yield running


def refusal(source: str = SOURCE) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        read_key(source)
    error = caught.value
    link: BaseException | None = error
    while link is not None:  # nothing it was raised from repeats a value either
        assert KEY not in f"{link!s}{link!r}{getattr(link, 'text', '')}"
        assert TOKEN not in f"{link!s}{link!r}"
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    assert source in error.message
    assert error.remedy
    return error


def test_version_2(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.v2["secret/llm/groq"] = {"key": f" {KEY}\n", "other": "x"}
    monkeypatch.setenv("VAULT_NAMESPACE", "team/a")
    secret = read_key(SOURCE)
    assert secret.reveal() == KEY
    assert secret.since == datetime.fromisoformat("2026-03-22T02:24:06.945319+00:00").timestamp()
    assert vault.seen == [("/v1/secret/data/llm/groq", "team/a")]
    assert KEY not in f"{secret}{secret!r}"


@pytest.mark.parametrize("policy", [False, True])
def test_version_1_where_there_is_no_version_2(vault: Vault, policy: bool) -> None:
    vault.v1["kv/groq"], vault.v1_policy_only = {"key": KEY}, policy
    secret = read_key("vault:kv/groq#key")
    assert secret.reveal() == KEY
    assert secret.since is None
    assert [path for path, _ in vault.seen] == ["/v1/kv/data/groq", "/v1/kv/groq"]


def test_the_token_of_vault_login(vault: Vault, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    vault.v2["secret/llm/groq"] = {"key": KEY}
    monkeypatch.delenv("VAULT_TOKEN")
    assert "token" in refusal().message
    (tmp_path / ".vault-token").write_text(f"{TOKEN}\n")
    assert read_key(SOURCE).reveal() == KEY
    (tmp_path / ".vault-token").unlink()
    os.mkfifo(tmp_path / ".vault-token")
    started = time.monotonic()
    refusal()
    assert time.monotonic() - started < 1


def test_what_is_not_there(vault: Vault) -> None:
    assert "no secret" in refusal().message
    vault.v2["secret/llm/groq"] = {"other": KEY, "number": 5}
    assert "no such field" in refusal().message
    assert "no text" in refusal("vault:secret/llm/groq#number").message
    vault.deleted.add("secret/llm/groq")
    assert "deleted" in refusal().message


def test_refusals(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.v2["secret/llm/groq"] = {"key": KEY}
    vault.sealed = True
    assert "sealed" in refusal().message
    vault.sealed = False
    for status, word in ((400, "invalid"), (429, "often"), (500, "failed"), (501, "initialized"), (502, "BadGateway")):
        vault.status = status
        assert word in refusal().message
    vault.status = 0
    monkeypatch.setenv("VAULT_TOKEN", "hvs.wrong")
    assert "token" in refusal().message


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"[]", b'{"data": 5}', b'{"data": {"data": null}}', b"\xff"])
def test_something_else_answers_there(vault: Vault, body: bytes) -> None:
    vault.v2["secret/llm/groq"], vault.body = {"key": KEY}, body
    refusal()


def test_nobody_answers(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "SECONDS", 0.5)
    vault.v2["secret/llm/groq"] = {"key": KEY}
    vault.slow = 1.0
    started = time.monotonic()
    refusal()
    vault.slow, vault.drip = 0.0, "body"  # every single read of it is quick
    assert "silent" in refusal().message
    assert time.monotonic() - started < 2
    monkeypatch.setenv("VAULT_ADDR", "http://127.0.0.1:9")
    assert "VAULT_ADDR" in refusal().remedy


def readers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "understudy-vault"]


@pytest.mark.parametrize("part", ["head", "body"])
def test_nobody_goes_on_reading_when_the_time_is_up(vault: Vault, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    monkeypatch.setattr(reader, "SECONDS", 0.5)
    vault.v2["secret/llm/groq"], vault.drip = {"key": KEY}, part
    assert "silent" in refusal().message
    assert vault.left.wait(2)
    for thread in readers():
        thread.join(2)
    assert readers() == []


def test_a_reply_without_end_is_not_read_to_it(vault: Vault) -> None:
    vault.v2["secret/llm/groq"], vault.endless = {"key": KEY}, True
    started = time.monotonic()
    refusal()
    assert time.monotonic() - started < 2
    assert vault.left.wait(2)
    assert vault.sent < 20_000_000  # what stands in the buffers of two sockets, and no more


def test_a_reply_is_not_unfolded(vault: Vault) -> None:
    """100 MB of spaces are 100 kB packed."""
    vault.v2["secret/llm/groq"] = {"key": KEY}
    whole = json.dumps(vault.reply("/v1/secret/data/llm/groq", TOKEN)[1]).encode()
    vault.body, vault.encoding = gzip.compress(whole), "gzip"
    refusal()
    vault.body = gzip.compress(b" " * 100_000_000 + whole, 1)
    tracemalloc.start()
    try:
        refusal()
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_what_is_longer_than_any_key_is_none(vault: Vault) -> None:
    vault.v2["secret/llm/groq"] = {"key": "k" * 65_536}
    assert len(read_key(SOURCE).reveal()) == 65_536
    vault.v2["secret/llm/groq"] = {"key": "k" * 65_537}
    assert "longer than any key" in refusal().message


def test_the_token_follows_no_redirect(vault: Vault) -> None:
    vault.v2["secret/llm/groq"] = {"key": KEY}
    with open_vault() as other:
        vault.moved = other.address
        refusal()
        assert other.seen == []


def test_what_can_be_known_without_asking(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    check_key(SOURCE)
    assert vault.seen == []
    for address in ("", "vault.example:8200", "https://"):
        monkeypatch.setenv("VAULT_ADDR", address)
        with pytest.raises(ConfigError, match="address"):
            check_key(SOURCE)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        check_key(SOURCE)
    assert "understudy[secrets]" in caught.value.remedy


@pytest.mark.parametrize("written", ["gsk_canary", "secret#key", "secret/x", "secret/x#", "/#k", "secret/../x#k"])
def test_a_source_of_another_form_is_refused_unrepeated(written: str) -> None:
    account = {"name": "a", "keys": [f"vault:{written}"]}
    with pytest.raises(ConfigError) as caught:
        parse({"providers": {"g": {"kind": "groq", "accounts": [account]}}}, "test")
    assert "vault:MOUNT/PATH#FIELD" in caught.value.message
    assert "canary" not in str(caught.value)


def test_hvac_is_not_loaded_before_it_is_needed() -> None:
    code = (
        "import asyncio, os, sys; os.environ |= {'VAULT_ADDR': 'http://127.0.0.1:9', 'VAULT_TOKEN': 't'}\n"
        "from understudy.agents.roster import roster, worker_for\n"
        "from understudy.config.load import parse\n"
        f"keys = {{'name': 'a', 'keys': ['{SOURCE}']}}\n"
        "s = parse({'providers': {'g': {'kind': 'groq', 'accounts': [keys]}}}, 't')\n"
        "r = asyncio.run(roster(s)); worker_for(r.candidates[0], s)\n"
        "print(sorted({'hvac', 'requests'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
