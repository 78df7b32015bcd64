"""What somebody who looks on is answered: the dashboard's page, what it shows once or as it changes, the metrics."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from understudy.errors import RateRefused, UnderstudyError
from understudy.gateway.audit import Use
from understudy.gateway.board import Board, Place
from understudy.gateway.dialects import chat
from understudy.gateway.dialects.given import sse
from understudy.gateway.limits import Slow
from understudy.gateway.metering import LEFT, scrape
from understudy.telemetry.metrics import Metrics
from understudy.types import Caller

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from understudy.gateway.service import Service

EVERY = 0.5  # seconds between two looks
QUIET = 15.0  # seconds without news after which a comment says that we are there
CHECKED = 10.0  # seconds after which the key is looked at again: a revoked one sees no more than that
AGAIN = 2.0  # seconds until a store that could not be read is tried again
MOST = 64  # who look on in one process
MOST_OF_ONE = 8  # of these, with one key
STREAM = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
_INLINE = re.compile(rb"<(script|style)>(.*?)</\1>", re.DOTALL)
_HEADERS = {
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass
class Looking:
    """One per process. service: the one of now; ending: whether the process is about to end."""

    service: Callable[[], Service]
    metrics: Metrics
    place: Place = field(default_factory=Place)
    ending: Callable[[], bool] = lambda: False
    _board: Board | None = None
    _lookers: Counter[str] = field(default_factory=Counter[str])

    @property
    def endpoints(self) -> Mapping[str, Callable[[Scope, Receive, Send], Awaitable[None]]]:
        return {"/": self.page, "/v1/board": self.board, "/v1/board/events": self.events, "/metrics": self.measured}

    async def page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Holds no data, so anybody may have it; it says whether a key is asked for."""
        html, policy = self._page
        if self.service().is_open:
            html = html.replace(b"<html ", b"<html data-open ", 1)
        headers = {**_HEADERS, "content-security-policy": policy}
        await Response(html, media_type="text/html", headers=headers)(scope, receive, send)

    async def board(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def told(service: Service, caller: Caller) -> tuple[bytes, str]:
            return _with_time(service, await self._encoded(service, caller)), "application/json"

        await self._answer("fleet", told, scope, receive, send)

    async def measured(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def told(service: Service, caller: Caller) -> tuple[bytes, str]:
            return await scrape(service, caller, self.metrics)

        await self._answer("metrics", told, scope, receive, send)

    async def events(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A snapshot, then another whenever it is another one."""
        request, service = Request(scope, receive), self.service()
        caller: Caller | None = None
        began, status = time.monotonic(), LEFT
        try:
            caller = await self._who(service, request, "fleet")
            if self._lookers[caller.name] >= MOST_OF_ONE or self._lookers.total() >= MOST:
                remedy = "Close a dashboard, or ask /v1/board now and then."
                raise RateRefused("As many look on as may.", remedy=remedy, retry_after=5.0)
            self._lookers[caller.name] += 1
            try:
                first = await self._encoded(service, caller)
                await send({"type": "http.response.start", "status": 200, "headers": STREAM})
                status = 200
                with contextlib.suppress(Slow, OSError):
                    await self._tell(request, caller, first, receive, send)
            finally:
                self._lookers[caller.name] -= 1
        except Exception as error:
            if status != LEFT:
                raise
            status = await self._refuse(service, error, scope, receive, send)
        finally:
            _note(service, caller, request, status, began)

    async def _tell(self, request: Request, caller: Caller, body: bytes, receive: Receive, send: Send) -> None:
        async def say(data: bytes, *, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": more})

        gone = asyncio.ensure_future(_gone(receive))
        loop = asyncio.get_running_loop()
        try:
            await say(sse(_with_time(self.service(), body)))
            said = checked = loop.time()
            while not self.ending():
                await asyncio.wait({gone}, timeout=EVERY)
                if gone.done():
                    return
                service, now = self.service(), loop.time()
                if now - checked >= CHECKED:
                    caller, checked = await self._still(service, request, caller), now
                try:
                    fresh = await self._encoded(service, caller)
                except UnderstudyError as error:
                    await say(sse({"message": service.refusal(error).message}, "trouble"))
                    await asyncio.wait({gone}, timeout=AGAIN)
                    continue
                if fresh != body:
                    body, said = fresh, now
                    await say(sse(_with_time(service, body)))
                elif now - said >= QUIET:
                    said = now
                    await say(b": still here\n\n")
            await say(sse({"message": "The server is ending.", "again": True}, "end"), more=False)
        except UnderstudyError as error:  # the key is none any more
            await say(sse({"message": self.service().refusal(error).message, "again": False}, "end"), more=False)
        finally:
            gone.cancel()

    async def _still(self, service: Service, request: Request, caller: Caller) -> Caller:
        """The caller, as its key is now. Raises Unauthorized, Forbidden."""
        try:
            return await self._who(service, request, "fleet")
        except RateRefused:  # to look on is one request
            return caller

    async def _who(self, service: Service, request: Request, scope: str) -> Caller:
        client = request.client.host if request.client else ""
        return await service.who(request.headers, client, scope)

    async def _encoded(self, service: Service, caller: Caller) -> bytes:
        if self._board is None or self._board.service is not service:
            self._board = Board(service, self.place)
        return msgspec.json.encode(await self._board.snapshot(caller))

    async def _answer(
        self,
        scope_of_key: str,
        told: Callable[[Service, Caller], Awaitable[tuple[bytes, str]]],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        request, service = Request(scope, receive), self.service()
        caller: Caller | None = None
        began, status = time.monotonic(), LEFT
        try:
            caller = await self._who(service, request, scope_of_key)
            body, kind = await told(service, caller)
            status = 200
            answer = Response(body, headers={"content-type": kind, "cache-control": "no-store"})
            await answer(scope, receive, send)
        except Exception as error:
            if status != LEFT:
                raise
            status = await self._refuse(service, error, scope, receive, send)
        finally:
            _note(service, caller, request, status, began)

    async def _refuse(self, service: Service, error: Exception, scope: Scope, receive: Receive, send: Send) -> int:
        refusal = service.refusal(error)
        body = msgspec.json.encode(chat.failure(refusal))
        headers = {"content-type": "application/json", "cache-control": "no-store", **refusal.headers}
        await Response(body, refusal.status, headers=headers)(scope, receive, send)
        return refusal.status

    @cached_property
    def _page(self) -> tuple[bytes, str]:
        """The page, and what it may do: its own script and style, and talk to where it came from."""
        html = files("understudy.gateway").joinpath("page.html").read_bytes()
        hashes = {"script": "", "style": ""}
        for kind, text in _INLINE.findall(html):
            digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
            hashes[kind.decode()] += f" 'sha256-{digest}'"
        policy = (
            f"default-src 'none'; script-src{hashes['script']}; style-src{hashes['style']}; connect-src 'self';"
            " img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return html, policy


def _with_time(service: Service, body: bytes) -> bytes:
    """What changes all the time is no news by itself."""
    return b'{"now":%.2f,' % service.director.parts.clock.now() + body[1:]


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _note(service: Service, caller: Caller | None, request: Request, status: int, began: float) -> None:
    name, key = (caller.name, caller.id) if caller is not None else ("", "")
    service.note(Use(key=name, id=key, what=request.url.path, status=status, seconds=time.monotonic() - began))
