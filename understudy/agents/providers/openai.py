"""The OpenAI API: costs money, so it is on only where the user's configuration names it."""

from __future__ import annotations

from urllib.parse import urlsplit

from understudy.agents.candidates import account_named, build, with_keys
from understudy.agents.catalogue import entries
from understudy.agents.keyed import keyed
from understudy.agents.keys import Rings
from understudy.agents.relays.relay import Relay
from understudy.agents.wire import Wire, client_for, rooted
from understudy.agents.worker import Traits
from understudy.config.secrets import Secret
from understudy.config.settings import Model, Provider, Settings
from understudy.types import Candidate, Worker

KEYS = ("env:OPENAI_API_KEY",)
ADDRESS = "https://api.openai.com/v1"


async def candidates(name: str, provider: Provider, settings: Settings) -> tuple[Candidate, ...]:
    """Raises CallFailed(UNAVAILABLE) when no account has a key."""
    models = provider.models or tuple(Model(id=known.model) for known in entries("openai"))
    return build(name, provider, settings, with_keys(name, provider, KEYS), models)


def worker(candidate: Candidate, provider: Provider, settings: Settings, rings: Rings | None = None) -> Worker:
    """Over all keys of the account. Raises ConfigError for an account that is not configured."""
    account = account_named(provider, candidate.account, KEYS)
    ring = (rings or Rings()).of(candidate.provider, provider, account, KEYS)
    base_url = api_root(provider.base_url or ADDRESS)

    def connect(key: Secret | None) -> Wire:
        from openai import AsyncOpenAI
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.providers.openai import OpenAIProvider

        client = client_for(base_url, settings.local_hosts)
        sdk = AsyncOpenAI(api_key=key.reveal() if key else "", base_url=base_url, max_retries=0, http_client=client)
        model = OpenAIChatModel(candidate.model, provider=OpenAIProvider(openai_client=sdk))
        return Wire(model, client, lambda: sdk.models.retrieve(candidate.model))

    return keyed(
        candidate,
        ring,
        connect,
        Traits(json_mode=True, invents_finish=True),
        lambda key: Relay(base_url, key, local_hosts=settings.local_hosts),
    )


def api_root(base_url: str) -> str:
    """The address the SDK appends /chat/completions to: a bare host gets /v1, a path is the user's own."""
    url = rooted(base_url, "/chat/completions")
    return url if urlsplit(url).path.strip("/") else f"{url}/v1"
