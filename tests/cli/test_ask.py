"""ask: what it prints where, and the exit code of every end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import SCRIPTED
from understudy.telemetry.log import log_path

CODES = {
    "usage": 2,
    "config": 2,
    "store": 2,
    "nobody": 3,
    "privacy": 3,
    "budget": 4,
    "validation": 5,
    "call": 3,
    "group": 2,
    "bug": 1,
    "assertion": 1,
}
KEYS = {
    "id", "text", "data", "intent", "sensitivity", "policy", "agent", "attempts", "validators", "director", "tokens",
    "seconds",
}  # fmt: skip


def test_the_text_is_on_stdout_and_nothing_else_is(scripted) -> None:
    ended = scripted("ask", "hello", "there")
    assert ended.code == 0
    assert ended.out == "You said **hello there** (turn 1, agent None, files [])\n"
    assert "groq/llama-3.1-8b-instant · 2 attempts · 162 tokens · director 0/2,000 · $0" in ended.err
    assert "note: a note for the reader" in ended.err


def test_json_is_one_object_with_the_keys_of_the_contract(scripted) -> None:
    ended = scripted("ask", "hello", "--json")
    told = json.loads(ended.out)
    assert ended.out.count("\n") == 1
    assert set(told) >= KEYS
    assert told["tokens"] == {"total": 162, "free_share": round(42 / 162, 4)}
    assert ended.err == ""


@pytest.mark.parametrize(("name", "code"), CODES.items())
def test_every_failure_has_its_exit_code_and_at_most_two_plain_lines(
    name: str, code: int, scripted, home: Path
) -> None:
    ended = scripted("ask", f"fail {name}")
    assert ended.code == code
    assert ended.out == ""
    assert 1 <= len(ended.err.splitlines()) <= 2
    assert ended.err.startswith("understudy: ")
    assert "Traceback" not in ended.err
    assert "canary" not in ended.err


@pytest.mark.parametrize(("name", "code"), CODES.items())
def test_with_json_a_failure_is_one_object_too(name: str, code: int, scripted) -> None:
    ended = scripted("ask", f"fail {name}", "--json")
    told = json.loads(ended.out)
    assert ended.code == code
    assert told["text"] is None
    assert told["error"]["exit_code"] == code
    assert "canary" not in ended.out
    assert ended.out.count("\n") == 1


def test_a_failure_tells_its_attempts_and_when_to_try_again(scripted) -> None:
    told = json.loads(scripted("ask", "fail nobody", "--json").out)
    assert told["error"]["retry_after"] == 7.0
    assert [a["outcome"] for a in told["attempts"]] == ["overload"]
    assert "Try again in 7 s." in scripted("ask", "fail nobody").err


def test_a_bug_leaves_where_it_was_in_the_log_and_no_text(scripted, home: Path) -> None:
    ended = scripted("ask", "fail bug")
    path = log_path(home)
    assert ended.err.splitlines()[0] == "understudy: this is a bug in understudy (KeyError)."
    assert str(path) in ended.err
    written = path.read_text()
    lines = [json.loads(line) for line in written.splitlines()]
    bug = next(line for line in lines if line["event"] == "bug")
    assert bug["classes"][0] == "KeyError"
    assert any("scripted.py" in place for place in bug["where"])
    assert "canary" not in written


def test_the_log_tells_begin_end_and_error_class_but_no_text(scripted, home: Path) -> None:
    scripted("ask", "the quiet canary sings")
    scripted("ask", "fail budget")
    written = log_path(home).read_text()
    events = [json.loads(line) for line in written.splitlines()]
    assert [e["event"] for e in events] == ["task started", "task answered", "task started", "task failed"]
    assert events[1]["seconds"] >= 0
    assert events[3]["error"] == "BudgetRefused"
    assert "canary" not in written


def test_stream_tells_stages_on_stderr_and_the_text_on_stdout(scripted) -> None:
    ended = scripted("ask", "hello", "--stream")
    assert ended.out == "You said **hello** (turn 1, agent None, files [])\n"
    assert "· working groq/llama-3.1-8b-instant" in ended.err
    assert "· groq/llama-3.1-8b-instant writes: 12 characters" in ended.err


def test_stream_with_json_is_one_object_a_line_and_the_last_is_the_reply(scripted) -> None:
    lines = [json.loads(line) for line in scripted("ask", "hello", "--stream", "--json").out.splitlines()]
    assert [line["event"] for line in lines] == ["stage", "stage", "progress", "text", "reply"]
    assert set(lines[-1]) >= KEYS
    assert lines[-2]["text"] == lines[-1]["text"]


def test_stream_with_json_ends_a_failure_with_an_error_event(scripted) -> None:
    ended = scripted("ask", "fail validation", "--stream", "--json")
    last = json.loads(ended.out.splitlines()[-1])
    assert last["event"] == "error"
    assert last["error"]["type"] == "ValidationFailed"
    assert ended.code == 5


def test_private_is_a_label(scripted) -> None:
    told = json.loads(scripted("ask", "hello", "--private", "--json").out)
    assert told["sensitivity"] == {"label": "private", "reasons": ["label"]}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--intent", "codng"), "There is no intent 'codng'."),
        (("--policy", "v11"), "Did you mean v1?"),
        (("--agent", "codr"), "Did you mean coder?"),
        (("--quality", "finest"), "Known: fast, balanced, best."),
        (("--max-tokens", "0"), "--max-tokens"),
        (("--max-tokens", "many"), "--max-tokens"),
        (("--deadline", "soon"), "--deadline"),
        (("--private=7",), "--private"),
        (("--jsn",), "--json"),
    ],
)
def test_a_wrong_wish_is_named_before_anything_is_opened(arguments: tuple[str, ...], says: str, scripted, home) -> None:
    ended = scripted("ask", "hello", *arguments)
    assert ended.code == 2
    assert says in ended.err
    assert len(ended.err.splitlines()) <= 2
    assert not (home / "store").exists()


def test_no_task_is_a_usage_error(scripted) -> None:
    assert scripted("ask").code == 2
    assert scripted("ask", " ").code == 2


def test_a_text_that_begins_with_a_dash_goes_after_two(scripted) -> None:
    ended = scripted("ask", "--json", "--", "--json means what?")
    assert "--json means what?" in json.loads(ended.out)["text"]
    ended = scripted("ask", "--", "--json")
    assert ended.out.startswith("You said **--json**")


def test_config_is_taken_before_and_after_the_command(scripted, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('polcy = "v1"\n')
    for arguments in (("--config", str(wrong), "ask", "hello"), ("ask", "hello", "--config", str(wrong))):
        ended = scripted(*arguments)
        assert ended.code == 2
        assert "did you mean policy?" in ended.err
        assert str(wrong) in ended.err


def test_a_config_that_is_not_there_is_named(scripted, tmp_path: Path) -> None:
    ended = scripted("ask", "hello", "--config", str(tmp_path / "none.toml"))
    assert ended.code == 2
    assert str(tmp_path / "none.toml") in ended.err


def test_files_and_schema_reach_the_task(scripted, tmp_path: Path) -> None:
    note, schema = tmp_path / "note.txt", tmp_path / "schema.json"
    note.write_text("a note")
    schema.write_text('{"type": "object"}')
    told = json.loads(
        scripted("ask", "hello", "--file", str(note), "--file", str(note), "--schema", str(schema), "--json").out
    )
    assert told["data"] == {"said": "hello"}
    assert told["text"].count(str(note)) == 2


def test_standard_input(program) -> None:
    assert program("ask", "-", stdin="from a pipe").out.startswith("You said **from a pipe**")
    empty = program("ask", "-", stdin=" \n")
    assert (empty.code, empty.out) == (2, "")
    assert "Standard input is empty." in empty.err
    assert "UTF-8" in program("ask", "-", stdin=b"\xff\xfa caf\xe9").err


def test_an_argument_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, SCRIPTED, "ask", b"caf\xe9"], capture_output=True, timeout=60, check=False)
    assert done.returncode == 2
    assert b"not UTF-8" in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_in_order(number: signal.Signals, code: int, home: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, SCRIPTED, "ask", "wait", "--stream", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    for line in running.stdout:
        if b"progress" in line:
            break
    running.send_signal(number)
    out, err = running.communicate(timeout=30)
    assert running.returncode == code
    assert b"Traceback" not in err
    assert json.loads(out.splitlines()[-1])["error"]["exit_code"] == code


@pytest.mark.parametrize("source", ["-", "--file"])
def test_a_pipe_nobody_writes_to_can_be_left(source: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    words = ["-"] if source == "-" else ["hello", "--file", str(tmp_path / "pipe")]
    running = subprocess.Popen(
        [sys.executable, SCRIPTED, "ask", *words],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    status = Path(f"/proc/{running.pid}/status")
    while not _catches(status.read_text(), signal.SIGTERM):
        time.sleep(0.01)
    time.sleep(0.3)  # until it reads
    running.send_signal(signal.SIGTERM)
    assert running.wait(timeout=10) == 143
    assert b"Traceback" not in running.stderr.read()
    for stream in (running.stdin, running.stdout, running.stderr):
        stream.close()


def _catches(status: str, number: signal.Signals) -> bool:
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) >> (number - 1) & 1)


def test_a_closed_pipe_is_quiet() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, SCRIPTED, "ask", "hello", "--json"],
        stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False,
    )  # fmt: skip
    os.close(writing)
    assert done.returncode == 141
    assert done.stderr == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_said_in_one_line() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, SCRIPTED, "ask", "hello"], stdout=full, stderr=subprocess.PIPE, timeout=60, check=False
        )
    assert done.returncode == 2
    assert b"cannot be written (No space left on device)" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_terminal_gets_markdown_and_no_control_codes() -> None:
    pexpect = pytest.importorskip("pexpect")
    child = pexpect.spawn(
        sys.executable, [str(SCRIPTED), "ask", "esc"], env={**os.environ, "TERM": "xterm"}, encoding="utf-8", timeout=30
    )
    child.expect(pexpect.EOF)
    assert "before" in child.before
    assert "\x1b]0;" not in child.before
    assert "\x1b[2J" not in child.before
    child = pexpect.spawn(
        sys.executable,
        [str(SCRIPTED), "ask", "bold"],
        env={**os.environ, "TERM": "xterm"},
        encoding="utf-8",
        timeout=30,
    )
    child.expect(pexpect.EOF)
    assert "**" not in child.before
    assert " s  " in child.before  # the live line
    child.close()
    assert child.exitstatus == 0
