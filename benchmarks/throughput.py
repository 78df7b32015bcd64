"""A campaign through the real director, ledger, book and store: calls a second, memory, and what kill -9 costs.

    python benchmarks/throughput.py [--calls 20000] [--at-once 64] [--kill-every SECONDS] [--json]
    python benchmarks/throughput.py --workers 2 --postgres postgresql://user@host/name

Real worker processes; the providers answer inside them at once, and no quota binds, so what is measured is understudy.
--kill-every kills a worker with kill -9 again and again, and starts another. The whole of a plan of 576,720 calls is
told as an estimate at the measured rate when fewer calls are made.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

WHOLE = 576_720
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))


async def begin(home: Path, url: str, calls: int, at_once: int) -> str:
    from tests.pipelines.stand import numbers, open_stand, orders

    async with open_stand(home, url=url) as stand:
        campaign = await stand.campaigns.begin(orders(chunk=1_000, at_once=at_once), numbers(calls))
        return campaign.id


async def work(home: Path, url: str, name: str) -> None:
    """One worker: it writes down each call as it arrives at the provider."""
    from tests.pipelines.stand import open_stand

    async with open_stand(home, url=url) as stand:
        with (home / "asked").open("a", buffering=1) as asked:
            stand.host.watch = lambda ask: asked.write(ask.user + "\n") and None
            campaign = await stand.campaigns.get(name)
            print("ready", flush=True)
            began = time.process_time()
            await stand.campaigns.crew(campaign).work()
            cpu = time.process_time() - began
    print(cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, flush=True)


async def told(home: Path, url: str, name: str) -> dict[str, Any]:
    from tests.pipelines.stand import open_stand

    async with open_stand(home, url=url) as stand:
        return (await stand.campaigns.progress(name)).as_dict()


def start(home: Path, url: str, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--worker", str(home), url, name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def run(args: argparse.Namespace, home: Path) -> dict[str, Any]:
    url = args.postgres or ""
    name = asyncio.run(begin(home, url, args.calls, args.at_once))
    peaks, cpu, kills = [], 0.0, 0
    workers = [start(home, url, name) for _ in range(args.workers)]
    for worker in workers:
        assert worker.stdout
        assert worker.stdout.readline() == "ready\n"
    began = time.time()
    killed = began
    while any(worker.poll() is None for worker in workers):
        time.sleep(0.1)
        if args.kill_every and time.time() - killed >= args.kill_every:
            killed, kills = time.time(), kills + 1
            victim = workers.pop(0)
            os.kill(victim.pid, signal.SIGKILL)
            victim.wait()
            workers.append(start(home, url, name))
    span = time.time() - began
    for worker in workers:
        assert worker.stdout
        used, peak = map(float, worker.stdout.read().split()[-2:])
        peaks.append(peak)
        cpu += used
    found = asyncio.run(told(home, url, name))
    asked = Counter((home / "asked").read_text().splitlines())
    rate = found["done"] / span
    return {
        "calls": args.calls,
        "workers": args.workers,
        "seconds": round(span, 1),
        "calls_per_second": round(rate, 1),
        "cpu_ms_per_call": None if kills else round(1e3 * cpu / found["done"], 2),  # the dead tell nothing
        "whole_plan_hours": round(WHOLE / rate / 3600, 2),
        "peak_mb": round(max(peaks), 1),
        "kills": kills,
        "done": found["done"],
        "lost": args.calls - found["done"] - found["set_aside"],
        "set_aside": found["set_aside"],
        "asked_twice": sum(n - 1 for n in asked.values()),
        "asked_at_most": max(asked.values()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--at-once", type=int, default=64)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--postgres", metavar="URL")
    parser.add_argument("--kill-every", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        home, url, name = args.worker
        asyncio.run(work(Path(home), url, name))
        return
    if args.workers > 1 and not args.postgres:
        parser.error("several workers share a campaign on PostgreSQL: --postgres URL")
    with tempfile.TemporaryDirectory() as folder:
        figures = run(args, Path(folder))
    print(json.dumps(figures, indent=None if args.json else 2))


if __name__ == "__main__":
    main()
