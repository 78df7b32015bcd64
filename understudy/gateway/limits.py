"""What a client may send, how much of it, and how slowly: an ASGI application around another."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 32_000_000  # bytes: a few images
MOST_HEADERS = 100
LONGEST_HEADERS = 32_000  # bytes, names and values
MOST_AT_ONCE = 2_000  # requests of one process
BODY_SECONDS = 30.0  # for the whole body to arrive
READ_SECONDS = 60.0  # for a client to take what was sent


@dataclass(slots=True)
class Limits:
    """Refuses with JSON what is beyond them. at_once counts requests under way; nobody waits in a line unseen."""

    app: ASGIApp
    at_once: int = 0
    idle: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if len(headers) > MOST_HEADERS or sum(len(n) + len(v) for n, v in headers) > LONGEST_HEADERS:
            await _refuse(send, 431, "The request has too many headers, or too long ones.")
            return
        length = next((value for name, value in headers if name == b"content-length"), b"0")
        if length.isdigit() and int(length) > LARGEST_BODY:
            await _refuse(send, 413, f"A request is at most {LARGEST_BODY:,} bytes.")
            return
        if self.at_once >= MOST_AT_ONCE:
            await _refuse(send, 429, f"{self.at_once:,} requests are under way.", [(b"retry-after", b"1")])
            return
        self.at_once += 1
        self.idle.clear()
        try:
            await self.app(scope, _Reading(receive).receive, _Writing(send).send)
        finally:
            self.at_once -= 1
            if not self.at_once:
                self.idle.set()


class Slow(Exception):
    """The client did not send its body in time, or does not read."""

    status_code = 408


class TooLarge(Exception):
    """The body is larger than it may be."""

    status_code = 413


@dataclass(slots=True)
class _Reading:
    inner: Receive
    taken: int = 0
    ended: bool = False
    until: float = 0.0

    async def receive(self) -> Message:
        if self.ended:  # from now on only the client's leaving is waited for
            return await self.inner()
        loop = asyncio.get_running_loop()
        self.until = self.until or loop.time() + BODY_SECONDS
        try:
            async with asyncio.timeout_at(self.until):
                message = await self._next()
                while self.taken > LARGEST_BODY and not self.ended:  # who still sends does not hear a refusal
                    await self._next()
        except TimeoutError:
            raise Slow from None
        if self.taken > LARGEST_BODY:
            raise TooLarge
        return message

    async def _next(self) -> Message:
        message = await self.inner()
        self.taken += len(message.get("body", b""))
        self.ended = not message.get("more_body", False)
        return message


@dataclass(slots=True)
class _Writing:
    inner: Send

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":  # goes out with what follows
            await self.inner(message)
            return
        try:
            async with asyncio.timeout(READ_SECONDS):
                await self.inner(message)
        except TimeoutError:
            raise Slow from None


async def _refuse(send: Send, status: int, what: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    error: dict[str, Any] = {"message": what, "type": "invalid_request_error", "param": None, "code": "limit"}
    body = msgspec.json.encode({"error": error})
    told = [(b"content-type", b"application/json"), (b"connection", b"close"), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": told})
    await send({"type": "http.response.body", "body": body})
