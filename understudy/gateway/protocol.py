"""The HTTP protocol of uvicorn, with limits on what comes before an application sees anything."""

from __future__ import annotations

import asyncio
import contextlib

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from understudy.gateway.limits import LONGEST_HEADERS, MOST_HEADERS

MOST_FILES = 65_536
OWN_FILES = 64  # of the store, the log, the workers
HEAD_SECONDS = 10.0  # for a request's line and headers to arrive


def most_connections() -> int:
    """Of clients. Each may need one to a provider beside it, and a process without a file to open blames others."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return 10_000
    return max(4, (resource.getrlimit(resource.RLIMIT_NOFILE)[0] - OWN_FILES) // 2)


def raise_files() -> None:
    """As many open files as this process may have: what a shell allows at first is often less than a gateway needs."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Protocol(HttpToolsProtocol):
    """A head that comes too slowly, or is too large, ends its connection: half a request holds no memory for long."""

    _patience: asyncio.TimerHandle | None = None
    _size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > most_connections():
            transport.abort()
            return
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        self._calm()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._size = 0
        if self._patience is None:
            self._wait()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._count(len(name) + len(value))

    def on_headers_complete(self) -> None:
        self._calm()
        super().on_headers_complete()

    def _count(self, size: int) -> None:
        self._size += size
        # The application refuses what is a little too much, with words; what is far beyond them gets none.
        if self._size > 4 * LONGEST_HEADERS or len(self.headers) > 4 * MOST_HEADERS:
            self.transport.abort()

    def _wait(self) -> None:
        self._patience = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _calm(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _give_up(self) -> None:
        self._patience = None
        self.transport.close()
