"""What the tests of nanobot share: where it is, a user made of temporary folders, and a main model that is a script."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.agents.stub import Reply, Seen, Stub

REPOSITORY = Path(__file__).parents[2]
PATIENCE = 100  # seconds for one turn of nanobot on a loaded machine: its imports alone take several

Message = dict[str, Any]


def find_nanobot() -> Path | None:
    """The environment of $UNDERSTUDY_TEST_NANOBOT, else the one scripts/install_nanobot.sh makes."""
    chosen = os.environ.get("UNDERSTUDY_TEST_NANOBOT")
    folder = Path(chosen) if chosen else REPOSITORY / ".tools/nanobot"
    return folder if (folder / "bin/nanobot").exists() else None


def spoken(says: str | list[tuple[str, dict[str, Any]]], model: str = "stub") -> Reply:
    """A text, or calls of tools, as a provider streams it.

    nanobot wants a finish_reason, a chunk of usage, and ids that never come again.
    """
    if isinstance(says, str):
        delta: Message = {"role": "assistant", "content": says}
    else:
        calls = [
            {
                "index": number,
                "id": f"call_{uuid.uuid4().hex}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(arguments)},
            }
            for number, (name, arguments) in enumerate(says)
        ]
        delta = {"role": "assistant", "content": None, "tool_calls": calls}
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model}
    finish = "stop" if isinstance(says, str) else "tool_calls"
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    told = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
        {**head, "choices": [], "usage": usage},
    ]
    chunks = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in told]
    return Reply(headers={"content-type": "text/event-stream"}, chunks=[*chunks, b"data: [DONE]\n\n"])


def results(messages: list[Message]) -> list[str]:
    """What tools have said since the user spoke last."""
    said: list[str] = []
    for message in reversed(messages):
        if message["role"] == "user":
            break
        if message["role"] == "tool":
            said.insert(0, str(message["content"]))
    return said


@dataclass
class Nanobot:
    """A user of nanobot: a home, a workspace, and `agent()`."""

    place: Path
    folder: Path
    stub: Stub
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.folder / ".nanobot" / "config.json"

    @property
    def workspace(self) -> Path:
        return self.folder / "ws"

    def python(self, code: str, *arguments: str) -> list[str]:
        return [str(self.place / "bin/python"), "-c", code, *arguments]

    def speaks(self, answer: Callable[[list[Message], Seen], Any]) -> None:
        self.stub.answer = lambda seen: spoken(answer(seen.json["messages"], seen))

    async def start(self, *command: str, **environ: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *command,
            cwd=self.folder,
            env={**self.environ, **environ},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )

    async def run(self, *command: str, **environ: str) -> str:
        """What it printed. It must end in PATIENCE seconds, with 0."""
        process = await self.start(*command, **environ)
        try:
            out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
        finally:
            with suppress(ProcessLookupError):
                process.kill()
        assert process.returncode == 0, out.decode()
        return out.decode()

    def agent(self, message: str, session: str = "cli:x") -> list[str]:
        nanobot = str(self.place / "bin/nanobot")
        return [nanobot, "agent", "-c", str(self.config), "-s", session, "-m", message, "--no-markdown"]


@asynccontextmanager
async def open_nanobot(folder: Path, understudy: Path) -> AsyncGenerator[Nanobot]:
    """understudy: its configuration. The main model is the stub, which the test gives words."""
    place = find_nanobot()
    assert place is not None
    (folder / ".nanobot").mkdir(parents=True)
    async with Stub() as stub:
        rig = Nanobot(place, folder, stub)
        rig.environ = {
            "PATH": f"{place / 'bin'}:{os.environ['PATH']}",
            "HOME": str(folder),
            "PYTHONPATH": str(REPOSITORY),
            "UNDERSTUDY_CONFIG": str(understudy),
            "UNDERSTUDY_HOME": str(folder / "understudy"),
            "COLUMNS": "200",
            "NO_COLOR": "1",
        }
        rig.workspace.mkdir()
        table = {
            "providers": {"stub": {"apiBase": f"{stub.url}/v1", "apiKey": "stub-key"}},
            "modelPresets": {"Main": {"provider": "stub", "model": "stub-1", "maxTokens": 512}},
            "agents": {
                "defaults": {"workspace": str(rig.workspace), "modelPreset": "Main", "dream": {"enabled": False}}
            },
        }
        rig.config.write_text(json.dumps(table, indent=2))
        yield rig
