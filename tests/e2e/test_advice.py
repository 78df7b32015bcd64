"""Executor first: the director advises what to mend, so often at most, within its budget, and never of private work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.house import open_house, script
from understudy import Task
from understudy.director.advising import ASKS
from understudy.rehearsal.script import ScriptedReply
from understudy.types import Role

ADVICE = ScriptedReply(contains="", json={"advice": "Name the tall one: TOPGALLANT."})
WISE = ScriptedReply(contains="TOPGALLANT", text="The mast is the topgallant mast, above the topmast.")
ASKED = Task("Which mast stands highest on a ship?", policy="advisor", intent="quick_qa")


def bad(text: str = "upstream error: 502 Bad Gateway") -> ScriptedReply:
    return ScriptedReply(contains="mast", text=text)


def house(home: Path, executor: ScriptedReply, *, top: str = "") -> object:
    scripts = {
        "groq": script("groq", replies=(WISE, executor)),
        "anthropic": script("anthropic", replies=(ADVICE,)),
    }
    return open_house(home, scripts, top=top)


def acts(reply: object) -> list[str]:
    return [str(a.role) for a in reply.attempts if a.directs]  # type: ignore[attr-defined]


async def test_a_rejected_answer_is_mended_by_advice(tmp_path: Path) -> None:
    with house(tmp_path, bad()) as built:  # type: ignore[attr-defined]
        async with built.director() as director:
            reply = await director.run(ASKED)
            record = await director.explain(reply.id)
    assert "topgallant" in reply.text
    assert acts(reply) == [Role.DIRECTOR]
    assert 0 < reply.director.spent.tokens <= 2_000
    assert "TOPGALLANT" not in str(record), "advice is text, and no text is kept"
    assert [a.outcome for a in reply.attempts if a.role is Role.WORKER] == ["rejected", "ok"]


async def test_an_executor_may_ask(tmp_path: Path) -> None:
    with house(tmp_path, bad(f"{ASKS} which rigging is meant?")) as built:  # type: ignore[attr-defined]
        async with built.director() as director:
            reply = await director.run(ASKED)
        sent = built.bytes_at("anthropic").decode()
    assert "topgallant" in reply.text
    assert acts(reply) == [Role.DIRECTOR]
    assert "which rigging is meant" in sent


async def test_at_most_so_often(tmp_path: Path) -> None:
    """The executors never mend it: two advices, and then they go on without, up to the frontier model itself."""
    scripts = {
        "groq": script("groq", replies=(bad(),)),
        "anthropic": script("anthropic", replies=(ADVICE,)),
    }
    with open_house(tmp_path, scripts) as built:
        async with built.director() as director:
            reply = await director.run(ASKED)
    assert acts(reply) == [Role.DIRECTOR] * 2
    assert len([a for a in reply.attempts if a.role is Role.WORKER and a.outcome == "rejected"]) > 2


@pytest.mark.parametrize("top", ['[director]\ncandidate = "anthropic/opus"\ntokens_per_conversation = 100\n'])
async def test_no_budget_no_advice(tmp_path: Path, top: str) -> None:
    with house(tmp_path, bad(), top=top) as built:  # type: ignore[attr-defined]
        async with built.director() as director:
            reply = await director.run(ASKED)
    assert acts(reply) == []
    assert reply.director.spent.tokens == 0


async def test_other_policies_ask_for_none(tmp_path: Path) -> None:
    with house(tmp_path, bad()) as built:  # type: ignore[attr-defined]
        async with built.director() as director:
            reply = await director.run(Task(ASKED.text, policy="v1", intent="quick_qa"))
        sent = built.bytes_at("groq").decode()
    assert acts(reply) == []
    assert ASKS not in sent


async def test_private_work_is_not_told_to_the_director(tmp_path: Path) -> None:
    scripts = {
        "local": script("local", replies=(bad(), WISE)),
        "anthropic": script("anthropic", replies=(ADVICE,)),
    }
    with open_house(tmp_path, scripts) as built:
        async with built.director() as director:
            with pytest.raises(Exception) as failed:
                await director.run(Task(ASKED.text, policy="advisor", sensitivity="private"))
        assert built.received("anthropic") == 0
        assert ASKS not in built.bytes_at("local").decode()
    assert not [a for a in failed.value.attempts if a.directs]
