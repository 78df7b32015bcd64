"""The simulated claude CLI, as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

COMMAND = [sys.executable, "-m", "understudy.rehearsal.claude"]
LEAN = [
    *("-p", "--output-format", "json", "--setting-sources", "", "--strict-mcp-config", "--disable-slash-commands"),
    *("--no-session-persistence", "--tools", "", "--model", "opus", "--max-turns", "1"),
    *("--system-prompt", "Be exact."),
]


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "PYTHONPATH", "HOME")}
    return {**kept, **more}


def claude(prompt: str, *extra: str, fault: str = "", before: tuple[str, ...] = (), **env: str) -> Any:
    if fault:
        env["UNDERSTUDY_REHEARSAL_CLAUDE"] = fault
    return subprocess.run(
        [*COMMAND, *before, *LEAN, *extra], input=prompt, capture_output=True, text=True, timeout=20,
        env=environment(**env), check=False,
    )  # fmt: skip


def test_one_json_line_with_an_answer_and_usage():
    done = claude("What is 12*7?")
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    line = json.loads(done.stdout)
    assert (line["type"], line["is_error"], line["result"]) == ("result", False, "(simulated opus) 84")
    used = line["modelUsage"]["opus"]
    assert used["inputTokens"] == line["usage"]["input_tokens"] >= 400
    assert used["outputTokens"] == line["usage"]["output_tokens"] == 5


def test_a_schema_gives_structured_output():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    line = json.loads(claude("Give me 5", "--json-schema", json.dumps(schema)).stdout)
    assert line["structured_output"] == {"n": 5}
    missing = json.loads(claude("5", "--json-schema", json.dumps(schema), fault="no_structured_output").stdout)
    assert "structured_output" not in missing
    assert not missing["is_error"]


def test_version_and_wrong_switches():
    done = subprocess.run([*COMMAND, "--version"], capture_output=True, text=True, env=environment(), check=True)
    assert done.stdout.endswith("(Claude Code)\n")
    wrong = claude("x", "--colour", "blue")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert "unknown option '--colour'" in wrong.stderr
    assert "--print" in claude("").stderr


@pytest.mark.parametrize(
    ("fault", "code", "status", "text"),
    [
        ("auth", 1, 401, "Invalid API key"),
        ("minute_quota", 1, 429, "rate_limit_error"),
        ("day_quota", 1, 429, "resets 3pm (UTC)"),
        ("overload", 1, 529, "overloaded_error"),
        ("reset", 1, None, "Connection error"),
        ("not_logged_in", 1, None, "Not logged in"),
        ("context", 1, 400, "Prompt is too long"),
        ("truncated", 1, None, "output token maximum"),
        ("error_exit_0", 0, 529, "Overloaded"),
    ],
)
def test_api_errors(fault: str, code: int, status: int | None, text: str):
    done = claude("hello", fault=fault)
    line = json.loads(done.stdout)
    assert (done.returncode, line["is_error"], line["api_error_status"], line["subtype"]) == (
        code,
        True,
        status,
        "success",
    )
    assert text in line["result"]


def test_bad_successes():
    assert json.loads(claude("hello", fault="empty").stdout)["result"] == ""
    with pytest.raises(json.JSONDecodeError):
        json.loads(claude("hello", fault="malformed").stdout)


def test_too_long_an_answer_for_the_cap_is_an_error_that_costs_four_calls():
    done = claude("hello", CLAUDE_CODE_MAX_OUTPUT_TOKENS="3")
    line = json.loads(done.stdout)
    assert (done.returncode, line["modelUsage"]["opus"]["outputTokens"]) == (1, 12)


def events_of(done: Any) -> list[Any]:
    return [json.loads(line) for line in done.stdout.splitlines()]


STREAM = ("--output-format", "stream-json", "--verbose", "--include-partial-messages")


def test_stream_json_tells_the_events_before_the_result():
    told = events_of(claude("What is 12*7?", *STREAM))
    assert [e["type"] for e in told] == ["system", "stream_event", "assistant", "result"]
    assert told[1]["event"]["delta"]["text"] == told[2]["message"]["content"][0]["text"] == told[3]["result"]


def test_a_money_budget_ends_the_call_after_the_answer_was_told():
    done = claude("What is 12*7?", *STREAM, "--max-budget-usd", "0.000000001", CLAUDE_CODE_MAX_OUTPUT_TOKENS="3")
    told = events_of(done)
    assert (done.returncode, told[-1]["subtype"], told[-1]["is_error"]) == (1, "error_max_budget_usd", True)
    assert "result" not in told[-1]
    assert told[2]["message"]["content"][0]["text"] == "(simulated o"
    assert (told[-1]["stop_reason"], told[-1]["modelUsage"]["opus"]["outputTokens"]) == ("max_tokens", 3)


def test_auth_status():
    asked = [*COMMAND, "auth", "status"]
    done = subprocess.run(asked, capture_output=True, text=True, env=environment(), check=True)
    assert json.loads(done.stdout)["loggedIn"]
    out = environment(UNDERSTUDY_REHEARSAL_CLAUDE="not_logged_in")
    done = subprocess.run(asked, capture_output=True, text=True, env=out, check=True)
    assert not json.loads(done.stdout)["loggedIn"]


def start(fault: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [*COMMAND, *LEAN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env=environment(UNDERSTUDY_REHEARSAL_CLAUDE=fault),
    )  # fmt: skip
    assert process.stdin
    process.stdin.write("hello")
    process.stdin.close()
    return process


@pytest.mark.parametrize(("signal_", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 0)])
def test_a_hanging_one_leaves_when_told(signal_: signal.Signals, code: int):
    with start("hang") as process:
        time.sleep(0.5)
        process.send_signal(signal_)
        assert process.wait(5) == code
        assert process.stdout
        assert process.stdout.read() == ""


def test_one_that_ignores_sigterm_has_to_be_killed():
    with start("ignores_sigterm") as process:
        time.sleep(0.5)
        process.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.kill()
        assert process.wait(5) == -signal.SIGKILL


def test_one_that_leaves_a_child():
    with start("leaves_child") as process:
        children: list[psutil.Process] = []
        while process.poll() is None:
            children = psutil.Process(process.pid).children() or children
            time.sleep(0.005)
        assert process.stdout
        assert json.loads(process.stdout.readline())["result"]
        if not children:  # it ended between two looks: the child has another parent by now
            children = [
                p
                for p in psutil.process_iter(["cmdline"])
                if p.info["cmdline"] and p.info["cmdline"][-1] == "import time; time.sleep(3600)"
            ]
        assert children
        for child in children:
            assert child.is_running()
            child.kill()


def test_a_script_counts_over_processes_and_records(tmp_path: Path):
    script, record = tmp_path / "s.toml", tmp_path / "record.jsonl"
    script.write_text(
        '[[models]]\nid = "opus"\nreplies = [{ contains = "tea", text = "Green." }]\n'
        '[[models.faults]]\nkind = "overload"\nafter = 1\ntimes = 1\n'
    )
    before = ("--rehearsal-script", str(script), "--rehearsal-record", str(record))
    codes = [claude("Which tea?", before=before).returncode for _ in range(3)]
    assert codes == [0, 1, 0]
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [line["prompt"] for line in lines] == ["Which tea?"] * 3
    assert lines[0]["system"] == "Be exact."


def test_a_slash_command_asks_nobody(tmp_path: Path):
    line = json.loads(claude("/nonsense x").stdout)
    assert (line["num_turns"], line["modelUsage"]) == (0, {})


def test_an_at_path_takes_a_file_in_unless_bare(tmp_path: Path):
    (tmp_path / "note.txt").write_text("the colour of the day is violet")
    record = tmp_path / "r.jsonl"
    for extra, env in (((), {}), (("--bare",), {}), ((), {"CLAUDE_CODE_DISABLE_FILE_MENTIONS": "1"})):
        claude(f"Look at @{tmp_path}/note.txt", *extra, before=("--rehearsal-record", str(record)), **env)
    prompts = [json.loads(line)["prompt"] for line in record.read_text().splitlines()]
    assert ["violet" in p for p in prompts] == [True, False, False]
