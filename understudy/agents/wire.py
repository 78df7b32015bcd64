"""A model of pydantic-ai with the HTTP client under it, which we own, watch and close."""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from understudy.agents.disguised import look_inside
from understudy.agents.flood import PLAIN, bounded
from understudy.config.locality import is_local_host

if TYPE_CHECKING:
    import httpx
    import httpx2
    from pydantic_ai.models import Model

CONNECT_SECONDS = 5.0
POOL = 200  # connections; more concurrent calls than this wait
_LOGGERS = ("openai", "groq", "anthropic", "google_genai", "google.genai", "httpx", "httpcore", "httpx2", "httpcore2")
_observed: ContextVar[Observed | None] = ContextVar("observed_headers", default=None)


@dataclass(slots=True)
class Wire:
    """probe asks the server whether key and model are good, without spending a token."""

    model: Model = field(repr=False)
    client: httpx.AsyncClient | httpx2.AsyncClient = field(repr=False)
    probe: Callable[[], Awaitable[object]] = field(repr=False)

    async def close(self) -> None:
        await self.client.aclose()


@dataclass(slots=True)
class Observed:
    """Of the last reply within a block: its rate-limit headers, lower-cased, and when they came (epoch seconds)."""

    headers: dict[str, str] = field(default_factory=dict[str, str])
    at: float = 0.0


@contextmanager
def observing() -> Generator[Observed]:
    """What the last reply received within this block says of its limits; a block within is on its own.

    Right under concurrency: each task sees the replies to its own requests.
    """
    seen = Observed()
    token = _observed.set(seen)
    try:
        yield seen
    finally:
        _observed.reset(token)


def client_for(base_url: str, local_hosts: tuple[str, ...] = ()) -> httpx2.AsyncClient:
    """An httpx2 client. To this machine it uses no proxy of the environment, which would see private text."""
    import httpx2
    from httpx_aiohttp.httpx2 import Httpx2AiohttpClient

    quieten()
    return Httpx2AiohttpClient(  # aiohttp under it: with fifty calls at once httpx's own transport falls behind
        timeout=httpx2.Timeout(600.0, connect=CONNECT_SECONDS),
        limits=httpx2.Limits(max_connections=POOL, max_keepalive_connections=20),
        verify=tls(),
        trust_env=not is_at_home(base_url, local_hosts),
        follow_redirects=False,
        headers={"accept-encoding": PLAIN},
        event_hooks={"response": [_note, bounded(httpx2.AsyncByteStream), look_inside]},
    )


def legacy_client_for(base_url: str, local_hosts: tuple[str, ...] = ()) -> httpx.AsyncClient:
    """The same for the Groq SDK, which is written for httpx."""
    import httpx
    from httpx_aiohttp import HttpxAiohttpClient

    quieten()
    return HttpxAiohttpClient(
        timeout=httpx.Timeout(600.0, connect=CONNECT_SECONDS),
        limits=httpx.Limits(max_connections=POOL, max_keepalive_connections=20),
        verify=tls(),
        trust_env=not is_at_home(base_url, local_hosts),
        follow_redirects=False,
        headers={"accept-encoding": PLAIN},
        event_hooks={"response": [_note, bounded(httpx.AsyncByteStream), look_inside]},
    )


def quieten() -> None:
    """The SDKs log whole requests at debug level: prompts have no place in a log."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if logger.level < logging.WARNING:
            logger.setLevel(logging.WARNING)


def rooted(base_url: str, *suffixes: str) -> str:
    """`base_url` without a trailing slash and without the first of `suffixes` it ends in."""
    url = base_url.strip().rstrip("/")
    for suffix in suffixes:
        if url.lower().endswith(suffix):
            return url[: -len(suffix)].rstrip("/")
    return url


@cache
def tls() -> ssl.SSLContext:
    """One for all clients: reading the certificates takes 50 ms."""
    import httpx2

    return httpx2.create_ssl_context()


def is_at_home(base_url: str, local_hosts: tuple[str, ...]) -> bool:
    return is_local_host(urlsplit(base_url).hostname or "", local_hosts)


async def _note(response: Any) -> None:
    seen = _observed.get()
    if seen is None:
        return
    seen.at = time.time()
    seen.headers = {k: v for name, v in response.headers.items() if "ratelimit" in (k := name.lower())}
