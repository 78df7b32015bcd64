"""MCP over the standard streams, which are the protocol's alone for as long as it is served.

The reading and writing is done in threads that the program does not wait for: a signal ends it at once, whether or
not its client ever writes another line or takes one.
"""

from __future__ import annotations

import asyncio
import os
import queue
import threading
from collections.abc import AsyncIterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

from understudy.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Generator

    from mcp.server.lowlevel.server import Server

PIECE = 65_536  # bytes
LONGEST = 32_000_000  # bytes of a line: several times the largest task; a longer one is not kept in memory


async def serve_stdio(server: Server[Any]) -> None:
    """Until the client closes our standard input, or this is cancelled."""
    from mcp.server.stdio import stdio_server

    with _claimed() as (wire_in, wire_out):
        lines, written = cast(Any, _Lines(wire_in)), cast(Any, _Writer(wire_out))
        async with stdio_server(lines, written) as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())


@contextmanager
def _claimed() -> Generator[tuple[int, int]]:
    """The wire on descriptors of our own; whatever else reads finds nothing, and whatever prints goes to stderr."""
    try:
        wire_in, wire_out = os.dup(0), os.dup(1)  # not inherited by the programs we start
    except OSError:
        raise UsageError(
            "There is no standard input or output to speak MCP over.", remedy="Let a client start this, or use --http."
        ) from None
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    try:
        yield wire_in, wire_out
    finally:
        with suppress(OSError):
            os.dup2(wire_in, 0)
            os.dup2(wire_out, 1)
        # wire_in and wire_out stay open: a thread may still wait on them.


class _Lines:
    """What stdio_server iterates over: lines of UTF-8."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._lines: asyncio.Queue[str | None] = asyncio.Queue()
        self._room = threading.Semaphore(64)  # lines that wait to be handled

    async def __aiter__(self) -> AsyncIterator[str]:
        threading.Thread(target=self._read, name="understudy-mcp-in", daemon=True).start()
        while (line := await self._lines.get()) is not None:
            self._room.release()
            yield line

    def _read(self) -> None:
        rest, piece = bytearray(), b""
        with suppress(OSError, RuntimeError):  # the loop is closed: nobody waits any more
            while piece := os.read(self._descriptor, PIECE):
                *whole, last = piece.split(b"\n")
                for part in whole:
                    rest += part
                    self._put(bytes(rest))
                    rest.clear()
                if len(rest) <= LONGEST:
                    rest += last
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._lines.put_nowait, None)

    def _put(self, line: bytes) -> None:
        self._room.acquire()
        self._loop.call_soon_threadsafe(self._lines.put_nowait, line.decode("utf-8", "replace"))


class _Writer:
    """What stdio_server writes into. A client that is gone is found out by its end of our input."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._texts: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]]] = queue.SimpleQueue()
        threading.Thread(target=self._write, name="understudy-mcp-out", daemon=True).start()

    async def write(self, text: str) -> None:
        written: asyncio.Future[None] = self._loop.create_future()
        self._texts.put((text.encode("utf-8", "replace"), written))
        await written

    async def flush(self) -> None: ...

    def _write(self) -> None:
        with suppress(RuntimeError):  # the loop is closed
            while True:
                data, written = self._texts.get()
                with suppress(OSError):
                    while data:
                        data = data[os.write(self._descriptor, data) :]
                self._loop.call_soon_threadsafe(_settle, written)


def _settle(written: asyncio.Future[None]) -> None:
    if not written.done():
        written.set_result(None)
