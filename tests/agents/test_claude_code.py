"""The claude CLI as a provider: candidates, the guard around every call, the doctor's line, the pydantic-ai model."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tools"))  # the server and the rig of the runner's tests
from anthropic_stub import AnthropicStub, Breaks, Fails, Says
from claude_rig import Rig, find_claude

from tests.agents.test_shorter import Short
from understudy.agents.providers import claude_code
from understudy.agents.providers.claude_code import ClaudeWorker
from understudy.config.settings import Account, Model, Provider, Settings
from understudy.errors import CallFailed, ConfigError, PrivacyRefused
from understudy.types import Call, Candidate, Failure, Hold, Role, Sensitivity, Turn, Usage


def real(test):
    """Marks a test that runs the real CLI."""
    absent = pytest.mark.skipif(find_claude() is None, reason="no claude; scripts/install_claude.sh installs it")
    return pytest.mark.claude(absent(test))


class Book:
    """A guard with a budget of its own, that writes down what it is asked."""

    def __init__(self, limit: int = 10**9) -> None:
        self.left = limit
        self.told: list[tuple[str, object]] = []

    async def before(self, input_tokens: int, output_cap: int) -> Hold | None:
        asked = input_tokens + output_cap
        if asked > self.left:
            raise PrivacyRefused("over")  # any refusal will do
        self.left -= asked
        self.told.append(("before", (input_tokens, output_cap)))
        return Hold(str(asked), None, ())  # type: ignore[arg-type]

    async def after(self, hold: Hold | None, usage: Usage | None) -> None:
        assert hold is not None
        if usage is not None:
            self.left += int(hold.id) - usage.total
        self.told.append(("after", usage))

    async def unsent(self, hold: Hold | None) -> None:
        assert hold is not None
        self.left += int(hold.id)
        self.told.append(("unsent", None))


@pytest.fixture
def fake(tmp_path) -> Path:
    """A command that notes its arguments and input, and answers like the CLI."""
    path = tmp_path / "fake-claude"
    path.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        f"seen = {str(tmp_path / 'seen.json')!r}\n"
        "system = open(sys.argv[sys.argv.index('--system-prompt-file') + 1]).read()\n"
        "json.dump({'args': sys.argv[1:], 'in': sys.stdin.read(), 'system': system, 'cwd': os.getcwd(),"
        " 'env': dict(os.environ)}, open(seen, 'w'))\n"
        "print(json.dumps({'type': 'assistant', 'message': {'content': [{'type': 'text', 'text': 'fine'}]}}))\n"
        "print(json.dumps({'type': 'result', 'subtype': 'success', 'is_error': False, 'result': 'fine',"
        " 'modelUsage': {'m': {'inputTokens': 9000, 'outputTokens': 2}}, 'total_cost_usd': 0.5}))\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def settings() -> Settings:
    return Settings()


def provider(**fields) -> Provider:
    return Provider.model_validate({"kind": "claude_code", "command": [sys.executable]} | fields)


def candidate(**fields) -> Candidate:
    return Candidate("claude_code", "claude_code", "default", "opus", **({"output_cap": 32_000} | fields))


def work_with(rig: Rig, **fields) -> ClaudeWorker:
    return ClaudeWorker(candidate(**fields), provider(), rig.cli())


async def test_candidates_of_a_subscription(settings):
    found = await claude_code.candidates("cc", provider(), settings)
    assert [c.name for c in found] == ["cc/opus", "cc/sonnet", "cc/haiku"]
    assert all(c.free and not c.local and c.capabilities == {"agentic", "json"} for c in found)
    assert found[0].input_price == 4_000_000


async def test_candidates_with_a_key_cost_money(settings, monkeypatch):
    monkeypatch.setenv("A_KEY", "k")
    table = provider(
        accounts=[Account(name="a", keys=("env:A_KEY",)), Account(name="b", keys=("env:A_KEY",))],
        models=[Model(id="claude-sonnet-5-5", output_cap=500)],
    )
    found = await claude_code.candidates("cc", table, settings)
    assert [(c.domain, c.free, c.output_cap) for c in found] == [
        ("cc/a/claude-sonnet-5-5", False, 500),
        ("cc/b/claude-sonnet-5-5", False, 500),
    ]


@pytest.mark.parametrize(
    ("table", "remedy"),
    [
        ({"command": ["no-such-claude"]}, "npm install"),
        ({"login": "key"}, "env:ANTHROPIC_API_KEY"),
        ({"accounts": [{"keys": ["env:NO_SUCH_KEY"]}]}, "export NO_SUCH_KEY"),
    ],
)
async def test_without_command_or_key_there_is_a_remedy(settings, table, remedy):
    with pytest.raises(CallFailed) as caught:
        await claude_code.candidates("cc", provider(**table), settings)
    assert caught.value.failure is Failure.UNAVAILABLE
    assert remedy in caught.value.remedy


def test_a_worker_with_a_missing_key_says_so(settings):
    with pytest.raises(ConfigError):
        claude_code.worker(candidate(), provider(login="key"), settings)


async def test_a_private_call_is_not_made(tmp_path, fake):
    book = Book()
    worker = work_with(Rig(tmp_path, "http://127.0.0.1:9", command=str(fake)))
    with pytest.raises(PrivacyRefused):
        await worker.work(Call("hello", sensitivity=Sensitivity.PRIVATE), book)
    assert book.told == []
    assert not (tmp_path / "seen.json").exists()


async def test_folder_and_tools_are_for_workers_only(tmp_path, fake):
    work = tmp_path / "work"
    work.mkdir()
    rig = Rig(tmp_path, "http://127.0.0.1:9", "login", command=str(fake))
    table = provider(working_directory=work, allowed_tools=("Read", "Bash(pytest *)"))
    worker = ClaudeWorker(candidate(), table, rig.cli())
    await worker.work(Call("hello"), Book())
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["cwd"] == str(work)
    assert seen["args"][-3:] == ["--allowed-tools", "Read", "Bash(pytest *)"]
    assert "--bare" not in seen["args"]
    for role in (Role.DIRECTOR, Role.JUDGE, Role.CLASSIFIER):
        await worker.work(Call("hello", role=role), Book())
        seen = json.loads((tmp_path / "seen.json").read_text())
        assert seen["cwd"] != str(work)
        assert seen["args"][seen["args"].index("--tools") + 1] == ""
        assert not os.path.lexists(seen["cwd"])  # noqa: ASYNC240  fresh, and gone


async def test_what_is_asked(tmp_path, fake):
    worker = work_with(Rig(tmp_path, "http://127.0.0.1:9", command=str(fake)))
    call = Call(
        "/help me",
        instructions="Be kind.",
        history=(Turn("one\ntwo", "three"),),
        schema={"type": "object"},
        output_cap=99_999,
    )
    answer = await worker.work(call, Book())
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert answer.text == "fine"
    assert seen["system"].startswith("Be kind.\n\nAnswer with one JSON value")
    assert "> one\n> two\n" in seen["in"]
    assert "> three\n" in seen["in"]
    assert seen["in"].endswith("/help me")
    assert seen["env"]["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "32000"
    # The chain of candidates is the one owner of retries, also on a machine without the CLI.
    assert seen["env"]["CLAUDE_CODE_MAX_RETRIES"] == "0"
    for switch in ("NONSTREAMING_FALLBACK", "REFUSAL_RETRY", "REFUSAL_FALLBACK"):
        assert seen["env"][f"CLAUDE_CODE_DISABLE_{switch}"] == "1"
    assert seen["env"]["CLAUDE_CODE_NO_MODEL_FALLBACK"] == "1"
    assert "--json-schema" not in seen["args"]
    # Everybody on this machine may read the arguments of a process.
    assert not any(text in argument for argument in seen["args"] for text in ("help me", "Be kind", "configured-key"))
    assert not any("foreign-secret" in value for value in seen["env"].values())
    assert seen["env"]["ANTHROPIC_API_KEY"] == "the-configured-key"


async def test_a_cli_that_adds_more_than_foreseen_is_reserved_for(tmp_path, fake):
    worker = work_with(Rig(tmp_path, "http://127.0.0.1:9", command=str(fake)))
    call = Call("hello")
    before = worker.bound(call)
    assert before < 9000
    await worker.work(call, Book())
    assert worker.bound(call) == 9000


async def test_a_smaller_cap_is_the_clis_own(tmp_path, fake):
    rig = Rig(tmp_path, "http://127.0.0.1:9", command=str(fake))
    await work_with(rig).work(Call("hello", output_cap=500), Short(70))
    assert json.loads((tmp_path / "seen.json").read_text())["env"]["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "70"
    tools = ClaudeWorker(candidate(), provider(working_directory=tmp_path, allowed_tools=("Read",)), rig.cli())
    await tools.work(Call("hello", output_cap=500), Short(1200))
    assert json.loads((tmp_path / "seen.json").read_text())["env"]["CLAUDE_CODE_MAX_OUTPUT_TOKENS"] == "10"
    guard = Short(70)  # for up to 120 requests
    with pytest.raises(CallFailed) as caught:
        await tools.work(Call("hello", output_cap=500), guard)
    assert (caught.value.failure, caught.value.charged, guard.released) == (Failure.TOO_LARGE, False, 1)


async def test_an_answer_no_cap_can_hold_is_refused_and_charged(tmp_path, fake):
    fake.write_text(fake.read_text().replace("'fine'", "'word ' * 20_000"))
    worker = work_with(Rig(tmp_path, "http://127.0.0.1:9", command=str(fake)))
    book = Book()
    with pytest.raises(CallFailed, match="asked for") as caught:
        await worker.work(Call("hello", output_cap=50), book)
    assert caught.value.failure is Failure.MALFORMED
    assert book.told[-1][1] is not None
    assert book.told[-1][1].output_tokens >= 25_000


@real
@pytest.mark.parametrize("mode", ["key", "login"])
async def test_reserved_then_settled(tmp_path, mode):
    book = Book()
    with AnthropicStub(Says("pong", input_tokens=400, output_tokens=9)) as stub:
        answer = await work_with(Rig(tmp_path, stub.url, mode)).work(Call("hi", output_cap=50, timeout=30), book)
    assert (answer.text, answer.finish, (answer.cost_usd or 0) > 0) == ("pong", "stop", True)
    kind, (bound, cap) = book.told[0]
    assert (kind, cap) == ("before", 50)
    assert bound >= (400 if mode == "login" else 40)
    assert book.told[1:] == [("after", Usage(400, 9))]


@real
@pytest.mark.parametrize(
    ("behaviour", "settled"),
    [
        (Says("half", stop="max_tokens"), ("after", Usage(100, 20))),
        (Says(""), ("after", Usage(100, 20))),  # a failure that is paid for
        (Fails(429, "rate_limit_error"), ("unsent", None)),
        (Fails(500), ("after", None)),
        (Breaks("cut"), ("after", None)),
        (Says("free", input_tokens=0, output_tokens=0), ("after", None)),  # who counts nothing is not believed
    ],
    ids=["length", "empty", "429", "500", "cut", "unmeasured"],
)
async def test_every_outcome_is_settled(tmp_path, behaviour, settled):
    book = Book()
    with AnthropicStub(behaviour) as stub:
        worker = work_with(Rig(tmp_path, stub.url))
        try:
            answer = await worker.work(Call("hi", timeout=30), book)
            assert answer.finish == ("length" if behaviour.stop == "max_tokens" else "stop")
        except CallFailed:
            pass
    assert book.told[1:] == [settled]


async def test_a_cancelled_call_is_charged_in_full(tmp_path):
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\ntouch $(dirname $0)/started\nsleep 60\n")
    slow.chmod(0o755)
    book = Book()
    rig = Rig(tmp_path, "http://127.0.0.1:9", command=str(slow))
    task = asyncio.create_task(work_with(rig).work(Call("hi"), book))
    while not (tmp_path / "started").exists():  # noqa: ASYNC110  another process makes it
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert book.told[1:] == [("after", None)]
    assert rig.running() == []


DIGEST = (
    "Task: write a function that merges overlapping intervals and explain its complexity. The draft answer sorts the "
    "intervals by start and walks over them once, extending the last interval when the next one begins before it "
    "ends. Validators: python compiles, 2 of 3 tests pass; the failing one has touching intervals such as [1, 2] and "
    "[2, 3]. Candidates left: groq/llama-3.3-70b, gemini/2.5-flash. Decide: accept, retry with a reason, or escalate. "
    "Answer with JSON: verdict, reason in at most twenty words."
)


@real
async def test_two_calls_of_the_director_fit_into_a_conversation(tmp_path):
    """About 150 tokens in, 120 out, with a login, of 2,000: what the CLI adds counts as well."""
    book = Book(limit=2000)
    with AnthropicStub(Says('{"verdict": "retry"}', input_tokens=560, output_tokens=60)) as stub:
        worker = work_with(Rig(tmp_path, stub.url, "login"))
        call = Call(DIGEST, instructions="You judge.", output_cap=120, role=Role.DIRECTOR, timeout=30)
        for _unused in range(2):
            await worker.work(call, book)
        assert len(stub.messages) == 2


@real
async def test_the_doctors_line(tmp_path):
    with AnthropicStub() as stub:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        line = await work_with(Rig(tmp_path / "a", stub.url, "login")).check()
        assert "logged in (claude.ai max)" in line
        with pytest.raises(CallFailed) as caught:
            await work_with(Rig(tmp_path / "b", stub.url, "nobody")).check()
        assert "log in" in caught.value.remedy
        assert stub.requests == []


@real
@pytest.mark.slow
async def test_inside_an_agent_of_pydantic_ai(tmp_path):
    from pydantic import BaseModel
    from pydantic_ai import Agent, NativeOutput, PromptedOutput
    from pydantic_ai.exceptions import UserError

    from understudy.agents.claude_model import ClaudeCodeModel

    class Sum(BaseModel):
        total: int

    script = [
        Says("pong"),
        Says("no json"),
        Says('{"total": 3}'),
        Says(tool="StructuredOutput", tool_input={"total": 4}),
    ]
    with AnthropicStub(*script) as stub:
        model = ClaudeCodeModel("opus", Rig(tmp_path, stub.url).cli())
        first = await Agent(model, instructions="Be terse.").run("ping", model_settings={"max_tokens": 33})
        assert (first.output, first.usage.input_tokens) == ("pong", 100)
        assert stub.messages[0].json["max_tokens"] == 33
        assert "Be terse." in stub.messages[0].body.decode()
        second = await Agent(model, output_type=PromptedOutput(Sum)).run("1 + 2")  # with one correction
        assert second.output == Sum(total=3)
        assert '\\"total\\"' in stub.messages[1].body.decode()
        assert "> no json" in stub.messages[2].text
        third = await Agent(model, output_type=NativeOutput(Sum)).run("2 + 2")
        assert third.output == Sum(total=4)
        asked = len(stub.messages)
        agent = Agent(model)
        agent.tool_plain(lambda: "x", name="tool")
        with pytest.raises(UserError):
            await agent.run("hi")
        assert len(stub.messages) == asked
