"""The script of a simulated provider: its models, limits, faults and fixed replies. Read from TOML.

    flavour = "llama.cpp"             # a local server's own error texts: ollama | lm_studio | llama.cpp | vllm
    [accounts]                        # which keys are accepted; keys of one account share its limits.
    default = ["rehearsal-key"]       # left out for a local server: any key, or none

    [[replies]]                       # a fixed answer of every model; the first that matches wins
    contains = "capital of France"    # a substring of the last user message (any case), or pattern = "a regex"
    text = "Paris"                    # or json = { any = "table" }, or tool = "name" with arguments = { ... }

    [[models]]
    id = "llama-3.1-8b-instant"
    aliases = ["llama-3.1-8b"]        # other names it answers to; * stands for anything
    context = 131072                  # tokens
    output_cap = 8192                 # tokens
    latency = 0.05                    # seconds before the headers
    first_token = 0.02                # seconds between the headers and the first piece of a stream
    pace = 200                        # pieces (about a word each) per second in a stream; 0: all at once
    at_once = 4                       # requests it answers at the same time, the others wait; 0: any number
    loaded = true                     # false: a local server answers "No models loaded" or "Loading model"
    replies = [ { pattern = '(?i)weather in (\\w+)', text = 'It rains in \\1.' } ]

    [models.limits]                   # every one may be left out
    rpm = 30
    rpd = 14400
    tpm = 6000
    tpd = 500000
    charges = "input+max_tokens"      # what a request takes from tpm and tpd up front (settled later), or "input"
    minute = "rolling"                # rolling | fixed | bucket
    minute_seconds = 60               # how long a minute is: shorter ones make shorter tests
    day = "rolling"                   # rolling | bucket | a time zone whose midnight ends the day

    [[models.faults]]                 # the first fault that strikes wins; requests are counted per fault
    kind = "minute_quota"             # see FAULTS
    after = 3                         # the first three requests pass
    times = 1                         # strikes once; left out: always
    flap = 0                          # n: n requests struck, n spared, and so on
    matching = ""                     # only requests whose last user message contains this
    retry_after = 7.5                 # seconds; left out: the provider gives none
    status = 500                      # overrides the usual status of this kind
    text = ""                         # error_text, refusal: what the answer says instead
    at = 0.5                          # cut, stall, malformed, truncated: the share of the answer that is right
    seconds = 30                      # stall, silence: how long; left out: until somebody gives up

A file with a wrong key or value raises ConfigError that names the key.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from understudy.config.slips import slips
from understudy.errors import ConfigError
from understudy.rehearsal.limits import zone_of

Plays = Literal["groq", "gemini", "anthropic", "openai", "claude_code", "local"]
Flavour = Literal["llama.cpp", "ollama", "lm_studio", "vllm"]
ErrorFault = Literal[
    "auth", "payment", "insufficient_quota", "forbidden", "not_found", "minute_quota", "day_quota", "no_quota",
    "too_large", "context", "content_policy", "tool_use_failed", "json_failed", "server_error", "overload",
    "loading", "no_models", "bad_request",
]  # fmt: skip
WireFault = Literal["reset", "silence", "cut", "stall", "malformed"]
AnswerFault = Literal["empty", "truncated", "refusal", "error_text", "content_filter"]
CliFault = Literal["not_logged_in", "error_exit_0", "hang", "ignores_sigterm", "leaves_child", "no_structured_output"]
FaultKind = Literal[ErrorFault, WireFault, AnswerFault, CliFault]  # one Literal: a slip is one error, not four
FAULTS: dict[str, str] = {
    **dict.fromkeys(get_args(ErrorFault), "an error status with the provider's own body"),
    "reset": "the connection is reset before any header",
    "silence": "the request is read and nothing is ever sent",
    "cut": "the connection closes in the middle of the body",
    "stall": "headers and a part of the body, then nothing more",
    "malformed": "a body, or a chunk of the stream, that is not JSON",
    "empty": "200 with no text",
    "truncated": "200, stopped for length in the middle",
    "refusal": "200 with a refusal as its text",
    "error_text": "200 with an error message as its text",
    "content_filter": "200, stopped by the provider's filter",
    # What only the simulated claude CLI does.
    "not_logged_in": "exit 1 and the advice to log in",
    "error_exit_0": "an error in the answer, with exit code 0",
    "hang": "the prompt is read and nothing comes",
    "ignores_sigterm": "the same, and SIGTERM changes nothing",
    "leaves_child": "a right answer, and a child process in a session of its own that holds standard output",
    "no_structured_output": "a schema was asked for and the answer is text only",
}
ERROR_FAULTS: frozenset[str] = frozenset(get_args(ErrorFault))
WIRE_FAULTS: frozenset[str] = frozenset(get_args(WireFault))
ANSWER_FAULTS: frozenset[str] = frozenset(get_args(AnswerFault))
CLI_FAULTS: frozenset[str] = frozenset(get_args(CliFault))
DEFAULT_KEY = "rehearsal-key"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Fault(_Strict):
    """One thing that goes wrong, and when. See the module's docstring."""

    kind: FaultKind = Field(title="fault")
    after: int = Field(default=0, ge=0)
    times: int | None = Field(default=None, ge=1)
    flap: int = Field(default=0, ge=0)
    matching: str = ""
    retry_after: float | None = Field(default=None, ge=0)
    status: int | None = Field(default=None, ge=400, le=599)
    text: str = ""
    at: float = Field(default=0.5, ge=0, le=1)
    seconds: float | None = Field(default=None, ge=0)

    def strikes(self, seen: int, struck: int) -> bool:
        """Whether the request after `seen` earlier ones, of which `struck` were struck, is struck."""
        if seen < self.after or (self.times is not None and struck >= self.times):
            return False
        return not self.flap or ((seen - self.after) // self.flap) % 2 == 0


class ModelLimits(_Strict):
    """Limits of one model for one account; None: unlimited."""

    rpm: int | None = Field(default=None, ge=0)
    rpd: int | None = Field(default=None, ge=0)
    tpm: int | None = Field(default=None, ge=0)
    tpd: int | None = Field(default=None, ge=0)
    charges: Literal["input+max_tokens", "input"] = "input+max_tokens"
    minute: Literal["rolling", "fixed", "bucket"] = "rolling"
    minute_seconds: float = Field(default=60.0, gt=0)
    day: str = "rolling"

    @field_validator("day")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in ("rolling", "bucket"):
            zone_of(value)
        return value


class ScriptedReply(_Strict):
    """A fixed answer. Exactly one of contains and pattern, exactly one of text, json and tool."""

    contains: str | None = None
    pattern: str | None = None
    text: str | None = None
    data: Any = Field(default=None, alias="json")
    tool: str | None = None
    arguments: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one_of_each(self) -> ScriptedReply:
        if (self.contains is None) == (self.pattern is None):
            raise ValueError("needs either contains or pattern")
        if sum(x is not None for x in (self.text, self.data, self.tool)) != 1:
            raise ValueError("needs exactly one of text, json and tool")
        if self.pattern is not None:
            try:
                re.compile(self.pattern)
            except re.error as error:
                raise ValueError(f"pattern is no regular expression ({error.msg})") from None
        return self

    def match(self, message: str) -> str | None:
        """The reply's text for this message ("" for a tool call), or None when it does not match."""
        body = json.dumps(self.data) if self.data is not None else self.text or ""
        if self.contains is not None:
            return body if self.contains.lower() in message.lower() else None
        found = re.search(self.pattern or "", message)
        if not found:
            return None
        return re.sub(r"\\(\d)", lambda m: _group(found, int(m[1])), body) if self.text is not None else body


def _group(found: re.Match[str], number: int) -> str:
    return (found[number] or "") if number <= found.re.groups else ""


class ScriptedModel(_Strict):
    """One simulated model."""

    id: str = Field(min_length=1)
    aliases: tuple[str, ...] = ()
    context: int = Field(default=131_072, gt=0)
    output_cap: int = Field(default=8_192, gt=0)
    latency: float = Field(default=0.0, ge=0)
    first_token: float = Field(default=0.0, ge=0)
    pace: float = Field(default=0.0, ge=0)
    at_once: int = Field(default=0, ge=0)
    loaded: bool = True
    limits: ModelLimits = ModelLimits()
    faults: tuple[Fault, ...] = ()
    replies: tuple[ScriptedReply, ...] = ()


class Script(_Strict):
    """Everything one simulated provider does. accounts=None: the server asks for no key."""

    models: tuple[ScriptedModel, ...] = ()
    accounts: Mapping[str, tuple[str, ...]] | None = None
    replies: tuple[ScriptedReply, ...] = ()
    flavour: Flavour = "llama.cpp"

    @model_validator(mode="after")
    def _names_are_unique(self) -> Script:
        ids = [name for m in self.models for name in (m.id, *m.aliases)]
        if twice := sorted({i for i in ids if ids.count(i) > 1}):
            raise ValueError(f"models has {twice[0]} twice")
        keys = [k for of in (self.accounts or {}).values() for k in of]
        if len(keys) != len(set(keys)):
            raise ValueError("accounts has one key twice")  # which one is not said: it may be a real key
        return self

    def model(self, name: str) -> ScriptedModel | None:
        exact = next((m for m in self.models if m.id == name), None)
        return exact or next((m for m in self.models if any(fnmatchcase(name, a) for a in m.aliases)), None)

    def account_of(self, key: str) -> str | None:
        """The account this key belongs to; None: not accepted."""
        if self.accounts is None:
            return "default"
        return next((name for name, keys in self.accounts.items() if key and key in keys), None)


def parse_script(table: Mapping[str, Any], where: str) -> Script:
    """A script from a table. Raises ConfigError naming the key."""
    try:
        return Script.model_validate(dict(table))
    except ValidationError as error:
        raise ConfigError(
            f"{where}: {slips(error, Script)}", remedy="understudy/rehearsal/script.py describes the format."
        ) from None


def load_script(path: Path) -> Script:
    """A script from a TOML file. Raises ConfigError naming the file, and the key where one is wrong."""
    path = path.expanduser()
    try:
        if not path.is_file():  # a pipe or a device would be read without end
            raise FileNotFoundError
        return parse_script(tomllib.loads(path.read_text(encoding="utf-8")), str(path))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}.", remedy="Mend that line.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path} cannot be read ({type(error).__name__}).", remedy="Check the file.") from None
