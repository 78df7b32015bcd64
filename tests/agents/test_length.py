"""A server that does not keep to the cap: its answer is refused, what it sends is not all kept, and it is charged."""

from __future__ import annotations

import pytest

from tests.agents.stub import Stub
from tests.agents.wires import ALL, LOCAL, Ledger, Wire, made
from understudy.errors import CallFailed
from understudy.tokens import LONGEST_TOKEN
from understudy.types import Call, Failure

CALL = Call(prompt="Say hello", output_cap=64, timeout=20.0)
MOST = LONGEST_TOKEN * CALL.output_cap
every = pytest.mark.parametrize("wire", ALL, ids=lambda w: w.kind)


@every
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("used", [(11, 7), (11, 90_000)], ids=["claims less", "owns up"])
async def test_more_than_the_cap_can_hold_is_malformed(
    wire: Wire, stub: Stub, stream: bool, used: tuple[int, int]
) -> None:
    text = "word " * (MOST // 4)
    stub.answer = wire.stream([text[:MOST], text[MOST:]], used) if stream else wire.good(text, used)
    _, worker = await made(wire, stub.url)
    ledger = Ledger()
    with pytest.raises(CallFailed, match="asked for 64 tokens") as caught:
        await worker.work(CALL, ledger, (lambda _: None) if stream else None)
    await worker.close()
    assert caught.value.failure is Failure.MALFORMED
    (charged,) = ledger.settled
    assert charged is not None
    assert charged.measured
    assert charged.output_tokens >= MOST / 4
    assert charged.output_tokens >= used[1] or stream
    assert not ledger.open


@every
async def test_a_stream_is_left_when_it_is_too_long(wire: Wire, stub: Stub) -> None:
    """Thirty megabytes are on their way; what was shown as progress is little more than the cap allows."""
    seen: list[int] = []
    stub.answer = wire.stream(["word " * 2000] * 3000)
    _, worker = await made(wire, stub.url)
    with pytest.raises(CallFailed, match="asked for 64 tokens"):
        await worker.work(CALL, Ledger(), seen.append)
    await worker.close()
    assert seen[-1] < MOST + 20_000


@every
async def test_as_much_as_the_cap_may_hold_passes(wire: Wire, stub: Stub) -> None:
    stub.answer = wire.good("w" * MOST, (11, 64))
    _, worker = await made(wire, stub.url)
    ledger = Ledger()
    assert len((await worker.work(CALL, ledger)).text) == MOST
    await worker.close()


@every
async def test_fewer_tokens_than_its_text_takes_are_not_believed(wire: Wire, stub: Stub) -> None:
    stub.answer = wire.good("word " * 2000, (11, 7))
    _, worker = await made(wire, stub.url)
    ledger = Ledger()
    await worker.work(CALL, ledger)
    await worker.close()
    assert ledger.settled == [None]  # all that was reserved is charged


async def test_a_reply_takes_memory_by_what_was_asked(stub: Stub) -> None:
    stub.answer = LOCAL.good("w" * 12_000_000)
    _, worker = await made(LOCAL, stub.url)
    with pytest.raises(CallFailed, match="more than 8 MB"):
        await worker.work(CALL, Ledger())
    await worker.close()
