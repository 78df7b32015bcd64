"""LiteLLM's budgets under concurrent calls; run by budget.py with the Python of an environment of LiteLLM's own.

python budget_litellm.py max_budget|budget_manager TASKS: prints what was sent
and what LiteLLM counted of it. A token costs one micro-dollar, so the same budget of 2,000 tokens is $0.002. The model
is LiteLLM's own mock: 10 tokens in, 20 out. Version 1.106 counts nothing towards max_budget for calls that do not
stream, one after the other neither: all that is asked for is sent.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from importlib.metadata import version

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or it looks for prices on the network first

LIMIT_USD, CALLS, ARRIVAL, ANSWER = 0.002, 5, 0.3, (0.02, 0.06)
USER, MODEL = "benchmark", "openai/benchmark"


async def spend(kind: str, tasks: int) -> dict[str, float]:
    import litellm
    from litellm.budget_manager import BudgetManager

    price = {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6, "litellm_provider": "openai", "mode": "chat"}
    litellm.register_model({MODEL: price, MODEL.split("/")[1]: price})
    sent = 0
    manager = BudgetManager("benchmark")
    manager.create_budget(LIMIT_USD, USER)
    if kind == "max_budget":
        litellm.max_budget = LIMIT_USD

    async def call() -> None:
        nonlocal sent
        if kind == "budget_manager" and manager.get_current_cost(USER) > manager.get_total_budget(USER):
            raise litellm.BudgetExceededError(manager.get_current_cost(USER), LIMIT_USD)
        delay = random.uniform(*ANSWER)
        message = [{"role": "user", "content": "x"}]
        response = await litellm.acompletion(MODEL, message, mock_response="x", mock_delay=delay, api_key="none")
        sent += response.usage.total_tokens
        if kind == "budget_manager":
            manager.update_cost(USER, completion_obj=response)

    async def task() -> None:
        await asyncio.sleep(random.random() * ARRIVAL)
        for _ in range(CALLS):
            try:
                await call()
            except litellm.BudgetExceededError:
                return

    await asyncio.gather(*(task() for _ in range(tasks)))
    await asyncio.sleep(1)  # it counts costs in the background
    counted = litellm._current_cost if kind == "max_budget" else manager.get_current_cost(USER)
    return {"sent": sent, "counted_usd": counted}


if __name__ == "__main__":
    print(json.dumps({**asyncio.run(spend(sys.argv[1], int(sys.argv[2]))), "version": version("litellm")}))
