"""The line before a caller's budget, and the cap that shrinks to what is left of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from tests.fakes import FakeClock
from understudy.agents.handover import Handover
from understudy.director.allowance import Allowance, AllowanceGuard, Turn
from understudy.errors import BudgetRefused
from understudy.fleet.errand import Errand, Walk
from understudy.fleet.guards import SendGuard
from understudy.store.memory_ledger import MemoryLedger
from understudy.types import Amount, Answer, Call, Candidate, Hold, Sensitivity, Usage, cap_of

SCOPE = "caller:day:bot:2026-11-21"
GROQ = Candidate("groq", "groq", "a", "m")


async def accept(*_: object) -> tuple[()]:
    return ()


class Still(FakeClock):
    """No time passes: whoever goes on was called."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


@dataclass
class Bench:
    """One caller with a limit, and as many tasks as a test wants. Each takes 100 of input and asks for 400 at most."""

    limit: int
    clock: FakeClock = field(default_factory=Still)
    allowance: Allowance = field(default_factory=Allowance)
    order: list[int] = field(default_factory=list)
    caps: list[int] = field(default_factory=list)

    async def open(self) -> Bench:
        self.ledger = MemoryLedger(self.clock)
        await self.ledger.allow(SCOPE, tokens=self.limit, micro_usd=None)
        return self

    def turn(self) -> Turn:
        return Turn(self.allowance, self.clock, lambda: self.ledger.balance(SCOPE), lambda: 164)

    def guard(self, turn: Turn | None) -> AllowanceGuard:
        return AllowanceGuard(SendGuard(GROQ, Sensitivity.PUBLIC, self.ledger, (SCOPE,)), self.allowance, turn)

    async def task(self, number: int, *, patience: float = 60.0, used: int = 150, gate: asyncio.Event | None = None):
        turn = self.turn()
        guard = self.guard(turn)

        async def walk(errand: Errand) -> Walk:
            walked = Walk()
            try:
                hold = await guard.before(100, 400)
            except BudgetRefused as refused:
                walked.refusals.append(refused)
                return walked
            self.order.append(number)
            self.caps.append(cap_of(hold, 400))
            await (gate.wait() if gate else asyncio.sleep(0))
            await guard.after(hold, Usage(100, used - 100))
            walked.answer = Answer("x")
            return walked

        errand = Errand(Call("x"), (GROQ,), self.clock.now() + 1000, 5, accept, lambda _: guard, patience=patience)
        return await turn.take(errand, walk)


async def test_who_waits_is_served_in_turn_and_nothing_is_stranded() -> None:
    bench = await Bench(1500).open()
    done = await asyncio.gather(*(bench.task(n) for n in range(30)), return_exceptions=True)
    served = [d for d in done if isinstance(d, Walk) and d.answer]
    assert bench.order == sorted(bench.order), "first come, first served"
    assert len(served) == 9
    balance = await bench.ledger.balance(SCOPE)
    assert (balance.spent.tokens, balance.reserved.tokens) == (1350, 0)
    assert bench.caps[-1] == 200, "what was left"
    assert all(isinstance(d, BudgetRefused) for d in done if d not in served)
    assert not bench.allowance.line
    assert bench.allowance.claimed == 0


async def test_patience_takes_what_is_there_now() -> None:
    bench = await Bench(700, FakeClock()).open()
    gate = asyncio.Event()
    first = asyncio.ensure_future(bench.task(1, gate=gate))
    await asyncio.sleep(0)
    walked = await bench.task(2, patience=2.0)
    assert walked.answer
    assert bench.caps == [400, 100]
    gate.set()
    await first


async def test_nobody_takes_all_of_it_while_others_wait() -> None:
    """As long as none has answered the first takes what is left; then what answers are known to take."""
    bench = await Bench(1000).open()
    bench.allowance.line.append(asyncio.Event())
    assert bench.allowance.share(600) == 600
    bench.allowance.line.clear()
    await bench.task(0, used=130)
    bench.allowance.line.append(asyncio.Event())
    assert (bench.allowance.share(600), bench.allowance.share(100)) == (256, 100)
    bench.allowance.longest = 150
    assert bench.allowance.share(600) == 450, "three times the longest answer"
    bench.allowance.line.clear()
    assert bench.allowance.share(600) == 600, "nobody waits"


async def test_one_that_is_cancelled_in_the_line_blocks_nobody() -> None:
    bench = await Bench(600).open()
    gate = asyncio.Event()
    tasks = [asyncio.ensure_future(bench.task(n, gate=gate, patience=1e6)) for n in range(3)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(bench.allowance.line) == 2
    tasks[1].cancel()
    await asyncio.gather(tasks[1], return_exceptions=True)
    gate.set()
    assert (await tasks[0]).answer
    assert (await tasks[2]).answer
    assert bench.order == [0, 2]
    assert bench.allowance.claimed == 0


async def test_an_act_does_not_shrink() -> None:
    bench = await Bench(300).open()
    with pytest.raises(BudgetRefused):
        await bench.guard(None).before(100, 400)


async def test_another_scope_does_not_shrink() -> None:
    bench = await Bench(10_000).open()
    await bench.ledger.allow("money:day:x", tokens=300, micro_usd=None)
    guard = replace(
        bench.guard(bench.turn()), inner=SendGuard(GROQ, Sensitivity.PUBLIC, bench.ledger, (SCOPE, "money:day:x"))
    )
    with pytest.raises(BudgetRefused, match="money"):
        await guard.before(100, 400)


async def test_what_was_spent_is_not_spent_once_more() -> None:
    """A tool loop whose second request is refused ends there: it is not begun anew."""
    bench = await Bench(1000).open()
    turn = bench.turn()
    guard, walks = bench.guard(turn), 0

    async def walk(_: Errand) -> Walk:
        nonlocal walks
        walks += 1
        walked = Walk()
        await guard.after(await guard.before(100, 400), Usage(400, 100))
        other = await bench.ledger.reserve((SCOPE,), Amount(450), lease=9)
        try:
            await guard.before(500, 400)
        except BudgetRefused as refused:
            walked.refusals.append(refused)
        await bench.ledger.release(other)
        return walked

    errand = Errand(Call("x"), (GROQ,), bench.clock.now() + 99, 5, accept, lambda _: guard, patience=60)
    await turn.take(errand, walk)
    assert walks == 1


async def test_the_smaller_cap_passes_through_the_guards_around_it() -> None:
    from understudy.fleet.admission import QuotaGuard
    from understudy.fleet.book import Book, Tab
    from understudy.fleet.form import PageForm
    from understudy.store.pages import MemoryPages

    bench = await Bench(300).open()
    book = Book(MemoryPages(PageForm(), bench.clock))
    quota = QuotaGuard(bench.guard(bench.turn()), book, bench.clock, Tab(GROQ, {"h": None}, unused="h"), 10.0)
    handover = Handover(quota)
    hold = await handover.before(100, 400)
    assert isinstance(hold, Hold)
    assert cap_of(hold, 400) == 200
    await handover.unsent(hold)
    assert cap_of(await handover.before(100, 400), 400) == 200, "the next key's request has it too"
