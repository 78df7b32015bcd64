"""A Vault on the loopback address, as far as its key-value engines go: the replies are those of a real 1.15."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hvs.canary-token-0815"


@dataclass
class Vault:
    """v2 and v1 map a path, with its mount, to its fields. seen: what was asked, with its namespace."""

    address: str = ""
    v2: dict[str, dict[str, Any]] = field(default_factory=dict)
    v1: dict[str, dict[str, Any]] = field(default_factory=dict)
    created: str = "2026-03-22T02:24:06.945319214Z"
    deleted: set[str] = field(default_factory=set)
    sealed: bool = False
    slow: float = 0.0  # seconds before an answer
    drip: str = ""  # head or body: one byte now and then, without end
    encoding: str = ""  # what the body is said to be packed with
    endless: bool = False  # the body never ends
    sent: int = 0  # bytes of an endless body
    left: threading.Event = field(default_factory=threading.Event)  # a client went away in the middle
    status: int = 0  # instead of any answer
    body: bytes = b""
    moved: str = ""  # where it redirects to
    v1_policy_only: bool = False  # the token may read nothing below data/
    seen: list[tuple[str, str]] = field(default_factory=list)

    def reply(self, path: str, token: str) -> tuple[int, Any]:
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if token != TOKEN:
            return 403, {"errors": ["permission denied"]}
        mount, _, rest = path.removeprefix("/v1/").partition("/")
        of_v2 = any(known.startswith(f"{mount}/") for known in self.v2)
        if rest.startswith("data/"):
            if self.v1_policy_only:
                return 403, {"errors": ["1 error occurred:\n\t* permission denied\n\n"]}
            name = f"{mount}/{rest.removeprefix('data/')}"
            if name in self.deleted:
                meta = {"created_time": self.created, "deletion_time": self.created, "destroyed": False, "version": 2}
                return 404, _envelope({"data": None, "metadata": meta})
            if name in self.v2:
                meta = {"created_time": self.created, "deletion_time": "", "destroyed": False, "version": 1}
                return 200, _envelope({"data": self.v2[name], "metadata": meta})
            return 404, {"errors": []}
        if of_v2:
            return 404, {"errors": [], "warnings": ["Invalid path for a versioned K/V secrets engine."]}
        name = f"{mount}/{rest}"
        return (200, _envelope(self.v1[name])) if name in self.v1 else (404, {"errors": []})


def _envelope(data: Any) -> dict[str, Any]:
    empty = dict.fromkeys(("wrap_info", "warnings", "auth"))
    return {
        "request_id": "0a1b2c3d", "lease_id": "", "renewable": False, "lease_duration": 2764800, "data": data,
        **empty, "mount_type": "kv",
    }  # fmt: skip


@contextmanager
def open_vault() -> Iterator[Vault]:
    vault = Vault()

    class Wire(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            vault.seen.append((self.path, self.headers.get("X-Vault-Namespace", "")))
            assert self.headers["X-Vault-Request"] == "true"
            assert self.headers["Accept-Encoding"] == "identity"
            time.sleep(vault.slow)
            status, told = vault.reply(self.path, self.headers.get("X-Vault-Token", ""))
            body = vault.body or json.dumps(told).encode()
            self.send_response(307 if vault.moved else vault.status or status)
            if vault.moved:
                self.send_header("Location", vault.moved + self.path)
            self.send_header("Content-Type", "application/json")
            if vault.encoding:
                self.send_header("Content-Encoding", vault.encoding)
            if not vault.endless:
                self.send_header("Content-Length", str(10_000_000 if vault.drip else len(body)))
            try:
                if vault.drip == "head":
                    self.flush_headers()
                    self.wfile.write(b"X-Slow: ")
                else:
                    self.end_headers()
                while vault.drip:
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    time.sleep(0.05)
                while vault.endless:
                    self.wfile.write(bytes(100_000))
                    vault.sent += 100_000
                self.wfile.write(body)
            except OSError:
                vault.left.set()
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Wire)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    vault.address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield vault
    finally:
        vault.drip, vault.endless = "", False
        server.shutdown()
        server.server_close()
