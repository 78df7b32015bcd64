"""Where other models hand their work in: one director for as long as it stands, whatever the protocol around it.

Nothing here raises at who asks: what goes wrong is a Refusal. A task whose caller goes away is cancelled, which its
director charges and records; leaving the desk waits for that.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from understudy.errors import Forbidden, NoCandidate, UsageError
from understudy.gateway.delegation import Done, Refusal, Terms, read_task, refusal, told
from understudy.store.patience import at_most
from understudy.types import Balance, Caller, Event, Finished, Priority, Reply, Task

if TYPE_CHECKING:
    from understudy.director.director import Director

T = TypeVar("T")
Report = Callable[[Event], Awaitable[None]]
Counted = Callable[[int, int], Awaitable[None]]  # how many are done, of how many

MOST_TASKS = 50  # of one delegate_many
CLOSING = 15.0  # seconds for cancelled tasks to leave their records
SOONEST = 0.5  # seconds without which a task is not begun


class Desk:
    """Both functions are called in a thread.

    `make` gives the director, not open yet; it is called again when opening it failed, for it may be mended. `warm` is
    given it once it is open, to load what its first task would wait for.
    """

    def __init__(
        self,
        make: Callable[[], Director],
        terms: Terms,
        *,
        at_once: int = 8,
        warm: Callable[[Director], None] | None = None,
    ) -> None:
        self.terms = terms
        self.director: Director | None = None  # once it is open
        self._make = make
        self._warm = warm
        self._places = asyncio.Semaphore(at_once)
        self._opening: asyncio.Task[Director] | None = None
        self._running: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Desk:
        self._begin_opening()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        opening, self._opening = self._opening, None
        if opening is not None and not opening.done():
            opening.cancel()
        ends = {*self._running, *([opening] if opening is not None else [])}
        for task in self._running:
            task.cancel()
        if ends:
            await asyncio.wait(ends, timeout=CLOSING)
        director, self.director = self.director, None
        if director is not None:
            await director.__aexit__(kind, error, trace)

    async def opened(self) -> Director:
        """The director. Raises what opening it raised."""
        opening = self._opening
        if opening is None or (opening.done() and self.director is None):
            opening = self._begin_opening()
        return await asyncio.shield(opening)

    def _begin_opening(self) -> asyncio.Task[Director]:
        self._opening = opening = asyncio.create_task(self._open())
        opening.add_done_callback(_look_at)
        return opening

    async def _open(self) -> Director:
        director = await asyncio.to_thread(self._make)  # its imports take a second, in which a handshake is answered
        with at_most(self.terms.deadline or math.inf):
            self.director = await director.__aenter__()
        if self._warm is not None:
            warming = asyncio.create_task(asyncio.to_thread(self._warm, director))
            self._running.add(warming)
            warming.add_done_callback(self._running.discard)
            warming.add_done_callback(_look_at)
        return director

    async def delegate(
        self,
        arguments: Mapping[str, Any],
        caller: Caller | None = None,
        report: Report | None = None,
    ) -> Done | Refusal:
        """One task. report is awaited with each of its events."""
        return await self._delegate(arguments, replace(self.terms, caller=caller), self._latest(), report)

    async def delegate_many(
        self, tasks: object, caller: Caller | None = None, report: Counted | None = None
    ) -> tuple[Done | Refusal, ...] | Refusal:
        """Each with its own end, in their order. The whole of them has the time that one has."""
        entries = cast("Sequence[object]", tasks)
        if not isinstance(tasks, list | tuple) or not entries:
            return self._refusal(
                UsageError("delegate_many needs tasks: a list.", remedy='Give [{"task": "..."}, {"task": "..."}].')
            )
        if len(entries) > MOST_TASKS:
            return self._refusal(
                UsageError(f"There are more than {MOST_TASKS} tasks.", remedy="Hand them in as several calls.")
            )
        terms, latest = replace(self.terms, caller=caller, priority=Priority.BATCH), self._latest()
        done = 0

        async def one(arguments: object) -> Done | Refusal:
            nonlocal done
            ended = await self._in_its_place(arguments, terms, latest)
            done += 1
            if report is not None:
                await report(done, len(entries))
            return ended

        return tuple(await asyncio.gather(*map(one, entries)))

    async def _in_its_place(self, arguments: object, terms: Terms, latest: float) -> Done | Refusal:
        if not isinstance(arguments, dict):
            return self._refusal(UsageError("A task is no object.", remedy='Give each as {"task": "..."}.'))
        try:
            async with asyncio.timeout_at(latest):
                await self._places.acquire()
        except TimeoutError:
            return self._refusal(_too_late())
        try:
            return await self._delegate(cast("dict[str, Any]", arguments), terms, latest, None)
        finally:
            self._places.release()

    async def _delegate(
        self, arguments: Mapping[str, Any], terms: Terms, latest: float, report: Report | None
    ) -> Done | Refusal:
        try:
            task = await read_task(arguments, terms)
            director = await self.opened()
            left = latest - asyncio.get_running_loop().time()
            if left < SOONEST:
                raise _too_late()
            deadline = left if task.deadline is None else min(task.deadline, left)
            if math.isfinite(deadline):
                task = replace(task, deadline=deadline)
            return told(await self._kept(_follow(director, task, report)))
        except Exception as error:  # noqa: BLE001  who asks is a model: it gets words, whatever it was
            return self._refusal(error)

    async def _kept(self, work: Coroutine[Any, Any, T]) -> T:
        """Its result. Cancelled from outside, the work is cancelled once and goes on to its own end."""
        running = asyncio.create_task(work)
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        running.add_done_callback(_look_at)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            running.cancel()
            raise

    async def fleet(self, caller: Caller | None = None) -> list[dict[str, Any]] | Refusal:
        """Who can work now. A caller needs the scope fleet."""
        try:
            if caller is not None and "fleet" not in caller.scopes:
                raise Forbidden(
                    f"The key {caller.name} does not allow fleet.",
                    remedy="Make one that does: understudy key add NAME --scope chat --scope fleet.",
                )
            parts = (await self.opened()).parts
            states = await parts.book.states(parts.fleet)
        except Exception as error:  # noqa: BLE001
            return self._refusal(error)
        return [
            {
                "model": c.name,
                "where": "simulated" if c.simulated else "local" if c.local else "cloud",
                "free": c.free,
                "ready": state.wait <= 0,
                "why_not": "" if state.wait <= 0 else state.why,
                "wait_seconds": round(state.wait, 1) if math.isfinite(state.wait) else None,
                "quota_left": round(state.left, 3),
                "waiting_tasks": state.queue.waiting,
                "context_tokens": c.context,
            }
            for c in parts.fleet
            for state in (states[c.domain],)
        ]

    async def budget(self, caller: Caller | None = None) -> dict[str, Any] | Refusal:
        """What is spent, reserved and left today; of a caller, its own."""
        from understudy.director import budget as scopes

        try:
            director = await self.opened()
            ledger, now = director.parts.store.ledger, director.parts.clock.now()
            wanted = {
                "director_today": scopes.day_scope(now),
                "classifier_today": scopes.classifier_scope(now),
                "money_today": scopes.money_scope(now),
            }
            if caller is not None:
                wanted = {"key_today": scopes.caller_scope(caller.name, now)}
            return {
                name: _balance_to_dict(await scopes.balance(ledger, director.settings, scope, caller))
                for name, scope in wanted.items()
            }
        except Exception as error:  # noqa: BLE001
            return self._refusal(error)

    async def explain(self, reply_id: object, caller: Caller | None = None) -> dict[str, Any] | Refusal:
        """The provenance of a reply, without the facts of the policy. A caller sees only its own."""
        try:
            if not isinstance(reply_id, str) or not reply_id.strip():
                raise UsageError("explain needs an id.", remedy="Give the reply_id of an answer or a refusal.")
            record = await self._record(reply_id, caller)
        except Exception as error:  # noqa: BLE001
            return self._refusal(error)
        return {name: value for name, value in record.items() if name not in ("facts", "session", "caller")}

    async def _record(self, reply_id: str, caller: Caller | None) -> dict[str, Any]:
        director = await self.opened()
        if caller is None:
            return await director.explain(reply_id)
        with suppress(UsageError):  # it may name the replies of others
            record = await director.explain(reply_id)
            if (record.get("id"), record.get("caller")) == (reply_id, caller.name):
                return record
        raise UsageError(f"There is no reply {reply_id[:80]!r}.", remedy="Give the whole reply_id of one of yours.")

    def _latest(self) -> float:
        """A time of the event loop."""
        return asyncio.get_running_loop().time() + (self.terms.deadline or math.inf)

    def _refusal(self, error: Exception) -> Refusal:
        return refusal(error, self.director.parts.clock.now() if self.director is not None else time.time())


async def _follow(director: Director, task: Task, report: Report | None) -> Reply:
    reply: Reply | None = None
    async with aclosing(cast(Any, director.stream(task))) as events:
        async for event in events:
            if report is not None:
                await report(event)
            if isinstance(event, Finished):
                reply = event.reply
    if reply is None:
        raise RuntimeError("the stream of a task ended without its reply")
    return reply


def _too_late() -> NoCandidate:
    return NoCandidate(
        "There was no time left for this task.", remedy="Hand in fewer at once, or give understudy mcp more --deadline."
    )


def _balance_to_dict(balance: Balance) -> dict[str, Any]:
    if balance.limit_tokens is None and balance.limit_micro_usd is not None:
        spent, reserved, limit = balance.spent.micro_usd, balance.reserved.micro_usd, balance.limit_micro_usd
        amounts = {"spent": spent / 1e6, "reserved": reserved / 1e6, "limit": limit / 1e6}
        return {"unit": "usd", **amounts, "left": max(0, limit - spent - reserved) / 1e6}
    spent, reserved, most = balance.spent.tokens, balance.reserved.tokens, balance.limit_tokens
    left = None if most is None else max(0, most - spent - reserved)
    return {"unit": "tokens", "spent": spent, "reserved": reserved, "limit": most, "left": left}


def _look_at(task: asyncio.Task[Any]) -> None:
    """An error nobody waits for any more is not told by the event loop."""
    if not task.cancelled():
        task.exception()
