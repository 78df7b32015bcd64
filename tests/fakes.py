"""Small stand-ins for one seam each: time, the ledger, a worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from understudy.types import Amount, Answer, Balance, Call, Candidate, Guard, Hold, Usage


class FakeClock:
    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self.time = start

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


class FreeLedger:
    """Counts and never refuses."""

    def __init__(self) -> None:
        self.spent = 0

    async def allow(self, scope: str, *, tokens: int | None, micro_usd: int | None) -> None: ...

    async def reserve(self, scopes: tuple[str, ...], amount: Amount, *, lease: float) -> Hold:
        return Hold("h", amount, scopes)

    async def settle(self, hold: Hold, actual: Amount) -> None:
        self.spent += actual.tokens

    async def release(self, hold: Hold) -> None: ...

    async def balance(self, scope: str) -> Balance:
        return Balance(scope, None, None, Amount(self.spent), Amount())


@dataclass
class FakeWorker:
    """Plays its script: an answer's text, an Answer, an exception, or a function of the call."""

    candidate: Candidate
    script: list[object]
    clock: FakeClock | None = None
    seconds: float = 0.0
    calls: list[Call] = field(default_factory=list)

    def load(self, call: Call) -> None: ...

    async def work(self, call: Call, guard: Guard, progress: Callable[[int], None] | None = None) -> Answer:
        hold = await guard.before(self.bound(call), call.output_cap)
        self.calls.append(call)
        if self.clock:
            self.clock.time += self.seconds
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if callable(step):
            step = step(call)
        if isinstance(step, BaseException):
            await guard.unsent(hold)
            raise step
        answer = step if isinstance(step, Answer) else Answer(str(step), Usage(10, 5))
        await guard.after(hold, answer.usage)
        return answer

    def bound(self, call: Call) -> int:
        return len(call.prompt) + len(call.instructions)

    async def check(self) -> str:
        return "fine"

    async def close(self) -> None: ...
