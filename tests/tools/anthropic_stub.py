"""A loopback server that is wire-faithful to the Messages API as the claude CLI uses it, with scripted faults.

It runs in a thread, so that tests of any colour can use it. Each request takes the next behaviour of the script; the
last one repeats. Everything that arrives is kept in `requests`.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body or b"{}")

    @property
    def text(self) -> str:
        """The text of all messages."""
        return "\n".join(
            block if isinstance(block, str) else block.get("text", "")
            for message in self.json.get("messages", [])
            for block in (message["content"] if isinstance(message["content"], list) else [message["content"]])
        )


@dataclass(frozen=True)
class Says:
    """An answer. `tool` answers with a call of that tool instead of text."""

    text: str = "pong"
    stop: str = "end_turn"
    input_tokens: int = 100
    output_tokens: int = 20
    cache_read: int = 0
    cache_write: int = 0
    tool: str | None = None
    tool_input: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fails:
    """An error answer."""

    status: int
    type: str = "api_error"
    message: str = "something"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Breaks:
    """reset, cut, malformed, silence (after the headers), mute (before them), pings, void (a stream with no event)."""

    how: str


Behaviour = Says | Fails | Breaks


class AnthropicStub:
    """`with AnthropicStub(Says("hi")) as stub:` then point ANTHROPIC_BASE_URL at `stub.url`."""

    def __init__(self, *script: Behaviour) -> None:
        self.script: list[Behaviour] = list(script) or [Says()]
        self.requests: list[Seen] = []
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._listener.settimeout(0.1)
        self._threads: list[threading.Thread] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def messages(self) -> list[Seen]:
        """The requests that would have cost tokens."""
        return [r for r in self.requests if r.path.split("?")[0] == "/v1/messages"]

    def __enter__(self) -> AnthropicStub:
        thread = threading.Thread(target=self._accept, daemon=True)
        thread.start()
        self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(5)
        self._listener.close()

    def _accept(self) -> None:
        while not self._stop.is_set():
            try:
                connection, _ = self._listener.accept()
            except TimeoutError:
                continue
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(0.2)
        with connection:
            buffer = b""
            while not self._stop.is_set():
                try:
                    while b"\r\n\r\n" not in buffer:
                        if not (chunk := self._receive(connection)):
                            return
                        buffer += chunk
                    head, _, buffer = buffer.partition(b"\r\n\r\n")
                    first, *lines = head.decode("latin-1").split("\r\n")
                    headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
                    length = int(headers.get("content-length", "0"))
                    while len(buffer) < length:
                        if not (chunk := self._receive(connection)):
                            return
                        buffer += chunk
                    body, buffer = buffer[:length], buffer[length:]
                    method, path, _ = first.split(" ")
                    seen = Seen(method, path, headers, body)
                    with self._lock:
                        self.requests.append(seen)
                        paid = len(self.messages)
                        behaviour = self.script[min(max(paid - 1, 0), len(self.script) - 1)]
                    if path.split("?")[0] != "/v1/messages":
                        self._send_json(connection, 404, {"type": "error", "error": {"type": "not_found_error"}})
                        continue
                    if not self._answer(connection, behaviour, seen):
                        return
                except OSError:
                    return

    def _receive(self, connection: socket.socket) -> bytes:
        while not self._stop.is_set():
            try:
                return connection.recv(65536)
            except TimeoutError:
                continue
        return b""

    def _answer(self, connection: socket.socket, behaviour: Behaviour, seen: Seen) -> bool:
        """True: the connection may be used again."""
        if isinstance(behaviour, Fails):
            error = {"type": "error", "error": {"type": behaviour.type, "message": behaviour.message}}
            self._send_json(connection, behaviour.status, error, behaviour.headers)
            return True
        if isinstance(behaviour, Breaks):
            self._break(connection, behaviour.how)
            return False
        if not seen.json.get("stream"):
            self._send_json(connection, 200, _message(behaviour, seen.json.get("model", "")))
            return True
        self._send_head(connection)
        for name, data in _events(behaviour, seen.json.get("model", "")):
            self._send_chunk(connection, _event(name, data))
        connection.sendall(b"0\r\n\r\n")
        return True

    def _break(self, connection: socket.socket, how: str) -> None:
        if how == "mute":
            self._stop.wait()
            return
        if how == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return
        self._send_head(connection)
        started = list(_events(Says("half of it"), "m"))[:3]
        if how == "void":
            connection.sendall(b"0\r\n\r\n")
        elif how == "malformed":
            self._send_chunk(connection, b"event: message_start\ndata: {nonsense\n\n")
            connection.sendall(b"0\r\n\r\n")
        elif how == "cut":
            for name, data in started:
                self._send_chunk(connection, _event(name, data))
        elif how == "silence":
            self._stop.wait()
        elif how == "pings":
            for name, data in started[:1]:
                self._send_chunk(connection, _event(name, data))
            while not self._stop.wait(0.1):
                self._send_chunk(connection, _event("ping", {"type": "ping"}))

    def _send_head(self, connection: socket.socket) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
            b"request-id: req_stub\r\n\r\n"
        )

    def _send_chunk(self, connection: socket.socket, data: bytes) -> None:
        connection.sendall(f"{len(data):x}\r\n".encode() + data + b"\r\n")

    def _send_json(
        self, connection: socket.socket, status: int, body: dict[str, Any], headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        data = json.dumps(body).encode()
        lines = [f"HTTP/1.1 {status} Status", "content-type: application/json", f"content-length: {len(data)}"]
        lines += ["request-id: req_stub", *(f"{k}: {v}" for k, v in headers)]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)


def _usage(says: Says) -> dict[str, int]:
    return {
        "input_tokens": says.input_tokens,
        "cache_creation_input_tokens": says.cache_write,
        "cache_read_input_tokens": says.cache_read,
        "output_tokens": says.output_tokens,
    }


def _block(says: Says) -> dict[str, Any]:
    if says.tool:
        return {"type": "tool_use", "id": "toolu_stub", "name": says.tool, "input": says.tool_input}
    return {"type": "text", "text": says.text}


def _message(says: Says, model: str) -> dict[str, Any]:
    content = [_block(says)] if says.text or says.tool else []
    stop = "tool_use" if says.tool else says.stop
    return {
        "id": "msg_stub",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": _usage(says),
    }


def _events(says: Says, model: str) -> list[tuple[str, dict[str, Any]]]:
    start = _message(says, model) | {"content": [], "stop_reason": None, "usage": {**_usage(says), "output_tokens": 1}}
    events: list[tuple[str, dict[str, Any]]] = [("message_start", {"message": start})]
    if says.tool:
        events += [
            ("content_block_start", {"index": 0, "content_block": {**_block(says), "input": {}}}),
            (
                "content_block_delta",
                {"index": 0, "delta": {"type": "input_json_delta", "partial_json": json.dumps(says.tool_input)}},
            ),
            ("content_block_stop", {"index": 0}),
        ]
    elif says.text:
        events += [
            ("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}),
            ("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": says.text}}),
            ("content_block_stop", {"index": 0}),
        ]
    stop = "tool_use" if says.tool else says.stop
    events += [
        ("message_delta", {"delta": {"stop_reason": stop, "stop_sequence": None}, "usage": _usage(says)}),
        ("message_stop", {}),
    ]
    return [(name, {"type": name, **data}) for name, data in events]


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()
