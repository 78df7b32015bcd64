"""What nanobot's delegate does, without nanobot: over a real director, on servers faithful to the wire."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.house import House, open_house, script
from understudy.director.director import Director
from understudy.errors import StoreError
from understudy.gateway.delegation import Done, Refusal
from understudy.gateway.nanobot import resident
from understudy.gateway.nanobot.handing import API, LONGEST, hand_over, session_of
from understudy.rehearsal.script import ScriptedReply
from understudy.telemetry import log as logs

TOP = '[director]\ncandidate = "none/none"\n[classifier]\nenabled = false\n'
FRUIT = {"task": "Name a fruit.", "intent": "quick_qa"}


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("UNDERSTUDY_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("UNDERSTUDY_CONFIG", str(tmp_path / "house" / "config.toml"))
    yield
    logs.silence()


def handed(*calls: dict[str, Any], session: str | None = "cli:x", channel: str = "cli", folder: Path = Path("/x")):
    """In a loop of its own, as a host runs one; the calls at once."""

    async def all_of_them() -> list[Done | Refusal]:
        given = [hand_over(call, session=session, channel=channel, folders=(folder,)) for call in calls]
        return list(await asyncio.gather(*given))

    return asyncio.run(all_of_them())


async def records(house: House) -> list[dict[str, Any]]:
    async with Director(house.director().settings, house.home.parent / "state") as director:
        kept = await director.parts.store.replies.recent(20)
        return [await director.explain(one["id"]) for one in kept]


def test_tasks_of_one_nanobot_session_share_one_of_the_director(tmp_path: Path) -> None:
    with open_house(tmp_path / "house", {"groq": script("groq")}, top=TOP) as house:
        assert all(isinstance(one, Done) for one in handed(FRUIT, FRUIT) + handed(FRUIT, session="telegram:7"))
        kept = asyncio.run(records(house))
    assert sorted(one["session"] for one in kept) == ["nanobot:cli:x", "nanobot:cli:x", "nanobot:telegram:7"]


def test_a_private_piece_neither_goes_along_with_the_next_one_nor_makes_it_private(tmp_path: Path) -> None:
    everyone = {"groq": script("groq"), "local": script("local")}
    with open_house(tmp_path / "house", everyone, top=TOP) as house:
        (first,) = handed({"task": "Tell me of zanzibarquokka.", "sensitivity": "private"})
        (second,) = handed(FRUIT)
        assert isinstance(first, Done)
        assert isinstance(second, Done)
        assert (first.private, second.private, second.candidate.split("/")[0]) == (True, False, "groq")
        assert b"zanzibarquokka" not in house.bytes_at("groq")
    kept = b"".join(p.read_bytes() for p in (tmp_path / "state").rglob("*") if p.is_file())
    assert b"zanzibarquokka" not in kept, "what is handed down is no conversation to be remembered"


def test_files_are_named_below_the_folders_alone(tmp_path: Path) -> None:
    inside, other = tmp_path / "inside", tmp_path / "other"
    for folder in (inside, other):
        folder.mkdir()
        (folder / "a.txt").write_text(f"The mangoes of {folder.name}.")
    (inside / "link.txt").symlink_to(other / "a.txt")
    named = ["a.txt", str(inside / "a.txt"), "../other/a.txt", "link.txt", str(other / "a.txt")]
    with open_house(tmp_path / "house", {"groq": script("groq")}, top=TOP) as house:
        told = handed(*({"task": "Summarize it.", "files": [name]} for name in named), folder=inside)
        sent = house.bytes_at("groq")
    assert [isinstance(one, Done) for one in told] == [True, True, False, False, False]
    assert b"mangoes of inside" in sent
    assert b"mangoes of other" not in sent


def test_session_ids_stay_apart_and_are_ids() -> None:
    keys = ["cli:x", "cli:x y", "cli:x_y", "cli:x/y", "ü", "", "a" * 60, "a" * 61, "a" * 200, "\ud83d", "x\n", " "]
    ids = [session_of(key) for key in keys]
    assert len(set(ids)) == len(keys)
    assert ids[0] == "nanobot:cli:x"
    check = __import__("understudy.director.director", fromlist=["_check_session"])._check_session
    for one in ids:
        check(one)


def test_a_long_answer_is_cut_and_says_so(tmp_path: Path) -> None:
    long = "All about figs and their trees, which grow in the south. " * 275
    replies = (ScriptedReply(contains="figs", text=long),)
    with open_house(tmp_path / "house", {"groq": script("groq", replies=replies)}, top=TOP):
        (done,) = handed({"task": "Tell all about figs.", "intent": "long_context"})
    assert isinstance(done, Done)
    words = done.words()
    assert LONGEST < len(words) < 16_000
    assert f"[Cut here: {LONGEST:,} of " in words
    assert "groq/" in words.splitlines()[-1], "what it cost is not cut off"


def test_the_settings_deadline_is_the_most_and_the_api_has_less(tmp_path: Path, monkeypatch) -> None:
    seen: list[float | None] = []
    true = Director.run

    async def run(self: Director, task: Any) -> Any:
        seen.append(task.deadline)
        return await true(self, replace(task, deadline=60))

    monkeypatch.setattr(Director, "run", run)
    with open_house(tmp_path / "house", {"groq": script("groq")}, top=f"deadline = 300\n{TOP}"):
        handed(FRUIT, {**FRUIT, "deadline": 900}, {**FRUIT, "deadline": 7})
        handed(FRUIT, {**FRUIT, "deadline": 900}, channel="api")
    assert seen[:3] == [300, 300, 7]
    assert seen[3:] == [API, API]


def test_it_is_opened_once_in_a_loop_and_closed_with_it(tmp_path: Path, monkeypatch) -> None:
    opened: list[Director] = []
    closed: list[Director] = []
    enter, leave = Director.__aenter__, Director.__aexit__

    async def entering(self: Director) -> Director:
        opened.append(self)
        return await enter(self)

    async def leaving(self: Director, *error: Any) -> None:
        await leave(self, *error)
        closed.append(self)

    monkeypatch.setattr(Director, "__aenter__", entering)
    monkeypatch.setattr(Director, "__aexit__", leaving)
    with open_house(tmp_path / "house", {"groq": script("groq")}, top=TOP):
        handed(*[FRUIT] * 5)
        assert (len(opened), closed) == (1, opened)
        handed(FRUIT)
        assert (len(opened), closed) == (2, opened)
    assert len(resident._residents) == 1, "a loop that is closed is forgotten"


def test_what_is_mended_works_with_the_next_call(tmp_path: Path) -> None:
    with open_house(tmp_path / "house", {"groq": script("groq")}, top=TOP) as house:
        right = house.config.read_text()

        async def both() -> tuple[Done | Refusal, Done | Refusal]:
            house.config.write_text("not = [toml")
            first = await hand_over(FRUIT, session="a", channel="cli", folders=(tmp_path,))
            house.config.write_text(right)
            return first, await hand_over(FRUIT, session="a", channel="cli", folders=(tmp_path,))

        first, second = asyncio.run(both())
    assert isinstance(first, Refusal)
    assert first.kind == "ConfigError"
    assert isinstance(second, Done)


@pytest.mark.parametrize(("kind", "error"), [("no config", "ConfigError"), ("no folder", "StoreError")])
def test_what_is_not_there_is_told(tmp_path: Path, kind: str, error: str) -> None:
    with open_house(tmp_path / "house", {"groq": script("groq")}, top=TOP) as house:
        if kind == "no config":
            house.config.unlink()
        else:
            (tmp_path / "state").write_text("a file where the folder belongs")
        told = handed(FRUIT, FRUIT)
        assert house.received("groq") == 0
    assert [isinstance(one, Refusal) and one.kind for one in told] == [error, error]


def test_simulated_models_are_not_taken_for_real_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from understudy.config import discover

    monkeypatch.delenv("UNDERSTUDY_CONFIG")
    monkeypatch.setattr(discover, "discover", lambda *_: ({"providers": {}}, ()))
    (refused,) = handed(FRUIT)
    assert isinstance(refused, Refusal)
    assert (refused.kind, "understudy init" in refused.remedy) == ("ConfigError", True)


def test_one_that_does_not_open_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(self: Director) -> Director:
        await asyncio.Event().wait()
        return self

    monkeypatch.setattr(Director, "__aenter__", never)
    monkeypatch.setattr(resident, "OPENING", 0.2)
    with open_house(tmp_path / "house", {"groq": script("groq")}, top=TOP):
        (refused,) = handed(FRUIT)
    assert isinstance(refused, Refusal)
    assert refused.kind == StoreError.__name__


@pytest.mark.parametrize(
    "arguments",
    [{}, {"task": ""}, {"task": 5}, {"task": "x", "files": "a"}, {"task": "x", "files": [5, "\0", ""]},
     {"task": "x", "files": ["a" * 5000]}, {"task": "x", "deadline": "soon"}, {"task": "x", "sensitivity": "low"},
     {"task": "\ud83d"}, {"task": "x", "schema": "{}"}, {"task": "x", "other": 1}],
)  # fmt: skip
def test_arguments_of_every_kind_are_answered(tmp_path: Path, arguments: dict[str, Any]) -> None:
    with open_house(tmp_path / "house", {"groq": script("groq")}, top=TOP) as house:
        (refused,) = handed(arguments, folder=tmp_path)
        assert house.received("groq") == 0
    assert isinstance(refused, Refusal)
    assert refused.kind == "UsageError"


async def test_a_cancelled_call_cancels_its_task_and_no_other(tmp_path: Path) -> None:
    from understudy.rehearsal.script import Fault

    silent = script("groq", faults={"": [Fault(kind="silence", matching="fruit")]})
    with open_house(tmp_path / "house", {"groq": silent}, top=TOP) as house:
        waiting = asyncio.create_task(hand_over(FRUIT, session="a", channel="cli", folders=(tmp_path,)))
        async with asyncio.timeout(60):
            while not house.received("groq"):  # noqa: ASYNC110  the server counts in a thread of its own
                await asyncio.sleep(0.02)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        other = await hand_over({"task": "Name a bird."}, session="a", channel="cli", folders=(tmp_path,))
    assert isinstance(other, Done)
