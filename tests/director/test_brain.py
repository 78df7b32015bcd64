"""The director is asked only when it can be: its absence never fails a task."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from understudy.config.settings import Settings
from understudy.director.brain import ask_director, handoff_cost
from understudy.errors import ConfigError
from understudy.types import Call, Candidate


async def test_a_director_whose_key_has_gone_is_not_asked() -> None:
    def gone(candidate: Candidate) -> None:
        raise ConfigError("There is no key.")

    candidate = Candidate("anthropic", "anthropic", "a", "opus")
    parts: Any = SimpleNamespace(settings=Settings(), find=lambda name: candidate, worker=gone)
    assert handoff_cost(parts, Call("x")) == 0
    trail: Any = SimpleNamespace()
    assert await ask_director(parts, trail, Call("x")) is None
