"""`kill -9` of those who keep the book: no window counts less than the provider, and nothing stays in flight."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.store.keeper import CANDIDATE, LEASE, LIMIT, open_at
from tests.store.servers import Server
from tests.store.test_pages import wipe
from understudy.fleet.book import Book

ROOT = Path(__file__).parents[2]
KILLS = 8


def start(place: str, meter: Path, seed: int) -> subprocess.Popen[str]:
    keeper = subprocess.Popen(
        [sys.executable, "-m", "tests.store.keeper", place, str(meter), str(seed)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert keeper.stdout
    assert keeper.stdout.readline() == "begun\n", keeper.stderr.read() if keeper.stderr else ""
    return keeper


def sent(meter: Path) -> list[float]:
    return sorted(float(line) for line in meter.read_text().splitlines()) if meter.exists() else []


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        "sqlite",
        pytest.param("redis", marks=[pytest.mark.server, pytest.mark.xdist_group("servers")]),
        pytest.param("postgres", marks=[pytest.mark.server, pytest.mark.xdist_group("servers")]),
    ],
)
def test_no_window_counts_too_little(kind: str, tmp_path: Path, servers: Callable[[str], Server]) -> None:
    place, meter, rng = str(tmp_path / "store"), tmp_path / "meter", random.Random(7)
    if kind != "sqlite":
        place = servers(kind).url
        asyncio.run(wipe(kind, place))
    keepers = [start(place, meter, seed) for seed in range(3)]

    async def counted() -> tuple[int, int, list[float]]:
        """(the day's count, in flight, what the provider had counted before)."""
        pages, database = await open_at(place)
        try:
            before = sent(meter)
            state = (await Book(pages).states([CANDIDATE]))[CANDIDATE.domain]
            if database is not None:
                assert "sound" in await database.check()
            return state.levels[1].used, state.in_flight, before
        finally:
            await pages.close()
            if database is not None:
                await database.close()

    try:
        for number in range(KILLS):
            time.sleep(0.1 + rng.random() * 0.4)
            keepers[2].kill()
            keepers[2].communicate()
            used, _, before = asyncio.run(counted())
            assert used >= len(before), "the day counts less than was sent"
            keepers[2] = start(place, meter, 10 + number)
        for keeper in keepers:
            assert keeper.poll() is None, keeper.communicate()
            keeper.kill()
            keeper.communicate()
    finally:
        for keeper in keepers:
            keeper.kill()
            keeper.communicate()
    moments = sent(meter)
    assert len(moments) >= 2 * LIMIT, "too little was sent: this shows nothing"
    time.sleep(LEASE + 0.3)
    used, in_flight, _ = asyncio.run(counted())
    assert in_flight == 0
    assert len(moments) <= used <= len(moments) + 8 * (KILLS + 3), "what the dead had asked for is counted once"
    # A rolling window is the strictest: whatever the provider's shape, none of these would have been refused.
    most = max(sum(1 for other in moments if moment - 2.0 < other <= moment) for moment in moments)
    assert most <= LIMIT
