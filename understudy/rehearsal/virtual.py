"""An event loop whose time jumps to the next thing that happens: a day of waiting takes as long as its work.

Every timer of the loop obeys it (asyncio.sleep, asyncio.timeout), so real code runs unchanged, and the same seed gives
the same run. What is given to a thread is done at once, in the loop's own: a thread's answer would arrive at no
particular time.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
RESOLUTION = 1e-6  # seconds: nearer than that is the same moment
SELDOM = 16  # turns of the loop between two looks at sockets, while there is other work
START = 1_760_000_000.0  # seconds since the epoch: a Thursday morning


class TimeStandsStill(Exception):
    """So far from the epoch a float is coarser than the clock: what is due now would never be, and nothing happen."""


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, start: float = START) -> None:
        self._moment = start
        super().__init__(_Jumping(self))
        # Today's seconds since the epoch are known to a quarter of a microsecond.
        self._clock_resolution = RESOLUTION

    def time(self) -> float:
        return self._moment

    def jump(self, seconds: float) -> None:
        """Raises TimeStandsStill where nobody could jump on from."""
        self._moment = passes(self._moment + seconds)

    def run_in_executor(  # pyright: ignore[reportIncompatibleMethodOverride]  the base's own type has no name
        self, executor: Any, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  it is raised where it is awaited
            done.set_exception(error)
        return done


class LoopClock:
    """types.Clock of the running loop, virtual or not."""

    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, seconds))


def passes(moment: float) -> float:
    """The moment, after which there is another. Raises TimeStandsStill."""
    if not moment < moment + RESOLUTION:
        raise TimeStandsStill(f"no time passes at {moment:g} s")
    return moment


def run_virtually(main: Coroutine[Any, Any, T], start: float = START) -> T:
    """As asyncio.run, on a loop of its own virtual time that begins at `start`. Raises TimeStandsStill."""
    try:
        passes(start)
    except TimeStandsStill:
        main.close()
        raise
    with asyncio.Runner(loop_factory=lambda: VirtualLoop(start)) as runner:
        return runner.run(main)


class _Jumping(selectors.DefaultSelector):
    """Never waits for time, only for what really happens elsewhere."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop
        self._looks = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._looks += 1
        if timeout is not None and timeout <= 0 and self._looks % SELDOM:
            return []  # others are ready to run; asking the kernel between any two of them takes longer than they do
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if timeout is None:
            return super().select(None)
        self._loop.jump(timeout)
        return []
