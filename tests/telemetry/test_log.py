"""The log holds what happened and nothing that was said."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from understudy.telemetry import log as logs
from understudy.telemetry.redact import LONGEST, is_private_name, masked

CANARIES = {
    "groq": "gsk_4fJ2canary8s7dF6g5H4j3K2l1",
    "openai": "sk-proj-canaryA1b2C3d4E5f6G7h8",
    "anthropic": "sk-ant-api03-canary-A1b2C3d4E5f6",
    "google": "AIzaSyCanary1234567890abcdefghijk",
    "github": "ghp_canary1234567890abcdefABCDEF",
    "slack": "xoxb-123456789012-canarycanary",
    "aws": "AKIACANARY1234567890",
    "understudy": "us-0123456789ab-c4a4",  # the beginning of one is enough
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJjYW5hcnkifQ.c2lnbmF0dXJl",
    "bearer": "Bearer canary-abcdef-012345",
    "assignment": "password = canary-hunter2",
    "mail": "canary.person@example.org",
    "pem": "-----BEGIN RSA PRIVATE KEY-----",
    "long random": "c4n4ry" + "a1b2c3d4" * 5,
}


@pytest.fixture
def lines(tmp_path: Path):
    path = logs.configure(tmp_path, "debug")
    yield lambda: [json.loads(line) for line in path.read_text().splitlines()]
    logs.silence()


def test_it_is_silent_until_configured(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    logs.log(session="s-1").info("task", seconds=1.0)
    assert capfd.readouterr() == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_a_line_holds_event_level_time_and_fields(lines) -> None:
    logs.log(session="s-1").bind(candidate="groq/llama-3.1-8b-instant").info("attempt", outcome="ok", input_tokens=12)
    (line,) = lines()
    assert line["event"] == "attempt"
    assert line["level"] == "info"
    assert line["timestamp"].endswith("Z")
    assert line["pid"] == os.getpid()
    assert line["session"] == "s-1"
    assert line["candidate"] == "groq/llama-3.1-8b-instant"
    assert line["input_tokens"] == 12


@pytest.mark.parametrize("canary", CANARIES.values(), ids=CANARIES)
def test_no_key_or_address_gets_through_anywhere(canary: str, lines, tmp_path: Path) -> None:
    log = logs.log(bound=f"see {canary}")
    nested = {"a": [canary, {canary: 1}], "deep": {"b": {"c": {"d": canary}}}}
    log.info(f"event {canary}", plain=canary, nested=nested)
    log.error("x", error=ValueError(canary), raw=canary.encode(), pair=(canary, 1))
    written = logs.log_path(tmp_path).read_text()
    assert len(lines()) == 2
    assert "canary" not in written.lower()
    assert "c4n4ry" not in written
    assert canary[5:] not in written


@pytest.mark.parametrize(
    "name", ["prompt", "text", "key", "authorization", "api_key", "apiKey", "userText", "Authorization", "user_message"]
)
def test_fields_named_for_texts_are_left_out(name: str, lines, tmp_path: Path) -> None:
    assert is_private_name(name)
    logs.log().info("x", **{name: "the quiet canary", "inner": {name: ["canary"]}})
    assert "canary" not in logs.log_path(tmp_path).read_text()


def test_counts_stay_under_any_name(lines) -> None:
    logs.log().info("x", input_tokens=7, output_tokens=3, key_count=2)
    assert lines()[0]["input_tokens"] == 7


def test_long_strings_are_left_out(lines, tmp_path: Path) -> None:
    logs.log().info("x", reason="word canary " * 40)
    assert "canary" not in logs.log_path(tmp_path).read_text()
    assert masked("a " * (LONGEST // 2)) == "a " * (LONGEST // 2)


def test_unplugged_redaction_would_be_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("understudy.telemetry.redact.redact", lambda _l, _m, event: event)
    logs.configure(tmp_path)
    try:
        logs.log().info("x", plain=CANARIES["groq"])
    finally:
        logs.silence()
    assert CANARIES["groq"] in logs.log_path(tmp_path).read_text()


def test_only_its_owner_reads_it(lines, tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        logs.log().info("x")
    finally:
        os.umask(old)
    path = logs.log_path(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_levels_below_are_not_written(tmp_path: Path) -> None:
    path = logs.configure(tmp_path, "warning")
    try:
        logs.log().info("quiet")
        logs.log().warning("loud")
    finally:
        logs.silence()
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["loud"]


def test_it_rotates_by_size_and_loses_only_the_oldest(tmp_path: Path) -> None:
    path = logs.configure(tmp_path, largest=2_000)
    try:
        for number in range(60):
            logs.log().info("x", number=number)
    finally:
        logs.silence()
    files = sorted(path.parent.iterdir())
    assert [f.name for f in files] == ["understudy.jsonl", "understudy.jsonl.1", "understudy.jsonl.2"]
    assert all(f.stat().st_size <= 2_300 for f in files)
    numbers = [json.loads(line)["number"] for f in reversed(files) for line in f.read_text().splitlines()]
    assert numbers == list(range(numbers[0], 60))


def test_several_processes_write_whole_lines_through_rotation(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from understudy.telemetry import log as l;"
        "l.configure(Path(sys.argv[1]), largest=70_000);"
        "[l.log().info('x', who=sys.argv[2], n=n) for n in range(400)]"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), str(who)]) for who in range(3)]
    assert [p.wait(60) for p in running] == [0, 0, 0]
    read = [json.loads(line) for f in (tmp_path / "log").iterdir() for line in f.read_text().splitlines()]
    assert {(r["who"], r["n"]) for r in read} == {(str(w), n) for w in range(3) for n in range(400)}


def test_no_line_is_lost_when_another_process_has_just_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = logs.configure(tmp_path, largest=1_000)
    try:
        logs.log().info("x", long="y" * 900)
        monkeypatch.setattr(logs.fcntl, "flock", lambda *_: path.rename(f"{path}.1"))  # it had the lock before us
        logs.log().info("last", long="y" * 900)
    finally:
        logs.silence()
    assert "last" in path.read_text()


def test_a_folder_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("in the way")
    logs.configure(tmp_path)
    try:
        logs.log().info("x")
    finally:
        logs.silence()


def test_a_traceback_says_where_and_not_what() -> None:
    def fails(private: str) -> None:
        raise RuntimeError(private)

    def wraps() -> None:
        try:
            fails("canary")
        except RuntimeError as error:
            raise KeyError("canary") from error

    with pytest.raises(KeyError) as caught:
        wraps()
    assert logs.chain(caught.value) == ["KeyError", "RuntimeError"]
    where = logs.frames(caught.value.__cause__.__traceback__)
    assert where[-1].endswith(" fails")
    assert "canary" not in repr(where)
