# ruff: noqa: ASYNC220 - programs in async tests
"""I1 for a caller: what is done for it is paid by its key, never above the key's limit, and nothing is stranded."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.caller_worker import serve
from tests.e2e.house import House, open_house, script
from tests.e2e.test_budget import BEST
from tests.e2e.test_plan import TASK as PLANNED
from tests.e2e.test_plan import scripts as planning
from understudy import Director, Task
from understudy.director.budget import caller_scope, limits_of, retry_after
from understudy.errors import BudgetRefused, Forbidden, PrivacyRefused
from understudy.rehearsal.script import Fault
from understudy.types import Amount, Balance, Caller, Role

QUICK = Task("Name a fruit, 000000.", intent="quick_qa", plan=False)
UNLIMITED = Caller("bot")
TOP = '[director]\ncandidate = "none/none"\n[classifier]\nenabled = false\n'


async def balance(director: Director, name: str = "bot") -> Balance:
    return await director.parts.store.ledger.balance(caller_scope(name, director.parts.clock.now()))


async def price(tmp_path: Path, house: House) -> int:
    """What one task is charged."""
    async with Director(house.director().settings, tmp_path / "price") as director:
        await director.run(replace(QUICK, caller=UNLIMITED))
        found = await balance(director)
    assert found.limit_tokens is None
    return found.spent.tokens


async def for_ever(director: Director, task: Task) -> None:
    while True:
        await director.run(task)


def max_tokens(house: House) -> list[int]:
    return [json.loads(r.body)["max_tokens"] for r in house.servers["groq"].requests if r.method == "POST"]


async def test_a_thousand_at_once_on_a_budget_for_fifty(tmp_path: Path) -> None:
    with open_house(tmp_path / "house", {"groq": script("groq")}, top=TOP) as house:
        limit = 50 * await price(tmp_path, house)
        before = house.received("groq")
        async with house.director() as director:
            served = await serve(director, Caller("bot", tokens_per_day=limit), 1000)
            spent = await balance(director)
    assert spent.spent.tokens <= limit
    assert spent.reserved.tokens == 0
    assert 45 <= served <= 50, "no more than it is enough for, and not many fewer"
    assert house.received("groq") - before == served, "who was refused sent nothing"


async def test_two_processes_share_it(tmp_path: Path) -> None:
    with open_house(tmp_path / "house", {"groq": script("groq")}, top=TOP) as house:
        limit = 50 * await price(tmp_path, house)
        home = tmp_path / "shared"
        command = [sys.executable, "-m", "tests.e2e.caller_worker", str(house.config), str(home), str(limit), "300"]
        both = [subprocess.Popen(command, stdin=-1, stdout=-1, text=True) for _ in range(2)]
        for process in both:
            assert process.stdout
            assert await asyncio.to_thread(process.stdout.readline) == "ready\n"
        said = await asyncio.gather(*(asyncio.to_thread(p.communicate, "go\n", timeout=100) for p in both))
        served = [int(out.split()[-1]) for out, _ in said]
        async with Director(house.director().settings, home) as director:
            spent = await balance(director)
    assert 40 <= sum(served) <= 50, "on a ledger of its own each of them would serve that many"
    assert 0.9 * limit <= spent.spent.tokens <= limit


async def test_nothing_is_stranded_when_no_cap_is_asked_for(tmp_path: Path) -> None:
    with open_house(tmp_path / "house", {"groq": script("groq")}, top=TOP) as house:
        limit = 100 * await price(tmp_path, house)
        async with house.director() as director:
            with pytest.raises(BudgetRefused) as caught:
                await for_ever(director, replace(QUICK, caller=Caller("bot", tokens_per_day=limit)))
            spent = (await balance(director)).spent.tokens
            now = director.parts.clock.now()
    assert 0.95 * limit <= spent <= limit
    assert caught.value.scope == caller_scope("bot", now)
    assert "wait for the next day" in caught.value.remedy
    assert 0 < (retry_after(caught.value, now) or 0) <= 86_400
    asked = max_tokens(house)
    assert asked[-1] < asked[0], "the provider is held to the smaller cap"


async def test_a_cap_that_shrank_too_far_is_told(tmp_path: Path) -> None:
    long = Task(
        "Write a long essay on fruit.", intent="reasoning", plan=False, caller=Caller("bot", tokens_per_day=400)
    )
    with open_house(
        tmp_path / "house", {"groq": script("groq", faults={"": [Fault(kind="truncated")]})}, top=TOP
    ) as house:
        async with house.director() as director:
            with pytest.raises(Exception, match="room for") as caught:
                await director.run(long)
            assert (await balance(director)).spent.tokens <= 400
    assert "next day" in str(caught.value)


async def test_every_role_is_paid_by_the_caller(tmp_path: Path) -> None:
    faults = {"": [Fault(kind="error_text", text="not sure", matching="ANSWER:")]}
    everyone = {n: script(n, faults=faults if n == "groq" else None) for n in ("groq", "gemini", "anthropic")}  # type: ignore[arg-type]
    top = '[director]\ncandidate = "anthropic/opus"\n[classifier]\ncandidate = "groq/llama-3.1-8b-instant"\n'
    with open_house(tmp_path / "house", everyone, top=top) as house:
        async with house.director() as director:
            judged = await director.run(replace(BEST, session=None, caller=UNLIMITED))
            asked = await director.run(Task("blorp the fnord gently", caller=UNLIMITED))
            spent = (await balance(director)).spent.tokens
    assert {Role.WORKER, Role.JUDGE} <= {a.role for a in judged.attempts}
    assert any(a.directs for a in judged.attempts), "the director judged"
    assert Role.CLASSIFIER in {a.role for a in asked.attempts}
    assert spent == judged.total_tokens + asked.total_tokens


async def test_the_steps_of_a_plan_are_paid_by_the_caller(tmp_path: Path) -> None:
    with open_house(tmp_path / "house", planning()) as house:
        async with house.director() as director:
            reply = await director.run(replace(PLANNED, caller=UNLIMITED))
            assert len(reply.steps) == 3
            assert (await balance(director)).spent.tokens == reply.total_tokens
            record = await director.explain(reply.steps[0].id)
    assert record["caller"] == "bot"


async def test_a_key_without_tokens_gets_nothing(tmp_path: Path) -> None:
    with open_house(tmp_path / "house", planning()) as house:
        async with house.director() as director:
            with pytest.raises(BudgetRefused):
                await director.run(replace(PLANNED, caller=Caller("bot", tokens_per_day=0)))
    assert not any(house.received(name) for name in house.servers)


async def test_a_new_limit_of_the_same_name_holds_at_once(tmp_path: Path) -> None:
    small, large = Caller("bot", tokens_per_day=300), Caller("bot", tokens_per_day=10_000)
    with open_house(tmp_path / "house", {"groq": script("groq")}, top=TOP) as house:
        async with house.director() as director:
            with pytest.raises(BudgetRefused):
                await for_ever(director, replace(QUICK, caller=small))
            await director.run(replace(QUICK, caller=large))
            assert (await balance(director)).limit_tokens == 10_000
            with pytest.raises(BudgetRefused):
                await director.run(replace(QUICK, caller=small))


async def test_a_callers_scope_is_never_unlimited_by_mistake(tmp_path: Path) -> None:
    with open_house(tmp_path / "house", {"groq": script("groq")}, top=TOP) as house:
        async with house.director() as director:
            scope = caller_scope("stranger", director.parts.clock.now())
            with pytest.raises(BudgetRefused):
                await director.parts.store.ledger.reserve((scope,), Amount(1), lease=10.0)
            with pytest.raises(KeyError):
                limits_of(director.settings, scope)
            with pytest.raises(KeyError):
                limits_of(director.settings, scope, Caller("bot"))


@pytest.mark.parametrize("task", [QUICK, PLANNED], ids=["one step", "a plan"])
async def test_a_private_key_reaches_nobody_outside(tmp_path: Path, task: Task) -> None:
    own = Caller("own", private=True)
    with open_house(tmp_path / "house", planning()) as house:
        async with house.director() as director:
            with pytest.raises(PrivacyRefused):
                await director.run(replace(task, caller=own))
        assert not any(house.received(name) for name in house.servers)
    with open_house(tmp_path / "home", {**planning(), "local": script("local")}) as house:
        async with house.director() as director:
            reply = await director.run(replace(task, caller=own))
        assert {a.provider for a in reply.attempts} == {"local"}
        assert not any(house.received(name) for name in ("groq", "gemini", "anthropic"))


async def test_the_send_seam_keeps_a_private_key_in_too(tmp_path: Path) -> None:
    from understudy.director.trail import Trail
    from understudy.types import Sensitivity

    with open_house(tmp_path / "house", {"groq": script("groq")}) as house:
        async with house.director() as director:
            trail = Trail("r", "s", 0.0, 9e9, caller=Caller("own", private=True))
            guard = director.parts.guard(director.parts.fleet[0], Sensitivity.PUBLIC, Role.WORKER, trail)
            with pytest.raises(PrivacyRefused):
                await guard.before(1, 1)


async def test_a_key_of_one_policy_uses_no_other(tmp_path: Path) -> None:
    with open_house(tmp_path / "house", {"groq": script("groq")}, top='policy = "nobody"\n' + TOP) as house:
        async with house.director() as director:
            reply = await director.run(replace(QUICK, caller=Caller("bot", policy="v1")))
            assert reply.policy_name == "v1"
            with pytest.raises(Forbidden, match="allows no policy but v1"):
                await director.run(replace(QUICK, policy="v2", caller=Caller("bot", policy="v1")))
