"""Groq, through its own SDK. The SDK appends /openai/v1 itself, whatever the user wrote."""

from __future__ import annotations

from understudy.agents.candidates import account_named, build, with_keys
from understudy.agents.catalogue import entries
from understudy.agents.keyed import keyed
from understudy.agents.keys import Rings
from understudy.agents.relays.relay import Relay
from understudy.agents.wire import Wire, legacy_client_for, rooted
from understudy.agents.worker import NO_TAGS, Traits
from understudy.config.secrets import Secret
from understudy.config.settings import Model, Provider, Settings
from understudy.types import Candidate, Worker

KEYS = ("env:GROQ_API_KEY",)
ADDRESS = "https://api.groq.com"


async def candidates(name: str, provider: Provider, settings: Settings) -> tuple[Candidate, ...]:
    """Raises CallFailed(UNAVAILABLE) when no account has a key."""
    models = provider.models or tuple(Model(id=known.model) for known in entries("groq"))
    return build(name, provider, settings, with_keys(name, provider, KEYS), models)


def worker(candidate: Candidate, provider: Provider, settings: Settings, rings: Rings | None = None) -> Worker:
    """Over all keys of the account. Raises ConfigError for an account that is not configured."""
    account = account_named(provider, candidate.account, KEYS)
    ring = (rings or Rings()).of(candidate.provider, provider, account, KEYS)
    base_url = rooted(provider.base_url or ADDRESS, "/openai/v1", "/openai", "/v1")

    def connect(key: Secret | None) -> Wire:
        from groq import AsyncGroq
        from pydantic_ai.models.groq import GroqModel
        from pydantic_ai.profiles import ModelProfile
        from pydantic_ai.providers.groq import GroqProvider

        client = legacy_client_for(base_url, settings.local_hosts)
        sdk = AsyncGroq(api_key=key.reveal() if key else "", base_url=base_url, max_retries=0, http_client=client)
        model = GroqModel(
            candidate.model,
            provider=GroqProvider(groq_client=sdk),
            profile=ModelProfile(supports_json_object_output=True, thinking_tags=NO_TAGS),
        )
        return Wire(model, client, lambda: sdk.models.retrieve(candidate.model))

    # Without a format, qwen3 writes its reasoning into the answer, and refuses JSON mode.
    extra = {"groq_reasoning_format": "parsed"} if "qwen" in candidate.model.lower() else {}
    return keyed(
        candidate,
        ring,
        connect,
        Traits(json_mode=True, streams_json=False, settings=extra),
        lambda key: Relay(f"{base_url}/openai/v1", key, local_hosts=settings.local_hosts),
    )
