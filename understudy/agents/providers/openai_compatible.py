"""Any server that speaks OpenAI's chat completions: vLLM, Ollama, LM Studio, llama.cpp, Together AI, DeepInfra."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, cast

from understudy.agents import failures
from understudy.agents.candidates import account_named, accounts_of, build, readable
from understudy.agents.keyed import keyed
from understudy.agents.keys import Rings
from understudy.agents.providers.openai import api_root
from understudy.agents.relays.openai import OpenAISpeech
from understudy.agents.relays.relay import Relay
from understudy.agents.wire import Wire, client_for
from understudy.agents.worker import NO_TAGS, Traits
from understudy.config.locality import is_local
from understudy.config.secrets import Secret
from understudy.config.settings import Model, Provider, Settings
from understudy.errors import CallFailed, ConfigError
from understudy.types import Candidate, Failure, Worker

if TYPE_CHECKING:
    import httpx2

DISCOVERY_SECONDS = 0.9  # a server with no model loaded must be noticed within a second
LONGEST_LISTING = 4_000_000  # bytes
LOAD_ONE = "Load a model in the server (LM Studio: load it in the app; Ollama: ollama pull NAME)."
_NOT_CHAT = ("embed", "whisper", "rerank", "tts", "bge-", "clip", "diffusion", "moderation")


async def candidates(name: str, provider: Provider, settings: Settings) -> tuple[Candidate, ...]:
    """The listed models, else those the server lists. Raises CallFailed(UNAVAILABLE) with the remedy."""
    models = provider.models or await _discovered(name, provider, settings)
    return build(name, provider, settings, accounts_of(provider), models)


def worker(candidate: Candidate, provider: Provider, settings: Settings, rings: Rings | None = None) -> Worker:
    """Over all keys of the account. Raises ConfigError for an account that is not configured."""
    account = account_named(provider, candidate.account, ())
    ring = (rings or Rings()).of(candidate.provider, provider, account)
    base_url = api_root(provider.base_url or "")

    def connect(key: Secret | None) -> Wire:
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.profiles.openai import OpenAIModelProfile
        from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

        client = client_for(base_url, settings.local_hosts)
        link = OpenAICompatibleProvider(
            candidate.provider,
            base_url=base_url,
            api_key=key.reveal() if key else None,
            http_client=client,
            profile=OpenAIModelProfile(
                # llama.cpp's Python server ignores max_completion_tokens: the cap would be void.
                openai_chat_supports_max_completion_tokens=False,
                supports_json_object_output=True,
                thinking_tags=NO_TAGS,
            ),
        )
        link.client.max_retries = 0
        link.client.organization = link.client.project = None  # OPENAI_ORG_ID is no business of this server's
        model = OpenAIChatModel(candidate.model, provider=link)
        return Wire(model, client, link.client.models.list)

    return keyed(
        candidate,
        ring,
        connect,
        # LM Studio refuses json_object, so JSON mode is used only where the user says the server has it.
        Traits(json_mode="json" in candidate.capabilities, invents_finish=True, thinking_switch=False),
        lambda key: Relay(base_url, key, OpenAISpeech(cap="max_tokens"), local_hosts=settings.local_hosts),
    )


async def _discovered(name: str, provider: Provider, settings: Settings) -> tuple[Model, ...]:
    """GET /models. Ids only are trusted, and the context length where the server tells it."""
    asked = Candidate(name, provider.kind, "default", "models", local=is_local(provider, "", settings.local_hosts))
    failure: CallFailed
    try:
        keys = await asyncio.to_thread(readable, accounts_of(provider)[0])
        # Made before the clock runs: the first one imports the HTTP library, which is not the server's slowness.
        client = client_for(provider.base_url or "", settings.local_hosts)
        async with asyncio.timeout(DISCOVERY_SECONDS):
            status, headers, body = await _get_models(client, provider, keys)
        if status != 200:
            failure = failures.refused(status, headers, body, asked, time.time())
        elif models := _listed(body):
            return models
        else:
            failure = CallFailed(Failure.UNAVAILABLE, f"{name}: the server has no model loaded.", remedy=LOAD_ONE)
    except ConfigError as error:
        failure = CallFailed(Failure.UNAVAILABLE, f"{name}: {error.message}", remedy=error.remedy)
    except TimeoutError:
        failure = CallFailed(Failure.UNAVAILABLE, f"{name}: the server did not list its models in time.")
    except Exception as error:  # noqa: BLE001  a server may answer anything
        failure = failures.failed(error, asked)
    if failure.failure is not Failure.UNAVAILABLE or not failure.remedy:
        remedy = failure.remedy or f"Start the server at {api_root(provider.base_url or '')}, or list its models."
        failure = CallFailed(
            Failure.UNAVAILABLE, failure.message, remedy=remedy, retry_after=failure.retry_after, status=failure.status
        )
    failure.charged = False
    raise failure


async def _get_models(
    client: httpx2.AsyncClient, provider: Provider, keys: tuple[Secret, ...]
) -> tuple[int, dict[str, str], bytes]:
    """With the first key that is not refused; without any where the account has none."""
    async with client:
        for key in keys[:-1]:
            status, headers, body = await _get(client, provider, key)
            if status not in (401, 403):
                return status, headers, body
        return await _get(client, provider, keys[-1] if keys else None)


async def _get(client: httpx2.AsyncClient, provider: Provider, key: Secret | None) -> tuple[int, dict[str, str], bytes]:
    headers = {"authorization": f"Bearer {key.reveal()}"} if key else {}
    async with client.stream("GET", f"{api_root(provider.base_url or '')}/models", headers=headers) as response:
        body = b""
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > LONGEST_LISTING:
                break
        return response.status_code, dict(response.headers), body


def _listed(body: bytes) -> tuple[Model, ...]:
    try:
        table: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ()
    # Together answers with a bare list, Ollama with data = null when it has no model.
    rows: Any = cast("dict[str, Any]", table).get("data") if isinstance(table, dict) else table
    found: dict[str, Model] = {}
    for row in cast("list[Any]", rows) if isinstance(rows, list) else []:
        if not isinstance(row, dict):
            continue
        said = cast("dict[str, Any]", row)
        id_ = said.get("id")
        if isinstance(id_, str) and 0 < len(id_) <= 200 and not any(word in id_.lower() for word in _NOT_CHAT):
            found.setdefault(id_, Model(id=id_, context=_context(said)))
    return tuple(found.values())


def _context(row: dict[str, Any]) -> int | None:
    """vLLM says max_model_len, LM Studio loaded_context_length, Together context_length, llama.cpp meta.n_ctx."""
    meta: Any = row.get("meta")
    for table in (row, cast("dict[str, Any]", meta) if isinstance(meta, dict) else {}):
        for name in ("max_model_len", "loaded_context_length", "context_length", "n_ctx"):
            value = table.get(name)
            if isinstance(value, int) and 0 < value < 100_000_000:
                return value
    return None
