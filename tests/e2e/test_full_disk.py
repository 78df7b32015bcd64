"""I6: a disk that fills up while somebody works loses no answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.house import open_house, script
from understudy import Task
from understudy.errors import NoCandidate, StoreError
from understudy.rehearsal.script import Fault


async def _full(*_: object, **__: object) -> None:
    raise StoreError("There is no room left.", remedy="Free some.")


async def test_the_answer_is_given_and_says_that_it_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_house(tmp_path, {"groq": script("groq")}) as house:
        async with house.director() as director:
            monkeypatch.setattr(director.parts.store.replies, "save", _full)
            monkeypatch.setattr(director.parts.store.sessions, "append", _full)
            reply = await director.run(Task("What is the capital of France?", session="one"))
    assert reply.text
    assert sum("There is no room left." in note for note in reply.notes) == 2


async def test_a_failure_stays_the_failure_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = {"groq": script("groq", faults={"": [Fault(kind="overload")]})}
    with open_house(tmp_path, scripts) as house:
        async with house.director() as director:
            monkeypatch.setattr(director.parts.store.replies, "save", _full)
            with pytest.raises(NoCandidate):
                await director.run("What is the capital of France?")
