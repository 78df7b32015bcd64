"""The worker of a simulated provider in this process: no wire, no SDK, so that a day of traffic takes a minute.

Errors and headers are written as the simulated server writes them and read as an adapter reads them, so a failure is
of the class it has over HTTP, with the same waiting time and the same readings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from understudy.agents import failures
from understudy.agents.conversation import bound_of_call, instructions_of
from understudy.agents.readings import readings
from understudy.errors import CallFailed
from understudy.rehearsal.engine import Ask
from understudy.rehearsal.host import Host
from understudy.rehearsal.script import WIRE_FAULTS
from understudy.rehearsal.stage import Trouble, Turn
from understudy.rehearsal.wire import input_tokens
from understudy.types import Answer, Call, Candidate, Failure, Guard, Usage, cap_of


@dataclass(slots=True)
class StagedWorker:
    """types.Worker for one key. Tools are not simulated: a call that may use some is answered without."""

    candidate: Candidate
    host: Host
    key: str

    def __repr__(self) -> str:
        return f"StagedWorker({self.candidate.domain})"

    def load(self, call: Call) -> None: ...

    async def work(self, call: Call, guard: Guard, progress: Callable[[int], None] | None = None) -> Answer:
        """As any adapter's: the answer within call.timeout, or CallFailed."""
        ask = self._ask(call)
        hold = await guard.before(self.bound(call), ask.max_tokens or 0)
        ask = replace(ask, max_tokens=cap_of(hold, ask.max_tokens or 0))
        limit = asyncio.timeout(call.timeout)
        try:
            async with limit:
                turn = await self._open(ask)
                text, finish = await self._listen(turn, progress)
        except CallFailed as failure:
            await (guard.after(hold, failure.usage) if failure.charged else guard.unsent(hold))
            raise
        except TimeoutError:
            await guard.after(hold, None)
            if not limit.expired():
                raise
            raise failures.timed_out(self.candidate, call.timeout) from None
        except BaseException:
            await guard.after(hold, None)
            raise
        usage = Usage(ask.input_tokens, turn.output_tokens)
        await guard.after(hold, usage)
        return self._read(turn, text, finish, usage)

    def bound(self, call: Call) -> int:
        return bound_of_call(call, ())

    async def check(self) -> str:
        self.host.stage.account(self.key)
        return f"{self.candidate.name} answers (simulated)"

    async def close(self) -> None: ...

    def _ask(self, call: Call) -> Ask:
        system = instructions_of(call)
        earlier = tuple(text for turn in call.history for text in (turn.user, turn.assistant))
        return Ask(
            model=self.candidate.model,
            user=call.prompt,
            system=system,
            earlier=earlier,
            schema=call.schema,
            max_tokens=min(call.output_cap, self.candidate.output_cap),
            grounding="grounding" in call.tools and "grounding" in self.candidate.capabilities,
            input_tokens=input_tokens([text for text in (system, *earlier, call.prompt) if text]),
        )

    async def _open(self, ask: Ask) -> Turn:
        """The admitted request. Raises CallFailed, as long after the request as the provider takes to refuse it."""
        clock = self.host.clock
        try:
            turn = self.host.open(self.key, ask)
        except Trouble as trouble:
            told = self.host.told(trouble)
            await clock.sleep(trouble.latency)
            raise failures.refused(told.status, told.headers, told.body, self.candidate, clock.now()) from None
        await clock.sleep(turn.queued + turn.model.latency)
        return turn

    async def _listen(self, turn: Turn, progress: Callable[[int], None] | None) -> tuple[str, str]:
        """The text as it arrives, and how it ended. Raises CallFailed where the connection does not last."""
        sleep, first = self.host.clock.sleep, turn.model.first_token
        try:
            await self._break(turn, ("reset", "silence"))
            await sleep(first)
            if progress is not None:
                progress(1)
            written = turn.fault.at if turn.fault is not None and turn.fault.kind in WIRE_FAULTS else 1.0
            await sleep((turn.writing - first) * written)
            await self._break(turn, ("cut", "stall", "malformed"))
        finally:
            self.host.stage.settle(turn)
        if progress is not None:
            progress(len(turn.said.text))
        return turn.said.text, turn.said.finish

    async def _break(self, turn: Turn, kinds: tuple[str, ...]) -> None:
        """Raise CallFailed if the turn's fault is one of these."""
        fault = turn.fault
        if fault is None or fault.kind not in kinds:
            return
        if fault.kind in ("silence", "stall"):
            await (asyncio.Event().wait() if fault.seconds is None else self.host.clock.sleep(fault.seconds))
        if fault.kind == "malformed":
            raise failures.malformed(self.candidate, "the reply could not be read")
        if fault.kind == "cut":
            raise failures.cut_off(self.candidate)
        raise CallFailed(Failure.TRANSPORT, f"{self.candidate.name}: the connection broke.")

    def _read(self, turn: Turn, text: str, finish: str, usage: Usage) -> Answer:
        """What an adapter makes of an answer with status 200."""
        if finish == "content_filter":
            raise failures.content_filtered(self.candidate)
        if not text and finish == "stop":
            raise failures.malformed(self.candidate, "the answer is empty")
        clock = self.host.clock
        said = readings(self.candidate.kind, self.host.headers(turn), None, clock.now(), 200)
        return Answer(text.strip(), usage, finish, self.candidate.model, sources=turn.said.sources, readings=said)
