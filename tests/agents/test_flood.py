"""Replies without end, in the memory they take."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest

from tests.agents.stub import Reply, Stub
from tests.agents.wires import ALL, GROQ, Ledger, Wire, made
from understudy.agents import flood
from understudy.errors import CallFailed
from understudy.types import Call, Failure

CALL = Call(prompt="Say hello", output_cap=64, timeout=10.0)
every = pytest.mark.parametrize("wire", ALL, ids=lambda w: w.kind)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flood, "LARGEST", 100_000)


@every
@pytest.mark.parametrize("status", [200, 429])
@pytest.mark.usefixtures("small")
async def test_a_body_without_end_is_not_kept(wire: Wire, status: int, stub: Stub) -> None:
    stub.answer = Reply(status, b'{"x": "' + b"x" * 200_000 + b'"}')
    await _flooded(wire, stub)


@every
@pytest.mark.usefixtures("small")
async def test_neither_is_one_that_unpacks_to_it(wire: Wire, stub: Stub) -> None:
    stub.answer = Reply(200, gzip.compress(b" " * 10_000_000), {"content-encoding": "gzip"})
    await _flooded(wire, stub)


@every
@pytest.mark.usefixtures("small")
async def test_nor_a_stream(wire: Wire, stub: Stub) -> None:
    stub.answer = Reply(200, chunks=[b"data: " + b"x" * 50_000] * 4)
    await _flooded(wire, stub, stream=True)


async def _flooded(wire: Wire, stub: Stub, *, stream: bool = False) -> None:
    _, worker = await made(wire, stub.url)
    ledger = Ledger()
    with pytest.raises(CallFailed) as caught:
        await worker.work(CALL, ledger, (lambda _: None) if stream else None)
    await worker.close()
    assert caught.value.failure is Failure.MALFORMED
    assert "more than" in caught.value.message
    assert not ledger.open


@every
@pytest.mark.parametrize("coding", ["gzip", "deflate", "raw deflate"])
async def test_a_compressed_answer_is_read_all_the_same(wire: Wire, coding: str, stub: Stub) -> None:
    body = json.dumps(wire.good("Hello").body).encode()
    packed = gzip.compress(body) if coding == "gzip" else zlib.compress(body)
    stub.answer = Reply(200, packed[2:-4] if coding == "raw deflate" else packed, {"content-encoding": coding[-7:]})
    if coding == "gzip":
        stub.answer.headers["content-encoding"] = "gzip"
    _, worker = await made(wire, stub.url)
    assert (await worker.work(CALL, Ledger())).text == "Hello"
    await worker.close()


async def test_compression_is_not_asked_for_nor_taken_when_unknown(stub: Stub) -> None:
    stub.answer = Reply(200, b"x", {"content-encoding": "br"})
    _, worker = await made(GROQ, stub.url)
    with pytest.raises(CallFailed, match="compression") as caught:
        await worker.work(CALL, Ledger())
    await worker.close()
    assert caught.value.failure is Failure.MALFORMED
    assert stub.seen[0].headers["accept-encoding"] == "identity"
