"""The heavy imports, made in a thread while the reader writes the first line."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from understudy.director.director import Director
    from understudy.types import Candidate

T = TypeVar("T")
# What opening a director and printing a reply import on their way.
_OPENING = (
    "understudy.store.store",
    "understudy.agents.roster",
    "understudy.classifiers.gate",
    "understudy.classifiers.local",
    "understudy.director.validators",
    "rich.markdown",
)
# The SDK behind each kind: half a second each, which the first task would wait for.
_SDKS = {
    "groq": "pydantic_ai.models.groq",
    "gemini": "pydantic_ai.models.google",
    "anthropic": "pydantic_ai.models.anthropic",
    "openai": "pydantic_ai.models.openai",
    "openai_compatible": "pydantic_ai.models.openai",
}


async def in_background(work: Callable[[], T]) -> T:
    """Its result, from a thread that the program does not wait for when it ends."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(cast(T, result))

    def run() -> None:
        result: T | None = None
        failure: BaseException | None = None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  it is raised where the result is awaited
            failure = error
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, daemon=True).start()
    return await done


def make_director(config: str | None) -> Director:
    """A director that is not open yet, with all that opening imports. Raises ConfigError."""
    from understudy.config.places import home
    from understudy.director.director import Director
    from understudy.telemetry.log import configure

    director = Director.from_config(config)
    configure(home(), director.settings.log_level)
    for module in _OPENING:
        with suppress(ImportError):  # opening is what reports it
            import_module(module)
    return director


def load_workers(fleet: Sequence[Candidate]) -> None:
    """The SDKs of the kinds in this fleet, in its order. A missing one is the first task's to report."""
    for kind in dict.fromkeys(c.kind for c in fleet):
        if kind in _SDKS:
            with suppress(ImportError):
                import_module(_SDKS[kind])
