"""The life of one serving process: opened, ready, reloaded, drained."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import socket
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn

from understudy.director.director import Director
from understudy.errors import StoreError, UnderstudyError, UsageError
from understudy.gateway.app import application
from understudy.gateway.audit import Audit
from understudy.gateway.board import Place
from understudy.gateway.jobs import Jobs
from understudy.gateway.keys import Keys
from understudy.gateway.looking import Looking
from understudy.gateway.metering import attach
from understudy.gateway.protocol import Protocol, raise_files
from understudy.gateway.service import ANYBODY, Service
from understudy.telemetry.log import log
from understudy.telemetry.metrics import Metrics, Shared

if TYPE_CHECKING:
    from types import FrameType

DRAIN = 30.0  # seconds what is under way may take when the process is to end
BACKLOG = 2048
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises UsageError when the address is not to be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise UsageError(
            f"The address {host}:{port} cannot be had ({error.strerror or type(error).__name__}).",
            remedy="Another program may have it; name another with --port.",
        ) from None
    except OverflowError:
        listening.close()
        raise UsageError(f"There is no port {port}.", remedy="Ports go from 0 to 65535.") from None
    listening.set_inheritable(True)
    return listening


@dataclass(slots=True)
class Serving:
    """One process. config: the file, or None for where one is looked for; told: lines for whoever started it."""

    config: str | Path | None
    is_open: bool = False
    told: Callable[[str], None] = lambda line: None
    service: Service | None = None
    draining: bool = False
    place: Place = field(default_factory=Place)
    shared: Shared | None = None  # where the metrics of several processes meet
    metrics: Metrics = field(init=False)
    _reloading: asyncio.Lock = field(default_factory=asyncio.Lock)
    _old: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])

    async def run(self, listening: socket.socket, opened: Callable[[Service], None]) -> None:
        """Until SIGTERM or SIGINT; SIGHUP reads the configuration again. Raises ConfigError, StoreError."""
        raise_files()
        self.metrics = Metrics(self.shared)
        self.service = await self._open()
        try:
            opened(self.service)
            gc.collect()
            gc.freeze()  # what lives for ever is not looked at again and again
            await self._serve(listening)
        finally:
            await asyncio.gather(*self._old, return_exceptions=True)
            await self._leave()

    async def _leave(self) -> None:
        service, self.service = self.service, None
        if service is not None:
            await _close(service)

    async def reload(self) -> None:
        """The configuration and policies of now. A bad one is told, and changes nothing."""
        async with self._reloading:
            try:
                fresh = await self._open()
            except UnderstudyError as error:
                self.told(f"The configuration was not taken over. {error}")
                log().warning("reload_refused", error=type(error).__name__)
                return
            before, self.service = self.service, fresh
            count, policy = len(fresh.director.parts.fleet), fresh.director.settings.policy
            self.told(f"Reloaded: {count} candidates, policy {policy}.")
            log().info("reloaded")
            if before is not None:
                leaving = asyncio.ensure_future(_retire(before))
                self._old.add(leaving)
                leaving.add_done_callback(self._old.discard)

    def now(self) -> Service:
        if self.service is None:
            raise StoreError("The server is not open.", remedy="Try again in a moment.")
        return self.service

    def ready(self) -> str:
        """Why it is not, or the empty string."""
        if self.draining:
            return "it is ending"
        if self.service is None:
            return "it is not open yet"
        return "" if self.service.director.parts.fleet else "there is no candidate; understudy doctor says why"

    async def _open(self) -> Service:
        director = await Director.from_config(self.config).__aenter__()
        clock = director.parts.clock
        jobs = Jobs(director, clock, keyless=ANYBODY if self.is_open else None)
        await jobs.__aenter__()
        keys = Keys(director.parts.store.callers, clock)
        service = Service(director, keys, Audit(director.home, clock), jobs, is_open=self.is_open)
        attach(service, self.metrics)
        return service

    async def _serve(self, listening: socket.socket) -> None:
        config = uvicorn.Config(
            application(self.now, self.ready, Looking(self.now, self.metrics, self.place, lambda: self.draining)),
            http=Protocol,
            loop="none",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=int(DRAIN),
        )
        server = _Server(config, self)
        loop = asyncio.get_running_loop()
        reloading: set[asyncio.Task[None]] = set()

        def reload() -> None:
            task = loop.create_task(self.reload())
            reloading.add(task)
            task.add_done_callback(reloading.discard)

        loop.add_signal_handler(signal.SIGHUP, reload)
        try:
            await server.serve(sockets=[listening])
        finally:
            loop.remove_signal_handler(signal.SIGHUP)
            await asyncio.gather(*reloading, return_exceptions=True)


class _Server(uvicorn.Server):
    """Says that it drains, and does not raise the signal once more when it has."""

    def __init__(self, config: uvicorn.Config, life: Serving) -> None:
        super().__init__(config)
        self._life = life

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        before = {s: signal.signal(s, self.handle_exit) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._life.draining = True
        super().handle_exit(sig, frame)


async def _retire(service: Service) -> None:
    """Closed when the last of its requests has its answer."""
    while service.under_way:
        await asyncio.wait(set(service.under_way))
    await _close(service)


async def _close(service: Service) -> None:
    await service.jobs.close()
    for running in service.under_way:
        running.cancel()
    if service.under_way:
        await asyncio.wait(set(service.under_way))
    await service.director.__aexit__(None, None, None)
    await asyncio.to_thread(service.audit.close)


def run(serving: Serving, listening: socket.socket, opened: Callable[[Service], None]) -> None:
    """On uvloop where it is there. Returns when the process is to end."""
    try:
        import uvloop

        factory: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
    except ImportError:  # a platform without it
        factory = None
    with contextlib.closing(listening), asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serving.run(listening, opened))
    sys.stdout.flush()
