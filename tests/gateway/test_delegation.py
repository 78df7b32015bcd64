"""What a model writes may be anything: every argument is looked at, and whatever is wrong is told in words."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from understudy.classifiers.gate import Gate
from understudy.config.reading import LARGEST
from understudy.errors import BudgetRefused, NoCandidate, PrivacyRefused, UsageError, ValidationFailed
from understudy.gateway.delegation import ARGUMENTS, MOST_FILES, Refusal, Terms, read_task, refusal, task_of, told
from understudy.types import (
    Amount,
    Attempt,
    Balance,
    Caller,
    Guess,
    Intent,
    Priority,
    Reply,
    Role,
    Sensitivity,
    Verdict,
)

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def test_all_arguments_become_a_task(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("apples")
    task = task_of(
        {
            "task": "Count.",
            "sensitivity": "private",
            "intent": "summarization",
            "files": [str(file)],
            "schema": SCHEMA,
            "deadline": 7,
        }
    )
    assert (task.text, task.sensitivity, task.intent) == ("Count.", Sensitivity.PRIVATE, Intent.SUMMARIZATION)
    assert [(f.path, f.text) for f in task.files] == [(str(file), "apples")]
    assert (task.schema, task.deadline) == (SCHEMA, 7.0)


def test_what_is_left_out_or_null_is_left_to_understudy() -> None:
    plain = task_of({"task": "Count."})
    assert task_of({"task": "Count.", **dict.fromkeys(list(ARGUMENTS["properties"])[1:])}) == plain
    assert (plain.sensitivity, plain.intent, plain.schema, plain.deadline, plain.files) == (
        Sensitivity.PUBLIC,
        None,
        None,
        None,
        (),
    )


def test_the_terms_hold_whatever_is_said() -> None:
    caller = Caller("bot")
    terms = Terms(deadline=25.0, caller=caller, private=True, session="s", priority=Priority.BATCH)
    task = task_of({"task": "Count.", "sensitivity": "public", "deadline": 600}, terms)
    assert (task.deadline, task.caller, task.sensitivity) == (25.0, caller, Sensitivity.PRIVATE)
    assert (task.session, task.priority) == ("s", Priority.BATCH)
    assert task_of({"task": "Count.", "deadline": 3}, terms).deadline == 3.0
    assert task_of({"task": "Count."}, terms).deadline == 25.0


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({}, "needs a task"),
        ({"task": ""}, "needs a task"),
        ({"task": " \n"}, "needs a task"),
        ({"task": 7}, "needs a task"),
        ({"task": ["x"]}, "needs a task"),
        ({"task": None}, "needs a task"),
        ({"task": "x" * (LARGEST + 1)}, "task is larger"),
        ({"task": "\ud800"}, "task is not UTF-8"),
        ({"task": "x", "private": True}, "'private'"),
        ({"task": "x", "sensitivity": "secret"}, "sensitivity"),
        ({"task": "x", "sensitivity": True}, "sensitivity"),
        ({"task": "x", "sensitivity": []}, "sensitivity"),
        ({"task": "x", "sensitivity": {}}, "sensitivity"),
        ({"task": "x", "intent": "poetry"}, "intent"),
        ({"task": "x", "intent": 3}, "intent"),
        ({"task": "x", "intent": ["coding"]}, "intent"),
        ({"task": "x", "schema": "{}"}, "schema"),
        ({"task": "x", "schema": []}, "schema"),
        ({"task": "x", "schema": True}, "schema"),
        ({"task": "x", "schema": {"type": "nothing"}}, "schema"),
        ({"task": "x", "schema": {"title": "\ud800"}}, "schema"),
        ({"task": "x", "deadline": "60"}, "deadline"),
        ({"task": "x", "deadline": True}, "deadline"),
        ({"task": "x", "deadline": 0}, "deadline"),
        ({"task": "x", "deadline": -1}, "deadline"),
        ({"task": "x", "deadline": 86_401}, "deadline"),
        ({"task": "x", "deadline": math.nan}, "deadline"),
        ({"task": "x", "deadline": math.inf}, "deadline"),
        ({"task": "x", "deadline": 10**400}, "deadline"),
        ({"task": "x", "deadline": [1]}, "deadline"),
        ({"task": "x", "files": "a.txt"}, "files are no list"),
        ({"task": "x", "files": {"a": 1}}, "files are no list"),
        ({"task": "x", "files": [1]}, "files are no list"),
        ({"task": "x", "files": [""]}, "files are no list"),
        ({"task": "x", "files": 7}, "files are no list"),
        ({"task": "x", "files": ["a"] * (MOST_FILES + 1)}, "more than 100 files"),
        ({"task": "x", "files": ["none.txt"]}, "no file none.txt"),
        ({"task": "x", "files": ["."]}, "is a folder"),
        ({"task": "x", "files": ["/dev/zero"]}, "is no file"),
        ({"task": "x", "files": ["a\x00b"]}, "cannot be read"),
        ({"task": "x", "files": ["\udc80"]}, "path of a file"),
    ],
)
async def test_whatever_is_wrong_is_named(
    arguments: dict[str, Any], names: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        await read_task(arguments)
    assert names in caught.value.message
    assert caught.value.remedy


def test_a_text_in_the_wrong_place_is_not_repeated() -> None:
    for name in ("sensitivity", "intent"):
        with pytest.raises(UsageError) as caught:
            task_of({"task": "x", name: "my password is hunter2"})
        assert "hunter2" not in str(caught.value)


def test_files_that_are_no_text_are_named(tmp_path: Path) -> None:
    binary, pipe = tmp_path / "a.bin", tmp_path / "pipe"
    binary.write_bytes(b"\x00\x01")
    os.mkfifo(pipe)
    for path, says in ((binary, "binary"), (pipe, "is no file")):
        with pytest.raises(UsageError, match=says):
            task_of({"task": "x", "files": [str(path)]})


def test_many_files_are_bounded_together(tmp_path: Path) -> None:
    half = tmp_path / "half.txt"
    half.write_text("x" * (LARGEST // 2))
    assert len(task_of({"task": "x", "files": [str(half)] * 2}).files) == 2
    with pytest.raises(UsageError, match="together"):
        task_of({"task": "x", "files": [str(half)] * 3})


def test_the_gate_sees_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("medical").mkdir()
    Path("medical/a.txt").write_text("apples")
    Path("link.txt").symlink_to("medical/a.txt")
    gate = Gate((f"{tmp_path}/medical/**",))
    for path in ("medical/a.txt", "link.txt", str(tmp_path / "medical" / "a.txt")):
        for terms in (Terms(), Terms(folders=(tmp_path,))):
            task = task_of({"task": "Count.", "files": [path]}, terms)
            assert task.files[0].path == path
            assert gate.judge(task).reasons == ("path",)


def test_only_files_of_opened_folders_may_be_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    open_, shut = tmp_path / "open", tmp_path / "shut"
    for folder in (open_, shut):
        folder.mkdir()
        (folder / "a.txt").write_text(folder.name)
    (open_ / "way-out").symlink_to(shut)
    monkeypatch.chdir(open_)
    terms = Terms(folders=(open_,))
    assert task_of({"task": "x", "files": ["a.txt"]}, terms).files[0].text == "open"
    outside = [str(shut / "a.txt"), "../shut/a.txt", "way-out/a.txt", "/no/such/file", "~/x", "a\x00b", f"{open_}x/a"]
    for path in outside:
        with pytest.raises(UsageError, match="not among the files") as caught:
            task_of({"task": "x", "files": [path]}, terms)
        assert str(open_) in caught.value.remedy
        with pytest.raises(UsageError, match="not among the files"):
            task_of({"task": "x", "files": [path]}, Terms(folders=()))


ATTEMPT = Attempt("groq/a", "groq", "x", "a", Role.WORKER, "rejected", input_tokens=10, output_tokens=5, cost_usd=0.001)
REPLY = Reply(
    id="r-1",
    text='{"a": 1}',
    data={"a": 1},
    session="s",
    intent=Guess(Intent.SUMMARIZATION, 1.0, "caller"),
    sensitivity=Verdict(Sensitivity.PRIVATE, ("label",)),
    policy_name="v1",
    policy_hash="h",
    agent="summarizer",
    attempts=(
        ATTEMPT,
        replace(ATTEMPT, candidate="local/b", outcome="ok"),
        replace(ATTEMPT, candidate="claude/opus", role=Role.JUDGE, outcome="ok", directs=True),
    ),
    skipped=(),
    checks=(),
    director=Balance("d", 2000, None, Amount(15), Amount()),
    seconds=1.25,
    notes=("These models are simulated.",),
)


def test_a_reply_is_told_with_who_and_what_it_cost() -> None:
    done = told(REPLY)
    assert done.as_dict() == {
        "text": '{"a": 1}',
        "data": {"a": 1},
        "reply_id": "r-1",
        "candidate": "local/b",
        "tokens": 45,
        "director_tokens": 15,
        "cost_usd": 0.003,
        "seconds": 1.25,
        "private": True,
        "notes": ["These models are simulated."],
    }
    assert done.words() == (
        '{"a": 1}\n\n[understudy r-1 · local/b · 45 tokens · $0.0030 · These models are simulated.]'
    )
    assert "apples" not in repr(told(replace(REPLY, text="apples", data="apples")))


def test_every_error_becomes_words() -> None:
    late = NoCandidate("Nobody.", remedy="Wait.", retry_after=29.2)
    late.reply_id = "r-2"
    assert refusal(late, 0.0).words() == "NoCandidate: Nobody. Wait. Try again in 30 s. (explain r-2 says more.)"
    assert refusal(NoCandidate("Nobody.", retry_after=math.inf), 0.0).retry_after is None
    assert refusal(NoCandidate("Nobody.", remedy="Try again in 9 s.", retry_after=9), 0.0).words().count("again") == 1
    assert refusal(PrivacyRefused("Private."), 0.0).kind == "PrivacyRefused"
    assert refusal(ValidationFailed("Rejected.", remedy="Say more."), 0.0).as_dict() == {
        "type": "ValidationFailed",
        "message": "Rejected.",
        "remedy": "Say more.",
        "retry_after": None,
        "reply_id": None,
    }
    spent = BudgetRefused(unit="tokens", scope="caller:day:bot:x", limit=9, spent=9, reserved=0, asked=1)
    assert refusal(spent, 86_400.0 - 60).retry_after == 60


def test_a_bug_is_told_without_its_words() -> None:
    assert refusal(RuntimeError("my password is hunter2"), 0.0) == Refusal(
        "Bug", "This is a bug in understudy (RuntimeError).", "The log has the place."
    )
