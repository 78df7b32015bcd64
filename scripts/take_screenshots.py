"""Makes docs/images/dashboard-*.png: the dashboard of a simulated fleet at work, in Chromium.

    .venv/bin/python scripts/take_screenshots.py [FOLDER]

Nothing in them is of this machine: the state is in a folder that is made for it, and goes with it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).parent.parent
LARGEST = 200_000  # bytes of one picture
CONFIG = """\
patience = 1.0
[director]
candidate = "claude_code/opus"
tokens_per_day = 20000
[providers.groq]
kind = "rehearsal"
plays = "groq"
script = "groq.toml"
[providers.gemini]
kind = "rehearsal"
plays = "gemini"
models = [ { id = "gemini-2.5-flash" }, { id = "gemini-2.5-pro" }, { id = "gemini-2.0-flash" } ]
[providers.claude_code]
kind = "rehearsal"
plays = "claude_code"
models = [ { id = "opus" }, { id = "haiku" } ]
[providers.local]
kind = "rehearsal"
plays = "local"
models = [ { id = "qwen3-coder-30b-a3b" }, { id = "ministral-3b" } ]
"""
GROQ = """\
[accounts]
default = ["rehearsal-key"]
[[models]]
id = "llama-3.1-8b-instant"
context = 131072
latency = 0.6
limits = { rpm = 30, rpd = 14400, tpm = 6000, tpd = 500000 }
[[models]]
id = "qwen/qwen3-32b"
context = 131072
latency = 2.5
limits = { rpm = 60, rpd = 1000, tpm = 6000, tpd = 500000 }
[[models]]
id = "llama-3.3-70b-versatile"
context = 131072
latency = 1.5
limits = { rpm = 30, rpd = 1000, tpm = 12000, tpd = 100000 }
[[models.faults]]
kind = "overload"
times = 4
[[models]]
id = "openai/gpt-oss-120b"
context = 131072
limits = { rpm = 30, rpd = 1000, tpm = 8000, tpd = 200000 }
[[models.faults]]
kind = "server_error"
"""
ASKED = (
    ("auto", "What is the capital of France?"),
    (
        "auto",
        "A bat and a ball cost 1.10 together, the bat 1.00 more. What is the ball? Think it through.",
    ),
    ("auto", "Write a Python function that reverses a list."),
    ("auto", "Summarize: the meeting moved from Monday to Tuesday, because the room was taken, and starts at noon."),
    ("auto", "My card 4111 1111 1111 1111 was charged twice, what do I do?"),
    ("groq/llama-3.3-70b-versatile", "What is the capital of Norway?"),
    ("groq/openai/gpt-oss-120b", "What is the capital of Peru?"),
    ("auto", "Review: def mean(xs): return sum(xs) / len(xs)"),
)
VIEWS: tuple[tuple[str, Any, dict[str, int]], ...] = (
    ("light", "light", {"width": 1280, "height": 1000}),
    ("dark", "dark", {"width": 1280, "height": 1000}),
    ("phone", "dark", {"width": 390, "height": 1300}),
)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Its address."""
    (folder / "config.toml").write_text(CONFIG)
    (folder / "groq.toml").write_text(GROQ)
    kept = {k: v for k, v in os.environ.items() if not k.startswith("UNDERSTUDY_") and not k.endswith("_API_KEY")}
    environment = {**kept, "UNDERSTUDY_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "understudy", "serve", "--port", "0", "--no-key", "--json"]
    process = subprocess.Popen(
        [*command, "--config", "config.toml"], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )
    try:
        if process.stdout is None:
            raise SystemExit("The server tells nothing.")
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.terminate()
        process.wait(60)


def ask(url: str, model: str, text: str) -> None:
    name = model if "/" in model else f"understudy/{model}"
    body = json.dumps({"model": name, "messages": [{"role": "user", "content": text}]}).encode()
    request = urllib.request.Request(  # noqa: S310  a server of our own
        f"{url}/v1/chat/completions", body, {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            answer.read()
    except OSError:
        pass  # some of them fail, to be seen


def work(url: str, over: threading.Event) -> None:
    turn = 0
    while not over.is_set():
        ask(url, *ASKED[turn % len(ASKED)])
        turn += 1


def take(page: Page, url: str, path: Path, scheme: Any, size: dict[str, int]) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size(size)  # type: ignore[arg-type]
    page.wait_for_timeout(1_200)
    page.screenshot(path=path, full_page="--whole" in sys.argv)
    print(f"{path}: {path.stat().st_size:,} bytes")
    if "--whole" not in sys.argv and path.stat().st_size >= LARGEST:
        raise SystemExit(f"{path} is larger than {LARGEST:,} bytes.")


def main() -> None:
    images = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, served(Path(folder)) as url, sync_playwright() as playwright:
        over = threading.Event()
        workers = [threading.Thread(target=work, args=(url, over)) for _ in range(3)]
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        try:
            page = browser.new_page()
            page.goto(url)
            for worker in workers:
                worker.start()
                time.sleep(0.7)
            page.wait_for_timeout(40_000)
            for name, scheme, size in VIEWS:
                take(page, url, images / f"dashboard-{name}.png", scheme, size)
        finally:
            over.set()
            browser.close()
            for worker in workers:
                worker.join()


if __name__ == "__main__":
    main()
