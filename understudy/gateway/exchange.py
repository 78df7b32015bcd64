"""One request for an answer: read, authorised, run, and answered whole or as a stream, in the client's own dialect.

The head of a stream is not sent before there is something to say: until then an error still has its status. After
QUIET seconds it is, and from then on the client hears at least that we are alive.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from starlette.requests import ClientDisconnect, Request

from understudy.gateway.asking import Marks, marks_of
from understudy.gateway.audit import Use
from understudy.gateway.dialects.given import Given, encode, headers_of
from understudy.gateway.dialects.refusals import Refusal
from understudy.gateway.dialects.words import Wanted
from understudy.gateway.fields import Table, parse
from understudy.gateway.limits import Slow, TooLarge
from understudy.gateway.service import Service
from understudy.types import Caller, Piece

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

QUIET = 10.0  # seconds without a word; clients that wait for 15 or 30 stay
JSON = [(b"content-type", b"application/json")]


class Frames(Protocol):
    """A stream as one dialect writes it."""

    def alive(self) -> Iterator[bytes]: ...
    def piece(self, piece: Piece) -> Iterator[bytes]: ...
    def end(self, given: Given, *, live: bool, usage_too: bool) -> Iterator[bytes]: ...
    def fail(self, refusal: Refusal) -> Iterator[bytes]: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """One wire. scope: what a key must allow."""

    path: str
    read: Callable[[Table, Marks], Wanted]
    write: Callable[[Given], Table]
    frames: Callable[[str, int, str], Frames]  # of an id, the time, the model
    failure: Callable[[Refusal], Table]
    scope: str = "chat"


@dataclass(slots=True)
class Exchange:
    """An ASGI endpoint."""

    dialect: Dialect
    service: Callable[[], Service]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        one = _One(self.dialect, self.service(), Request(scope, receive), send)
        await one.answer()


@dataclass(slots=True)
class _One:
    dialect: Dialect
    service: Service
    request: Request
    send: Send
    began: float = field(default_factory=time.monotonic)
    caller: Caller | None = None
    status: int = 0

    async def answer(self) -> None:
        given: Given | None = None
        try:
            given = await self._answer()
        except (ClientDisconnect, _Told):
            self.status = self.status or 499  # nobody is there to be told, or it was told already
        except Slow:
            await self._refuse(Refusal(408, "invalid_request_error", "timeout", "The request did not arrive in time."))
        except TooLarge:
            await self._refuse(Refusal(413, "request_too_large", "too_large", "The request is too large."))
        except Exception as error:  # noqa: BLE001  whatever it is, the client gets its own shape of an error
            await self._refuse(self.service.refusal(error))
        finally:
            self._note(given)

    async def _answer(self) -> Given | None:
        headers = self.request.headers
        client = self.request.client.host if self.request.client else ""
        self.caller = await self.service.who(headers, client, self.dialect.scope)
        body = parse(await self.request.body())
        marks = marks_of(headers, body)
        wanted = self.dialect.read(body, marks)
        if wanted.stream:
            return await self._stream(self.caller, wanted, marks)
        running = self.service.start(self.service.reply(self.caller, wanted, marks))
        given = await _while_there(running, self.request)
        await self._tell(200, self.dialect.write(given), given.headers)
        return given

    async def _stream(self, caller: Caller, wanted: Wanted, marks: Marks) -> Given:
        said: asyncio.Queue[Piece | None] = asyncio.Queue()
        running = self.service.start(self.service.reply(caller, wanted, marks, said.put_nowait))
        leaving = asyncio.ensure_future(self.request.receive())
        for ended in (running, leaving):
            ended.add_done_callback(lambda _: said.put_nowait(None))
        frames = self.dialect.frames(secrets.token_hex(12), int(time.time()), wanted.model)
        live = False
        try:
            while True:
                try:
                    async with asyncio.timeout(QUIET):
                        piece = await said.get()
                except TimeoutError:
                    await self._write(frames.alive())
                    continue
                if piece is None:
                    break
                live = True
                await self._write(frames.piece(piece), headers_of(piece.began))
            if not running.done():
                raise ClientDisconnect
            try:
                given = running.result()
            except Exception as error:
                if not self.status:
                    raise  # its status can still be told
                await self._write(frames.fail(self.service.refusal(error)))
                await self._end()
                raise _Told from error
            await self._write(frames.end(given, live=live, usage_too=wanted.usage), given.headers)
            await self._end()
            return given
        finally:
            leaving.cancel()
            if not running.done():
                running.cancel()
                await asyncio.wait([running])

    async def _write(self, frames: Iterator[bytes], headers: dict[str, str] | None = None) -> None:
        data = b"".join(frames)
        if not self.status:
            self.status = 200
            told = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
            await self.send(
                {"type": "http.response.start", "status": 200, "headers": [*told, *_encoded(headers or {})]}
            )
        await self.send({"type": "http.response.body", "body": data, "more_body": True})

    async def _end(self) -> None:
        await self.send({"type": "http.response.body", "body": b""})

    async def _refuse(self, refusal: Refusal) -> None:
        if not self.status:
            await self._tell(refusal.status, self.dialect.failure(refusal), refusal.headers)

    async def _tell(self, status: int, body: Table, headers: dict[str, str]) -> None:
        self.status = status
        raw = encode(body)
        told = [*JSON, (b"content-length", str(len(raw)).encode()), *_encoded(headers)]
        await self.send({"type": "http.response.start", "status": status, "headers": told})
        await self.send({"type": "http.response.body", "body": raw})

    def _note(self, given: Given | None) -> None:
        self.service.note(
            Use(
                key=self.caller.name if self.caller else "",
                id=self.caller.id if self.caller else "",
                what=self.dialect.path,
                status=self.status,
                reply=given.reply.id if given else None,
                candidate=given.candidate if given else None,
                tokens=given.reply.total_tokens if given else 0,
                seconds=time.monotonic() - self.began,
            )
        )


class _Told(Exception):
    """The client knows already."""


def _encoded(headers: dict[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("ascii", "replace")) for name, value in headers.items()]


async def _while_there(running: asyncio.Task[Given], request: Request) -> Given:
    """The reply; who leaves is not worked for any longer (what is in flight is charged)."""
    leaving = asyncio.ensure_future(request.receive())
    try:
        await asyncio.wait({running, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            raise ClientDisconnect
        return running.result()
    finally:
        leaving.cancel()
        if not running.done():
            running.cancel()
            await asyncio.wait([running])
