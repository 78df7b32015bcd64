"""I2: a private task reaches no candidate that is not local, by no path. Searched byte by byte."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.e2e.house import House, open_house, script
from understudy import Attachment, Sensitivity, Task
from understudy.classifiers.gate import Gate
from understudy.errors import NoCandidate, PrivacyRefused, UnderstudyError
from understudy.rehearsal.script import Fault
from understudy.types import Turn, Verdict

CANARY = "zanzibarquokka"
CLOUD = ("groq", "gemini", "anthropic")
EVERYONE = {name: script(name) for name in (*CLOUD, "local")}  # type: ignore[arg-type]
TOP = 'private_paths = ["**/secret/**", "*.pem"]\n'


def leaks(house: House) -> list[str]:
    """Cloud servers that were sent the canary, in whatever part of a request."""
    return [n for n in CLOUD if n in house.servers and CANARY.encode() in house.bytes_at(n).lower()]


def kept_below(folder: Path) -> bytes:
    return b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "config.toml")


PRIVATE_TASKS = {
    "label": Task(f"Tell me about {CANARY}", sensitivity=Sensitivity.PRIVATE),
    "label as text": Task(f"Tell me about {CANARY}", sensitivity="private"),
    "card": Task(f"Is 4111 1111 1111 1111 a good card for {CANARY}?"),
    "e-mail": Task(f"Write a letter about {CANARY} to jane.doe@contoso-mail.org"),
    "key": Task(f"Why does {CANARY} fail with AKIAIOSFODNN7EXAMPLQ and password = 'hX9!kPz0qLw2' ?"),
    "file": Task("Summarize it", files=(Attachment("notes/secret/plan.txt", f"the plan of {CANARY}"),)),
    "file content": Task("Summarize it", files=(Attachment("a.txt", f"{CANARY} IBAN DE89370400440532013000"),)),
    "history": Task("And now?", history=(Turn(f"my SSN is 536-90-4399, {CANARY}", "noted"),)),
    "coding": Task(f"Write code that prints {CANARY}", sensitivity="private", intent="coding"),
    "best": Task(f"Explain {CANARY}", sensitivity="private", intent="reasoning", quality="best"),
    "steps": Task(f"First list {CANARY}, then sort it, and finally write a report of it.", sensitivity="private"),
    "schema": Task(f"Rate {CANARY}", sensitivity="private", schema={"type": "object", "required": ["a"]}),
    "researcher": Task(f"Search the web for {CANARY}", sensitivity="private", agent="researcher"),
}


@pytest.mark.parametrize("name", PRIVATE_TASKS)
async def test_private_tasks_are_done_on_this_machine(tmp_path: Path, name: str) -> None:
    with open_house(tmp_path, EVERYONE, top=TOP) as house:
        async with house.director() as director:
            reply = await director.run(PRIVATE_TASKS[name])
        assert reply.sensitivity.sensitivity is Sensitivity.PRIVATE
        assert {a.provider for a in reply.attempts} == {"local"}
        assert leaks(house) == []
        assert all(house.received(n) == 0 for n in CLOUD), "a private task cost a cloud call"


async def test_others_go_on_while_the_gate_reads_a_long_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, judged = threading.get_ident(), list[int]()
    true = Gate.judge

    def judge(self: Gate, task: Task, session_private: bool = False) -> Verdict:
        judged.append(threading.get_ident())
        return true(self, task, session_private)

    monkeypatch.setattr(Gate, "judge", judge)
    with open_house(tmp_path, {"groq": script("groq")}) as house:
        async with house.director() as director:
            await director.run(Task("Say hello.", intent="reasoning"))
            await director.run(Task("Say hello. " * 3000, intent="reasoning"))
    assert [one == here for one in judged] == [True, False]


@pytest.mark.parametrize("kind", ["overload", "empty", "refusal", "truncated", "error_text", "reset", "no_models"])
async def test_a_failing_local_model_falls_to_nobody(tmp_path: Path, kind: str) -> None:
    scripts = {**EVERYONE, "local": script("local", faults={"": [Fault(kind=kind)]})}  # type: ignore[arg-type]
    with open_house(tmp_path, scripts) as house:
        async with house.director() as director:
            with pytest.raises(UnderstudyError):
                await director.run(Task(f"Tell me about {CANARY}", sensitivity="private"))
        assert leaks(house) == []
        assert all(house.received(n) == 0 for n in CLOUD)


async def test_without_a_local_model_it_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with open_house(tmp_path, {n: s for n, s in EVERYONE.items() if n != "local"}) as house:
        async with house.director() as director:
            with pytest.raises(PrivacyRefused, match="local"):
                await director.run(Task(f"Tell me about {CANARY}", sensitivity="private"))
        assert leaks(house) == []


async def test_private_sticks_to_the_session_that_carries_it(tmp_path: Path) -> None:
    with open_house(tmp_path, EVERYONE) as house:
        async with house.director() as director:
            await director.run(Task(f"I am ill with {CANARY}", sensitivity="private", session="one"))
            later = await director.run(Task("What is the capital of France?", session="one"))
            other = await director.run(Task("What is the capital of France?", intent="quick_qa", session="two"))
        assert later.sensitivity.sensitivity is Sensitivity.PRIVATE
        assert {a.provider for a in later.attempts} == {"local"}
        assert other.sensitivity.sensitivity is Sensitivity.PUBLIC
        assert leaks(house) == []


async def test_nothing_private_is_kept_in_the_provenance_or_the_log(tmp_path: Path) -> None:
    with open_house(tmp_path, EVERYONE) as house:
        async with house.director() as director:
            reply = await director.run(Task(f"Tell me about {CANARY}", sensitivity="private"))
            record = await director.explain(reply.id)
            assert CANARY not in repr(record)
            assert CANARY not in repr(reply)
            assert CANARY not in repr(Task(CANARY))
    assert CANARY.encode() not in kept_below(tmp_path), "a task without a named session leaves its text on disk"


async def test_unplugged_the_gate_would_leak(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests are worth: without the gate the same task is sent out, and leaks() sees it."""
    from understudy.classifiers.gate import Gate
    from understudy.types import Verdict

    monkeypatch.setattr(Gate, "judge", lambda *_, **__: Verdict(Sensitivity.PUBLIC))
    with open_house(tmp_path, EVERYONE) as house:
        async with house.director() as director:
            await director.run(Task(f"Tell me about {CANARY}", sensitivity="private", intent="quick_qa"))
        assert leaks(house) == ["groq"]


async def test_a_cloud_alias_behind_a_local_server_is_not_local(tmp_path: Path) -> None:
    with open_house(tmp_path, {"local": script("local")}) as house:
        text = house.config.read_text().replace("ministral-3b", "gpt-oss:120b-cloud")
        house.config.write_text(
            text.replace('"nemotron-12b"', '"glm:cloud"').replace('"qwen3-coder-30b-a3b"', '"k-cloud"')
        )
        async with house.director() as director:
            assert not any(c.local for c in director.parts.fleet)
            with pytest.raises(NoCandidate):
                await director.run(Task(f"Tell me about {CANARY}", sensitivity="private"))
        assert house.received("local") == 0


@pytest.mark.parametrize("wish", [{"agent": "private"}, {"intent": "private"}], ids=str)
async def test_who_asks_for_the_private_agent_is_private(tmp_path: Path, wish: dict[str, str]) -> None:
    faults = {"": [Fault(kind="overload")]}
    scripts = {"groq": script("groq"), "gemini": script("gemini"), "local": script("local", faults=faults)}
    with open_house(tmp_path, scripts) as house:
        async with house.director() as director:
            with pytest.raises(NoCandidate):
                await director.run(Task(f"{CANARY} hello there", **wish))  # type: ignore[arg-type]
        assert CANARY.encode() in house.bytes_at("local")
        assert house.received("groq") == house.received("gemini") == 0
