"""A provider without its wire fails, answers and counts as it does with one."""

from __future__ import annotations

import asyncio

import pytest

from tests.agents.test_rehearsal import OpenGuard, settings_of
from understudy.agents.keys import Rings
from understudy.agents.providers import rehearsal
from understudy.clock import WallClock
from understudy.errors import CallFailed
from understudy.rehearsal.script import ANSWER_FAULTS, ERROR_FAULTS
from understudy.types import Answer, Call, Usage, Worker

KINDS = sorted(ERROR_FAULTS | ANSWER_FAULTS | {"reset", "cut", "malformed"})
MODELS = {
    "groq": "llama-3.1-8b-instant",
    "gemini": "gemini-2.5-flash",
    "anthropic": "claude-haiku-5-5",
    "openai": "gpt-4.1-mini",
    "local": "ministral-3b",
}


async def ended(worker: Worker) -> tuple[object, ...]:
    """How a call ends: what a dispatcher sees of it."""
    guard = OpenGuard()
    try:
        answer = await worker.work(Call("What is 12*7?", output_cap=200, timeout=10), guard)
    except CallFailed as failure:
        # A midnight comes nearer between two calls.
        return str(failure.failure), pytest.approx(failure.retry_after, abs=5), failure.charged
    return answer.text, answer.finish, answer.usage


@pytest.mark.parametrize("plays", MODELS)
async def test_every_fault_is_of_the_class_it_has_over_http(plays: str, tmp_path) -> None:
    wrong: list[str] = []
    for kind in KINDS:
        script = tmp_path / f"{kind}.toml"
        account = '[accounts]\ndefault = ["rehearsal-key"]\n' if plays != "local" else ""
        script.write_text(
            f'{account}[[models]]\nid = "{MODELS[plays]}"\n[[models.faults]]\nkind = "{kind}"\nretry_after = 7\n'
        )
        settings = settings_of(x={"plays": plays, "script": str(script)})
        provider = settings.providers["x"]
        (candidate,) = await rehearsal.candidates("x", provider, settings)
        real = rehearsal.worker(candidate, provider, settings)
        played, _ = rehearsal.staged(candidate, provider, Rings(), None, WallClock())
        try:
            here, there = await ended(played), await ended(real)
        finally:
            await real.close()
        if here != there:
            wrong.append(f"{kind}: {here} without a wire, {there} over HTTP")
    assert not wrong, "\n".join(wrong)


async def test_the_windows_are_the_same_and_are_told(tmp_path) -> None:
    script = tmp_path / "s.toml"
    script.write_text('[accounts]\na = ["k1", "k2"]\n[[models]]\nid = "m"\nlimits = { rpm = 2, tpm = 6000 }\n')
    settings = settings_of(x={"plays": "groq", "script": str(script), "accounts": [{"name": "a"}]})
    provider = settings.providers["x"]
    (candidate,) = await rehearsal.candidates("x", provider, settings)
    worker, host = rehearsal.staged(candidate, provider, Rings(), None, WallClock())
    call = Call("hello", output_cap=100, timeout=5)
    first, second = [await worker.work(call, OpenGuard()) for _ in range(2)]
    assert [r.left for r in second.readings if r.counts == "requests"] == [0]
    assert isinstance(first, Answer)
    assert first.usage.output_tokens > 0
    with pytest.raises(CallFailed) as caught:
        await worker.work(call, OpenGuard())
    assert str(caught.value.failure) == "minute_quota"
    assert host.earned == {("a", "m"): 1}, "a refusal no fault asked for was earned"


async def test_a_refused_key_is_set_aside_and_the_other_one_works(tmp_path) -> None:
    script = tmp_path / "s.toml"
    script.write_text('[accounts]\na = ["k1", "k2"]\n[[models]]\nid = "m"\n')
    settings = settings_of(x={"plays": "groq", "script": str(script), "accounts": [{"name": "a"}]})
    provider = settings.providers["x"]
    (candidate,) = await rehearsal.candidates("x", provider, settings)
    from understudy.rehearsal.script import Fault

    worker, host = rehearsal.staged(candidate, provider, Rings(), None, WallClock())
    host.weather = lambda account, key, model: Fault(kind="auth") if key == "k1" else None
    for _ in range(4):
        await worker.work(Call("hello", output_cap=100, timeout=5), OpenGuard())
    assert host.refused == {"auth": 1}
    assert host.requests == 5


async def test_who_is_cancelled_has_paid(tmp_path) -> None:
    script = tmp_path / "s.toml"
    script.write_text('[[models]]\nid = "m"\nlatency = 30\n')
    settings = settings_of(x={"plays": "local", "script": str(script)})
    provider = settings.providers["x"]
    (candidate,) = await rehearsal.candidates("x", provider, settings)
    worker, _ = rehearsal.staged(candidate, provider, Rings(), None, WallClock())
    guard = OpenGuard()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(worker.work(Call("hello", timeout=20), guard), 0.05)
    assert guard.used == [None], "an unknown outcome is charged in full"
    assert guard.used != [Usage()]
