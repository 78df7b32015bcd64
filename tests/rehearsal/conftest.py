from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from understudy.rehearsal.script import Fault, ModelLimits, Script, ScriptedModel, ScriptedReply
from understudy.rehearsal.server import Server

Play = Callable[..., Server]


@pytest.fixture
def play() -> Iterator[Play]:
    """play("groq", faults=[{...}], limits={...}) starts a server with one model called m and one key called k."""
    with contextlib.ExitStack() as stack:

        def start(plays: Any, *, clock: Any = None, flavour: str = "llama.cpp", **model: Any) -> Server:
            faults = tuple(Fault(**f) for f in model.pop("faults", ()))
            limits = ModelLimits(**model.pop("limits", {}))
            replies = tuple(ScriptedReply(**r) for r in model.pop("replies", ()))
            scripted = ScriptedModel(id="m", faults=faults, limits=limits, replies=replies, **model)
            accounts = None if plays == "local" else {"a": ("k", "k2"), "b": ("k3",)}
            script = Script(models=(scripted,), accounts=accounts, flavour=flavour)  # type: ignore[arg-type]
            return stack.enter_context(Server(plays, script, clock=clock))

        yield start
