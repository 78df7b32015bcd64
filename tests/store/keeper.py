"""A process that calls a provider: python -m tests.store.keeper PLACE METER SEED. Runs until it is killed.

PLACE is a file's folder or a server's address. METER is what the provider counts: a line is appended when a request
arrives there, at most as many as the book let through.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from pathlib import Path

from understudy.clock import WallClock
from understudy.fleet import book as books
from understudy.fleet.book import Book, Cost, Tab
from understudy.fleet.form import PageForm
from understudy.fleet.page import Page
from understudy.store.database import Database
from understudy.store.pages import Pages
from understudy.store.shelves import open_pages
from understudy.types import Candidate, Limits, Reading, Usage, Window

LEASE = 1.5  # seconds
LIMIT = 40
MINUTE = Window("RPM", "requests", LIMIT, 2.0)
DAY = Window("RPD", "requests", 1_000_000, 86_400.0)
CANDIDATE = Candidate("g", "groq", "a", "m", limits=Limits((MINUTE, DAY), "cap"))
STATED = (Reading("requests", LIMIT, None, None, 2.0), Reading("requests", 1_000_000, None, None, 86_400.0))


async def open_at(place: str) -> tuple[Pages[Page], Database | None]:
    if "://" in place:
        return await open_pages(place, None, PageForm(), WallClock()), None  # type: ignore[arg-type]
    database = await Database.open(Path(place) / "book.db")
    return await open_pages("", database, PageForm(), WallClock()), database


async def call(book: Book, meter: int, rng: random.Random) -> None:
    while True:
        tab = await book.reserve(CANDIDATE, Cost(10, 10), seconds=LEASE)
        if not isinstance(tab, Tab):
            await asyncio.sleep(min(0.05, max(0.001, tab.seconds)))
            continue
        await asyncio.sleep(rng.random() / 200)
        os.write(meter, f"{time.time()}\n".encode())  # one write: a kill cannot cut it
        await asyncio.sleep(rng.random() / 100)
        await book.close(tab, "ok", usage=Usage(10, 10), readings=STATED)


async def main(place: str, meter_path: str, seed: int) -> None:
    books.LEASE = 0.0
    meter = os.open(meter_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    pages, _ = await open_at(place)
    book, rng = Book(pages), random.Random(seed)
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    await asyncio.gather(*(call(book, meter, rng) for _ in range(8)))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
