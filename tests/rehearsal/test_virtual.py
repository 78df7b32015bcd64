"""Virtual time: it jumps to what happens next, and where it could not go on it says so instead of spinning."""

from __future__ import annotations

import asyncio
import math
import time

import pytest

from understudy.rehearsal.virtual import START, LoopClock, TimeStandsStill, run_virtually

YEAR = 365 * 86_400.0


async def nap(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return LoopClock().now()


@pytest.mark.parametrize("start", [0.0, START, -2_208_988_800.0, 7_258_118_400.0])
def test_a_year_takes_no_time(start: float) -> None:
    began = time.monotonic()
    assert run_virtually(nap(YEAR), start) == start + YEAR
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("start", [253_402_299_000.0, -62_135_596_800.0, 1e300, math.inf, math.nan])
def test_a_clock_too_coarse_to_go_on_is_refused(start: float) -> None:
    with pytest.raises(TimeStandsStill):
        run_virtually(nap(1), start)


def test_who_sleeps_for_ever_is_woken_where_time_ends() -> None:
    seen: list[str] = []

    async def sleeper() -> None:
        try:
            await asyncio.sleep(math.inf)
        finally:
            seen.append("cleaned up")

    with pytest.raises(TimeStandsStill):
        run_virtually(sleeper())
    assert seen == ["cleaned up"]
