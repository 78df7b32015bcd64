"""What can go wrong between a request and the end of its answer."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.e2e import raw_wires as wires
from tests.e2e.raw_server import Exchange, Fault, answers
from tests.e2e.raw_wires import Said, Wire


def says(said: Said | Any, **headers: str) -> Fault:
    """said: (status, headers, body), or a function of the wire that gives it."""

    async def fault(x: Exchange) -> None:
        status, own, body = said(x.wire) if callable(said) else said
        await x.say(status, own | {name.replace("_", "-"): value for name, value in headers.items()}, body)

    return fault


def status(number: int, **headers: str) -> Fault:
    return says(lambda of: wires.error(of, number), **headers)


def slow(seconds: float) -> Fault:
    """The headers of a stream at once, its first token late; or a late answer."""

    async def fault(x: Exchange) -> None:
        await x.silence(seconds)
        if x.open:
            await answers(x)

    return fault


async def silent(x: Exchange) -> None:
    await x.silence()


async def reset(x: Exchange) -> None:
    x.reset()


async def late_first_token(x: Exchange) -> None:
    if x.streamed:
        await x.begin()
        if x.wire.ping:
            for _ in range(30):
                await x.pieces([x.wire.ping])
                await asyncio.sleep(0.02)
    await x.silence()


async def half(x: Exchange) -> None:
    """Of a stream, most of the text; of a whole answer, half of its bytes."""
    if x.streamed:
        await x.begin()
        await x.pieces(wires.pieces(x.wire, x.text)[:-1])
        return
    raw = json.dumps(wires.whole(x.wire, x.text)).encode()
    head = f"HTTP/1.1 200 -\r\ncontent-type: application/json\r\ncontent-length: {len(raw)}\r\n\r\n"
    await x.send(head.encode() + raw[: len(raw) // 2])


async def cut(x: Exchange) -> None:
    await half(x)
    x.close()


async def cut_hard(x: Exchange) -> None:
    await half(x)
    await asyncio.sleep(0.02)  # a reset takes along what has not been read yet
    x.reset()


async def stalls(x: Exchange) -> None:
    await half(x)
    await x.silence()


async def breaks_a_chunk(x: Exchange) -> None:
    if not x.streamed:
        return await x.say(200, {}, json.dumps(wires.whole(x.wire, x.text)).encode()[:-30])
    first, *middle, last = wires.pieces(x.wire, x.text)
    await x.begin()
    await x.pieces([first, *middle, last[: len(last) // 2] + b"\n\n", *wires.ends(x.wire)])
    return await x.end()


async def forgets_its_end(x: Exchange) -> None:
    """Every byte of the HTTP body is there; the reason why the answer ends is not."""
    if not x.streamed:
        return await x.say(200, {}, b"")
    await x.begin()
    await x.pieces([*wires.pieces(x.wire, x.text), *wires.unmarked(x.wire)])
    return await x.end()


async def fails_in_the_stream(x: Exchange) -> None:
    _, _, body = wires.error(x.wire, 500)
    if not x.streamed:
        return await x.say(200, {}, body)
    await x.begin()
    await x.pieces([*wires.pieces(x.wire, x.text)[:-1], wires.event(x.wire, body)])
    return await x.end()


async def filters(x: Exchange) -> None:
    if not x.streamed:
        return await x.say(200, {}, wires.whole(x.wire, "The", x.wire.refuses))
    await x.begin()
    await x.pieces([*wires.pieces(x.wire, "The"), *wires.ends(x.wire, x.wire.refuses)])
    return await x.end()


def busy(of: Wire) -> Said:
    return wires.error(of, 529 if of.kind == "anthropic" else 503)
