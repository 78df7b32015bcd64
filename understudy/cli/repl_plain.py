"""Lines from a pipe, a file or a terminal that cannot edit; answers as plain text."""

from __future__ import annotations

import asyncio
import codecs
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from understudy.cli.conversation import Cleared, Conversation
from understudy.cli.terminal import hint, is_terminal


class PlainInput:
    """A trailing backslash joins a line with the next. Nothing is kept in the history file."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[str | Cleared | None] = asyncio.Queue()
        self._talks = is_terminal(sys.stdin) and is_terminal(sys.stdout)
        self._reading = False

    async def read(self, conversation: Conversation) -> str:
        self._start()
        kept: list[str] = []
        with self._clearing():
            if self._talks:
                sys.stdout.write("understudy (private)> " if conversation.is_private else "understudy> ")
                sys.stdout.flush()
            while (line := await self._lines.get()) is not None:
                if isinstance(line, Cleared):
                    raise line
                if not line.endswith("\\"):
                    return "\n".join([*kept, line])
                kept.append(line[:-1])
        if kept:
            return "\n".join(kept)
        raise EOFError

    async def announce(self, lines: list[str]) -> None:
        for line in lines:
            hint(line)

    def remember(self, text: str) -> None: ...

    async def close(self) -> None: ...

    @contextmanager
    def _clearing(self) -> Generator[None]:
        """At a prompt somebody sees, Ctrl-C clears the line; from a pipe it ends the program."""
        if not self._talks:
            yield
            return
        loop = asyncio.get_running_loop()
        before = signal.getsignal(signal.SIGINT)

        def clear() -> None:
            sys.stdout.write("\n")
            self._lines.put_nowait(Cleared())

        loop.add_signal_handler(signal.SIGINT, clear)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            signal.signal(signal.SIGINT, before)

    def _start(self) -> None:
        """A thread of its own reads: a blocking read in the loop would be deaf to Ctrl-C."""
        if self._reading:
            return
        self._reading = True
        loop = asyncio.get_running_loop()

        def give(line: str | None) -> None:
            try:
                loop.call_soon_threadsafe(self._lines.put_nowait, line)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return

        threading.Thread(target=_pump, args=(sys.stdin.fileno(), give), daemon=True).start()


def _pump(descriptor: int, give: Callable[[str | None], None]) -> None:
    """Raw reads, since the interpreter cannot end while a thread holds the lock of sys.stdin."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    kept = ""
    while True:
        try:
            data = os.read(descriptor, 65_536)
        except OSError:
            data = b""
        kept += decoder.decode(data, final=not data)
        *lines, kept = kept.split("\n")
        for line in lines:
            give(line.removesuffix("\r"))
        if not data:
            if kept:
                give(kept)
            give(None)
            return
