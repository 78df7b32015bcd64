"""From a synchronous command into the event loop, and back out in order whatever stops it."""

from __future__ import annotations

import asyncio
import logging
import math
import signal
import sys
import threading
from collections.abc import AsyncGenerator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from understudy.cli.ending import Terminated
from understudy.telemetry.log import chain, configure, frames, log

if TYPE_CHECKING:
    from understudy.director.director import Director

T = TypeVar("T")
SLOWEST = 5.0  # seconds for opening a store that nobody holds


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """The result. SIGTERM and SIGHUP cancel the work, let it close what it opened, and raise Terminated."""
    quiet_libraries()
    got: list[int] = []

    async def guarded() -> T:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_note_context)
        task = asyncio.current_task()

        def stop(number: int) -> None:
            got.append(number)
            if task is not None:
                task.cancel()

        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGHUP):
                loop.add_signal_handler(number, stop, number)
        return await work

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        if got:
            raise Terminated(got[0]) from None
        raise


@asynccontextmanager
async def open_director(
    config: str | None, *, rehearsal: bool = False, deadline: float | None = None
) -> AsyncGenerator[Director]:
    """A director for one command, with the log of its home.

    A locked store is waited for no longer than `deadline`; as long as a slow disk may take to open it, at the least.
    """
    from understudy.config.places import home
    from understudy.director.director import Director
    from understudy.store.patience import at_most

    director = Director.from_config(config, rehearsal=rehearsal)
    configure(home(), director.settings.log_level)
    async with AsyncExitStack() as stack:
        with at_most(math.inf if deadline is None else max(deadline, SLOWEST)):
            await stack.enter_async_context(director)
        yield director


def quiet_libraries() -> None:
    """What libraries would print goes to the log as class and place; their messages may hold texts."""
    logging.lastResort = None

    def note_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            _note(args.exc_value, "thread")

    threading.excepthook = note_thread
    sys.unraisablehook = lambda args: _note(args.exc_value, "unraisable") if args.exc_value else None


def _note_context(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    if isinstance(error, BaseException):
        _note(error, "loop")


def _note(error: BaseException, where: str) -> None:
    log().warning("stray error", origin=where, classes=chain(error), where=frames(error.__traceback__))
