"""I4 within one task: every request of a tool loop waits for its room in the book, not the first one alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.e2e import raw_wires as wires
from tests.e2e.raw_server import Exchange, Fault, RawServer, answers
from understudy import Director, Task

SEARCH = Task("Search the web for what makes the tides", agent="researcher")
TEXT = "The tides come from the moon; the page itself could not be read."
LIMIT, WINDOW = 2, 1.5  # requests, seconds
CONFIG = """
deadline = 60
[director]
candidate = "none/none"
[classifier]
enabled = false
[providers.groq]
kind = "groq"
timeout = 8
base_url = "{url}"
accounts = [{{ keys = ["file:{home}/key"] }}]
models = [{{ id = "openai/gpt-oss-20b", context = 8000, output_cap = 512, capabilities = ["tools"], windows = [
  {{ name = "RPM", counts = "requests", limit = {limit}, seconds = {seconds} }} ] }}]
"""


async def reads_a_page(x: Exchange) -> None:
    """The model asks for a page; that it is one of this machine's, and refused, is all the same here."""
    asks = {"id": "t1", "type": "function", "function": {"name": "fetch", "arguments": '{"url": "http://127.0.0.1/"}'}}
    said = wires.whole(x.wire, "", "tool_calls")
    said["choices"][0]["message"] = {"role": "assistant", "content": None, "tool_calls": [asks]}
    await x.say(200, {}, said)


@asynccontextmanager
async def world(home: Path, *faults: Fault) -> AsyncIterator[tuple[Director, RawServer]]:
    (home / "key").write_text("k")
    async with RawServer("groq", TEXT, *faults) as server:
        (home / "config.toml").write_text(CONFIG.format(url=server.url, home=home, limit=LIMIT, seconds=WINDOW))
        async with Director(Director.from_config(home / "config.toml").settings, home) as director:
            yield director, server
            states = await director.parts.book.states(director.parts.fleet)
            assert all(state.in_flight == 0 for state in states.values())


def keeps_to_the_window(server: RawServer) -> bool:
    moments = [x.at for x in server.got]
    return all(beyond - first >= WINDOW for first, beyond in zip(moments, moments[LIMIT:], strict=False))


async def test_the_second_request_waits_for_its_room(tmp_path: Path) -> None:
    async with world(tmp_path, answers, reads_a_page, answers) as (director, server):
        await director.run(Task("Why are there tides?", intent="quick_qa"))
        reply = await director.run(SEARCH)
        assert reply.text == TEXT
        assert [a.outcome for a in reply.attempts] == ["ok"]
        assert len(server.got) == 3
        assert keeps_to_the_window(server)


async def test_a_loop_longer_than_its_window_waits_in_the_middle(tmp_path: Path) -> None:
    async with world(tmp_path, reads_a_page, reads_a_page, answers) as (director, server):
        reply = await director.run(SEARCH)
        assert reply.text == TEXT
        assert [a.outcome for a in reply.attempts] == ["ok"], "what it had done was not thrown away"
        assert len(server.got) == 3
        assert keeps_to_the_window(server)
