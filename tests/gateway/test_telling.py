"""Answers made to fit, and kept whole where they do not."""

from __future__ import annotations

import json
import os
import stat
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes import FakeClock
from understudy.gateway.answers import KEPT, Answers
from understudy.gateway.delegation import Done, Refusal
from understudy.gateway.telling import MOST, shares, tell_done, tell_many, tell_object, tell_refusal, tell_rest

DONE = Done("An apple.", None, "r-1", "groq/a", 45, 0, 0.0, 1.0, private=False)
REFUSED = Refusal("NoCandidate", "Nobody.", "Wait.", 30.0, "r-2")


def test_what_is_short_is_told_whole_and_little_beside_it() -> None:
    told = tell_done(DONE, lambda _id, _text: "/never")
    assert told.object == {"text": "An apple.", "reply_id": "r-1", "candidate": "groq/a", "tokens": 45}
    assert told.words == "An apple.\n\n[understudy r-1 · groq/a · 45 tokens · $0.0000]"
    paid = tell_done(replace(DONE, data={"a": 1}, cost_usd=0.5, private=True, notes=("n",)), lambda _i, _t: None)
    assert paid.object == {
        "data": {"a": 1}, "reply_id": "r-1", "candidate": "groq/a", "tokens": 45, "cost_usd": 0.5, "private": True,
        "notes": ["n"],
    }  # fmt: skip


@pytest.mark.parametrize("character", ["x", "\n", '"', "é", "\x01", "🍎"])
@pytest.mark.parametrize("length", [100, 14_000, 15_000, 40_000])
def test_no_form_is_longer_than_clients_take_and_nothing_is_lost(character: str, length: int) -> None:
    kept: dict[str, str] = {}
    whole = character * length

    def keep(reply_id: str, text: str) -> str:
        kept[reply_id] = text
        return "/home/somebody/answers/own/r-1.txt"

    told = tell_done(replace(DONE, text=whole), keep)
    text = told.object["text"]
    assert ("cut" in told.object) == (kept == {"r-1": whole}) == (len(text) < length)
    assert len(text) == length or f"offset {len(text)} goes on" in told.object["cut"]
    while len(text) < length:
        more = tell_rest("r-1", whole, len(text))
        for form in (more.words, json.dumps(more.object, ensure_ascii=False)):
            assert len(form) <= MOST
        text += more.object["text"]
    assert text == whole
    many = tell_many([replace(DONE, text=whole), REFUSED] * 25, keep)
    for form in (told.words, many.words, json.dumps(told.object, ensure_ascii=False)):
        assert len(form) <= MOST


def test_an_object_too_long_is_told_as_the_beginning_of_its_text() -> None:
    told = tell_done(replace(DONE, data={"a": "x" * 20_000}), lambda _i, _t: None)
    assert told.object["text"].startswith('{"a": "xxx')
    assert "could not be kept" in told.object["cut"]
    assert len(tell_object({"a": "x" * 20_000}).words) <= MOST


def test_many_keep_their_order_and_say_once_what_all_note() -> None:
    first, second = replace(DONE, notes=("simulated",)), replace(DONE, text="Two.", notes=("simulated", "late"))
    told = tell_many([first, REFUSED, second], lambda _i, _t: None)
    assert json.loads(told.words) == told.object
    assert [entry.get("text") for entry in told.object["results"]] == ["An apple.", None, "Two."]
    assert told.object["results"][1]["refused"]["retry_after"] == 30.0
    assert told.object["notes"] == ["simulated"]
    assert told.object["results"][2]["notes"] == ["late"]
    assert (told.object["answered"], told.object["refused"], told.object["tokens"], told.failed) == (2, 1, 90, False)
    assert tell_many([REFUSED], lambda _i, _t: None).failed


def test_long_refusals_are_cut_too() -> None:
    told = tell_many([Refusal("UsageError", "x" * 5000, "Check its name.")] * 50, lambda _i, _t: None)
    assert len(told.words) <= MOST * 1.5, "fifty of them, each with a beginning"
    assert tell_refusal(REFUSED).failed


def test_shares_are_fair() -> None:
    assert shares([5, 100, 5, 100], 110) == [5, 50, 5, 50]
    assert shares([10, 10], 100) == [10, 10]
    assert shares([10, 20], 0) == [0, 0]
    assert shares([10, 20], -5) == [0, 0]
    assert shares([], 10) == []


def test_an_answer_is_kept_for_a_day_and_for_its_owner(tmp_path: Path) -> None:
    clock = FakeClock(1_700_000_000.0)
    answers = Answers(tmp_path, clock)
    path = answers.keep("r-1", "größer\n", "0123456789ab")
    assert path is not None
    assert [stat.S_IMODE(p.stat().st_mode) for p in (path, path.parent)] == [0o600, 0o700]
    assert answers.read("r-1", "0123456789ab") == "größer\n"
    assert answers.read("r-1") is answers.read("r-1", "other") is answers.read("r-2", "0123456789ab") is None
    clock.time += KEPT + 1
    assert answers.read("r-1", "0123456789ab") is None
    answers.keep("r-2", "new")
    assert not path.exists()
    assert answers.read("r-2") == "new"


@pytest.mark.parametrize("name", ["../key", "/etc/passwd", "a/b", "", "..", "a\x00", ".hidden", "x" * 200])
def test_a_name_from_outside_leads_nowhere_else(name: str, tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("canary")
    answers = Answers(tmp_path, FakeClock())
    assert answers.read(name) is None
    assert answers.keep(name, "x") is None
    assert not name or answers.read("r-1", name) is None


def test_a_link_is_not_followed_and_a_full_disk_keeps_nothing(tmp_path: Path) -> None:
    answers = Answers(tmp_path, FakeClock(time.time()))
    path = answers.keep("r-1", "x")
    assert path is not None
    path.unlink()
    (tmp_path / "precious").write_text("precious")
    path.symlink_to(tmp_path / "precious")
    assert answers.keep("r-1", "y") is None
    assert (tmp_path / "precious").read_text() == "precious"
    full = Answers(tmp_path / "file", FakeClock())
    (tmp_path / "file").write_text("no folder")
    assert full.keep("r-1", "x") is None
    assert os.listdir(tmp_path / "answers" / "own") == []
