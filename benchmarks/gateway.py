"""What the server costs beside a bare pass-through, nginx and the upstream itself, in one run on one core each.

    python benchmarks/gateway.py [--json] [--seconds 5] [--rounds 3] [--peers DIR]

Needs wrk; nginx is measured where it is installed. --peers names a folder where an environment with litellm[proxy] is
made (needs the package registry). Every gateway runs on the first core, the upstream (which answers at once) and the
load on the second; rounds are interleaved and medians reported. The server has a key with a budget, the quota book and
the gate on, and the request names its candidate.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
QUESTION = "What is the capital of France? Answer in one word."
LUA = """
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer " .. os.getenv("BENCH_KEY")
wrk.body = os.getenv("BENCH_BODY")
"""
CONFIG = """
[director]
candidate = "none/none"
[classifier]
enabled = false
[providers.stub]
kind = "openai_compatible"
base_url = "http://127.0.0.1:{port}/v1"
models = [ {{ id = "m", context = 32000, output_cap = 4096, capabilities = ["tools", "json"] }} ]
"""
BARE = """
import asyncio, sys, aiohttp, uvicorn, uvloop
port, upstream = int(sys.argv[1]), sys.argv[2]
session = None
async def app(scope, receive, send):
    global session
    if scope["type"] != "http": return
    session = session or aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=300))
    body = b""
    while True:
        message = await receive(); body += message.get("body", b"")
        if not message.get("more_body"): break
    async with session.post(upstream + scope["path"], data=body, headers={"content-type": "application/json"}) as r:
        kind = r.headers["content-type"].encode()
        await send({"type": "http.response.start", "status": r.status, "headers": [(b"content-type", kind)]})
        async for piece in r.content.iter_any():
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
uvicorn.run(app, port=port, log_config=None, access_log=False, loop="uvloop", lifespan="off")
"""
NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log /dev/null;
events {{ worker_connections 1024; }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
upstream stub {{ server 127.0.0.1:{upstream}; keepalive 300; }}
server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://stub; proxy_http_version 1.1;
proxy_set_header Connection ""; proxy_buffering off; }} }} }}
"""


@dataclass
class Contender:
    """One that stands before the upstream. pid: of the process whose CPU and memory count."""

    name: str
    port: int
    pid: int
    model: str = "m"
    key: str = "none"
    seen: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def body(self, **more: Any) -> str:
        said = {"model": self.model, "max_tokens": 64, "messages": [{"role": "user", "content": QUESTION}], **more}
        return json.dumps(said)

    def note(self, what: str, value: float) -> None:
        self.seen.setdefault(what, []).append(value)


def pinned(core: int, *command: str) -> list[str]:
    return ["taskset", "-c", str(core), *command]


@contextmanager
def running(command: list[str], **more: Any) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, text=True, **more)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def cpu_seconds(pid: int) -> float:
    """Of the process and the children it has now."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own + sum(cpu_seconds(int(child)) for child in below)


def memory_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6 + sum(memory_mb(int(child)) for child in below)


def hammer(one: Contender, lua: Path, connections: int, seconds: float) -> None:
    """As many requests as it takes, over so many connections."""
    before, began = cpu_seconds(one.pid), time.monotonic()
    said = subprocess.run(
        pinned(1, "wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "-s", str(lua), f"http://127.0.0.1:{one.port}/v1/chat/completions"),
        capture_output=True, text=True, check=True, env={**os.environ, "BENCH_KEY": one.key, "BENCH_BODY": one.body()},
    ).stdout  # fmt: skip
    count = int(re.search(r"(\d+) requests in", said)[1])  # type: ignore[index]
    if wrong := re.search(r"Non-2xx or 3xx responses: (\d+)", said):
        raise SystemExit(f"{one.name} refused {wrong[1]} of {count} requests")
    one.note(f"requests/s at {connections}", count / (time.monotonic() - began))
    one.note("cpu_ms", (cpu_seconds(one.pid) - before) / max(1, count) * 1e3)


async def drip(one: Contender, count: int, stream: bool) -> list[float]:
    """Milliseconds to the answer, or to the first byte of its text, of requests that come 20 in a second."""
    import aiohttp

    headers = {"authorization": f"Bearer {one.key}", "content-type": "application/json"}
    body, took = one.body(stream=stream), list[float]()
    async with aiohttp.ClientSession(headers=headers) as session:

        async def ask() -> None:
            began = time.perf_counter()
            async with session.post(f"http://127.0.0.1:{one.port}/v1/chat/completions", data=body) as reply:
                assert reply.status == 200, await reply.text()
                if stream:
                    async for line in reply.content:
                        if b"Paris" in line:
                            break
                else:
                    await reply.read()
            took.append((time.perf_counter() - began) * 1e3)

        await ask()
        took.clear()
        for _ in range(count):
            asked = asyncio.ensure_future(ask())
            await asyncio.sleep(0.05)
            await asked
    return sorted(took)


def understudy(stack: ExitStack, folder: Path, upstream: int) -> Contender:
    (folder / "config.toml").write_text(CONFIG.format(port=upstream))
    env = {**os.environ, "UNDERSTUDY_HOME": str(folder), "UNDERSTUDY_CONFIG": str(folder / "config.toml")}
    key = subprocess.run(
        [sys.executable, "-m", "understudy", "key", "add", "bench", "--tokens-per-day", "900000000000"],
        env=env, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    command = pinned(0, sys.executable, "-m", "understudy", "serve", "--port", "0", "--json")
    began = time.monotonic()
    process = stack.enter_context(running(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL))
    assert process.stdout
    port = int(json.loads(process.stdout.readline())["url"].rpartition(":")[2])
    one = Contender("understudy", port, process.pid, model="stub/m", key=key)
    one.note("idle MB", memory_mb(one.pid))
    wait_for(one)
    one.note("start to first answer s", time.monotonic() - began)
    return one


def pass_through(stack: ExitStack, upstream: int) -> Contender:
    port = free_port()
    command = pinned(0, sys.executable, "-c", BARE, str(port), f"http://127.0.0.1:{upstream}")
    return Contender("bare pass-through", port, stack.enter_context(running(command)).pid)


def nginx(stack: ExitStack, folder: Path, upstream: int) -> Contender | None:
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        return None
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, upstream=upstream))
    command = pinned(0, program, "-e", "/dev/null", "-c", str(folder / "nginx.conf"))
    return Contender("nginx", port, stack.enter_context(running(command)).pid)


def litellm(stack: ExitStack, peers: Path, folder: Path, upstream: int) -> Contender:
    program = peers / "bin" / "litellm"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(peers)], check=True)
        subprocess.run([str(peers / "bin" / "pip"), "install", "-q", "litellm[proxy]"], check=True)
    (folder / "litellm.yaml").write_text(
        "model_list: [{model_name: m, litellm_params: {model: openai/m, api_key: k, input_cost_per_token: 0.0000001, "
        f"output_cost_per_token: 0.0000001, api_base: 'http://127.0.0.1:{upstream}/v1'"
        "}}]\n"
    )
    port = free_port()
    where = ["--config", str(folder / "litellm.yaml"), "--port", str(port), "--host", "127.0.0.1"]
    command = pinned(0, str(program), *where)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = stack.enter_context(running(command, env={**os.environ, "LITELLM_LOG": "ERROR"}, **quiet))
    return Contender("litellm proxy", port, process.pid)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(one: Contender) -> None:
    """Until it gives its first answer."""
    began = time.monotonic()
    while time.monotonic() - began < 120:
        try:
            asyncio.run(drip(one, 0, stream=False))
        except Exception:  # noqa: BLE001  not there yet
            time.sleep(0.05)
        else:
            return
    raise SystemExit(f"{one.name} does not answer")


def measure(seconds: float, rounds: int, peers: Path | None) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        lua = folder / "post.lua"
        lua.write_text(LUA)
        zero = pinned(1, sys.executable, str(HERE / "zero_server.py"))
        fast = stack.enter_context(running(zero, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert fast.stdout
        upstream = int(fast.stdout.readline())
        direct = Contender("upstream itself", upstream, fast.pid)
        ours = understudy(stack, folder, upstream)
        some = [ours, pass_through(stack, upstream), nginx(stack, folder, upstream)]
        if peers is not None:
            some.append(litellm(stack, peers, folder, upstream))
        contenders = [one for one in some if one is not None]
        for one in contenders[1:]:
            wait_for(one)
            one.note("idle MB", memory_mb(one.pid))
        for _ in range(rounds):
            floor = {stream: asyncio.run(drip(direct, 40, stream)) for stream in (False, True)}
            for one in contenders:
                hammer(one, lua, 16, seconds)
                for stream, what in ((False, "added"), (True, "added to first byte")):
                    took = asyncio.run(drip(one, 40, stream))
                    one.note(f"{what} p50 ms", statistics.median(took) - statistics.median(floor[stream]))
                    if not stream:
                        one.note("added p99 ms", took[-1] - floor[False][-1])
        return {one.name: {what: statistics.median(v) for what, v in one.seen.items()} for one in contenders}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path)
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing. On Debian: apt-get install wrk")
    found = measure(given.seconds, given.rounds, given.peers)
    if given.json:
        print(json.dumps(found, indent=1))
        return
    for name, values in found.items():
        print(name)
        for what, value in values.items():
            print(f"  {what:28} {value:10.2f}")


if __name__ == "__main__":
    main()
