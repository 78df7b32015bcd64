"""What the quota book costs: reserve + settle of one domain with four windows, where everybody wants the same page.

    python benchmarks/quota.py [--json] [--seconds 4] [--operations 1000000]

On memory (one process), SQLite, Redis and PostgreSQL with one and four processes, and beside them, in the same run,
the same page in a plain SQLite file with busy_timeout (write-ahead log, synchronous=NORMAL), as one would do it first.
Then the memory of a process over --operations reserve + settle: resident at 10, 50 and 100 percent. Redis (append-only
file, flushed every second) and PostgreSQL (as Debian ships it) are started on the loopback address where they are
found (scripts/install_servers.sh). Takes about a minute and a half, most of it the million operations.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
SHELVES = ("memory", "sqlite", "redis", "postgres", "plain")
GOALS = {
    ("sqlite", 1): {"p50": 0.2},
    ("sqlite", 4): {"p99": 25.0, "worst": 100.0},
    ("redis", 4): {"p99": 6.0},
}


class PlainPages:
    """Pages as anybody would first keep them: a transaction that waits for the lock as SQLite itself does."""

    def __init__(self, path: Path, form: Any) -> None:
        self.form = form
        self.db = sqlite3.connect(path, timeout=60, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute("PRAGMA synchronous = NORMAL")
        self.db.execute("CREATE TABLE IF NOT EXISTS pages (key TEXT PRIMARY KEY, body BLOB)")

    async def turn(self, key: str, entry: Any) -> Any:
        self.db.execute("BEGIN IMMEDIATE")
        row = self.db.execute("SELECT body FROM pages WHERE key = ?", (key,)).fetchone()
        page = self.form.unpack(row[0]) if row else self.form.blank()
        outcome, changed = self.form.apply(page, entry, time.time())
        if changed:
            self.db.execute("INSERT OR REPLACE INTO pages VALUES (?, ?)", (key, self.form.pack(page)))
        self.db.execute("COMMIT")
        return outcome

    async def close(self) -> None:
        self.db.close()


async def open_shelf(shelf: str, place: str) -> tuple[Any, Any]:
    from understudy.clock import WallClock
    from understudy.fleet.form import PageForm
    from understudy.store.database import Database
    from understudy.store.pages import MemoryPages
    from understudy.store.shelves import open_pages

    form, clock = PageForm(), WallClock()
    if shelf == "memory":
        return MemoryPages(form, clock), None
    if shelf == "plain":
        return PlainPages(Path(place) / "plain.db", form), None
    if shelf == "sqlite":
        database = await Database.open(Path(place) / "store" / "book.db")
        return await open_pages("", database, form, clock), database
    return await open_pages(place, None, form, clock), None  # type: ignore[arg-type]


def candidate() -> Any:
    from understudy.types import Candidate, Limits, Window

    windows = (
        Window("RPM", "requests", 10**8, 60.0),
        Window("RPD", "requests", 10**9, 86_400.0, "America/Los_Angeles"),
        Window("TPM", "tokens", 10**11, 60.0),
        Window("TPD", "tokens", 10**12, 86_400.0),
    )
    return Candidate("g", "groq", "a", "m", limits=Limits(windows, "cap"))


async def pair(book: Any, who: Any, cost: Any, usage: Any, readings: Any) -> None:
    from understudy.fleet.book import Tab

    while not isinstance(tab := await book.reserve(who, cost, seconds=30), Tab):  # noqa: ASYNC110
        await asyncio.sleep(0.001)  # a fresh page lets one at a time feel its way
    await book.close(tab, "ok", usage=usage, readings=readings, seconds=0.1)


async def work(shelf: str, place: str, seconds: float, *, waits: bool) -> list[float]:
    from understudy.fleet.book import Book, Cost
    from understudy.types import Reading, Usage

    pages, database = await open_shelf(shelf, place)
    book, who, cost, usage = Book(pages), candidate(), Cost(100, 100), Usage(90, 50)
    readings = (Reading("requests", 10**8, None, None, 60.0),)
    for _ in range(20):
        await pair(book, who, cost, usage, readings)
    if waits:
        print("ready", flush=True)
        sys.stdin.readline()
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        await pair(book, who, cost, usage, ())
        taken.append((time.perf_counter() - start) * 1e3)
    await pages.close()
    if database is not None:
        await database.close()
    return taken


def measure(shelf: str, place: str, processes: int, seconds: float) -> dict[str, float]:
    """Milliseconds of a reserve and its settle, the processes together. The slowest of all is the worst."""
    command = [sys.executable, __file__, "--work", shelf, "--place", place, "--seconds", str(seconds)]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    try:
        for one in running:
            assert one.stdout
            assert one.stdout.readline() == "ready\n"
        for one in running:
            assert one.stdin
            one.stdin.write("\n")
            one.stdin.flush()
        taken = sorted(t for one in running for t in json.loads(one.communicate()[0]))
    finally:
        for one in running:
            one.kill()
    return {
        "per_second": round(len(taken) / seconds),
        "p50": round(taken[len(taken) // 2], 3),
        "p99": round(taken[int(len(taken) * 0.99)], 3),
        "worst": round(taken[-1], 2),
    }


async def grow(operations: int) -> dict[str, float]:
    """MB resident at 10, 50 and 100 percent, by a clock that makes two hours of it: windows pass and are forgotten."""
    import psutil

    from understudy.fleet.book import Book, Cost
    from understudy.fleet.form import PageForm
    from understudy.store.pages import MemoryPages
    from understudy.types import Usage

    class Fast:
        time = 1_760_000_000.0

        def now(self) -> float:
            return self.time

        async def sleep(self, seconds: float) -> None:
            self.time += seconds

    clock = Fast()
    book, who, cost, usage = Book(MemoryPages(PageForm(), clock)), candidate(), Cost(100, 100), Usage(90, 50)
    found: dict[str, float] = {}
    for number in range(1, operations + 1):
        clock.time += 7200 / operations
        await pair(book, who, cost, usage, ())
        for share in (10, 50, 100):
            if number == operations * share // 100:
                found[f"at_{share}_percent"] = round(psutil.Process().memory_info().rss / 1e6, 1)
    return found


def run(seconds: float, operations: int) -> dict[str, Any]:
    from tests.store.servers import SERVERS, find

    results: dict[str, Any] = {"shelves": {}, "missed": []}
    for shelf in SHELVES:
        server = None
        with tempfile.TemporaryDirectory() as folder:
            if shelf in SERVERS:
                program, start = SERVERS[shelf]
                if find(program) is None:
                    results["shelves"][shelf] = f"not measured: {program} is not here (scripts/install_servers.sh)"
                    continue
                server = start()
            try:
                for processes in (1,) if shelf == "memory" else (1, 4):
                    found = measure(shelf, server.url if server else folder, processes, seconds)
                    results["shelves"][f"{shelf} {processes}"] = found
                    for name, goal in GOALS.get((shelf, processes), {}).items():
                        if found[name] > goal:
                            results["missed"].append(f"{shelf} {processes}: {name} {found[name]} ms, goal {goal} ms")
            finally:
                if server:
                    server.close()
    results["resident_mb"] = asyncio.run(grow(operations))
    return results


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--json", action="store_true")
    options.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    options.add_argument("--operations", type=int, default=1_000_000, help="of the measurement of memory")
    options.add_argument("--work", help=argparse.SUPPRESS)
    options.add_argument("--place", help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.work:
        print(json.dumps(asyncio.run(work(args.work, args.place, args.seconds, waits=True))))
        return
    results = run(args.seconds, args.operations)
    if args.json:
        print(json.dumps(results, indent=2))
        return
    for name, found in results["shelves"].items():
        print(f"{name:11}", found)
    print("resident MB", results["resident_mb"])
    print("missed goals:", ", ".join(results["missed"]) or "none")


if __name__ == "__main__":
    main()
