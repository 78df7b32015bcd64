"""How much a server may send: its replies are held in memory, and a reply without end would take all of it."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextvars import ContextVar
from typing import Any

from understudy.errors import CallFailed
from understudy.types import Failure

LARGEST = 32_000_000  # bytes of one reply: a hundred times the longest answer, with its log-probabilities
LEAST = 8_000_000  # bytes any reply may take, whatever was asked for: error pages, lists, thoughts
TOKEN = 2_000  # bytes a streamed token takes at most, with its frame and its log-probability
PIECE = 65_536  # bytes unpacked at a time
PLAIN = "identity"  # what is asked for: compressed, a few kilobytes can unpack to gigabytes

_most: ContextVar[int] = ContextVar("most_bytes", default=LARGEST)


def expect(output_cap: int) -> None:
    """Replies to what this task sends from now on need no more than so many tokens take."""
    _most.set(min(LARGEST, LEAST + TOKEN * output_cap))


def bounded(stream_class: type[Any]) -> Callable[[Any], Awaitable[None]]:
    """A response hook for the HTTP library whose stream class this is: a body beyond its bound ends with CallFailed."""

    class Bounded(stream_class):
        def __init__(self, inner: Any, unpack: Callable[[bytes], Iterator[bytes]]) -> None:
            self._inner, self._unpack, self._most = inner, unpack, _most.get()

        async def __aiter__(self) -> AsyncIterator[bytes]:
            total = 0
            async for packed in self._inner:
                for piece in self._unpack(packed):
                    total += len(piece)
                    if total > self._most:
                        raise _refused(f"more than {self._most // 1_000_000} MB")
                    yield piece

        async def aclose(self) -> None:
            await self._inner.aclose()

    async def hook(response: Any) -> None:
        coding = response.headers.get("content-encoding", PLAIN).strip().lower()
        if coding in ("gzip", "x-gzip", "deflate"):
            del response.headers["content-encoding"]  # unpacked here, so that it can be counted on the way
            response.stream = Bounded(response.stream, _unpacker(coding))
        elif coding in (PLAIN, ""):
            response.stream = Bounded(response.stream, lambda piece: iter((piece,)))
        else:
            raise _refused(f"a compression nobody asked for ({coding[:20]!r})")

    return hook


def _unpacker(coding: str) -> Callable[[bytes], Iterator[bytes]]:
    # 32: with the header of gzip or of zlib, whichever is there
    unpacking = zlib.decompressobj(zlib.MAX_WBITS | 32)
    first = coding == "deflate"

    def unpack(packed: bytes) -> Iterator[bytes]:
        nonlocal unpacking, first
        while packed:
            try:
                piece = unpacking.decompress(packed, PIECE)
            except zlib.error:
                if not first:
                    raise _refused("a body that cannot be unpacked") from None
                unpacking = zlib.decompressobj(-zlib.MAX_WBITS)  # deflate as some servers understand it
                first = False
                continue
            first = False
            packed = unpacking.unconsumed_tail
            if piece:
                yield piece

    return unpack


def _refused(what: str) -> CallFailed:
    return CallFailed(Failure.MALFORMED, f"The server sent {what}.", remedy="Ask another candidate.")
