"""A second policy decides a share of the tasks beside the first: it is recorded, and changes nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.house import open_house, script
from understudy import Task
from understudy.director.shadow import drawn
from understudy.policies import registry
from understudy.policies.record import decision_from_dict, facts_from_dict

TOP = '[director]\ncandidate = "none/none"\n[shadow]\npolicy = "{policy}"\nshare = {share}\n'


async def asked(home: Path, policy: str, share: float, count: int = 1) -> tuple[list, list, int]:
    scripts = {"groq": script("groq"), "gemini": script("gemini")}
    with open_house(home, scripts, top=TOP.format(policy=policy, share=share)) as house:
        async with house.director() as director:
            replies = [await director.run(Task("Name a colour.", intent="quick_qa")) for _ in range(count)]
            records = [await director.explain(reply.id) for reply in replies]
            for record in records:
                name = record["facts"]["fleet"]
                record["facts"]["fleet"] = await director.parts.store.replies.fleet(name)
        return replies, records, house.received("groq") + house.received("gemini")


async def test_the_second_decision_is_recorded_and_nobody_acts_on_it(tmp_path: Path) -> None:
    (reply,), (record,), calls = await asked(tmp_path, "control", 1.0)
    told = record["shadow"]
    control = registry.load("control")
    assert told["policy"] == {"name": "control", "hash": control.hash}
    assert decision_from_dict(told["decision"]) == control.decide(facts_from_dict(record["facts"]))
    assert not told["same"]
    assert told["changes"]
    assert (reply.policy_name, record["policy"]["name"], calls) == ("v1", "v1", 1)


async def test_the_same_policy_decides_the_same(tmp_path: Path) -> None:
    _, (record,), _ = await asked(tmp_path, "v1", 1.0)
    assert (record["shadow"]["same"], record["shadow"]["changes"]) == (True, [])
    assert record["shadow"]["decision"] == record["decision"]


@pytest.mark.parametrize(("policy", "share"), [("control", 0.0), ("", 1.0)])
async def test_none_without_a_policy_or_a_share(tmp_path: Path, policy: str, share: float) -> None:
    _, (record,), _ = await asked(tmp_path, policy, share)
    assert "shadow" not in record


async def test_a_share_of_the_tasks(tmp_path: Path) -> None:
    replies, records, _ = await asked(tmp_path, "control", 0.5, count=12)
    assert ["shadow" in record for record in records] == [drawn(reply.id, "shadow") < 0.5 for reply in replies]


async def test_one_that_breaks_is_recorded_and_the_task_is_answered(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("import random\nNAME = 'mine'\n")
    for policy in ("mine.py", "nobodys"):
        (reply,), (record,), _ = await asked(tmp_path, policy, 1.0)
        assert reply.text
        assert record["shadow"]["error"]["type"] in ("ConfigError", "UsageError")


def test_draws_are_even_and_differ_by_use() -> None:
    draws = [drawn(f"r-{n:010x}", "draw") for n in range(4_000)]
    assert all(0 <= d < 1 for d in draws)
    assert abs(sum(draws) / len(draws) - 0.5) < 0.02
    assert abs(sum(d < 0.05 for d in draws) / len(draws) - 0.05) < 0.02
    assert draws != [drawn(f"r-{n:010x}", "shadow") for n in range(4_000)]
