"""A policy of one's own in the configuration, on a task, over the wire; and what is recorded of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.house import open_house, script
from tests.policies.test_own import GOOD
from understudy import Task
from understudy.errors import ConfigError, Forbidden
from understudy.policies import registry
from understudy.types import Caller

TOP = 'policy = "mine.py"\n[director]\ncandidate = "none/none"\n'


async def test_the_configuration_names_it_from_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(GOOD)
    with open_house(tmp_path, {"groq": script("groq"), "gemini": script("gemini")}, top=TOP) as house:
        async with house.director() as director:
            reply = await director.run(Task("Name a colour.", intent="quick_qa"))
            record = await director.explain(reply.id)
    assert record["policy"] == {"name": "mine", "hash": registry.load(str(tmp_path / "mine.py")).hash}
    assert record["decision"]["agent"] == "quick"
    assert record["decision"]["chain"][0]["why"] == "mine"


async def test_a_broken_one_is_told_before_anything_is_sent(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(GOOD.replace("c.local or", "True or"))
    with open_house(tmp_path, {"groq": script("groq")}, top=TOP) as house:
        async with house.director() as director:
            with pytest.raises(ConfigError, match=r"\(private\)"):
                await director.run(Task("Name a colour."))
        assert house.received("groq") == 0


async def test_over_the_wire_no_path_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "theirs.py"
    path.write_text(GOOD.replace('"mine"', '"theirs"') + "\nRAN = True\n")
    with open_house(tmp_path, {"groq": script("groq")}, top='[director]\ncandidate = "none/none"\n') as house:
        async with house.director() as director:
            for name in (str(path), "../x.toml", "theirs.py"):
                with pytest.raises(Forbidden, match="never by a path"):
                    await director.run(Task("Name a colour.", policy=name, caller=Caller("bot")))
            bound = Caller("bot", policy=str(path))
            reply = await director.run(Task("Name a colour.", intent="quick_qa", caller=bound))
    assert reply.policy_name == "theirs", "what the key's owner allowed is allowed"


async def test_a_failure_keeps_what_decided_it(tmp_path: Path) -> None:
    from understudy.errors import UnderstudyError
    from understudy.rehearsal.script import Fault

    down = script("groq", faults={"": [Fault(kind="auth")]})
    with open_house(tmp_path, {"groq": down}, top='[director]\ncandidate = "none/none"\n') as house:
        async with house.director() as director:
            with pytest.raises(UnderstudyError) as failed:
                await director.run(Task("Name a colour.", intent="quick_qa"))
            record = await director.explain(str(failed.value.reply_id))
    assert record["policy"] == {"name": "v1", "hash": registry.load("v1").hash}
