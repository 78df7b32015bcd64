"""What is found without any configuration: keys in the environment, the claude CLI, servers on this machine."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

PORTS = (("ollama", 11434), ("lmstudio", 1234), ("llamacpp", 8080), ("vllm", 8000))
PROBE_SECONDS = 0.15


def discover(
    environ: Mapping[str, str],
    which: Callable[[str], str | None],
    probe: Callable[[int], bool],
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """(a table such as a configuration file holds, notes for the user). `probe` says whether a local port listens.

    Paid keys are noticed and left off. Only names of environment variables get into the table, never values.
    """
    providers: dict[str, Any] = {}
    notes: list[str] = []
    if _has(environ, "GROQ_API_KEY"):
        providers["groq"] = {"kind": "groq", "accounts": [{"name": "default", "keys": ["env:GROQ_API_KEY"]}]}
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        if _has(environ, name):
            providers["gemini"] = {"kind": "gemini", "accounts": [{"name": "default", "keys": [f"env:{name}"]}]}
            break
    table: dict[str, Any] = {"providers": providers}
    if which("claude"):
        providers["claude_code"] = {"kind": "claude_code"}
        table["director"] = {"candidate": "claude_code/opus"}
    with ThreadPoolExecutor(len(PORTS)) as threads:
        listening = list(threads.map(probe, (port for _, port in PORTS)))
    for (name, port), is_there in zip(PORTS, listening, strict=True):
        if is_there:
            providers[name] = {"kind": "openai_compatible", "base_url": f"http://127.0.0.1:{port}/v1"}
    for name, kind in (("ANTHROPIC_API_KEY", "anthropic"), ("OPENAI_API_KEY", "openai")):
        if _has(environ, name):
            notes.append(f"{name} is set, but {kind} costs money and stays off until [providers.{kind}] turns it on.")
    return table, tuple(notes)


def listens(port: int, timeout: float = PROBE_SECONDS) -> bool:
    """Whether something accepts connections at 127.0.0.1:port, known within `timeout` seconds."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout):
            return True
    except OSError:
        return False


def _has(environ: Mapping[str, str], name: str) -> bool:
    return bool(environ.get(name, "").strip())
