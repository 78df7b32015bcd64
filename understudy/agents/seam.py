"""What every request on the wire has around it: a reservation that is never lost, whatever happens to the task."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from understudy.tokens import lower_bound
from understudy.types import Guard, Hold, Usage

T = TypeVar("T")
MOST_TOKENS = 100_000_000  # in or out of one request: ten times the largest context there is


async def reserve(guard: Guard, input_tokens: int, output_cap: int) -> Hold | None:
    """A cancellation while the guard is writing must not lose the reservation it is about to make."""
    asked = asyncio.ensure_future(guard.before(input_tokens, output_cap))
    try:
        return await asyncio.shield(asked)
    except asyncio.CancelledError:
        await to_the_end(_wait(asked))
        if not asked.cancelled() and asked.exception() is None:
            await to_the_end(guard.unsent(asked.result()))
        raise


async def to_the_end(work: Coroutine[Any, Any, T]) -> T:
    """Await `work` to its end whatever happens to the waiting task; a cancellation is raised afterwards."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            cancelled = error
        except BaseException:  # noqa: BLE001  the task's own error is raised by result() below
            break
    if cancelled is not None:
        task.exception() if not task.cancelled() else None
        raise cancelled
    return task.result()


def measured(input_tokens: int, output_tokens: int, cached: int, *, written: int, said: bool) -> Usage | None:
    """What a server says it counted, or None where it cannot mean it.

    That is an answer made of no tokens, or of fewer than its `written` characters take, or of more than any context
    holds. said: it has given something, be it a tool call.
    """
    if not 0 < input_tokens <= MOST_TOKENS or not 0 <= output_tokens <= MOST_TOKENS:
        return None
    if (not output_tokens and said) or lower_bound(written) > output_tokens:
        return None
    return Usage(input_tokens, output_tokens, cached_tokens=min(max(0, cached), input_tokens))


async def _wait(task: asyncio.Future[T]) -> None:
    await asyncio.wait([task])
