"""A small HTTP server under the real SDKs: scripted replies, and everything that arrived kept for looking at."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Reply:
    """hang: seconds of silence before answering. chunks: a stream; cut breaks it off without its end mark."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] | None = None
    cut: bool = False
    hang: float = 0.0
    pause: float = 0.0  # between chunks
    drop: bool = False  # close without a word


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)


class Stub:
    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.arrived = asyncio.Event()  # a request is here
        self.hung_up = asyncio.Event()  # the client closed while it was being answered
        self.answer: Callable[[Seen], Reply] | Reply = Reply(404, {"error": {"message": "nothing here"}})
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Stub:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.close()
        await asyncio.sleep(0)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def asked(self, part: str) -> list[Seen]:
        return [s for s in self.seen if part in s.path]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode("latin-1").split("\r\n")
                method, path, _ = lines[0].split(" ", 2)
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
                raw = await reader.readexactly(int(headers.get("content-length", "0")))
                seen = Seen(method, path, headers, raw)
                self.seen.append(seen)
                self.arrived.set()
                reply = self.answer(seen) if callable(self.answer) else self.answer
                if not await self._send(reply, reader, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _send(self, reply: Reply, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        if reply.drop:
            return False
        if reply.hang and await self._client_leaves(reader, reply.hang):
            return False
        headers = dict(reply.headers)
        if reply.chunks is None:
            body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            headers.setdefault("content-type", "application/json")
            headers["content-length"] = str(len(body))
            writer.write(_head(reply.status, headers) + body)
            await writer.drain()
            return True
        headers.setdefault("content-type", "text/event-stream")
        headers["transfer-encoding"] = "chunked"
        writer.write(_head(reply.status, headers))
        for chunk in reply.chunks:
            writer.write(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n")
            await writer.drain()
            if reply.pause and await self._client_leaves(reader, reply.pause):
                return False
        if reply.cut:
            return False
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def _client_leaves(self, reader: asyncio.StreamReader, seconds: float) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                if await reader.read(1) == b"":
                    self.hung_up.set()
                    return True
        return False


def _head(status: int, headers: dict[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *(f"{k}: {v}" for k, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def sse(*events: Any, named: bool = False) -> list[bytes]:
    """Server-sent events; named: with an event line, as Anthropic does."""
    return [
        (f"event: {e['type']}\n" if named else "").encode()
        + b"data: "
        + (e if isinstance(e, bytes) else json.dumps(e).encode())
        + b"\n\n"
        for e in events
    ]
