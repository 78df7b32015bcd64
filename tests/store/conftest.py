from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.store.clock import HandClock
from tests.store.servers import SERVERS, Server, find
from understudy.store.store import Store


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
async def store(home: Path, clock: HandClock) -> AsyncIterator[Store]:
    async with await Store.open(home, clock) as opened:
        yield opened


@pytest.fixture(scope="session")
def servers() -> Iterator[Callable[[str], Server]]:
    """The running server of a kind, started when it is first asked for; skips where the machine has none."""
    running: dict[str, Server] = {}

    def server(kind: str) -> Server:
        program, start = SERVERS[kind]
        pytest.importorskip({"redis": "redis", "postgres": "psycopg_pool"}[kind], reason=f"the extra {kind} is missing")
        if find(program) is None:
            pytest.skip(f"{program} is not on this machine: sh scripts/install_servers.sh")
        if kind not in running:
            running[kind] = start()
        return running[kind]

    yield server
    for found in running.values():
        found.close()
