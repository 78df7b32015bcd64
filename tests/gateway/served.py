# ruff: noqa: S310 - addresses of our own
"""`understudy serve` as a program of its own, and requests to it over a new connection each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import understudy

ROOT = Path(understudy.__file__).parent.parent
GROQ = """\
[providers.groq]
kind = "rehearsal"
plays = "groq"
models = [ { id = "llama-3.1-8b-instant" } ]
"""


@dataclass
class Served:
    process: subprocess.Popen[str]
    url: str
    folder: Path

    def get(self, path: str, key: str = "") -> tuple[int, str]:
        return self.send(urllib.request.Request(f"{self.url}{path}", headers=_headers(key)))

    def chat(self, key: str = "", text: str = "Name a fruit.", model: str = "groq/llama-3.1-8b-instant") -> int:
        body = {"model": model, "messages": [{"role": "user", "content": text}]}
        headers = {"content-type": "application/json", **_headers(key)}
        request = urllib.request.Request(f"{self.url}/v1/chat/completions", json.dumps(body).encode(), headers)
        return self.send(request)[0]

    def send(self, request: urllib.request.Request) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


def environment(folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("UNDERSTUDY_") and not k.endswith("_API_KEY")}
    return {**kept, "UNDERSTUDY_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}


def make_key(folder: Path, name: str, *scopes: str) -> str:
    command = [sys.executable, "-m", "understudy", "key", "add", name, "--config", "config.toml"]
    options = [part for scope in scopes for part in ("--scope", scope)]
    made = subprocess.run(
        [*command, *options], cwd=folder, env=environment(folder), capture_output=True, text=True, check=True
    )
    return made.stdout.strip()


@contextmanager
def served(folder: Path, *options: str, config: str = GROQ, port: int = 0) -> Iterator[Served]:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(config)
    command = [sys.executable, "-m", "understudy", "serve", "--config", "config.toml", "--json", "--port", str(port)]
    with (folder / "stderr").open("a") as complaints:
        process = subprocess.Popen(
            [*command, *options],
            cwd=folder,
            env=environment(folder),
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        )
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, (folder / "stderr").read_text()
            told: dict[str, Any] = json.loads(line)
            yield Served(process, told["url"], folder)
        finally:
            if process.poll() is None:
                process.terminate()
            process.wait(60)
            process.stdout.close()


def _headers(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"} if key else {}
