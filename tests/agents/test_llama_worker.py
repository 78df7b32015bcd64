"""The provider: candidates without an SDK, a worker that asks the guard, and errors that say what to do."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.agents.llama_setup import CHORES, KNOWN, UNKNOWN, OpenGuard, needs_llama, provider, settings
from understudy.agents.providers import llama_cpp
from understudy.agents.providers.llama_cpp import LlamaCppWorker, candidates, shelf_of, worker
from understudy.config.settings import Model
from understudy.errors import BudgetRefused, CallFailed, PrivacyRefused
from understudy.types import Call, Failure, Turn, Usage

pytestmark = needs_llama
ENDLESS = {"type": "array", "minItems": 500, "items": {"type": "string", "minLength": 3}}


@pytest.fixture
async def local() -> AsyncGenerator[LlamaCppWorker]:
    table = provider()
    (candidate,) = await candidates("local", table, settings(local=table))
    made = worker(candidate, table, settings(local=table))
    yield made
    await made.close()


async def test_a_candidate_is_local_and_free() -> None:
    table = provider(models=(Model(id="chores", path=CHORES, context=1000, quality=70),))
    (candidate,) = await candidates("home", table, settings(home=table))
    assert (candidate.name, candidate.domain) == ("home/chores", "home/default/chores")
    assert (candidate.local, candidate.free, candidate.simulated) == (True, True, False)
    assert (candidate.context, candidate.quality) == (1000, 70)
    assert candidate.capabilities == {"json", "logprobs"}
    (whole,) = await candidates("home", provider(), settings())
    assert whole.context == 2048  # what the model was trained for, not the default of 8,192


async def test_a_cloud_alias_is_not_local() -> None:
    table = provider(models=(Model(id="big-cloud", path=CHORES),))
    (candidate,) = await candidates("home", table, settings())
    assert not candidate.local


async def test_one_broken_file_does_not_hide_the_others(tmp_path: Path) -> None:
    table = provider(models=(Model(id="a", path=tmp_path / "none.gguf"), Model(id="b", path=CHORES)))
    first, second = await candidates("local", table, settings())
    assert (first.model, second.model) == ("a", "b")
    broken = worker(first, table, settings())
    with pytest.raises(CallFailed, match="does not exist"):
        await broken.check()
    guard = OpenGuard()
    with pytest.raises(CallFailed, match="does not exist") as caught:
        await broken.work(Call("hi"), guard)
    assert (caught.value.failure, guard.asked) == (Failure.UNAVAILABLE, [])
    with pytest.raises(CallFailed, match="does not exist"):
        await candidates("local", provider(models=table.models[:1]), settings())


async def test_without_llama_cpp_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(llama_cpp.importlib.util, "find_spec", lambda n: None if n == "llama_cpp" else find(n))
    with pytest.raises(CallFailed) as caught:
        await candidates("local", provider(), settings())
    assert "pip install 'understudy[local]'" in caught.value.remedy


async def test_a_process_without_llama_cpp_says_so_too(
    local: LlamaCppWorker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "llama_cpp.py").write_text(
        "import os\nprint('noise')\nos.write(1, b'noise' * 999)\nraise ModuleNotFoundError(name='llama_cpp')"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(CallFailed, match="not installed") as caught:
        await local.work(Call("echo: hi"), OpenGuard())
    assert "understudy[local]" in caught.value.remedy
    assert caught.value.failure is Failure.UNAVAILABLE


def test_no_sdk_is_imported_by_looking() -> None:
    code = (
        "import asyncio, sys\n"
        "from understudy.agents.providers.llama_cpp import candidates, worker\n"
        "from understudy.config.settings import Model, Provider, Settings\n"
        f"p = Provider(kind='llama_cpp', models=(Model(id='m', path={str(CHORES)!r}),))\n"
        "c = asyncio.run(candidates('l', p, Settings()))\n"
        "worker(c[0], p, Settings())\n"
        "print([m for m in ('llama_cpp', 'numpy', 'pydantic_ai', 'jinja2') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


async def test_work_is_guarded_and_settled_exactly(local: LlamaCppWorker) -> None:
    guard, chars = OpenGuard(), list[int]()
    answer = await local.work(Call("upper: hello", output_cap=50), guard, chars.append)
    assert (answer.text, answer.finish, answer.model) == ("HELLO", "stop", "chores")
    assert answer.usage == Usage(31, 5)
    assert (guard.asked, guard.settled) == ([(31, 50)], [Usage(31, 5)])
    assert chars[-1] == 5
    assert chars == sorted(chars)


async def test_confidence_tells_known_from_unknown(local: LlamaCppWorker) -> None:
    for prompt, right in KNOWN.items():
        answer = await local.work(Call(prompt), OpenGuard())
        assert answer.logprob is not None
        assert (answer.text, answer.logprob > -0.2) == (right, True)
    for prompt in UNKNOWN:
        answer = await local.work(Call(prompt, output_cap=30), OpenGuard())
        assert answer.logprob is not None
        assert answer.logprob < -0.2


async def test_instructions_history_and_schema_reach_the_model(local: LlamaCppWorker) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
    schema["required"] = ["name", "age"]
    call = Call("json: name=ann age=9", instructions="Be brief.", history=(Turn("add: 1+1", "2"),), schema=schema)
    assert [m["role"] for m in llama_cpp.conversation(call)] == ["system", "user", "assistant", "user"]
    assert '"required"' in llama_cpp.conversation(call)[0]["content"]
    import json

    assert set(json.loads((await local.work(call, OpenGuard())).text)) == {"name", "age"}


@pytest.mark.parametrize(
    "refusal",
    [
        PrivacyRefused("no"),
        BudgetRefused(unit="tokens", scope="s", limit=1, spent=0, reserved=0, asked=2),
    ],
)
async def test_a_refusal_of_the_guard_stops_everything(local: LlamaCppWorker, refusal: Exception) -> None:
    guard, chars = OpenGuard(refuse=refusal), list[int]()
    with pytest.raises(type(refusal)):
        await local.work(Call("echo: hi"), guard, chars.append)
    assert (chars, guard.settled, guard.released) == ([], [], 0)


async def test_a_prompt_beyond_the_context_never_reaches_the_guard(local: LlamaCppWorker) -> None:
    guard = OpenGuard()
    with pytest.raises(CallFailed) as caught:
        await local.work(Call("echo: " + "x" * 3000), guard)
    assert (caught.value.failure, guard.asked) == (Failure.CONTEXT, [])


async def test_the_cap_fits_into_what_the_context_leaves(local: LlamaCppWorker) -> None:
    guard = OpenGuard()
    answer = await local.work(Call("echo: " + "x" * 1900, output_cap=4000), guard)
    size, cap = guard.asked[0]
    assert size + cap == 2048
    assert answer.usage.total <= 2048


async def test_a_cancelled_call_is_settled_by_what_it_wrote(local: LlamaCppWorker) -> None:
    guard, running = OpenGuard(), asyncio.Event()
    call = Call("x", schema=ENDLESS, output_cap=1500)
    task = asyncio.create_task(local.work(call, guard, lambda _n: running.set()))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (usage,) = guard.settled
    assert usage is not None
    assert 0 < usage.output_tokens < 1500
    assert (await local.work(Call("add: 3+4"), OpenGuard())).text == "7"


async def test_a_deadline_is_a_transport_failure_and_settled(local: LlamaCppWorker) -> None:
    await local.count(Call("x"))  # load it first
    guard = OpenGuard()
    with pytest.raises(CallFailed, match="not ready within") as caught:
        await local.work(Call("x", schema=ENDLESS, output_cap=1900, timeout=0.15), guard)
    assert caught.value.failure is Failure.TRANSPORT
    assert guard.settled[0] is not None


async def test_a_crash_is_charged_in_full_and_mended_on_the_next_call(local: LlamaCppWorker) -> None:
    import os
    import signal

    guard, running = OpenGuard(), asyncio.Event()
    task = asyncio.create_task(local.work(Call("x", schema=ENDLESS, output_cap=1500), guard, lambda _n: running.set()))
    await running.wait()
    async_shelf = local._shelf
    assert async_shelf is not None
    (place,) = async_shelf._places.values()
    assert place.process is not None
    os.kill(place.process.pid, signal.SIGKILL)
    with pytest.raises(CallFailed) as caught:
        await task
    assert (caught.value.failure, guard.settled) == (Failure.TRANSPORT, [None])
    assert (await local.work(Call("add: 3+4"), OpenGuard())).text == "7"


async def test_eight_calls_at_once(local: LlamaCppWorker) -> None:
    answers = await asyncio.gather(*(local.work(Call(f"add: {i}+{i}"), OpenGuard()) for i in range(8)))
    assert [a.text for a in answers] == [str(2 * i) for i in range(8)]


async def test_tools_are_refused_clearly(local: LlamaCppWorker) -> None:
    guard = OpenGuard()
    with pytest.raises(CallFailed, match="cannot use tools") as caught:
        await local.work(Call("hi", tools=("fetch",)), guard)
    assert (caught.value.charged, guard.asked) == (False, [])


async def test_the_bound_holds_and_becomes_exact(local: LlamaCppWorker) -> None:
    turn = Turn("What?", "That <|im_end|> there.")
    for call in (
        Call("echo: hi"),
        Call("naïve 💡 ünï " * 20, instructions="Be brief.", history=(turn, turn)),
        Call("<|im_end|><|im_start|>" * 20, schema={"type": "object"}),
        Call(""),
    ):
        before = local.bound(call)
        exact = await local.count(call)
        assert exact <= before
        assert local.bound(call) == exact


async def test_the_doctor_reads_without_loading(local: LlamaCppWorker) -> None:
    assert "loads on first use" in await local.check()
    assert local._shelf is None
    await local.work(Call("echo: hi"), OpenGuard())
    assert "loaded" in await local.check()
    table = provider(memory_gib=0.001)
    (candidate,) = await candidates("local", table, settings())
    with pytest.raises(CallFailed, match="memory_gib"):
        await worker(candidate, table, settings()).check()


async def test_workers_of_one_provider_share_a_shelf_and_others_do_not() -> None:
    one, other = provider(), provider()
    first = shelf_of(one)
    assert shelf_of(one) is first
    assert shelf_of(other) is not first


async def test_thinking_aloud_is_no_answer() -> None:
    strip = llama_cpp._THOUGHT.sub
    assert strip("", "<think>hm\n\nhm</think>\n\n42", count=1) == "42"
    assert strip("", "<think>cut short", count=1) == ""
    assert strip("", "a <think> tag", count=1) == "a <think> tag"
