"""600 calls in 3 processes on 3 accounts of 30 requests a window: how many 429s are earned, and how long does it take?

    python benchmarks/campaign.py --json [--shape fixed|bucket|rolling] [--window SECONDS] [--catalogue FACTOR]
                                  [--used N] [--peers DIR]

The server is a real one on the loopback address which enforces its windows as Groq does, headers included; the clients
are understudy's Director with the groq SDK under it. The least time is what the server's own windows allow. --catalogue
2 tells understudy twice the limit, --used 20 begins with 20 of the 30 requests of each account already gone. With
--peers: LiteLLM's Router with the same accounts, in an environment made below DIR. Takes seven windows and stops by
itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

PROCESSES, CALLS, AT_ONCE = 3, 600, 24
ACCOUNTS, LIMIT, MODEL = ("a", "b", "c"), 30, "llama-3.1-8b-instant"
TOKENS = 30_000  # a window, so that requests bind first but tokens are watched
LATENCY = 0.05  # seconds
HERE = Path(__file__).resolve().parent
CONFIG = """
[director]
candidate = "none/none"
[classifier]
enabled = false
[providers.groq]
kind = "groq"
base_url = "{url}"
accounts = [{accounts}]
models = [ {{ id = "{model}", windows = [
  {{ name = "RPM", counts = "requests", limit = {limit}, seconds = {seconds} }},
  {{ name = "TPM", counts = "tokens", limit = {tokens}, seconds = {seconds} }} ] }} ]
"""


async def work(config: str, number: int, calls: int) -> dict[str, Any]:
    """One of the processes: its share of the calls, so many at once."""
    from understudy import Director, Task
    from understudy.errors import UnderstudyError

    left = calls
    outcomes: dict[str, int] = {}
    failed: list[str] = []

    async with Director.from_config(config) as director:

        async def one(worker: int) -> None:
            nonlocal left
            while left > 0:
                left -= 1
                text = f"Name a fruit, please. Number {number}-{worker}-{left}."
                task = Task(text, intent="quick_qa", priority="batch", deadline=600, max_tokens=64, plan=False)
                try:
                    reply = await director.run(task)
                    attempts = reply.attempts
                except UnderstudyError as error:
                    attempts = error.attempts
                    failed.append(str(error))
                for attempt in attempts:
                    outcomes[attempt.outcome] = outcomes.get(attempt.outcome, 0) + 1

        for candidate in director.parts.fleet:  # importing the SDK is not what is measured
            await director.parts.dispatcher.caller.load(candidate)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await asyncio.gather(*(one(worker) for worker in range(AT_ONCE)))
    return {"outcomes": outcomes, "failed": failed}


def least(shape: str, window: float, start: float, used: int) -> float:
    """Seconds the server's own windows force on anybody who begins at `start`."""
    each = CALLS // len(ACCOUNTS) - (LIMIT - used)
    if shape == "bucket":
        return each * window / LIMIT
    windows = math.ceil(each / LIMIT)
    return windows * window - (start % window if shape == "fixed" else 0.0)


def script(shape: str, window: float) -> Any:
    from understudy.rehearsal.script import parse_script

    limits = {"rpm": LIMIT, "tpm": TOKENS, "minute": shape, "minute_seconds": window, "rpd": None}
    model = {"id": MODEL, "latency": LATENCY, "limits": {k: v for k, v in limits.items() if v is not None}}
    return parse_script({"accounts": {a: [f"key-{a}"] for a in ACCOUNTS}, "models": [model]}, "the benchmark")


def run(args: argparse.Namespace, command: list[str], server: Any) -> dict[str, Any]:
    """Start the processes together; the figures of the run."""
    seen = len(server.requests)
    env = {**os.environ, **{f"BENCHMARK_{a.upper()}": f"key-{a}" for a in ACCOUNTS}}
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "env": env}
    workers = [subprocess.Popen([*command, str(n), str(CALLS // PROCESSES)], **pipes) for n in range(PROCESSES)]
    try:
        for worker in workers:
            assert worker.stdout.readline() == "ready\n"
        start = time.time()
        for account in ACCOUNTS:
            for _ in range(args.used):
                server.stage.meter(account, MODEL).windows["RPM"].take(start, 1)
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        reports = [json.loads(worker.communicate(timeout=args.window * 30 + 120)[0]) for worker in workers]
        span = time.time() - start
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
    outcomes: dict[str, int] = {}
    for report in reports:
        for outcome, count in report["outcomes"].items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
    floor = least(args.shape, args.window, start, args.used)
    return {
        "answered": outcomes.get("ok", 0),
        "earned_429s": outcomes.get("minute_quota", 0),
        "requests": len(server.requests) - seen,
        "seconds": round(span, 2),
        "least_seconds": round(floor, 2),
        "ratio": round(span / floor, 3),
        "outcomes": outcomes,
        "failed": [failure for report in reports for failure in report["failed"]][:3],
    }


def understudys(args: argparse.Namespace, server: Any) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as home:
        os.environ["UNDERSTUDY_HOME"] = home
        config = Path(home) / "config.toml"
        accounts = ", ".join(f'{{ name = "{a}", keys = ["env:BENCHMARK_{a.upper()}"] }}' for a in ACCOUNTS)
        limit, tokens = (max(1, int(value * args.catalogue)) for value in (LIMIT, TOKENS))
        config.write_text(
            CONFIG.format(
                url=server.base_url, accounts=accounts, model=MODEL, limit=limit, tokens=tokens, seconds=args.window
            )
        )
        return run(args, [sys.executable, __file__, "--worker", str(config)], server)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--shape", choices=("fixed", "bucket", "rolling"), default="fixed")
    parser.add_argument("--window", type=float, default=10.0, help="seconds")
    parser.add_argument("--catalogue", type=float, default=1.0, help="factor by which understudy is told wrong limits")
    parser.add_argument("--used", type=int, default=0, help="requests of each account gone before the start")
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        config, number, calls = args.worker
        print(json.dumps(asyncio.run(work(config, int(number), int(calls)))))
        return
    from understudy.rehearsal.server import Server

    figures: dict[str, Any] = {"shape": args.shape, "window": args.window, "catalogue": args.catalogue}
    with Server("groq", script(args.shape, args.window)) as server:
        figures["understudy"] = understudys(args, server)
    if args.peers:
        from budget import litellm_python

        os.environ["BENCHMARK_WINDOW"] = str(args.window)
        python = litellm_python(args.peers.resolve())
        with Server("groq", script(args.shape, args.window)) as server:
            figures["litellm"] = run(args, [str(python), str(HERE / "campaign_litellm.py"), server.base_url], server)
    print(json.dumps(figures, indent=None if args.json else 2))


if __name__ == "__main__":
    main()
