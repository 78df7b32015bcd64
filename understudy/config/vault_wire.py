"""The wire to Vault: no reply is read beyond what can be meant, and who waits for one can cut it.

Imported when the first key of Vault's is read: requests comes with hvac.
"""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from typing import Any, cast

from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter

LARGEST = 1_000_000  # bytes of a reply; a secret of Vault's own is at most 512 kB


class Wire(HTTPAdapter):
    """Both ends of a connection are ours: cut() ends it from another thread, wherever the server holds it up."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._lines: list[socket.socket] = []
        self._is_cut = False

    def session(self) -> Session:
        """One that knows no other way, and asks for replies that are as large as they look."""
        session = Session()
        session.mount("http://", self)
        session.mount("https://", self)
        session.headers["Accept-Encoding"] = "identity"
        return session

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        """The reply, whole. What it says of its encoding is not followed: it may unfold without end."""
        response = super().send(request, *args, **kwargs)
        body = response.raw.read(LARGEST + 1, decode_content=False)
        if len(body) > LARGEST:
            response.close()
            raise ValueError("no reply of Vault's is so large")
        response.raw, response.encoding = io.BytesIO(body), "utf-8"
        return response

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        pool = cast("Any", super().get_connection_with_tls_context(*args, **kwargs))
        usual = pool.__class__.ConnectionCls

        def dial(connection: Any) -> socket.socket:
            return self._keep(usual._new_conn(connection))

        pool.ConnectionCls = type("Kept", (usual,), {"_new_conn": dial})
        return pool

    def cut(self) -> None:
        """Nothing more is read or sent."""
        with self._lock:
            self._is_cut = True
            for line in self._lines:
                with contextlib.suppress(OSError):  # it has ended by itself
                    line.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        super().close()
        with self._lock:
            for line in self._lines:
                line.close()

    def _keep(self, line: socket.socket) -> socket.socket:
        """A second handle of it: TLS takes the first one over."""
        with self._lock:
            if self._is_cut:
                line.close()
                raise OSError("cut")
            self._lines.append(line.dup())
        return line
