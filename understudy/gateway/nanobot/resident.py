"""The director that lives in a host's process: one for each event loop, opened when somebody asks for it first.

A task of its own opens it, holds it and closes it. asyncio.run cancels that task when the host's loop ends, which is
how the store and the connections are closed in order.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from contextvars import Context
from typing import TYPE_CHECKING

from understudy.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from understudy.director.director import Director

OPENING = 30.0  # seconds: a store that others hold, and the imports of a cold start

_residents: dict[asyncio.AbstractEventLoop, Resident] = {}


async def director() -> Director:
    """The director of the running loop. One that could not be opened is tried anew.

    Raises ConfigError and StoreError.
    """
    loop = asyncio.get_running_loop()
    for other in [one for one in _residents if one.is_closed()]:
        del _residents[other]
    resident = _residents.get(loop)
    if resident is None or resident.has_left:
        resident = _residents[loop] = Resident(loop)
    try:
        async with asyncio.timeout(OPENING):
            return await asyncio.shield(resident.ready)
    except TimeoutError:
        what = f"understudy has not opened within {OPENING:.0f} s."
        raise StoreError(what, remedy="understudy doctor says what it waits for.") from None


class Resident:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.ready: asyncio.Future[Director] = loop.create_future()
        self.ready.add_done_callback(_seen)  # who asked may have stopped waiting
        self._living = loop.create_task(self._live(), context=Context())  # it is nobody's request

    @property
    def has_left(self) -> bool:
        return self._living.done()

    async def _live(self) -> None:
        from understudy.store.patience import at_most

        try:
            async with AsyncExitStack() as stack:
                made = await asyncio.to_thread(_make)
                with at_most(OPENING):
                    await stack.enter_async_context(made)
                self.ready.set_result(made)
                await asyncio.Event().wait()
        except Exception as error:
            if self.ready.done():
                raise
            self.ready.set_exception(error)
        finally:
            if not self.ready.done():
                self.ready.cancel()


def _make() -> Director:
    """Not open yet. Simulated models are for a terminal: here somebody would take their word. Raises ConfigError."""
    from understudy.config.places import home
    from understudy.director.director import Director
    from understudy.director.found import NOTHING_FOUND, find_settings
    from understudy.telemetry.log import configure

    found = find_settings()
    if NOTHING_FOUND in found.notes:
        raise ConfigError(
            "understudy has nobody to hand work to: no provider is configured or found.",
            remedy="Write a configuration with understudy init, then ask understudy doctor.",
        )
    configure(home(), found.settings.log_level)
    return Director(found.settings, home(), notes=found.notes)


def _seen(ready: asyncio.Future[Director]) -> None:
    if not ready.cancelled():
        ready.exception()
