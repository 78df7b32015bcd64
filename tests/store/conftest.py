from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from understudy.store.store import Store


class HandClock:
    """Time that moves when the test says so."""

    def __init__(self, time: float = 1_000_000.0) -> None:
        self.time = time

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


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
