"""One line that is drawn again and again: what stage a task has reached, who works, and for how long."""

from __future__ import annotations

import asyncio
import sys
import time
from types import TracebackType
from typing import IO

from understudy.cli.terminal import ERASE, dim, is_lively, one_line, width
from understudy.types import Event, Progress, Stage

EVERY = 0.1  # seconds between two drawings
_WORDS = {
    "gate": "looking whether this is private",
    "classify": "finding out what it is",
    "decide": "choosing who does it",
    "plan": "the director plans",
    "dispatch": "working",
    "validate": "checking the answer",
    "judge": "judging the answer",
    "step": "step",
}


def words_of(event: Event) -> str:
    """An event in plain words, or the empty string for those that are not shown."""
    if isinstance(event, Stage):
        return one_line(f"{_WORDS.get(event.name, event.name)} {event.detail}")
    if isinstance(event, Progress):
        return one_line(f"{event.candidate} writes: {event.chars:,} characters")
    return ""


class LiveLine:
    """`async with LiveLine(sys.stderr) as line: line.show(event)`. Draws nothing where it cannot be drawn again."""

    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stderr
        self._lively = is_lively(self._stream)
        self._started = time.monotonic()
        self._words = "starting"
        self._ticking: asyncio.Task[None] | None = None
        self._frames = (
            "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏" if (getattr(self._stream, "encoding", None) or "").lower().startswith("utf") else "|/-\\"
        )
        self._drawn = 0

    def show(self, event: Event) -> None:
        self._words = words_of(event) or self._words

    async def __aenter__(self) -> LiveLine:
        if self._lively:
            self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ticking is not None:
            self._ticking.cancel()
            await asyncio.gather(self._ticking, return_exceptions=True)
            self._write(ERASE)

    async def _tick(self) -> None:
        while True:
            self._draw()
            await asyncio.sleep(EVERY)

    def _draw(self) -> None:
        self._drawn += 1
        mark = self._frames[self._drawn % len(self._frames)]
        line = f"{mark} {time.monotonic() - self._started:4.1f} s  {self._words}"
        self._write(ERASE + dim(line[: max(10, width() - 1)], self._stream))

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
