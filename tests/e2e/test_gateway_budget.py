# ruff: noqa: ASYNC221 - programs in async tests
"""I1 over real HTTP: a thousand at once on a key whose day is enough for fifty, also while a worker is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.agents.stub import Reply, Seen, Stub
from tests.e2e.gateway_rig import CLOUD, Program, Says, asked, hello, key_at, program, until, write_config
from understudy import Director
from understudy.config.load import load
from understudy.director.budget import caller_scope
from understudy.types import Balance

ONE, FITS, CROWD = 60, 50, 1000  # tokens of a request, requests of the day, requests at once
ASKED = {"model": CLOUD, "messages": hello("Hello, say something kind to me please, as long as you like.")}
SOON = 10  # seconds; who is told so comes back


@dataclass
class Provider:
    """Counts what it bills, as those who send the invoice do. seconds: what an answer takes."""

    seconds: float = 0.05
    billed: int = 0

    def answer(self, seen: Seen) -> Reply:
        if seen.method == "GET":
            return Reply(body={"object": "list", "data": []})
        out = min(ONE - 20, seen.json["max_completion_tokens"])
        self.billed += 20 + out
        reply = Says("Hello there, friend.", used=(20, out)).reply(seen)
        reply.hang = self.seconds
        return reply


@dataclass
class Crowd:
    """Clients that ask once, or come back for as long as they are told to."""

    server: Program
    key: str
    body: dict[str, Any]
    told: Counter[str] = field(default_factory=Counter[str])

    async def ask(self, count: int, *, again: int = 0) -> None:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            await asyncio.gather(*(self._one(session, again) for _ in range(count)))

    async def _one(self, session: aiohttp.ClientSession, again: int) -> None:
        headers = {"authorization": f"Bearer {self.key}"}
        for _ in range(again + 1):
            try:
                async with session.post(
                    f"{self.server.url}/v1/chat/completions", json=self.body, headers=headers
                ) as got:
                    raw = await got.read()
            except aiohttp.ClientError:
                self.told["cut"] += 1
                return
            if got.status == 200 and b'"error"' not in raw:
                self.told["served"] += 1
                return
            assert got.status in (200, 429), raw
            later = float(got.headers.get("retry-after", "1"))
            if later > SOON:
                break
            await asyncio.sleep(later)
        self.told["refused"] += 1


async def balance(config: Path, home: Path) -> Balance:
    settings, _ = load(config)
    async with Director(settings, home) as director:
        return await director.parts.store.ledger.balance(caller_scope("bot", time.time()))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "more"),
    [(1, {"max_tokens": 40}), (2, {"max_tokens": 40, "stream": True}), (1, {"stream": True}), (2, {})],
)
async def test_a_thousand_at_once(tmp_path: Path, workers: int, more: dict[str, Any]) -> None:
    provider, limit = Provider(), ONE * FITS
    async with Stub() as cloud:
        cloud.answer = provider.answer
        config, home = write_config(tmp_path, {"groq": cloud.url}), tmp_path / "home"
        key = await key_at(config, home, tokens_per_day=limit)
        async with program(config, home, "--workers", str(workers)) as server:
            crowd = Crowd(server, key, {**ASKED, **more})
            await crowd.ask(CROWD)
            assert provider.billed <= limit
            await crowd.ask(FITS, again=40)  # what the crowd left, if anything
        spent = await balance(config, home)
    assert crowd.told["served"] == len(asked(cloud)) <= FITS, "who was refused cost nothing"
    assert 0.95 * limit <= provider.billed <= limit, crowd.told
    assert (spent.spent.tokens, spent.reserved.tokens) == (provider.billed, 0)


@pytest.mark.slow
@pytest.mark.parametrize("more", [{"max_tokens": 40}, {"stream": True}])
async def test_a_worker_is_killed_meanwhile(tmp_path: Path, more: dict[str, Any]) -> None:
    provider, limit = Provider(seconds=0.5), ONE * FITS
    async with Stub() as cloud:
        cloud.answer = provider.answer
        config, home = write_config(tmp_path, {"groq": cloud.url}), tmp_path / "home"
        key = await key_at(config, home, tokens_per_day=limit)
        async with program(config, home, "--workers", "2") as server:
            crowd = Crowd(server, key, {**ASKED, **more})
            crowding = asyncio.create_task(crowd.ask(CROWD))
            await until(lambda: asked(cloud))
            children = subprocess.run(["pgrep", "-P", str(server.process.pid)], capture_output=True, check=True).stdout
            os.kill(int(children.split()[0]), signal.SIGKILL)
            await crowding
            await crowd.ask(FITS)
        spent = await balance(config, home)
    assert crowd.told["cut"] > 0, "it was killed while it worked"
    assert provider.billed <= limit
    assert provider.billed <= spent.spent.tokens + spent.reserved.tokens <= limit, "what was in flight is charged"
