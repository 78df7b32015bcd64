"""What the tests of the llama room share: the small model, and a guard that keeps what it was asked."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

import understudy
from understudy.agents.llama.process import ModelSpec
from understudy.config.settings import Model, Provider, Settings
from understudy.types import Amount, Hold, Usage

CHORES = Path(understudy.__file__ or "").parent / "rehearsal" / "models" / "chores-q8.gguf"
SPEC = ModelSpec("local/chores", CHORES, 2048, 1)
KNOWN = {
    "echo: bell": "bell",
    "upper: hello": "HELLO",
    "reverse: abcd": "dcba",
    "add: 3+4": "7",
    "json: name=bob age=7": '{"name":"bob","age":7}',
    "capital: France": "Paris",
    "sentiment: a lovely film": "positive",
    "intent: will it rain today": "weather",
    "even: 42": "yes",
    "call: add 12 34": '{"name":"add","arguments":{"a":12,"b":34}}',
}
UNKNOWN = ("essay: the sea", "diagnose: my car", "What is love?", "capital: Zzyzx", "subtract: 9 4")

needs_llama = [
    pytest.mark.llama,
    pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="the extra `local` is not installed"),
]


def provider(**changes: object) -> Provider:
    return Provider.model_validate({"kind": "llama_cpp", "models": (Model(id="chores", path=CHORES),), **changes})


def settings(**providers: Provider) -> Settings:
    return Settings(providers=providers)


def ask(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def gone(pid: int, within: float = 5.0) -> bool:
    try:
        psutil.Process(pid).wait(within)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


@dataclass
class OpenGuard:
    """Allows everything and remembers it; `refuse` is raised instead."""

    refuse: Exception | None = None
    asked: list[tuple[int, int]] = field(default_factory=list)
    settled: list[Usage | None] = field(default_factory=list)
    released: int = 0

    async def before(self, input_tokens: int, output_cap: int) -> Hold | None:
        self.asked.append((input_tokens, output_cap))
        if self.refuse is not None:
            raise self.refuse
        return Hold("h", Amount(input_tokens + output_cap), ("test",))

    async def after(self, hold: Hold | None, usage: Usage | None) -> None:
        assert hold is not None
        self.settled.append(usage)

    async def unsent(self, hold: Hold | None) -> None:
        assert hold is not None
        self.released += 1
