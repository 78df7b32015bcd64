"""The shape of the configuration. Names are the user's; units are in the names or the docstrings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from understudy.config.pasted import looks_like_key, shown
from understudy.config.quota import Described, QuotaTable
from understudy.config.quota import Strict as _Strict
from understudy.config.secrets import FORMS
from understudy.config.vault import Place

Kind = Literal["groq", "gemini", "anthropic", "openai", "openai_compatible", "claude_code", "llama_cpp", "rehearsal"]
CLOUD_KINDS = frozenset({"groq", "gemini", "anthropic", "openai", "claude_code"})
PAID_KINDS = frozenset({"anthropic", "openai"})  # off unless the user turns them on
KEY_SOURCES = ("env:", "keyring:", "file:", "vault:")


def _key_source(value: str) -> str:
    if not value.startswith(KEY_SOURCES) or not value.partition(":")[2]:
        # The value itself is never repeated: it may be the key.
        raise ValueError(f"a literal key does not belong here; write {FORMS}")
    name = value.partition(":")[2]
    if value.startswith("vault:"):
        Place.parse(name)
    # A folder or file may be called by a hash; all that is no path must not look like what it leads to.
    if ("/" not in name or not value.startswith("file:")) and looks_like_key(name):
        raise ValueError(f"what stands behind the colon looks like a key itself; write {FORMS}")
    return value


def _name(value: str) -> str:
    if looks_like_key(value):
        raise ValueError("this name looks like a key, and names are shown and kept; give it another, the key a source")
    return value


def _user_path(value: Path) -> Path:
    try:
        value.expanduser()
    except RuntimeError:
        raise ValueError(f"nobody's home is {value.parts[0]}") from None
    if "\0" in str(value):
        raise ValueError("a path holds no NUL")
    return value


def _address(value: str) -> str:
    try:
        netloc = urlsplit(value).netloc
    except ValueError:
        raise ValueError("this is no address") from None
    if "@" in netloc:
        # Not repeated either. It would also be shown where the address is.
        raise ValueError("a user name or password does not belong into an address; put a key under accounts")
    return value


def _book_url(value: str) -> str:
    if value and not re.match(r"(env:\w+|(rediss?|unix|postgres(ql)?)://.+)$", value, re.IGNORECASE):
        raise ValueError("write redis://..., rediss://..., postgresql://..., env:NAME, or nothing for the file")
    if value.startswith("env:") and looks_like_key(value):
        raise ValueError("what stands behind env: looks like a key; write the name of a variable")
    return value


ProviderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$"), AfterValidator(_name)]
KeySource = Annotated[str, AfterValidator(_key_source)]
UserPath = Annotated[Path, AfterValidator(_user_path)]  # ~ is the user's home
Address = Annotated[str, Field(pattern=r"^https?://"), AfterValidator(_address)]
MOST_TOKENS = 2**62  # what the ledger can hold
MOST_USD = 1e9


class Account(QuotaTable):
    """One account at a provider. All its keys share its limits; what it says of them goes before all else."""

    name: Annotated[str, AfterValidator(_name)] = Field(default="default", pattern=r"^[^/\s]+$")
    keys: tuple[KeySource, ...] = ()


Capability = Literal["tools", "json", "grounding", "vision", "logprobs", "agentic", "embeddings"]


class Model(QuotaTable, Described):
    """One model. Fields left out come from the catalogue, or from the server."""

    id: str = Field(min_length=1)
    path: UserPath | None = None  # llama_cpp: the GGUF file
    context: int | None = Field(default=None, gt=0)  # tokens
    output_cap: int | None = Field(default=None, gt=0)  # tokens
    tokens_per_minute: int | None = Field(default=None, gt=0)  # the same as limits.tpm
    capabilities: tuple[Capability, ...] | None = None
    quality: int | None = Field(default=None, ge=0, le=100)
    speed: int | None = Field(default=None, ge=0, le=100)
    input_usd: float | None = Field(default=None, ge=0, le=MOST_USD)  # list price per million tokens
    output_usd: float | None = Field(default=None, ge=0, le=MOST_USD)
    free: bool | None = None

    @model_validator(mode="after")
    def _said_once(self) -> Model:
        if self.tokens_per_minute is not None and self.limits is not None and self.limits.tpm is not None:
            raise ValueError("tokens_per_minute and limits.tpm are the same: write limits.tpm alone")
        return self


class Provider(QuotaTable):
    """One provider; the table's name is the user's, `kind` says which adapter. Its limits are its models' default."""

    kind: Kind
    enabled: bool = True
    base_url: Address | None = None
    accounts: tuple[Account, ...] = ()
    models: tuple[Model, ...] = ()
    local: bool | None = None  # openai_compatible: at an allow-listed address that is not loopback
    free: bool | None = None  # None: the kind's own rule
    timeout: float = Field(default=60.0, gt=0)  # seconds, one call
    first_token: float | None = Field(default=None, gt=0)  # seconds to the first piece; set: answers are streamed
    stall: float = Field(default=30.0, gt=0)  # seconds between two pieces of a stream
    # claude_code
    command: tuple[str, ...] = Field(default=("claude",), min_length=1)
    login: Literal["auto", "subscription", "key"] = "auto"
    working_directory: UserPath | None = None  # coding tasks work here; none: no files, no tools
    allowed_tools: tuple[str, ...] = ()  # e.g. Read, Edit, Bash(pytest *)
    concurrency: int = Field(default=1, ge=1)  # more than one can invalidate a login's refresh token
    # llama_cpp
    threads: int | None = Field(default=None, ge=1)
    memory_gib: float = Field(default=16.0, gt=0)  # loaded models together; the least recently used goes first
    # rehearsal
    plays: Literal["groq", "gemini", "anthropic", "openai", "claude_code", "local"] = "local"
    script: UserPath | None = None  # a scripted fleet's answers and faults


class DirectorSettings(_Strict):
    """The frontier model and its hard budget. Tokens are input + output, cached ones too."""

    candidate: str = "claude_code/opus"  # provider/model or kind/model; not in the fleet: there is no director
    tokens_per_conversation: int = Field(default=2000, ge=0, le=MOST_TOKENS)
    tokens_per_day: int = Field(default=100_000, ge=0, le=MOST_TOKENS)
    digest_chars: int = Field(default=600, ge=100)  # what it may see of a task or of an answer
    output_tokens: int = Field(default=160, ge=16)


class ClassifierSettings(_Strict):
    """The 8B classifier in the cloud; asked only about public tasks the local one is unsure of."""

    candidate: str = "groq/llama-3.1-8b-instant"
    tokens_per_day: int = Field(default=50_000, ge=0, le=MOST_TOKENS)
    enabled: bool = True


class MoneySettings(_Strict):
    """Hard, for providers that cost money. Local, free-tier and subscription calls cost none."""

    usd_per_day: float = Field(default=5.0, ge=0, le=MOST_USD)


class BookSettings(_Strict):
    """Where the quota book is kept. Processes of one machine share the file; several hosts need a server."""

    url: Annotated[str, AfterValidator(_book_url), Field(repr=False)] = ""  # it may hold a password


class KeySettings(_Strict):
    """What holds for the keys of all accounts."""

    rotation_days: int = Field(default=30, ge=0)  # an older key is warned about; 0: none is


class ShadowSettings(_Strict):
    """A second policy that decides a share of the tasks beside the first; nobody acts on what it decides."""

    policy: str = ""  # a name, or where one of one's own lies; empty: none
    share: float = Field(default=0.0, ge=0, le=1)  # of all tasks


class PrivacySettings(_Strict):
    """What the gate sees, and what happens to a task that is private because of it alone."""

    operating_point: Literal["balanced", "strict"] = "balanced"
    on_private: Literal["local", "redact"] = "local"


class Settings(BaseSettings):
    """Everything, in one value. Environment variables UNDERSTUDY_POLICY, UNDERSTUDY_DIRECTOR__... override it."""

    model_config = SettingsConfigDict(
        env_prefix="UNDERSTUDY_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    policy: str = "v1"  # a name, or where a policy of one's own lies
    phase: int = Field(default=4, ge=1, le=4)  # of the policy orchestra
    director: DirectorSettings = DirectorSettings()
    classifier: ClassifierSettings = ClassifierSettings()
    money: MoneySettings = MoneySettings()
    book: BookSettings = BookSettings()
    keys: KeySettings = KeySettings()
    shadow: ShadowSettings = ShadowSettings()
    privacy: PrivacySettings = PrivacySettings()
    providers: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+$"), AfterValidator(_name)], Provider] = Field(
        default_factory=dict
    )
    private_paths: tuple[str, ...] = ()  # globs; a task with such a file is private
    local_hosts: tuple[str, ...] = ()  # hosts or CIDR ranges that count as this machine
    deadline: float = Field(default=120.0, gt=0)  # seconds, one task
    patience: float = Field(default=3.0, ge=0)  # seconds to wait for the better candidate
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings  # the environment wins over the file

    @model_validator(mode="after")
    def _local_means_local(self) -> Settings:
        from understudy.config.locality import explain_refusal

        for name, provider in self.providers.items():
            if reason := explain_refusal(provider, self.local_hosts):
                raise ValueError(f"providers.{shown(name)}: {reason}")
        return self
