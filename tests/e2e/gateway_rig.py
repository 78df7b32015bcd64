"""What the tests of the gateway share: a server in the test's own loop or as a program, and models that are scripts."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn

from tests.agents.stub import Reply, Seen, Stub
from understudy import Director
from understudy.config.load import load
from understudy.gateway.app import application
from understudy.gateway.audit import Audit
from understudy.gateway.jobs import Jobs
from understudy.gateway.keys import AGE, Keys
from understudy.gateway.protocol import Protocol
from understudy.gateway.service import ANYBODY, Service
from understudy.store.callers import SCOPES
from understudy.types import Balance, Caller

if TYPE_CHECKING:
    from anthropic import AsyncAnthropic
    from groq import AsyncGroq
    from openai import AsyncOpenAI

ROOT = Path(__file__).parents[2]
TOP = '[director]\ncandidate = "none/none"\n[classifier]\nenabled = false\n'
CLOUD, OTHER, HOME = "groq/smart-70b", "openai/other-1", "local/tiny-chat"
MODELS = {"groq": "smart-70b", "openai": "other-1", "local": "tiny-chat", "anthropic": "claude-stub", "gemini": "flash"}
ABLE = ("tools", "json", "vision", "logprobs")
PATIENCE = 60.0  # seconds for what takes one on an idle machine
_PATIENT: dict[str, Any] = {"max_retries": 0, "timeout": PATIENCE}

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "Tells the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
            "additionalProperties": False,
        },
    },
}
SUM: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "add_up",
        "parameters": {"type": "object", "properties": {"of": {"type": "array", "items": {"type": "number"}}}},
    },
}


def hello(text: str = "Hello") -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


@dataclass
class Says:
    """One answer of OpenAI's wire. calls: (name, arguments, id), arguments as JSON or as the text they are."""

    text: str = ""
    calls: list[tuple[str, Any, str]] = field(default_factory=list)
    finish: str | None = None
    used: tuple[int, int] | None = (10, 5)
    logprobs: list[dict[str, Any]] | None = None
    pause: float = 0.0
    cut: int | None = None  # pieces after which the stream breaks off
    pieces: list[str] | None = None

    def reply(self, seen: Seen) -> Reply:
        if seen.method == "GET":
            return Reply(body={"object": "list", "data": []})
        asked = seen.json
        return self._stream(asked) if asked.get("stream") else self._whole(asked)

    def _calls(self) -> list[dict[str, Any]]:
        made = []
        for name, arguments, id_ in self.calls:
            said = arguments if isinstance(arguments, str) else json.dumps(arguments)
            made.append({"id": id_, "type": "function", "function": {"name": name, "arguments": said}})
        return made

    def _finish(self) -> str:
        return self.finish or ("tool_calls" if self.calls else "stop")

    def _usage(self) -> dict[str, Any]:
        if self.used is None:
            return {}
        a, b = self.used
        return {"usage": {"prompt_tokens": a, "completion_tokens": b, "total_tokens": a + b}}

    def _whole(self, asked: dict[str, Any]) -> Reply:
        message: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        if self.calls:
            message["tool_calls"] = self._calls()
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": self._finish()}
        if self.logprobs is not None:
            choice["logprobs"] = {"content": self.logprobs}
        head = {"id": "c", "object": "chat.completion", "created": 1, "model": asked["model"]}
        return Reply(body={**head, "choices": [choice], **self._usage()})

    def _stream(self, asked: dict[str, Any]) -> Reply:
        head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": asked["model"]}

        def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
            choice = {"index": 0, "delta": delta, "finish_reason": finish, **more}
            return b"data: " + json.dumps({**head, "choices": [choice]}).encode() + b"\n\n"

        words = self.pieces if self.pieces is not None else [self.text[:4], self.text[4:]] if self.text else []
        more = {"logprobs": {"content": self.logprobs}} if self.logprobs is not None else {}
        chunks = [chunk({"role": "assistant", "content": ""})]
        chunks += [chunk({"content": w}, **(more if n == 0 else {})) for n, w in enumerate(words)]
        for n, call in enumerate(self._calls()):
            function = call["function"]
            half = len(function["arguments"]) // 2
            opened = {**call, "index": n, "function": {**function, "arguments": function["arguments"][:half]}}
            rest = {"index": n, "function": {"arguments": function["arguments"][half:]}}
            chunks += [chunk({"tool_calls": [opened]}), chunk({"tool_calls": [rest]})]
        if self.cut is not None:
            return Reply(chunks=chunks[: self.cut + 1], cut=True, pause=self.pause)
        chunks.append(chunk({}, self._finish()))
        if self.used is not None:
            chunks.append(b"data: " + json.dumps({**head, "choices": [], **self._usage()}).encode() + b"\n\n")
        return Reply(chunks=[*chunks, b"data: [DONE]\n\n"], pause=self.pause)


def plays(stub: Stub, *answers: Says | Reply | Callable[[Seen], Says | Reply]) -> None:
    """In their order, the last one for ever."""
    count = 0

    def answer(seen: Seen) -> Reply:
        nonlocal count
        if seen.method == "GET":
            return Reply(body={"object": "list", "data": []})
        one = answers[min(count, len(answers) - 1)]
        count += 1
        if callable(one):
            one = one(seen)
        return one.reply(seen) if isinstance(one, Says) else one

    stub.answer = answer


def asked(stub: Stub) -> list[Seen]:
    """The requests that would have cost something."""
    return [s for s in stub.seen if s.method == "POST"]


def write_config(folder: Path, urls: dict[str, str], *, top: str = TOP, more: str = "", model: str = "") -> Path:
    """A configuration with one model of each of these kinds; local is at home. more: keys of each provider's table,
    model: of each model."""
    folder.mkdir(parents=True, exist_ok=True)
    key = folder / "key"
    key.write_text("rehearsal-key")
    key.chmod(0o600)
    lines = [top]
    able = ", ".join(f'"{name}"' for name in ABLE)
    for name, url in urls.items():
        kind = "openai_compatible" if name == "local" else name
        base = {"groq": url, "gemini": url, "anthropic": url}.get(kind, f"{url}/v1")
        lines += [f"[providers.{name}]", f'kind = "{kind}"', f'base_url = "{base}"', "enabled = true", more]
        if name != "local":
            lines.append(f'accounts = [ {{ name = "a", keys = ["file:{key}"] }} ]')
        said = f'id = "{MODELS[name]}", capabilities = [{able}], context = 100000, output_cap = 8192'
        lines += [f"models = [ {{ {said}{model and ', ' + model} }} ]", ""]
    config = folder / "config.toml"
    config.write_text("\n".join(lines))
    return config


@dataclass
class Clients:
    """SDKs that are closed with the server they talk to."""

    url: str
    made: list[Any] = field(default_factory=list, init=False)

    def openai(self, key: str = "none", **more: Any) -> AsyncOpenAI:
        from openai import AsyncOpenAI

        return self._kept(AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, **{**_PATIENT, **more}))

    def anthropic(self, key: str = "none", **more: Any) -> AsyncAnthropic:
        from anthropic import AsyncAnthropic

        return self._kept(AsyncAnthropic(base_url=self.url, api_key=key, **{**_PATIENT, **more}))

    def groq(self, key: str = "none", **more: Any) -> AsyncGroq:
        """This SDK appends /openai/v1 itself."""
        from groq import AsyncGroq

        return self._kept(AsyncGroq(base_url=self.url, api_key=key, **{**_PATIENT, **more}))

    def http(self, key: str = "", **headers: str) -> httpx.AsyncClient:
        own = {"authorization": f"Bearer {key}"} if key else {}
        return self._kept(httpx.AsyncClient(base_url=self.url, headers={**own, **headers}, timeout=PATIENCE))

    def _kept(self, client: Any) -> Any:
        self.made.append(client)
        return client

    async def hang_up(self) -> None:
        for client in self.made:
            await (client.aclose() if isinstance(client, httpx.AsyncClient) else client.close())


@dataclass
class Gateway(Clients):
    """A server in this process, and its insides."""

    director: Director
    service: Service

    async def key(self, name: str = "bot", **more: Any) -> str:
        caller = Caller(name, **{"scopes": frozenset(SCOPES), **more})
        return (await self.director.parts.store.callers.add(caller))[1].reveal()

    async def spent(self, name: str = "bot") -> Balance:
        from understudy.director.budget import caller_scope

        scope = caller_scope(name, self.director.parts.clock.now())
        return await self.director.parts.store.ledger.balance(scope)

    def audit(self) -> list[dict[str, Any]]:
        return audit_of(self.director.home)


def audit_of(home: Path) -> list[dict[str, Any]]:
    paths = sorted((home / "audit").iterdir()) if (home / "audit").exists() else []
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """They stay the test's own."""
        yield


@asynccontextmanager
async def gateway(
    config: Path, home: Path, *, is_open: bool = False, most_queued: int = 1000, age: float = AGE
) -> AsyncGenerator[Gateway]:
    """In this process, in this loop: what is patched here holds there."""
    settings, _ = load(config)
    async with Director(settings, home) as director:
        clock = director.parts.clock
        async with Jobs(director, clock, keyless=ANYBODY if is_open else None, most_queued=most_queued) as jobs:
            keys = Keys(director.parts.store.callers, clock, age=age)
            service = Service(director, keys, Audit(director.home, clock), jobs, is_open=is_open)
            listening = socket.create_server(("127.0.0.1", 0), backlog=256)
            server = _Server(
                uvicorn.Config(
                    application(lambda: service, lambda: ""),
                    http=Protocol,
                    loop="none",
                    ws="none",
                    lifespan="off",
                    log_config=None,
                    access_log=False,
                    server_header=False,
                    date_header=False,
                    proxy_headers=False,
                    timeout_graceful_shutdown=5,
                )
            )
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            await until(lambda: server.started)
            found = Gateway(f"http://127.0.0.1:{listening.getsockname()[1]}", director, service)
            try:
                yield found
            finally:
                await found.hang_up()
                server.should_exit = True
                await serving
                await asyncio.to_thread(service.audit.close)


async def until(true: Callable[[], object], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        await asyncio.sleep(0.02)


def environment(home: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "HOME": str(home), "UNDERSTUDY_HOME": str(home), "PYTHONPATH": str(ROOT)}


@dataclass
class Program(Clients):
    """`understudy serve` as a process of its own."""

    process: subprocess.Popen[bytes]
    errors: Path
    told: dict[str, Any] = field(default_factory=dict)  # on its standard output

    def said(self) -> str:
        return self.errors.read_text()

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, PATIENCE)


@asynccontextmanager
async def program(config: Path, home: Path, *arguments: str) -> AsyncGenerator[Program]:
    """As its own process. The caller ends it, or it is asked to end and must with 0."""
    home.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240
    errors = home / "stderr.txt"
    with errors.open("wb") as told:
        process = subprocess.Popen(  # noqa: ASYNC220
            [sys.executable, "-m", "understudy", "serve", "--config", str(config), "--port", "0", "--json", *arguments],
            stdout=subprocess.PIPE,
            stderr=told,
            stdin=subprocess.DEVNULL,
            env=environment(home),
            cwd=home,
            process_group=0,
        )
    try:
        assert process.stdout
        line = await asyncio.to_thread(process.stdout.readline)
        assert line.startswith(b"{"), (line, errors.read_text())
        first = json.loads(line)
        found = Program(first["url"], process, errors, first)
        try:
            yield found
        finally:
            await found.hang_up()
        if process.poll() is None:
            process.terminate()
            assert await asyncio.to_thread(process.wait, PATIENCE) == 0
        assert "Traceback" not in errors.read_text()
    finally:
        process.kill()
        process.wait()
        assert process.stdout
        process.stdout.close()


async def key_at(config: Path, home: Path, name: str = "bot", **more: Any) -> str:
    """A key made beside a program that runs or will."""
    settings, _ = load(config)
    async with Director(settings, home) as director:
        caller = Caller(name, **{"scopes": frozenset(SCOPES), **more})
        return (await director.parts.store.callers.add(caller))[1].reveal()


def frames(raw: bytes) -> list[tuple[str, Any]]:
    """(event, data) of a stream; data that is no JSON stays text."""
    found: list[tuple[str, Any]] = []
    for block in raw.decode().split("\n\n"):
        event, data = "", ""
        for line in block.splitlines():
            if line.startswith("event: "):
                event = line[7:]
            elif line.startswith("data: "):
                data += line[6:]
        if data:
            found.append((event, data if data == "[DONE]" else json.loads(data)))
    return found


def texts(chunks: Iterable[Any]) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
