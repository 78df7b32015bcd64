"""Does a budget of 2,000 tokens hold? 200 concurrent tasks in 4 processes, two of them killed with `kill -9` mid-way.

    python benchmarks/budget.py --json [--peers DIR]

First the budget: every call is counted on a meter of its own when it is sent, as a provider would, and the meter is
compared with the limit and with the ledger. Then the load: the same 200 tasks without a limit for five seconds, for
the latencies. With --peers: LiteLLM's max_budget and BudgetManager in an environment made below DIR, with the same
tasks and calls. pydantic-ai's UsageLimits always. Takes half a minute, with
--peers some minutes (LiteLLM sends all it is asked for), and stops by itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

LIMIT = 2000  # tokens
PROCESSES, TASKS, CALLS = 4, 50, 5  # tasks a process, calls a task at the most
KILLED = 2
TOKENS = 30  # of one call, reserved and used; LiteLLM's mocked answer has as many
ARRIVAL, ANSWER = 0.3, (0.02, 0.06)  # seconds: tasks arrive over the first, a call takes the second
LEASE = 3.0
LOAD = 5.0  # seconds
SCOPES = ("conversation:benchmark", "day:benchmark", "role:director")
HERE = Path(__file__).resolve().parent


class SystemClock:
    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def work(home: Path, meter_path: Path, phase: str) -> dict[str, Any]:
    """One of the processes. `phase`: budget (until refused) or load (until the time is over)."""
    from understudy.errors import BudgetRefused
    from understudy.store.store import Store
    from understudy.types import Amount

    meter = os.open(meter_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    reserving: list[float] = []
    settling: list[float] = []
    refused = 0

    async def task(store: Store) -> None:
        nonlocal refused
        await asyncio.sleep(random.random() * ARRIVAL)
        end, calls = time.monotonic() + LOAD, 0
        while calls < CALLS if phase == "budget" else time.monotonic() < end:
            calls += 1
            start = time.perf_counter()
            try:
                hold = await store.ledger.reserve(SCOPES, Amount(TOKENS, 1), lease=LEASE)
            except BudgetRefused:
                refused += 1
                continue
            finally:
                reserving.append(time.perf_counter() - start)
            os.write(meter, f"{TOKENS}\n".encode())
            await asyncio.sleep(random.uniform(*ANSWER))
            start = time.perf_counter()
            await store.ledger.settle(hold, Amount(TOKENS, 1))
            settling.append(time.perf_counter() - start)

    async with await Store.open(home, SystemClock()) as store:
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        await asyncio.gather(*(task(store) for _ in range(TASKS)))
        wait = store.database.longest_wait
    return {"reserve": reserving, "settle": settling, "refused": refused, "wait": wait}


def metered(meter: Path) -> int:
    return sum(int(line) for line in meter.read_text().splitlines()) if meter.exists() else 0


def run_phase(home: Path, meter: Path, phase: str, killed: int) -> list[dict[str, Any]]:
    command = [sys.executable, __file__, "--worker", str(home), str(meter), phase]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen(command, **pipes) for _ in range(PROCESSES)]
    try:
        for worker in workers:
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            worker.stdin.write("go\n")
            worker.stdin.flush()
        end = time.monotonic() + 30
        while killed and metered(meter) < LIMIT // 3 and time.monotonic() < end:
            time.sleep(0.001)
        for worker in workers[:killed]:
            worker.kill()
        return [json.loads(worker.communicate(timeout=60)[0]) for worker in workers[killed:]]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def milliseconds(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    at = lambda share: round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2)  # noqa: E731
    return {"count": len(ordered), "p50": at(0.5), "p99": at(0.99), "max": at(1.0)}


def figures(reports: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "reserve_ms": milliseconds([s for r in reports for s in r["reserve"]]),
        "settle_ms": milliseconds([s for r in reports for s in r["settle"]] or [0.0]),
        "longest_lock_wait_ms": round(max(r["wait"] for r in reports) * 1000, 2),
    }


async def declare(home: Path, tokens: int | None) -> None:
    from understudy.store.store import Store

    async with await Store.open(home, SystemClock()) as store:
        for scope in SCOPES:
            await store.ledger.allow(scope, tokens=tokens, micro_usd=None)


async def reckon(home: Path) -> tuple[int, int]:
    from understudy.store.store import Store

    async with await Store.open(home, SystemClock()) as store:
        balance = await store.ledger.balance(SCOPES[0])
    return balance.spent.tokens, balance.reserved.tokens


def understudy(folder: Path) -> dict[str, Any]:
    home, meter = folder / "budget", folder / "meter"
    asyncio.run(declare(home, LIMIT))
    reports = run_phase(home, meter, "budget", KILLED)
    at_once = asyncio.run(reckon(home))
    time.sleep(LEASE + 0.2)
    spent, reserved = asyncio.run(reckon(home))
    sent = metered(meter)
    result = {
        "limit": LIMIT,
        "sent": sent,
        "overshoot": max(0, sent - LIMIT),
        "overshoot_percent": max(0, sent - LIMIT) * 100 // LIMIT,
        "in_the_ledger": spent,
        "charged_to_the_dead": spent - at_once[0],
        "left_reserved_after_the_lease": reserved,
        "processes_killed": KILLED,
        "refused": sum(r["refused"] for r in reports),
        **figures(reports),
    }
    home, meter = folder / "load", folder / "load_meter"
    asyncio.run(declare(home, None))
    reports = run_phase(home, meter, "load", 0)
    pairs = sum(len(r["settle"]) for r in reports)
    result["load"] = {"pairs_per_second": round(pairs / (LOAD + ARRIVAL)), **figures(reports)}
    return result


async def shared_by_tasks(call: Callable[[], Any], refused: type[BaseException]) -> None:
    """The same 200 tasks for a peer: each calls until it is refused."""

    async def task() -> None:
        await asyncio.sleep(random.random() * ARRIVAL)
        for _ in range(CALLS):
            try:
                await call()
            except refused:
                return

    await asyncio.gather(*(task() for _ in range(PROCESSES * TASKS)))


def pydantic_ai() -> dict[str, Any]:
    """Its limits, shared by the runs of one process: the best it offers."""
    from pydantic_ai import Agent
    from pydantic_ai.exceptions import UsageLimitExceeded
    from pydantic_ai.messages import ModelResponse, TextPart
    from pydantic_ai.models.function import FunctionModel
    from pydantic_ai.usage import RequestUsage, RunUsage, UsageLimits

    sent = 0

    async def answer(*_: Any) -> ModelResponse:
        nonlocal sent
        sent += TOKENS
        await asyncio.sleep(random.uniform(*ANSWER))
        return ModelResponse([TextPart("x")], usage=RequestUsage(input_tokens=10, output_tokens=TOKENS - 10))

    agent = Agent(FunctionModel(answer))
    usage, limits = RunUsage(), UsageLimits(total_tokens_limit=LIMIT, request_limit=None)
    asyncio.run(shared_by_tasks(lambda: agent.run("x", usage=usage, usage_limits=limits), UsageLimitExceeded))
    over = max(0, sent - LIMIT)
    return {"limit": LIMIT, "sent": sent, "overshoot": over, "overshoot_percent": over * 100 // LIMIT, "processes": 1}


def litellm_python(folder: Path) -> Path:
    """In an environment of its own, made below `folder` the first time: in the project's it would downgrade openai."""
    python = folder / "litellm" / "bin" / "python"
    if not python.exists():
        uv = shutil.which("uv")
        if uv:
            subprocess.run([uv, "venv", "--quiet", str(folder / "litellm")], check=True)
            install = [uv, "pip", "install", "--quiet", "--python", str(python)]
        else:
            subprocess.run([sys.executable, "-m", "venv", str(folder / "litellm")], check=True)
            install = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, "litellm"], check=True, timeout=600)
    return python


def litellm(folder: Path) -> dict[str, Any]:
    python = litellm_python(folder)
    results: dict[str, Any] = {}
    for kind in ("max_budget", "budget_manager"):
        for processes in (1, PROCESSES):
            tasks = str(PROCESSES * TASKS // processes)
            command = [str(python), str(HERE / "budget_litellm.py"), kind, tasks]
            running: list[subprocess.Popen[str]] = []
            try:
                for n in range(processes):
                    home = folder / "runs" / f"{kind}-{processes}-{n}"  # it keeps its costs in the current folder
                    shutil.rmtree(home, ignore_errors=True)
                    home.mkdir(parents=True)
                    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
                    running.append(subprocess.Popen(command, cwd=home, **pipes))
                reports = [json.loads(worker.communicate(timeout=300)[0].splitlines()[-1]) for worker in running]
            finally:
                for worker in running:
                    worker.kill()
                    worker.wait()
            sent = sum(report["sent"] for report in reports)
            over = max(0, sent - LIMIT)
            results[f"{kind}, {processes} process{'es' if processes > 1 else ''}"] = {
                "limit": LIMIT,
                "sent": sent,
                "overshoot": over,
                "overshoot_percent": over * 100 // LIMIT,
                "counted_usd": round(sum(report["counted_usd"] for report in reports), 6),
                "version": reports[0]["version"],
            }
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of lines")
    parser.add_argument("--peers", type=Path, metavar="DIR", help="also LiteLLM, installed below DIR")
    parser.add_argument("--worker", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(asyncio.run(work(Path(options.worker[0]), Path(options.worker[1]), options.worker[2]))))
        return
    with tempfile.TemporaryDirectory() as folder:
        result: dict[str, Any] = {"understudy": understudy(Path(folder)), "pydantic_ai": pydantic_ai()}
    if options.peers:
        options.peers.mkdir(parents=True, exist_ok=True)
        result["litellm"] = litellm(options.peers.resolve())
    if options.json:
        print(json.dumps(result, indent=1))
    else:
        for name, value in result.items():
            print(name, json.dumps(value))


if __name__ == "__main__":
    main()
