"""A server that answers every chat completion at once with the same body: the floor every client is measured against.

python benchmarks/zero_server.py          prints its port on the first line and runs until standard input closes
"""

from __future__ import annotations

import asyncio
import json
import sys

BODY = json.dumps(
    {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": 1_800_000_000,
        "model": "llama-3.1-8b-instant",
        "system_fingerprint": "fp_0",
        "service_tier": "on_demand",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Paris is the capital of France."},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 40, "completion_tokens": 8, "total_tokens": 48},
    }
).encode()
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(BODY), BODY)


CHUNK = {"id": "chatcmpl-0", "object": "chat.completion.chunk", "created": 1_800_000_000, "model": "m"}


def _events() -> bytes:
    """The same answer as a stream, word for word."""
    text = "Paris is the capital of France."
    deltas = [{"role": "assistant", "content": ""}, *({"content": f"{word} "} for word in text.split())]
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    frames = [{**CHUNK, "choices": [c]} for c in [*choices, {"index": 0, "delta": {}, "finish_reason": "stop"}]]
    frames.append({**CHUNK, "choices": [], "usage": {"prompt_tokens": 40, "completion_tokens": 8, "total_tokens": 48}})
    return b"".join(b"data: " + json.dumps(frame).encode() + b"\n\n" for frame in frames) + b"data: [DONE]\n\n"


EVENTS = _events()
STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n%s" % (len(EVENTS), EVENTS)


class Zero(asyncio.Protocol):
    def __init__(self) -> None:
        self.seen = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.seen += data
        while (end := self.seen.find(b"\r\n\r\n")) >= 0:
            length = 0
            for line in self.seen[:end].split(b"\r\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            if len(self.seen) < end + 4 + length:
                return
            body, self.seen = self.seen[end + 4 : end + 4 + length], self.seen[end + 4 + length :]
            streamed = b'"stream":true' in body or b'"stream": true' in body
            self.transport.write(STREAM if streamed else ANSWER)  # type: ignore[attr-defined]


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Zero, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
