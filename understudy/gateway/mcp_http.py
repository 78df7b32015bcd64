"""MCP over HTTP: who may ask, from where, and for how long it is served.

A request needs a caller's key with the scope chat, unless the server is open, which only a loopback one can be. A page
in a browser cannot reach it under another name: Host and Origin are checked, and no other site may read an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import socket
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from understudy.config.locality import is_local_host
from understudy.errors import Forbidden, RateRefused, StoreError, Unauthorized, UnderstudyError, UsageError
from understudy.gateway.audit import Audit, Use
from understudy.gateway.delegation import Done, Refusal
from understudy.gateway.keys import Keys
from understudy.types import Caller

if TYPE_CHECKING:
    from mcp.server.lowlevel.server import Server

PATH = "/mcp"
LINGER = 10  # seconds for requests to end when the server does
SESSIONS = 200  # open at once
CONNECTIONS = 400
SCOPE = "chat"  # what a key must allow
CALLER = "understudy.caller"  # where the caller stands in the scope of its request

_KEYS = (b"authorization", b"x-api-key")  # where a key may stand
_STATUS: tuple[tuple[type[UnderstudyError], int], ...] = (
    (Unauthorized, 401),
    (Forbidden, 403),
    (RateRefused, 429),
    (StoreError, 503),
)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
TurnedAway = Callable[[UnderstudyError, int], None]  # told of each, with its status


@dataclass(frozen=True, slots=True)
class Place:
    """Where it is served. names: further names that clients call this machine by."""

    host: str
    port: int  # 0: any that is free
    open: bool = False  # no key is asked for
    names: tuple[str, ...] = ()

    def check(self) -> None:
        """Raises UsageError."""
        if not 0 <= self.port <= 65_535:
            raise UsageError(f"{self.port} is no port.", remedy="Give one from 1 to 65535, or 0 for any.")
        if self.open and not is_local_host(self.host):
            raise UsageError(
                f"--open serves everybody who reaches {self.host}, and that is not only this machine.",
                remedy="Leave --open out and make keys (understudy key add NAME), or serve at 127.0.0.1.",
            )

    def listen(self) -> socket.socket:
        """Raises UsageError when it cannot be had."""
        self.check()
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        try:
            return socket.create_server((self.host, self.port), family=family, backlog=CONNECTIONS)
        except OSError as error:
            why = error.strerror or "no such address"
            raise UsageError(
                f"Nothing can be served at {self.host} port {self.port} ({why}).",
                remedy="Give another --port or --host.",
            ) from None

    def url(self, listener: socket.socket) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{listener.getsockname()[1]}{PATH}"


@dataclass(frozen=True, slots=True)
class Noted:
    """What is written down of each use, and of each request that was turned away."""

    audit: Audit

    def use(self, tool: str, caller: Caller | None, ended: Sequence[Done | Refusal], seconds: float) -> None:
        done = [one for one in ended if isinstance(one, Done)]
        self.audit.note(
            Use(
                key=caller.name if caller else "",
                id=caller.id if caller else "",
                what=f"{PATH} {tool}",
                status=200,
                reply=ended[0].reply_id if len(ended) == 1 else None,
                candidate=done[0].candidate if len(ended) == 1 and done else None,
                tokens=sum(one.tokens for one in done),
                seconds=seconds,
            )
        )

    def refusal(self, error: UnderstudyError, status: int) -> None:
        self.audit.note(Use(key="", id=error.id if isinstance(error, Unauthorized) else "", what=PATH, status=status))


def caller_of(request: Any) -> Caller | None:
    """Whose request it is, by what Doorkeeper found out."""
    return request.scope.get(CALLER) if request is not None else None


class Doorkeeper:
    """ASGI: a request goes on with its caller in its scope, or is told why not."""

    def __init__(self, inner: Any, keys: Keys | None, refused: TurnedAway | None = None) -> None:
        """keys None: everybody may."""
        self._inner = inner
        self._keys = keys
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self._keys is not None:
            given = {k: v.decode("latin-1") for k, v in reversed(scope["headers"]) if k in _KEYS}
            try:
                caller = await self._keys.who(next((given[name] for name in _KEYS if name in given), None), SCOPE)
            except UnderstudyError as error:
                await self._turn_away(error, send)
                return
            scope[CALLER] = caller
            scope["user"] = _user(caller)
        await self._inner(scope, receive, send)

    async def _turn_away(self, error: UnderstudyError, send: Send) -> None:
        status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
        if self._refused is not None:
            self._refused(error, status)
        headers = [(b"content-type", b"application/json")]
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if isinstance(error, RateRefused):
            headers.append((b"retry-after", str(math.ceil(error.retry_after)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        body = json.dumps({"error": error.as_dict()}).encode()
        await send({"type": "http.response.body", "body": body})


def _user(caller: Caller) -> Any:
    """For the package, which lets a session be used by nobody but who began it. The key itself is not handed on."""
    from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
    from mcp.server.auth.provider import AccessToken

    return AuthenticatedUser(AccessToken(token="", client_id=caller.id, scopes=sorted(caller.scopes)))


def make_app(server: Server[Any], place: Place, keys: Keys | None, refused: TurnedAway | None = None) -> Any:
    """The whole ASGI application."""
    from mcp.server.transport_security import TransportSecuritySettings

    names = dict.fromkeys([place.host, *place.names, "127.0.0.1", "localhost", "::1"])
    hosts = [f"[{name}]" if ":" in name else name for name in names]
    security = TransportSecuritySettings(
        allowed_hosts=[*hosts, *(f"{host}:*" for host in hosts)],
        allowed_origins=[
            f"{scheme}://{host}{port}" for host in hosts for scheme in ("http", "https") for port in ("", ":*")
        ],
    )
    app = server.streamable_http_app(
        streamable_http_path=PATH, transport_security=security, max_sessions=SESSIONS, host=place.host
    )
    return Doorkeeper(app, keys, refused)


async def serve_http(app: Any, listener: socket.socket) -> None:
    """Until this is cancelled; requests under way have LINGER seconds to end."""
    import uvicorn

    class Serving(uvicorn.Server):
        @contextlib.contextmanager
        def capture_signals(self) -> Any:
            """Signals are the command line's: it cancels us."""
            yield

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        ws="none",
        limit_concurrency=CONNECTIONS,
        timeout_graceful_shutdown=LINGER,
        h11_max_incomplete_event_size=65_536,
    )
    serving = Serving(config)
    running = asyncio.create_task(serving.serve(sockets=[listener]))
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        serving.should_exit = True
        await asyncio.wait({running}, timeout=LINGER + 5)
        raise
