"""The real clock. Tests and the rehearsal fleet bring their own types.Clock."""

from __future__ import annotations

import asyncio
import time


class WallClock:
    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
