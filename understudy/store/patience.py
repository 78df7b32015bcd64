"""How long the task at hand has for the store: a lock that others hold must not outlast its deadline."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

GRACE = 0.5  # seconds a turn has at the least: a task that is out of time still leaves its record

_until: ContextVar[float] = ContextVar("store_until", default=math.inf)  # a time of the event loop


@contextmanager
def at_most(seconds: float) -> Generator[None]:
    """What is begun within waits for the store no longer than this, nor than the block around it allows."""
    token = _until.set(min(_until.get(), asyncio.get_running_loop().time() + seconds))
    try:
        yield
    finally:
        _until.reset(token)


def left(patience: float) -> float:
    """Seconds that a turn which begins now may wait."""
    return min(patience, max(GRACE, _until.get() - asyncio.get_running_loop().time()))
