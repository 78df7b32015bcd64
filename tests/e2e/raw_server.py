"""A server on a bare socket that plays a fault for each request it gets, down to how a connection ends."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from tests.e2e import raw_wires as wires
from tests.e2e.raw_wires import Wire


@dataclass
class Exchange:
    """One request and what becomes of it."""

    wire: Wire
    text: str
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    streamed: bool
    at: float = field(default_factory=time.monotonic)
    hung_up: bool = False  # by the client, before we were done
    open: bool = True

    async def say(self, status: int, headers: dict[str, str], body: Any) -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = {"content-type": "application/json", "content-length": str(len(raw)), **headers}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        await self.send(f"HTTP/1.1 {status} -\r\n{head}\r\n".encode() + raw)

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    async def begin(self) -> None:
        await self.send(b"HTTP/1.1 200 -\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")

    async def pieces(self, raw: Sequence[bytes]) -> None:
        for piece in raw:
            await self.send(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")

    async def end(self) -> None:
        await self.send(b"0\r\n\r\n")

    async def silence(self, seconds: float = 20.0) -> None:
        """Nothing, for so long or until the client goes away."""
        try:
            async with asyncio.timeout(seconds):
                self.hung_up = not await self.reader.read(1)
        except TimeoutError:
            return
        except ConnectionError:
            self.hung_up = True
        self.open = False

    def reset(self) -> None:
        self.open = False
        connection = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self) -> None:
        self.open = False
        self.writer.close()


Fault = Callable[[Exchange], Awaitable[None]]


async def answers(x: Exchange) -> None:
    if x.streamed:
        await x.begin()
        await x.pieces([*wires.pieces(x.wire, x.text), *wires.ends(x.wire)])
        await x.end()
    else:
        await x.say(200, {}, wires.whole(x.wire, x.text))


class RawServer:
    """Plays faults in their order, the last one for ever."""

    def __init__(self, kind: str, text: str, *faults: Fault) -> None:
        self.wire, self.text = wires.wire(kind), text
        self.faults: Sequence[Fault] = faults or (answers,)
        self.got: list[Exchange] = []
        self._serving: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> RawServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._serving.discard(task)
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lengths = [line.split(":")[1] for line in head.lower().split("\r\n") if line.startswith("content-length:")]
        body = json.loads(await reader.readexactly(int(lengths[0])) if lengths else b"{}")
        streamed = bool(body.get("stream")) or ":streamGenerateContent" in head
        x = Exchange(self.wire, self.text, reader, writer, streamed)
        if not head.startswith("POST"):  # is there a model?
            await x.say(200, {}, {"object": "list", "data": [{"id": self.wire.model, "object": "model"}]})
            return True
        self.got.append(x)
        try:
            await self.faults[min(len(self.got), len(self.faults)) - 1](x)
        except ConnectionError:
            x.hung_up = True
            raise
        return x.open
