"""The real nanobot, its main model a script, with understudy's tool inside: work is handed down over loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.agents.stub import Seen
from tests.e2e.house import open_house, script
from tests.e2e.nanobot_rig import Message, find_nanobot, open_nanobot, results

pytestmark = [
    pytest.mark.nanobot,
    pytest.mark.slow,
    pytest.mark.skipif(find_nanobot() is None, reason="nanobot is not installed: scripts/install_nanobot.sh"),
]
TOP = '[director]\ncandidate = "none/none"\n[classifier]\nenabled = false\n'
CANARY = "zanzibarquokka"


def handing(*tasks: dict[str, Any]) -> Any:
    """A main model that hands all of them down at once, then repeats what came back."""

    def answer(messages: list[Message], _seen: Seen) -> Any:
        said = results(messages)
        return "\n".join(["DONE", *said]) if said else [("delegate", task) for task in tasks]

    return answer


async def test_two_at_once_are_done_by_understudy(tmp_path: Path) -> None:
    with open_house(tmp_path / "house", {"groq": script("groq")}, top=TOP) as house:
        async with open_nanobot(tmp_path / "bot", house.config) as bot:
            bot.speaks(handing({"task": "Name a fruit.", "intent": "quick_qa"}, {"task": "Name a bird."}))
            out = await bot.run(*bot.agent("Do both."))
            asked = bot.stub.seen[0].json
    assert "DONE" in out
    tools = {t["function"]["name"] for t in asked["tools"]}
    assert "delegate" in tools
    assert house.received("groq") == 2
