"""understudy classify: one text, many texts, lines that are none, and nothing needed but the machine."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from understudy.classifiers.gate import Gate
from understudy.cli import classify as command

MAIL = "Write to anna.schmidt@posteo.de about the flat."


def records(out: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


def test_one_text(scripted) -> None:
    ended = scripted("classify", "--json", "set", "an", "alarm", "for", "7")
    (found,) = records(ended.out)
    assert ended.code == 0
    assert set(found) == {
        "id", "intent", "probability", "abstain", "sensitivity", "spans", "guess", "microseconds",
    }  # fmt: skip
    assert (found["intent"], found["sensitivity"], found["spans"]) == ("tool_calling", "public", [])
    assert 0 < found["probability"] <= 1


def test_a_private_text_is_private_whatever_it_asks(scripted) -> None:
    (found,) = records(scripted("classify", "--json", MAIL).out)
    assert (found["intent"], found["sensitivity"], found["probability"]) == ("private", "private", 1.0)
    assert found["guess"]["intent"] != "private"
    assert [MAIL[s["start"] : s["end"]] for s in found["spans"]] == ["anna.schmidt@posteo.de"]


def test_what_was_seen_is_never_printed(scripted) -> None:
    for arguments in ((), ("--json",)):
        ended = scripted("classify", *arguments, MAIL)
        assert "posteo" not in ended.out + ended.err


def test_the_operating_point_reaches_the_gate(scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    made = Gate.__init__
    monkeypatch.setattr(
        Gate, "__init__", lambda self, **given: (asked.append(given["operating_point"]), made(self, **given))[1]
    )
    scripted("classify", "hi", "--operating-point", "strict")
    scripted("classify", "hi")
    assert asked == ["strict", "balanced"]
    ended = scripted("classify", "hi", "--operating-point", "lax")
    assert (ended.code, ended.out) == (2, "")


def test_every_line_has_its_answer_in_its_place(scripted, tmp_path: Path) -> None:
    file = tmp_path / "texts.jsonl"
    lines = [
        b'{"id": "a", "text": "who wrote hamlet"}',
        b"{bad secret-word",
        b"",
        b'{"id": 7, "text": 3}',
        b'{"id": {"x": 1}, "text": "x"}',
        b'{"id": 8}',
        b'["secret-word"]',
        b'{"id": 9, "text": "\xff"}',
        b'{"id": 1, "text": NaN}',
        b"[" * 100_000,
        b'{"id": 2.5, "text": "lone \\ud800 half"}',
        b'{"id": null, "text": ""}',
    ]
    file.write_bytes(b"\n".join(lines))
    ended = scripted("classify", "--jsonl", str(file), "--json")
    found = records(ended.out)
    assert ended.code == 2
    assert [r["id"] for r in found] == ["a", None, 7, None, 8, None, None, None, None, 2.5, None]
    assert [r.get("line") for r in found] == [None, 2, 4, 5, 6, 7, 8, 9, 10, None, None]
    assert all(r["error"]["message"] and r["error"]["remedy"] for r in found if "error" in r)
    assert "secret-word" not in ended.out + ended.err
    assert "8 of 11 lines" in ended.err


def test_a_line_without_an_end_is_cut_not_kept(scripted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "LONGEST", 100)
    file = tmp_path / "texts.jsonl"
    file.write_text('{"id": 1, "text": "' + "x" * 5000 + '"}\n{"id": 2, "text": "who wrote hamlet"}\n')
    found = records(scripted("classify", "--jsonl", str(file), "--json").out)
    assert [(r["id"], "error" in r, r.get("line")) for r in found] == [(None, True, 1), (2, False, None)]


def test_standard_input(program) -> None:
    text = program("classify", "-", "--json", stdin="who wrote hamlet")
    lines = program("classify", "--jsonl", "-", "--json", stdin='{"id": 1, "text": "who wrote hamlet"}\n' * 3)
    assert (text.code, lines.code) == (0, 0)
    assert [r["intent"] for r in records(text.out + lines.out)] == ["quick_qa"] * 4


def test_for_people(scripted, tmp_path: Path) -> None:
    sheet = scripted("classify", MAIL).out
    assert "private 1.00" in sheet
    assert "9-31" in sheet
    file = tmp_path / "texts.jsonl"
    file.write_text(json.dumps({"id": "a\x1b[2J", "text": MAIL}) + '\n{"id": 2, "text": "turn off the lights"}\nx\n')
    lines = scripted("classify", "--jsonl", str(file)).out.splitlines()
    assert [line.split("  ")[1].split()[0] for line in lines] == ["private", "tool_calling", "error"]
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize(
    "arguments",
    [(), ("x", "--jsonl", "y"), ("--jsonl", "/nowhere/at/all"), ("--jsonl", "/"), ("--jsonl", "\0"), ("\udc80",)],
)
def test_a_wrong_command_line_is_told(scripted, arguments: tuple[str, ...]) -> None:
    ended = scripted("classify", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert len(ended.err.splitlines()) == 2


def test_no_network_no_key_no_configuration(scripted, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a socket")

    home.mkdir()
    (home / "config.toml").write_text("this is = not = TOML")
    monkeypatch.setattr(socket, "socket", forbidden)
    assert scripted("classify", "who wrote hamlet").code == 0
    assert [p.name for p in home.iterdir()] == ["config.toml"]


def test_an_interrupt_leaves_whole_lines() -> None:
    command = [sys.executable, "-m", "understudy", "classify", "--jsonl", "-", "--json"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ
    ) as run:
        run.stdin.write(b'{"id": 1, "text": "who wrote hamlet"}\n')
        run.stdin.flush()
        first = run.stdout.readline()
        run.send_signal(signal.SIGINT)
        rest, err = run.communicate(timeout=30)
    assert json.loads(first)["id"] == 1
    assert (run.returncode, err) == (130, b"interrupted\n")
    assert [r["error"]["type"] for r in records(rest.decode())] == ["Interrupted"]


def test_a_reader_that_goes_away_ends_it_quietly(tmp_path: Path) -> None:
    file = tmp_path / "texts.jsonl"
    file.write_text('{"id": 1, "text": "who wrote hamlet"}\n' * 20_000)
    command = [sys.executable, "-m", "understudy", "classify", "--jsonl", str(file), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ) as run:
        run.stdout.readline()
        run.stdout.close()
        assert run.stderr.read() == b""
    assert run.returncode == 141
