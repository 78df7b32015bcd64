"""LiteLLM's Router with the same accounts, windows and calls; run by campaign.py with a Python of LiteLLM's own.

python campaign_litellm.py URL N CALLS: one of the processes. Each deployment is given its rpm and tpm; usage-based
routing, no retries of its own beyond its default cooldowns. A call that finds no deployment waits as long as LiteLLM
says, at least a second, and is made again, up to the deadline.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it looks for prices on the network first

AT_ONCE, DEADLINE = 24, 600.0  # seconds
ACCOUNTS, MODEL, LIMIT, TOKENS = ("a", "b", "c"), "llama-3.1-8b-instant", 30, 30_000


async def work(url: str, number: int, calls: int) -> dict[str, object]:
    import litellm
    from litellm import Router

    litellm.suppress_debug_info = True
    window = float(os.environ.get("BENCHMARK_WINDOW", "60"))
    share = 60.0 / window  # its limits are per minute
    deployments = [
        {
            "model_name": "small",
            "litellm_params": {
                "model": f"openai/{MODEL}",
                "api_base": url,
                "api_key": os.environ[f"BENCHMARK_{account.upper()}"],
                "rpm": int(LIMIT * share),
                "tpm": int(TOKENS * share),
            },
        }
        for account in ACCOUNTS
    ]
    router = Router(
        model_list=deployments, routing_strategy="usage-based-routing-v2", num_retries=0, cooldown_time=window
    )
    left = calls
    outcomes: dict[str, int] = {}
    failed: list[str] = []
    end = time.monotonic() + DEADLINE

    def count(outcome: str) -> None:
        outcomes[outcome] = outcomes.get(outcome, 0) + 1

    async def one(worker: int) -> None:
        nonlocal left
        while left > 0:
            left -= 1
            message = [{"role": "user", "content": f"Name a fruit, please. Number {number}-{worker}-{left}."}]
            while True:
                try:
                    await router.acompletion("small", message, max_tokens=64)
                    count("ok")
                    break
                except litellm.RateLimitError as error:
                    served = "No deployments available" not in str(error)
                    count("minute_quota" if served else "no_deployment")
                except Exception as error:  # noqa: BLE001 - whatever it raises is counted
                    count(type(error).__name__)
                    failed.append(str(error)[:200])
                if time.monotonic() > end:
                    break
                await asyncio.sleep(1.0)

    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(one(worker) for worker in range(AT_ONCE)))
    return {"outcomes": outcomes, "failed": failed[:3]}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))))
