"""The Anthropic API: costs money, so it is on only where the user's configuration names it."""

from __future__ import annotations

from understudy.agents.candidates import account_named, build, with_keys
from understudy.agents.catalogue import entries
from understudy.agents.keyed import keyed
from understudy.agents.keys import Rings
from understudy.agents.relays.anthropic import AnthropicSpeech
from understudy.agents.relays.relay import Relay
from understudy.agents.wire import Wire, client_for, rooted
from understudy.agents.worker import Traits
from understudy.config.secrets import Secret
from understudy.config.settings import Model, Provider, Settings
from understudy.errors import CallFailed
from understudy.types import Candidate, Failure, Worker

KEYS = ("env:ANTHROPIC_API_KEY",)
ADDRESS = "https://api.anthropic.com"
OLDEST = (1, 15)  # of the SDK; nanobot's environment has an older one


async def candidates(name: str, provider: Provider, settings: Settings) -> tuple[Candidate, ...]:
    """Raises CallFailed(UNAVAILABLE) when no account has a key, or the SDK is too old."""
    _check_version(name)
    models = provider.models or tuple(Model(id=known.model) for known in entries("anthropic"))
    return build(name, provider, settings, with_keys(name, provider, KEYS), models)


def worker(candidate: Candidate, provider: Provider, settings: Settings, rings: Rings | None = None) -> Worker:
    """Over all keys of the account. Raises ConfigError for an account that is not configured."""
    account = account_named(provider, candidate.account, KEYS)
    ring = (rings or Rings()).of(candidate.provider, provider, account, KEYS)
    base_url = rooted(provider.base_url or ADDRESS, "/v1/messages", "/v1")

    def connect(key: Secret | None) -> Wire:
        from anthropic import AsyncAnthropic
        from pydantic_ai.models.anthropic import AnthropicModel
        from pydantic_ai.providers.anthropic import AnthropicProvider

        client = client_for(base_url, settings.local_hosts)
        sdk = AsyncAnthropic(api_key=key.reveal() if key else "", base_url=base_url, max_retries=0, http_client=client)
        model = AnthropicModel(candidate.model, provider=AnthropicProvider(anthropic_client=sdk))
        return Wire(model, client, lambda: sdk.models.retrieve(candidate.model))

    return keyed(
        candidate,
        ring,
        connect,
        Traits(counts_exactly=True),
        lambda key: Relay(f"{base_url}/v1", key, AnthropicSpeech(), local_hosts=settings.local_hosts),
    )


def _check_version(name: str) -> None:
    from importlib.metadata import version

    found = version("anthropic")
    if tuple(int(part) for part in found.split(".")[:2] if part.isdecimal()) < OLDEST:
        oldest = ".".join(str(part) for part in OLDEST)
        raise CallFailed(
            Failure.UNAVAILABLE,
            f"{name}: the package anthropic {found} of this environment is older than {oldest}.",
            remedy="Update it; beside nanobot, which needs the old one, use the kind claude_code or understudy serve.",
            charged=False,
        )
