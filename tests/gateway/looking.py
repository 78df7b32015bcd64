"""A service on simulated servers, and somebody who looks on at it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.e2e.house import House, open_house
from understudy.gateway.audit import Audit
from understudy.gateway.jobs import Jobs
from understudy.gateway.keys import Keys
from understudy.gateway.looking import Looking
from understudy.gateway.metering import attach
from understudy.gateway.service import Service
from understudy.rehearsal.script import Script
from understudy.store.callers import SCOPES
from understudy.telemetry.metrics import Metrics
from understudy.types import Caller

TOP = '[director]\ncandidate = "none/none"\n[classifier]\nenabled = false\n'
ADMIN = Caller("chief", scopes=frozenset(SCOPES))


@dataclass
class Rig:
    house: House
    service: Service
    metrics: Metrics
    looking: Looking
    ending: bool = False

    async def key(self, name: str, *scopes: str, **more: Any) -> str:
        """The header of a new key."""
        _, secret = await self.service.keys._callers.add(Caller(name, scopes=frozenset(scopes), **more))
        return f"Bearer {secret.reveal()}"

    async def get(self, path: str, key: str | None = None, host: str = "127.0.0.1:8791") -> tuple[int, bytes]:
        """(status, body)."""
        look = Look(self, path, key, host)
        await look.run()
        return look.status, look.body


@asynccontextmanager
async def opened(folder: Path, scripts: dict[str, Script], *, top: str = TOP) -> AsyncGenerator[Rig]:
    with open_house(folder, scripts, top=top) as house:
        async with house.director() as director:
            clock = director.parts.clock
            audit = Audit(director.home, clock)
            jobs = Jobs(director, clock)
            service = Service(director, Keys(director.parts.store.callers, clock), audit, jobs)
            metrics = Metrics()
            attach(service, metrics)
            looking = Looking(lambda: service, metrics)
            rig = Rig(house, service, metrics, looking)
            looking.ending = lambda: rig.ending
            try:
                yield rig
            finally:
                await asyncio.to_thread(audit.close)


@dataclass
class Look:
    """One request. `async with` it for a stream: `next` is its next event; it leaves at the end."""

    rig: Rig
    path: str
    key: str | None = None
    host: str = "127.0.0.1:8791"
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    events: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    running: asyncio.Task[None] | None = None
    _asked: bool = False

    async def run(self) -> None:
        headers = [(b"host", self.host.encode())]
        if self.key is not None:
            headers.append((b"authorization", self.key.encode()))
        scope = {"type": "http", "method": "GET", "path": self.path, "query_string": b"", "headers": headers}
        scope |= {"client": ("127.0.0.1", 9), "server": ("127.0.0.1", 8791), "scheme": "http", "http_version": "1.1"}
        await self.rig.looking.endpoints[self.path](scope, self._receive, self._send)

    async def _receive(self) -> Any:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {k.decode().lower(): v.decode() for k, v in message["headers"]}
            return
        self.body += message.get("body", b"")
        self.events.put_nowait(message.get("body", b""))

    async def next(self, seconds: float = 20.0) -> bytes:
        return await asyncio.wait_for(self.events.get(), seconds)

    async def board(self, seconds: float = 20.0) -> dict[str, Any]:
        """The next snapshot; comments between are passed over."""
        while True:
            event = await self.next(seconds)
            if event.startswith(b"data: "):
                return json.loads(event[6:])

    async def __aenter__(self) -> Look:
        self.running = asyncio.create_task(self.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.left.set()
        assert self.running is not None
        await asyncio.wait_for(self.running, 20)
