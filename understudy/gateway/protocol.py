"""The HTTP protocol of uvicorn, with limits on what comes before an application sees anything."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from understudy.gateway.limits import LONGEST_HEADERS, MOST_HEADERS

HEAD_SECONDS = 10.0  # for a request's line and headers to arrive


class Protocol(HttpToolsProtocol):
    """A head that comes too slowly, or is too large, ends its connection: half a request holds no memory for long."""

    _patience: asyncio.TimerHandle | None = None
    _size = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
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
