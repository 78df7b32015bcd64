"""What travels between understudy and a model's process: JSON objects, each behind its length in four bytes."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

Frame = dict[str, Any]

LIMIT = 64 << 20  # bytes of one frame; larger than any context in use
_LENGTH = struct.Struct(">I")


def pack(frame: Frame) -> bytes:
    """Raises ValueError above LIMIT."""
    body = json.dumps(frame, separators=(",", ":")).encode("ascii")
    if len(body) > LIMIT:
        raise ValueError(f"{len(body):,} bytes are more than one frame holds")
    return _LENGTH.pack(len(body)) + body


class Frames:
    """Puts frames together from pieces of any size, so that a reader may be cancelled between any two bytes."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, piece: bytes) -> Iterator[Frame]:
        """The frames that are complete now. Raises ValueError when the stream is not made of frames."""
        self._held += piece
        while len(self._held) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._held)
            if length > LIMIT:
                raise ValueError("no frame is that long")
            end = _LENGTH.size + length
            if len(self._held) < end:
                return
            body = bytes(self._held[_LENGTH.size : end])
            del self._held[:end]
            frame = json.loads(body)
            if not isinstance(frame, dict):
                raise ValueError("a frame is an object")
            yield frame
