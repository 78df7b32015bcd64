from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.store.clock import HandClock
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
