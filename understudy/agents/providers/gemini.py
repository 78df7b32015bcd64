"""Gemini's developer API, through google-genai. Its search ("grounding") needs no tool of ours."""

from __future__ import annotations

from understudy.agents.candidates import account_named, build, with_keys
from understudy.agents.catalogue import entries
from understudy.agents.keyed import keyed
from understudy.agents.keys import Rings
from understudy.agents.relays.gemini import GeminiSpeech
from understudy.agents.relays.relay import Relay
from understudy.agents.wire import Wire, client_for, rooted
from understudy.agents.worker import Traits
from understudy.config.secrets import Secret
from understudy.config.settings import Model, Provider, Settings
from understudy.types import Candidate, Worker

KEYS = ("env:GEMINI_API_KEY", "env:GOOGLE_API_KEY")
ADDRESS = "https://generativelanguage.googleapis.com"


async def candidates(name: str, provider: Provider, settings: Settings) -> tuple[Candidate, ...]:
    """Raises CallFailed(UNAVAILABLE) when no account has a key."""
    models = provider.models or tuple(Model(id=known.model) for known in entries("gemini"))
    return build(name, provider, settings, with_keys(name, provider, KEYS), models)


def worker(candidate: Candidate, provider: Provider, settings: Settings, rings: Rings | None = None) -> Worker:
    """Over all keys of the account. Raises ConfigError for an account that is not configured."""
    account = account_named(provider, candidate.account, KEYS)
    ring = (rings or Rings()).of(candidate.provider, provider, account, KEYS)
    base_url = rooted(provider.base_url or ADDRESS, "/v1beta", "/v1alpha", "/v1")

    def connect(key: Secret | None) -> Wire:
        from pydantic_ai.models.google import GoogleModel
        from pydantic_ai.providers.google import GoogleProvider

        client = client_for(base_url, settings.local_hosts)
        link = GoogleProvider(api_key=key.reveal() if key else "", base_url=base_url, http_client=client)
        model = GoogleModel(candidate.model, provider=link)
        return Wire(model, client, lambda: link.client.aio.models.get(model=candidate.model))

    return keyed(
        candidate,
        ring,
        connect,
        Traits(json_mode=True),
        lambda key: Relay(f"{base_url}/v1beta", key, GeminiSpeech(), local_hosts=settings.local_hosts),
    )
