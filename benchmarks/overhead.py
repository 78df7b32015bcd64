"""What understudy costs beside the bare SDK, on the CPU of the calling process.

    python benchmarks/overhead.py [--json] [--tasks 300] [--rounds 5] [--peers DIR]

In one run, against the same zero-latency server in a process of its own, in turn: the groq SDK alone, and
Director.run with the local classifier, policy, ledger, validation and provenance on. Then the decision alone (gate,
classify, policy) on 2,000 characters, the start of `understudy --help`, and the time to the REPL prompt. --peers names
a folder where an environment with litellm is made (needs the package registry), measured by the same server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

QUESTION = "What is the capital of France?"
HERE = Path(__file__).parent

LITELLM = """
import asyncio, json, os, resource, sys, time
started = time.process_time()
import litellm
imported = time.process_time() - started
litellm.suppress_debug_info = True
async def main():
    async def one():
        return await litellm.acompletion(model="groq/llama-3.1-8b-instant", api_base=sys.argv[1], api_key="k",
            messages=[{"role": "user", "content": sys.argv[3]}], max_tokens=512, num_retries=0)
    for _ in range(20): await one()
    costs = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(int(sys.argv[2])): await one()
        costs.append((time.process_time() - began) / int(sys.argv[2]) * 1e3)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"import_cpu_ms": imported * 1e3, "call_cpu_ms": sorted(costs)[2], "peak_mb": peak}))
asyncio.run(main())
"""


async def cpu_ms(one: Callable[[], Awaitable[object]], count: int) -> float:
    """CPU milliseconds of this process per call."""
    began = time.process_time()
    for _ in range(count):
        await one()
    return (time.process_time() - began) / count * 1e3


async def calls(port: int, count: int, rounds: int) -> dict[str, Any]:
    import groq

    from understudy import Director, Task
    from understudy.config.load import parse

    base = f"http://127.0.0.1:{port}"
    bare = groq.AsyncGroq(base_url=base, api_key="k", max_retries=0)

    async def sdk() -> object:
        return await bare.chat.completions.create(
            model="llama-3.1-8b-instant", messages=[{"role": "user", "content": QUESTION}], max_tokens=512
        )

    with tempfile.TemporaryDirectory() as folder:
        os.environ["ZERO_KEY"] = "k"
        # As many windows as a real one has, none of which fills: the quota book's work is measured too.
        limits = dict.fromkeys(("rpm", "rpd", "tpm", "tpd"), 10**9)
        provider = {"kind": "groq", "base_url": base, "accounts": [{"keys": ["env:ZERO_KEY"]}], "limits": limits}
        settings = parse({"providers": {"groq": provider}}, "benchmark")
        async with Director(settings, Path(folder)) as director:
            reply = await director.run(Task(QUESTION))
            assert reply.intent.by == "local", "the local classifier was to decide"

            async def whole() -> object:
                return await director.run(Task(QUESTION))

            await cpu_ms(sdk, 20), await cpu_ms(whole, 20)
            pairs = [(await cpu_ms(sdk, count), await cpu_ms(whole, count)) for _ in range(rounds)]
            decisions = await decision_ms(director, 300)
    await bare.close()
    sdk_ms, whole_ms = (statistics.median(p[i] for p in pairs) for i in (0, 1))
    added = statistics.median(b - a for a, b in pairs)
    return {"sdk_cpu_ms": sdk_ms, "task_cpu_ms": whole_ms, "added_cpu_ms": added, **decisions}


async def decision_ms(director: Any, count: int) -> dict[str, float]:
    """Wall milliseconds of gate + classify + policy for 2,000 characters of prose."""
    from understudy import Task
    from understudy.policies import registry
    from understudy.tokens import estimate
    from understudy.types import Facts

    text = ("How do the tides of the sea follow the moon, and why are there two of them in a day? " * 30)[:2000]
    parts, policy, costs = director.parts, registry.load("v1"), []
    for _ in range(count):
        began = time.perf_counter()
        task = Task(text)
        verdict = parts.gate.judge(task)
        guess = parts.scorer.guess(task.text)
        policy.decide(Facts(guess.intent, guess.probability, verdict.sensitivity, estimate(text), fleet=parts.fleet))
        costs.append((time.perf_counter() - began) * 1e3)
    costs.sort()
    return {"decision_p50_ms": costs[len(costs) // 2], "decision_p99_ms": costs[int(len(costs) * 0.99)]}


def program(*arguments: str, rounds: int = 7) -> dict[str, float]:
    """Wall and CPU milliseconds and peak megabytes of a whole process: medians, the floor being python -c pass."""
    walls, cpus, peaks = [], [], []
    for _ in range(rounds):
        began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        script = (
            "import resource, subprocess, sys; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=True);"
            "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
        )
        out = subprocess.run([sys.executable, "-S", "-c", script, *arguments], capture_output=True, check=True).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        walls.append((time.perf_counter() - began) * 1e3)
        cpus.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3)
        peaks.append(int(out) / 1024)
    return {
        "wall_ms": statistics.median(walls),
        "cpu_ms": statistics.median(cpus),
        "peak_mb": statistics.median(peaks),
    }


def prompt_ms(rounds: int = 5) -> float:
    """Wall milliseconds from the start of the process to the REPL's first prompt, on a terminal."""
    import pexpect

    seen = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            environment = {**os.environ, "UNDERSTUDY_HOME": folder, "TERM": "xterm"}
            began = time.perf_counter()
            child = pexpect.spawn(sys.executable, ["-m", "understudy"], env=environment, timeout=30)
            child.expect("understudy>")
            seen.append((time.perf_counter() - began) * 1e3)
            child.sendeof()
            child.close(force=True)
    return statistics.median(seen)


def litellm(folder: Path, base: str, count: int) -> dict[str, Any]:
    """LiteLLM in an environment of its own: it downgrades openai, so it may not share ours."""
    python = folder / "litellm" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / "litellm")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "litellm"], check=True)
    out = subprocess.run(
        [str(python), "-c", LITELLM, base + "/openai/v1", str(count), QUESTION],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return json.loads(out.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--tasks", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", type=Path)
    options = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, str(HERE / "zero_server.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdin
    assert server.stdout
    try:
        port = int(server.stdout.readline())
        figures: dict[str, Any] = asyncio.run(calls(port, options.tasks, options.rounds))
        figures["bare_python"] = program(sys.executable, "-c", "pass")
        figures["help"] = program(sys.executable, "-m", "understudy", "--help")
        figures["prompt_ms"] = prompt_ms()
        if options.peers:
            figures["litellm"] = litellm(options.peers, f"http://127.0.0.1:{port}", options.tasks)
    finally:
        server.stdin.close()
        server.wait(timeout=10)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    for name, value in figures.items():
        print(f"{name:18} {json.dumps(value) if isinstance(value, dict) else f'{value:.2f}'}")


if __name__ == "__main__":
    main()
