"""The claude CLI as a provider: under the user's subscription, or with a key where the configuration gives one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace

from understudy.agents.candidates import check_keys, layers
from understudy.agents.catalogue import Entry, entries, entry
from understudy.agents.failures import too_long
from understudy.agents.keyed import KeyedWorker
from understudy.agents.keys import Rings
from understudy.agents.limits import stated, tokens_per_minute
from understudy.config.secrets import Secret
from understudy.config.settings import Account, Model, Provider, Settings
from understudy.errors import CallFailed, ConfigError, PrivacyRefused
from understudy.tokens import lower_bound
from understudy.tools.claude_cli import MEASURED_VERSION, ClaudeCLI, ClaudeRequest
from understudy.types import Answer, Call, Candidate, Failure, Guard, Role, Sensitivity, Turn, Worker, cap_of

_LENGTH = frozenset({"max_tokens", "model_context_window_exceeded"})
CONTEXT = 200_000  # tokens; the newest models have more, some plans less than that
OUTPUT_CAP = 32_000  # tokens, the CLI's own default


async def candidates(name: str, provider: Provider, settings: Settings) -> tuple[Candidate, ...]:
    """opus, sonnet and haiku unless models are listed. Raises CallFailed(UNAVAILABLE) without the command or the key.

    Whether it is logged in costs 0.3 s to know: `check` says it.
    """
    keyed = _keyed(provider)
    if keyed:
        try:
            await asyncio.to_thread(_check_key, _accounts(provider)[0])
        except ConfigError as error:
            raise CallFailed(
                Failure.UNAVAILABLE, f"{name}: {error.message}", remedy=error.remedy, charged=False
            ) from None
    ClaudeCLI(provider.command).executable()
    models = provider.models or tuple(Model(id=known.model) for known in entries("claude_code"))
    accounts = _accounts(provider) if keyed else _accounts(provider)[:1]  # the CLI has one login
    return tuple(_candidate(name, provider, account, model, keyed) for model in models for account in accounts)


def worker(candidate: Candidate, provider: Provider, settings: Settings, rings: Rings | None = None) -> Worker:
    """Raises ConfigError when the account has no key and needs one."""
    keyed = _keyed(provider)

    def make(key: Secret | None) -> Worker:
        cli = ClaudeCLI(
            provider.command,
            login="key" if keyed else "subscription",
            key=key,
            base_url=provider.base_url,
            concurrency=provider.concurrency,
        )
        return ClaudeWorker(candidate, provider, cli)

    if not keyed:
        return make(None)
    account = next((a for a in _accounts(provider) if a.name == candidate.account), Account())
    ring = (rings or Rings()).of(candidate.provider, provider, account)
    if ring is None:
        raise _keyless(account)
    return KeyedWorker(candidate, ring, make)


class ClaudeWorker:
    """Implements types.Worker over the runner. The tools it may use are the configuration's, for workers only."""

    def __init__(self, candidate: Candidate, provider: Provider, cli: ClaudeCLI) -> None:
        self.candidate = candidate
        self._provider = provider
        self._cli = cli
        self._unforeseen = 0  # tokens by which a request once was larger than its bound

    def __repr__(self) -> str:
        return f"ClaudeWorker({self.candidate.domain})"

    def load(self, call: Call) -> None:
        """Nothing is imported here; the process starts within the call."""

    async def work(self, call: Call, guard: Guard, progress: Callable[[int], None] | None = None) -> Answer:
        """Answer, or raise CallFailed; PrivacyRefused for a private call, whoever asks."""
        if call.sensitivity is Sensitivity.PRIVATE and not self.candidate.local:
            raise PrivacyRefused("A private task does not go to claude.", remedy="Configure a local model.")
        request = self.request(call)
        bound = self.bound(call)
        hold = await guard.before(bound, self._cli.output_bound(request))
        most = cap_of(hold, self._cli.output_bound(request))
        request = replace(request, output_cap=most // self._cli.calls_allowed(request))
        if not request.output_cap:
            await guard.unsent(hold)
            raise CallFailed(
                Failure.TOO_LARGE,
                f"{self.candidate.name}: {most:,} tokens of output are too few for all the requests its tools allow.",
                remedy="Ask another candidate, or wait for the next day's budget.",
                charged=False,
            )
        try:
            result = await self._cli.run(request, progress)
        except CallFailed as failure:
            if failure.charged:
                await guard.after(hold, failure.usage)
            else:
                await guard.unsent(hold)
            raise
        except BaseException:
            await asyncio.shield(guard.after(hold, None))
            raise
        if request.one_call and result.usage.measured:
            # A CLI that adds more than the measured one is reserved for from its second call on.
            self._unforeseen += max(0, result.usage.input_tokens - bound)
        if lower_bound(len(result.text)) > most:
            failure = too_long(self.candidate, len(result.text), most, max(bound, result.usage.input_tokens))
            await guard.after(hold, failure.usage)
            raise failure
        believed = result.usage.measured and lower_bound(len(result.text)) <= result.usage.output_tokens
        await guard.after(hold, result.usage if believed else None)
        return Answer(
            text=result.text,
            usage=result.usage,
            finish="length" if result.stop in _LENGTH else "stop",
            model=result.model,
            cost_usd=result.cost_usd,  # at list price, as the CLI states it; a subscription pays none of it
        )

    def bound(self, call: Call) -> int:
        """Tokens of input at most, over all requests the CLI may make."""
        return self._cli.bound(self.request(call)) + self._unforeseen

    def request(self, call: Call) -> ClaudeRequest:
        """What the CLI is asked. Coding agents work in the configured folder; the director and judges never do."""
        works = call.role is Role.WORKER and self._provider.working_directory is not None
        folder = self._provider.working_directory
        return ClaudeRequest(
            prompt=_prompt(call.history, call.prompt),
            system=_system(call),
            model=self.candidate.model,
            output_cap=min(call.output_cap, self.candidate.output_cap),
            directory=folder.expanduser().absolute() if works and folder is not None else None,
            allowed_tools=self._provider.allowed_tools if works else (),
            timeout=call.timeout,
        )

    async def check(self) -> str:
        """Version and login; no request is made."""
        version = await self._cli.version()
        how = "with a key" if self._cli.with_key else f"logged in ({await self._cli.logged_in()})"
        known = "" if version == MEASURED_VERSION else f"; bounds were measured with {MEASURED_VERSION}"
        return f"claude {version}, {how}{known}"

    async def close(self) -> None:
        """Nothing outlives a call."""


def _keyed(provider: Provider) -> bool:
    has_keys = any(account.keys for account in provider.accounts)
    return provider.login == "key" or (provider.login == "auto" and has_keys)


def _accounts(provider: Provider) -> tuple[Account, ...]:
    return provider.accounts or (Account(),)


def _check_key(account: Account) -> None:
    if not account.keys:
        raise _keyless(account)
    check_keys(account)


def _keyless(account: Account) -> ConfigError:
    return ConfigError(
        f'The account {account.name} has no key, and login = "key" needs one.',
        remedy='Add keys = ["env:ANTHROPIC_API_KEY"], or set login = "subscription".',
    )


def _candidate(name: str, provider: Provider, account: Account, model: Model, keyed: bool) -> Candidate:
    known = _known(model.id)
    context = model.context or known.context or CONTEXT
    free = next((said for said in (model.free, provider.free) if said is not None), not keyed)
    input_usd = (known.input_usd or 0.0) if model.input_usd is None else model.input_usd
    output_usd = (known.output_usd or 0.0) if model.output_usd is None else model.output_usd
    # A login's windows are shared by all models, a key's are each model's own.
    shared = replace(known.limits, shared="model") if keyed else known.limits
    limits = stated(shared, "rolling", layers(provider, account, model))
    return Candidate(
        provider=name,
        kind=provider.kind,
        account=account.name,
        model=model.id,
        local=False,
        free=free,
        context=context,
        output_cap=min(model.output_cap or known.output_cap or OUTPUT_CAP, context),
        tokens_per_minute=tokens_per_minute(limits),
        capabilities=frozenset(known.capabilities if model.capabilities is None else model.capabilities),
        quality=(known.quality or 50) if model.quality is None else model.quality,
        speed=(known.speed or 50) if model.speed is None else model.speed,
        input_price=round(input_usd * 1_000_000),
        output_price=round(output_usd * 1_000_000),
        limits=limits,
    )


def _known(model: str) -> Entry:
    """Of the model's line, by its alias or a name such as claude-haiku-5-5; of the first line when there is none."""
    return entry("claude_code", model) or entries("claude_code")[0]


def _system(call: Call) -> str:
    if call.schema is None:
        return call.instructions
    asked = (
        "Answer with one JSON value that is valid against this JSON schema, and with nothing else: "
        "no explanation, no code fence.\n" + json.dumps(call.schema, ensure_ascii=False, separators=(",", ":"))
    )
    return f"{call.instructions}\n\n{asked}".strip()


def _prompt(history: tuple[Turn, ...], prompt: str) -> str:
    """Earlier turns, quoted line by line: nothing in them can pass for the question."""
    if not history:
        return prompt
    lines = ["The conversation so far:"]
    for turn in history:
        for who, text in (("User", turn.user), ("Assistant", turn.assistant)):
            lines += ["", f"{who}:", *(f"> {line}" for line in text.splitlines() or [""])]
    return "\n".join([*lines, "", "The user now says:", "", prompt])
