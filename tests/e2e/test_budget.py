"""I1: the director's budget is never exceeded, whatever the concurrency; without it understudy still works."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.e2e.house import House, open_house, script
from understudy import Task
from understudy.director.budget import conversation_scope
from understudy.errors import BudgetRefused
from understudy.rehearsal.script import Fault
from understudy.types import Role

EVERYONE = {name: script(name) for name in ("groq", "gemini", "anthropic")}  # type: ignore[arg-type]
BEST = Task("Prove that there are infinitely many primes.", intent="reasoning", quality="best", session="one")


def with_budget(tokens: int, day: int = 100_000) -> str:
    return (
        f'[director]\ncandidate = "anthropic/opus"\ntokens_per_conversation = {tokens}\ntokens_per_day = {day}\n'
        "[classifier]\nenabled = false\n"
    )


async def spent(house: House, session: str) -> int:
    async with house.director() as director:
        balance, _ = await director.balance(session)
        assert balance.reserved.tokens == 0
        return balance.spent.tokens


async def test_fifty_at_once_never_overspend(tmp_path: Path) -> None:
    faults = {"": [Fault(kind="error_text", text="not sure", matching="ANSWER:")]}
    scripts = {**EVERYONE, "groq": script("groq", faults=faults)}  # the cheap judge cannot tell: the director must
    with open_house(tmp_path, scripts, top=with_budget(2000)) as house:
        async with house.director() as director:
            replies = await asyncio.gather(*(director.run(BEST) for _ in range(50)))
        asked = sum(a.role is Role.JUDGE and a.provider == "anthropic" for r in replies for a in r.attempts)
        assert 0 < asked < 50, "the budget was never reached: the test shows nothing"
        assert 0 < await spent(house, "one") <= 2000
        assert any("budget" in n for r in replies for n in r.notes)


async def test_without_a_budget_the_policy_works_alone_and_says_so(tmp_path: Path) -> None:
    scripts = {**EVERYONE, "groq": script("groq", faults={"": [Fault(kind="empty", matching="ANSWER:")]})}
    with open_house(tmp_path, scripts, top=with_budget(0)) as house:
        async with house.director() as director:
            reply = await director.run(BEST)
        assert house.received("anthropic") == 0
        assert any("budget" in n for n in reply.notes)
        assert reply.director.limit_tokens == 0


async def test_the_day_holds_over_conversations(tmp_path: Path) -> None:
    scripts = {**EVERYONE, "groq": script("groq", faults={"": [Fault(kind="empty", matching="ANSWER:")]})}
    with open_house(tmp_path, scripts, top=with_budget(2000, day=700)) as house:
        async with house.director() as director:
            for n in range(6):
                await director.run(Task(BEST.text, intent="reasoning", quality="best", session=f"s{n}"))
        total = [await spent(house, f"s{n}") for n in range(6)]
        assert 0 < sum(total) <= 700


@pytest.mark.parametrize("kind", ["cut", "reset", "malformed", "silence"])
async def test_an_unknown_outcome_is_charged_in_full(tmp_path: Path, kind: str) -> None:
    scripts = {
        **EVERYONE,
        "groq": script("groq", faults={"": [Fault(kind="empty", matching="ANSWER:")]}),
        "anthropic": script("anthropic", faults={"": [Fault(kind=kind, seconds=3)]}),  # type: ignore[arg-type]
    }
    with open_house(tmp_path, scripts, top=with_budget(2000)) as house:
        async with house.director() as director:
            await director.run(Task(BEST.text, intent="reasoning", quality="best", session="one", deadline=6))
        assert await spent(house, "one") > 160, "at least the capped output of a call that may have run"


async def test_a_refused_key_costs_nothing(tmp_path: Path) -> None:
    scripts = {
        **EVERYONE,
        "groq": script("groq", faults={"": [Fault(kind="empty", matching="ANSWER:")]}),
        "anthropic": script("anthropic", faults={"": [Fault(kind="auth")]}),
    }
    with open_house(tmp_path, scripts, top=with_budget(2000)) as house:
        async with house.director() as director:
            await director.run(BEST)
        assert await spent(house, "one") == 0


async def test_money_is_hard_too(tmp_path: Path) -> None:
    top = '[money]\nusd_per_day = 0.0\n[director]\ncandidate = "none/none"\n'
    with open_house(tmp_path, {"openai": script("openai")}, top=top) as house:
        async with house.director() as director:
            with pytest.raises(BudgetRefused, match="money") as caught:
                await director.run(Task("hello", intent="quick_qa"))
        assert caught.value.exit_code == 4
        assert house.received("openai") == 0


async def test_an_undeclared_scope_is_refused(tmp_path: Path) -> None:
    from understudy.types import Amount

    with open_house(tmp_path, EVERYONE) as house:
        async with house.director() as director:
            with pytest.raises(BudgetRefused):
                await director.parts.store.ledger.reserve((conversation_scope("never opened"),), Amount(1), lease=10.0)
