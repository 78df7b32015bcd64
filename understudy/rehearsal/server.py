"""A simulated provider on the loopback address: an ASGI application on uvicorn, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import threading
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, cast

import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from understudy.rehearsal.clock import WallClock
from understudy.rehearsal.engine import Ask
from understudy.rehearsal.script import DEFAULT_KEY, WIRE_FAULTS, Fault, Plays, Script
from understudy.rehearsal.stage import Stage, Trouble, Turn
from understudy.rehearsal.wire import Wire
from understudy.rehearsal.wire_anthropic import AnthropicWire
from understudy.rehearsal.wire_gemini import GeminiWire
from understudy.rehearsal.wire_openai import OpenAIWire
from understudy.types import Clock

_KEY_HEADERS = frozenset({"authorization", "x-api-key", "x-goog-api-key", "api-key", "cookie", "proxy-authorization"})
_BASE = {"groq": "/openai/v1", "openai": "/v1", "local": "/v1"}  # what the SDK's base_url ends with
LARGEST = 20_000_000  # bytes of one request body


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came in: everything but the key."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = field(repr=False)
    at: float


class Server:
    """`with Server("groq", script) as server:` runs until the block ends. It may be started again, on another port, and
    remembers what was used of its limits.

    requests holds the last `kept` requests (None: all), oldest first. base_url is what the provider's SDK takes; key
    one that is accepted. Raises OSError when no port can be had.
    """

    def __init__(
        self, plays: Plays, script: Script | None = None, *, clock: Clock | None = None, kept: int | None = 10_000
    ) -> None:
        from understudy.rehearsal.fleet import default_script

        self.plays: Plays = plays
        self.script = script if script is not None else default_script(plays)
        self.stage = Stage(self.script, clock or WallClock())
        self.requests: deque[Received] = deque(maxlen=kept)
        self.url = ""
        self._wire = wire_of(plays, self.script)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._uvicorn: _Uvicorn | None = None
        self._connections: dict[Any, _Connection] = {}

    @property
    def base_url(self) -> str:
        return self.url + _BASE.get(self.plays, "")

    @property
    def key(self) -> str:
        """One accepted key; any text where none is asked for."""
        keys = [k for some in (self.script.accounts or {}).values() for k in some]
        return keys[0] if keys else DEFAULT_KEY

    def start(self) -> Server:
        """Listen, and return when requests are answered."""
        # Without the protocol's number asyncio leaves Nagle's algorithm on, and each answer takes 40 ms.
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        ready = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(listening, ready), name=f"rehearsal-{self.plays}", daemon=True
        )
        self._thread.start()
        if not ready.wait(10):
            raise OSError("the rehearsal server did not start within 10 seconds")
        return self

    def stop(self) -> None:
        """Close everything, whatever still hangs. Safe to call twice."""
        thread, loop, server = self._thread, self._loop, self._uvicorn
        self._thread = None
        if thread and loop and server and thread.is_alive():
            with contextlib.suppress(RuntimeError):  # the loop ended meanwhile
                loop.call_soon_threadsafe(server.leave)
            thread.join(5)

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def saw(self, text: str | bytes) -> bool:
        """Whether these bytes arrived here in any request, path or header."""
        wanted = text.encode() if isinstance(text, str) else text
        shown = (f"{r.path}?{r.query} {r.headers}".encode() + r.body for r in tuple(self.requests))
        forms = {wanted}
        if isinstance(text, str):
            forms |= {json.dumps(text, ensure_ascii=a)[1:-1].encode() for a in (True, False)}
        return any(form in s for s in shown for form in forms)

    def _run(self, listening: socket.socket, ready: threading.Event) -> None:
        config = uvicorn.Config(
            self, http=_protocol(self._connections), loop="none", ws="none", lifespan="off", log_config=None,
            access_log=False, server_header=False, date_header=False, proxy_headers=False,
        )  # fmt: skip
        self._uvicorn = _Uvicorn(config, ready, self._connections)
        with contextlib.closing(listening), asyncio.Runner() as runner:
            self._loop = runner.get_loop()
            runner.run(self._uvicorn.serve(sockets=[listening]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
            if response is not None:
                await response(scope, receive, send)
                return
        except (ClientDisconnect, _Gone):
            pass
        await self._reset(request)

    async def _answer(self, request: Request) -> Response | None:
        """The response, or None to reset the connection."""
        body = b""
        try:
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST:
                    raise Trouble("bad_request", status=413, detail="Request Entity Too Large")
            self._record(request, body)
            account = self.stage.account(self._wire.key(request.headers, dict(request.query_params)))
            found = self._look_up(request, body)
            if not isinstance(found, Ask):
                return JSONResponse(found)
            turn = self.stage.open(account, found)
        except Trouble as trouble:
            await self._pause(request, trouble.latency)
            told = self._wire.trouble(trouble, self.stage.clock.now())
            return JSONResponse(told.body, told.status, headers=told.headers)
        return await self._perform(request, turn)

    def _look_up(self, request: Request, body: bytes) -> Ask | dict[str, Any]:
        """What is asked of a model, or the answer to everything else. Raises Trouble."""
        path = request.url.path
        operation = self._wire.operation(request.method, path)
        found: dict[str, Any] | None = {}
        if operation in ("chat", "count"):
            ask = self._wire.ask(path, dict(request.query_params), _parsed(body))
            return ask if operation == "chat" else self._wire.count(ask)
        if operation == "health":
            found = {"status": "ok"}
        elif operation == "models":
            found = self._wire.models(self.script)
        elif operation == "model":
            found = self._wire.model(self.script, path)
        else:
            raise Trouble("bad_request", status=404, detail=f"Unknown request URL: {request.method} {path}")
        if found is None:
            raise Trouble("not_found", model=path.rpartition("/")[2])
        return found

    def _record(self, request: Request, body: bytes) -> None:
        headers = {k: v for k, v in request.headers.items() if k not in _KEY_HEADERS}
        query = "&".join(f"{k}={'***' if k == 'key' else v}" for k, v in request.query_params.items())
        self.requests.append(Received(request.method, request.url.path, query, headers, body, self.stage.clock.now()))

    async def _perform(self, request: Request, turn: Turn) -> Response | None:
        fault = turn.fault if turn.fault and turn.fault.kind in WIRE_FAULTS else None
        await self._pause(request, turn.queued + turn.model.latency)
        if fault and fault.kind in ("reset", "silence"):
            self.stage.settle(turn)
            if fault.kind == "silence":
                await self._pause(request, fault.seconds)
            return None
        headers = self._wire.headers(turn, self.stage.clock.now())
        if turn.ask.stream:
            return StreamingResponse(
                self._stream(request, turn, fault), headers=headers, media_type="text/event-stream"
            )
        self.stage.settle(turn)
        if fault is None:
            return JSONResponse(self._wire.whole(turn), headers=headers)
        body = json.dumps(self._wire.whole(turn)).encode()
        if fault.kind == "malformed":
            return Response(body[: int(len(body) * fault.at)], headers=headers, media_type="application/json")
        headers["content-length"] = str(len(body))
        return StreamingResponse(self._broken(request, body, fault), headers=headers, media_type="application/json")

    async def _broken(self, request: Request, body: bytes, fault: Fault) -> AsyncIterator[bytes]:
        """A whole answer that stops in its middle."""
        yield body[: int(len(body) * fault.at)]
        if fault.kind == "stall":
            await self._pause(request, fault.seconds)
        raise _Gone

    async def _stream(self, request: Request, turn: Turn, fault: Fault | None) -> AsyncIterator[bytes]:
        frames = self._wire.frames(turn)
        breaks = int(len(frames) * fault.at) if fault else -1
        try:
            for number, frame in enumerate(frames):
                if fault and number == breaks:
                    if fault.kind == "malformed":
                        yield b'data: {"choices": [{"delta": {"con\n\n'
                        continue
                    if fault.kind == "stall":
                        await self._pause(request, fault.seconds)
                    raise _Gone
                if number == 1:
                    await self._pause(request, turn.model.first_token)
                elif number > 1 and turn.model.pace:
                    await self._pause(request, 1 / turn.model.pace)
                yield frame
        finally:
            self.stage.settle(turn)

    async def _pause(self, request: Request, seconds: float | None) -> None:
        """Wait on the clock (None: for ever), but no longer than the client does. Raises _Gone when it has left."""
        if seconds == 0:
            return
        connection = self._connections.get(_address(request.scope))
        if connection is None:
            raise _Gone
        lost = asyncio.ensure_future(connection.lost.wait())
        waits = [lost] if seconds is None else [lost, asyncio.ensure_future(self.stage.clock.sleep(seconds))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if connection.lost.is_set():
            raise _Gone

    async def _reset(self, request: Request) -> None:
        """Drop the connection as a crash would: no last chunk, no goodbye."""
        connection = self._connections.get(_address(request.scope))
        if connection is not None:
            _drop(connection.transport)
            await connection.lost.wait()  # so that nothing more is written


class _Gone(Exception):
    """The simulated provider hangs up."""


@dataclass(frozen=True, slots=True)
class _Connection:
    transport: asyncio.Transport
    lost: asyncio.Event


class _Uvicorn(uvicorn.Server):
    """Tells when it listens, and leaves at once when told to, hanging requests or not."""

    def __init__(self, config: uvicorn.Config, ready: threading.Event, connections: dict[Any, _Connection]) -> None:
        super().__init__(config)
        self._ready, self._connections, self._left = ready, connections, asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set()

    async def main_loop(self) -> None:
        await self._left.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in self.servers:
            listener.close()
        for connection in list(self._connections.values()):
            connection.transport.abort()
        if self.server_state.tasks:
            await asyncio.wait(list(self.server_state.tasks), timeout=1)

    def leave(self) -> None:
        self._left.set()


def wire_of(plays: Plays, script: Script) -> Wire:
    """The dialect of a provider; the claude CLI speaks Anthropic's."""
    if plays == "gemini":
        return GeminiWire()
    if plays in ("anthropic", "claude_code"):
        return AnthropicWire()
    return OpenAIWire(plays, script.flavour)


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError:
        raise Trouble("bad_request", detail="the body is not valid JSON") from None
    if not isinstance(value, dict):
        raise Trouble("bad_request", detail="the body must be a JSON object")
    return cast(dict[str, Any], value)


def _drop(transport: asyncio.Transport) -> None:
    sock = transport.get_extra_info("socket")
    if sock is not None:
        # A linger of zero makes the kernel send a reset instead of an orderly end.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _address(scope: Scope) -> tuple[str, int]:
    host, port = scope["client"] or ("", 0)
    return str(host), int(port)


def _protocol(connections: dict[Any, _Connection]) -> type[H11Protocol]:
    """uvicorn's protocol, with each connection remembered under the client's address."""

    class Remembering(H11Protocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
            super().connection_made(transport)
            connections[self.client] = _Connection(transport, asyncio.Event())

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            if connection := connections.pop(self.client, None):
                connection.lost.set()

    return Remembering
