"""What the quota book costs: reserve + close, in memory and on SQLite, in one process and in four on one page.

    python benchmarks/quota.py --json [--operations N] [--long N]

Beside it plain SQLite in the same run: the same page, read and written under BEGIN IMMEDIATE with busy_timeout only.
--long 1000000 also follows the memory of one process over so many operations. Takes a minute and stops by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROCESSES = 4


def candidate() -> Any:
    from understudy.types import Candidate, Limits, Window

    windows = (
        Window("RPM", "requests", 10**7, 60.0),
        Window("RPD", "requests", 10**9, 86_400.0),
        Window("TPM", "tokens", 10**9, 60.0),
        Window("TPD", "tokens", 10**11, 86_400.0, "America/Los_Angeles"),
    )
    return Candidate("g", "groq", "a", "m", limits=Limits(windows, "cap"))


async def turns(kind: str, home: Path, count: int) -> list[float]:
    """Seconds of each reserve + close."""
    from understudy.clock import WallClock
    from understudy.fleet.book import Book, Cost, Tab
    from understudy.fleet.form import PageForm
    from understudy.store.database import Database
    from understudy.store.pages import MemoryPages, SqlitePages
    from understudy.types import Usage

    database = None if kind == "memory" else await Database.open(home / "book.db")
    pages: Any = SqlitePages(database, PageForm(), WallClock()) if database else MemoryPages(PageForm(), WallClock())
    book, who, took = Book(pages), candidate(), list[float]()
    while len(took) < count:
        began = time.perf_counter()
        tab = await book.reserve(who, Cost(100, 100), seconds=30)
        if not isinstance(tab, Tab):  # a fresh page lets one at a time feel its way
            await asyncio.sleep(0.005)
            continue
        await book.close(tab, "ok", usage=Usage(90, 50), seconds=0.1)
        took.append(time.perf_counter() - began)
    if database is not None:
        await database.close()
    return took


def plain(home: Path, count: int) -> list[float]:
    db = sqlite3.connect(home / "plain.db", isolation_level=None, timeout=60)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    db.execute("CREATE TABLE IF NOT EXISTS page (key TEXT PRIMARY KEY, used INTEGER)")
    took: list[float] = []
    for _ in range(count):
        began = time.perf_counter()
        for _ in range(2):
            db.execute("BEGIN IMMEDIATE")
            db.execute("INSERT INTO page VALUES ('a', 1) ON CONFLICT (key) DO UPDATE SET used = used + 1")
            db.execute("COMMIT")
        took.append(time.perf_counter() - began)
    return took


def work(kind: str, home: Path, count: int) -> list[float]:
    return plain(home, count) if kind == "plain" else asyncio.run(turns(kind, home, count))


def figures(took: list[float], seconds: float) -> dict[str, float]:
    ordered = sorted(took)
    at = lambda share: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 3)  # noqa: E731
    return {"per_second": round(len(took) / seconds), "p50_ms": at(0.5), "p99_ms": at(0.99), "worst_ms": at(1.0)}


def together(kind: str, processes: int, count: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, __file__, "--worker", kind, home, str(count)]
        began = time.perf_counter()
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
        took = [seconds for worker in workers for seconds in json.loads(worker.communicate(timeout=300)[0])]
        return figures(took, time.perf_counter() - began)


def memory(count: int) -> dict[str, int]:
    """Resident megabytes after a tenth, a half and all of the operations."""

    async def run() -> dict[str, int]:
        found: dict[str, int] = {}
        with tempfile.TemporaryDirectory() as home:
            done = 0
            for share in (0.1, 0.5, 1.0):
                await turns("sqlite", Path(home), int(count * share) - done)
                done = int(count * share)
                pages = int(Path("/proc/self/statm").read_text().split()[1])  # noqa: ASYNC240
                found[f"{share:.0%}"] = pages * resource.getpagesize() // 2**20
        return found

    return asyncio.run(run())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--operations", type=int, default=4000, help="of each process")
    parser.add_argument("--long", type=int, default=0, help="operations over which the memory is followed")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        kind, home, count = args.worker
        print(json.dumps(work(kind, Path(home), int(count))))
        return
    result: dict[str, Any] = {
        f"{kind}, {processes} process{'es' if processes > 1 else ''}": together(kind, processes, args.operations)
        for kind, processes in (("memory", 1), ("sqlite", 1), ("sqlite", PROCESSES), ("plain", 1), ("plain", PROCESSES))
    }
    if args.long:
        result["resident_mb"] = memory(args.long)
    print(json.dumps(result, indent=None if args.json else 2))


if __name__ == "__main__":
    main()
