"""A model's process never outlives understudy."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap

import psutil
import pytest

from tests.agents.llama_setup import CHORES, gone, needs_llama

pytestmark = needs_llama
ENDLESS = {"type": "array", "minItems": 500, "items": {"type": "string", "minLength": 3}}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_the_child_goes_with_its_parent(how: signal.Signals) -> None:
    code = f"""
        import asyncio
        from pathlib import Path
        from understudy.agents.llama.process import ModelProcess, ModelSpec, Order
        async def main():
            m = await ModelProcess.start(ModelSpec("m", Path({str(CHORES)!r}), 2048, 1))
            print(m.pid, flush=True)
            job = Order([dict(role="user", content="x")], 1900, 60.0, schema={ENDLESS!r})
            while True:
                await m.write(job)
        asyncio.run(main())
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert psutil.pid_exists(pid)
        parent.send_signal(how)
        parent.wait(10)
        assert gone(pid)
