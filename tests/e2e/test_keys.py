"""Several keys of one account, over HTTP and by the real SDKs: what dies is the key, not its account."""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import understudy
from tests.config.vault_server import TOKEN, open_vault
from tests.e2e.house import House, open_house, script
from understudy import Task
from understudy.rehearsal.script import Script
from understudy.telemetry import log as logs
from understudy.types import Reply

QUESTION = Task("What is the capital of France?", intent="quick_qa")
GOOD, DEAD, DEAD_TOO = "gsk_canary_good_0815a", "gsk_canary_dead_0815b", "gsk_canary_dead_0815c"
ENVIRONMENT = {"K_GOOD": GOOD, "K_DEAD": DEAD, "K_DEAD_TOO": DEAD_TOO}
ROOT = Path(understudy.__file__).parent.parent


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@contextmanager
def keyed_house(home: Path, *keys: str, plays: str = "groq", extra: str = "", **more: Script) -> Iterator[House]:
    """The house with these keys for the first provider, of which its server accepts the good one."""
    first = script(plays).model_copy(update={"accounts": {"a": (GOOD,)}})  # type: ignore[arg-type]
    with open_house(home, {plays: first, **more}, extra=extra) as house:
        text = house.config.read_text()
        head, _, tail = text.partition(f"[providers.{plays}]")
        house.config.write_text(
            head + f"[providers.{plays}]" + re.sub(r"keys = \[[^]]*\]", f"keys = {json.dumps(keys)}", tail, count=1)
        )
        yield house


async def ask(house: House, times: int = 1) -> list[Reply]:
    async with house.director() as director:
        return [await director.run(QUESTION) for _ in range(times)]


@pytest.mark.filterwarnings("ignore:Sampling parameters")  # Anthropic's newest take no temperature
@pytest.mark.parametrize("plays", ["groq", "gemini", "openai", "anthropic"])
async def test_the_other_key_answers_and_the_dead_one_is_not_asked_again(tmp_path: Path, plays: str) -> None:
    with keyed_house(tmp_path, "env:K_DEAD", "env:K_GOOD", plays=plays) as house:
        replies = await ask(house, 3)
        assert [[a.outcome for a in reply.attempts] for reply in replies] == [["ok"]] * 3
        assert replies[0].attempts[0].seconds < 5
        assert house.received(plays) == 4  # one of them with the dead key
        await ask(house, 2)  # another process, or the next day's start
        assert house.received(plays) == 6


async def test_another_process_knows_of_the_dead_key(tmp_path: Path) -> None:
    with keyed_house(tmp_path, "env:K_DEAD", "env:K_GOOD") as house:
        await ask(house)
        assert house.received("groq") == 2
        command = [sys.executable, "-m", "understudy", "ask", QUESTION.text, "--config", str(house.config), "--json"]
        place = {**os.environ, "UNDERSTUDY_HOME": str(house.home), "PYTHONPATH": str(ROOT)}
        ended = subprocess.run(command, env=place, capture_output=True, text=True, check=True)  # noqa: ASYNC221
        assert [a["outcome"] for a in json.loads(ended.stdout)["attempts"]] == ["ok"]
        assert house.received("groq") == 3


async def test_all_keys_dead_is_auth_and_the_next_candidate_answers(tmp_path: Path) -> None:
    with keyed_house(tmp_path, "env:K_DEAD", "env:K_DEAD_TOO", gemini=script("gemini")) as house:
        first, second = await ask(house, 2)
        assert house.received("groq") == 2  # each key once, and then never
    assert [(a.provider, a.outcome) for a in first.attempts] == [("groq", "auth"), ("gemini", "ok")]
    assert [(a.provider, a.outcome) for a in second.attempts] == [("gemini", "ok")], "nothing was sent: no attempt"
    for reply, told in ((first, first.attempts[0].error or ""), (second, second.skipped[0][1])):
        assert "env:K_DEAD (" in told
        assert "env:K_DEAD_TOO (" in told
        assert "canary" not in f"{reply}"


async def test_a_mended_key_is_used_at_once(tmp_path: Path) -> None:
    file = tmp_path / "k"
    file.write_text(DEAD)
    with keyed_house(tmp_path, f"file:{file}", gemini=script("gemini")) as house:
        async with house.director() as director:
            assert (await director.run(QUESTION)).attempts[0].outcome == "auth"
            file.write_text(GOOD)
            assert (await director.run(QUESTION)).attempts[0].outcome == "ok"


async def test_a_rotation_in_vault_takes_effect_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_vault() as vault, keyed_house(tmp_path, "vault:secret/llm/groq#key") as house:
        monkeypatch.setenv("VAULT_ADDR", vault.address)
        monkeypatch.setenv("VAULT_TOKEN", TOKEN)
        vault.v2["secret/llm/groq"] = {"key": GOOD}
        async with house.director() as director:
            for _ in range(3):
                assert (await director.run(QUESTION)).attempts[-1].outcome == "ok"
            assert len(vault.seen) == 1
            house.servers["groq"].stage.script = script("groq").model_copy(update={"accounts": {"a": (DEAD,)}})
            vault.v2["secret/llm/groq"] = {"key": DEAD}  # the new one
            reply = await director.run(QUESTION)
    assert [a.outcome for a in reply.attempts] == ["ok"]
    assert len(vault.seen) == 2


async def test_no_key_is_written_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """Logs, traces, errors, records, the database, and what is printed: not one canary."""
    caplog.set_level(logging.DEBUG)
    home = tmp_path / "home"
    logs.configure(home, "debug")
    try:
        with (
            open_vault() as vault,
            keyed_house(
                home, "env:K_DEAD", "vault:secret/llm/groq#key", "env:K_DEAD_TOO", gemini=script("gemini")
            ) as house,
        ):
            monkeypatch.setenv("VAULT_ADDR", vault.address)
            monkeypatch.setenv("VAULT_TOKEN", TOKEN)
            vault.v2["secret/llm/groq"] = {"key": GOOD}
            replies = await ask(house, 4)
            assert {r.attempts[-1].provider for r in replies} == {"groq"}
            vault.sealed = True
            replies += await ask(house, 1)
            assert replies[-1].attempts[-1].provider == "gemini"
            place = {**os.environ, "UNDERSTUDY_HOME": str(home), "PYTHONPATH": str(ROOT)}
            printed = b""
            for words in (["doctor"], ["doctor", "--json"], ["ask", "hello", "--json"], ["explain"], ["models"]):
                command = [sys.executable, "-m", "understudy", *words, "--config", str(house.config)]
                ended = subprocess.run(command, env=place, capture_output=True, check=False)  # noqa: ASYNC221
                printed += ended.stdout + ended.stderr
    finally:
        logs.silence()
    assert b"env:K_DEAD" in printed
    out, err = capfd.readouterr()
    everything = printed + out.encode() + err.encode() + caplog.text.encode() + f"{replies!r}".encode()
    for file in home.rglob("*"):
        if file.is_file():
            everything += file.read_bytes()
    assert b"key_refused" in everything  # the log is among it
    for canary in (GOOD, DEAD, DEAD_TOO, TOKEN):
        assert canary.encode() not in everything


async def test_doctor_shows_the_age_of_keys(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text(GOOD)
    old.chmod(0o600)
    os.utime(old, (time.time() - 31 * 86400,) * 2)
    with keyed_house(tmp_path / "home", f"file:{old}", "env:K_DEAD", "env:K_NONE") as house:
        found, told = doctor(house)
        by_source = {f["text"].partition(": ")[0]: f for f in found if f["name"] == "groq/a key"}
        assert by_source[f"file:{old}"]["state"] == "note"
        assert by_source[f"file:{old}"]["age_days"] == 31
        assert by_source[f"file:{old}"]["remedy"]
        assert by_source["env:K_DEAD"]["state"] == "wrong"
        assert by_source["env:K_DEAD"]["age_days"] == 0
        assert "set aside" in by_source["env:K_DEAD"]["text"]
        assert by_source["env:K_NONE"]["state"] == "wrong"
        assert "31 days old" in told
        assert (await ask(house))[0].attempts[0].outcome == "ok"
        assert house.received("groq") == 1  # what the doctor found is known
        house.servers["groq"].stage.script = script("groq").model_copy(update={"accounts": {"a": (GOOD, DEAD)}})
        found, _ = doctor(house, UNDERSTUDY_KEYS__ROTATION_DAYS="0")
        assert {f["state"] for f in found if f["name"] == "groq/a key" and "K_NONE" not in f["text"]} == {"ok"}


def doctor(house: House, **more: str) -> tuple[list[dict], str]:
    place = {**os.environ, "UNDERSTUDY_HOME": str(house.home), "PYTHONPATH": str(ROOT), **more}
    command = [sys.executable, "-m", "understudy", "doctor", "--config", str(house.config)]
    told = subprocess.run(command, env=place, capture_output=True, text=True, check=False).stdout
    found = subprocess.run([*command, "--json"], env=place, capture_output=True, text=True, check=False).stdout
    return json.loads(found)["findings"], told
