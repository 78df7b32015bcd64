"""A hold for fewer output tokens than were asked for: the provider is asked for no more than that, on every wire."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest

from tests.agents.llama_setup import needs_llama
from tests.agents.test_rehearsal import settings_of
from understudy.agents.keys import Rings
from understudy.agents.providers import rehearsal
from understudy.clock import WallClock
from understudy.types import Amount, Call, Hold, Usage

MODELS = {
    "groq": "llama-3.1-8b-instant",
    "gemini": "gemini-2.5-flash",
    "anthropic": "claude-haiku-5-5",
    "openai": "gpt-4.1-mini",
    "local": "ministral-3b",
}
CAP = re.compile(rb'"(?:max_tokens|max_completion_tokens|maxOutputTokens)":\s*(\d+)')
LONG = "Explain in detail how bread is baked."


@dataclass
class Short:
    """Has room for so much output."""

    cap: int
    settled: list[Usage | None] = field(default_factory=list)
    released: int = 0

    async def before(self, input_tokens: int, output_cap: int) -> Hold | None:
        return Hold("h", Amount(), (), output_cap=self.cap)

    async def after(self, hold: Hold | None, usage: Usage | None) -> None:
        self.settled.append(usage)

    async def unsent(self, hold: Hold | None) -> None:
        self.released += 1


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("plays", MODELS)
async def test_over_http(plays: str, streams: bool) -> None:
    settings = settings_of(**{f"short-{plays}": {"plays": plays, "models": [{"id": MODELS[plays]}]}})
    ((name, provider),) = settings.providers.items()
    (candidate,) = await rehearsal.candidates(name, provider, settings)
    worker = rehearsal.worker(candidate, provider, settings)
    guard = Short(7)
    try:
        answer = await worker.work(Call(LONG, output_cap=500, timeout=20), guard, (lambda _: None) if streams else None)
        server = rehearsal.servers()[name]
        asked = [int(found[1]) for r in server.requests if (found := CAP.search(r.body))]
    finally:
        await worker.close()
    assert asked[-1] == 7
    assert answer.finish == "length"
    (usage,) = guard.settled
    assert usage is not None
    assert usage.output_tokens <= 7


async def test_without_a_wire() -> None:
    settings = settings_of(x={"plays": "groq", "models": [{"id": MODELS["groq"]}]})
    provider = settings.providers["x"]
    (candidate,) = await rehearsal.candidates("x", provider, settings)
    worker, _ = rehearsal.staged(candidate, provider, Rings(), None, WallClock())
    answer = await worker.work(Call(LONG, output_cap=500, timeout=20), Short(7))
    assert (answer.finish, answer.usage.output_tokens <= 7) == ("length", True)


class TestWithLlama:
    pytestmark = needs_llama

    async def test_in_a_process(self) -> None:
        from tests.agents.llama_setup import provider, settings
        from tests.agents.test_llama_worker import ENDLESS
        from understudy.agents.providers.llama_cpp import candidates, worker

        table = provider()
        (candidate,) = await candidates("local", table, settings(local=table))
        local = worker(candidate, table, settings(local=table))
        try:
            answer = await local.work(Call("x", schema=ENDLESS, output_cap=300), Short(9))
        finally:
            await local.close()
        assert (answer.finish, answer.usage.output_tokens) == ("length", 9)
