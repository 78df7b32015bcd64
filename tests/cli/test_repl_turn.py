"""One turn, without a terminal."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.e2e.house import open_house, script
from understudy import Task
from understudy.classifiers.gate import Gate
from understudy.cli.conversation import Conversation
from understudy.cli.repl import load_session
from understudy.cli.repl_turn import take_turn
from understudy.errors import UsageError


@dataclass
class Waking:
    """A REPL whose store is read only when the first message is there already."""

    conversation: Conversation = field(default_factory=lambda: Conversation("s-1", named=True))
    kept: list[str] = field(default_factory=list)
    asked: list[Task] = field(default_factory=list)

    @property
    def input(self) -> Any:
        return SimpleNamespace(remember=self.kept.append)

    async def director(self) -> Any:
        self.conversation.private = True
        return SimpleNamespace(parts=SimpleNamespace(gate=Gate()), stream=self._stream)

    async def _stream(self, task: Task) -> Any:
        self.asked.append(task)
        raise UsageError("enough")
        yield


async def test_a_message_typed_early_into_a_private_conversation_is_not_kept() -> None:
    repl: Any = Waking()
    with pytest.raises(UsageError, match="enough"):
        await take_turn(repl, "what did the doctor find?")
    assert repl.kept == []
    assert repl.asked[0].sensitivity == "private"


async def test_a_resumed_conversation_knows_its_last_reply(tmp_path: Path) -> None:
    with open_house(tmp_path, {"local": script("local")}) as house:
        async with house.director() as director:
            reply = await director.run(Task("hello", session="trip", intent="quick_qa"))
            talk = Conversation("trip", named=True)
            assert await load_session(director, talk)
    assert talk.last_reply == reply.id
