"""`init`: a commented configuration that is right as it stands."""

from __future__ import annotations

import os
import tempfile
import tomllib
from pathlib import Path

from understudy.cli.terminal import say
from understudy.errors import ConfigError, UsageError

CONFIGURATION = """\
# The configuration of understudy. Every line that is not a comment is in force; units are in the names.
# With no [providers] at all, understudy uses what it finds: GROQ_API_KEY, GEMINI_API_KEY or GOOGLE_API_KEY,
# claude on the PATH, and OpenAI-compatible servers at 127.0.0.1 (ports 11434, 1234, 8080, 8000).

policy = "v1"                         # understudy policy show v1
deadline = 120                        # seconds, one task
patience = 3                          # seconds to wait for the better model before taking the next one
log_level = "info"                    # debug, info, warning, error; the log holds no texts
# private_paths = ["~/medical/**", "*.key"]   # a task with such a file never leaves this machine
# local_hosts = ["192.168.1.20"]              # hosts or CIDR ranges that count as this machine

[director]                            # the frontier model: it decides, plans and judges; it never does the work
# candidate = "claude_code/opus"      # provider/model; with claude on the PATH it is found by itself
tokens_per_conversation = 2000        # hard: input and output together
tokens_per_day = 100000               # hard
digest_chars = 600                    # what it may see of a task or of an answer

[classifier]                          # a small model in the cloud, asked only about public tasks nobody here is sure of
candidate = "groq/llama-3.1-8b-instant"
tokens_per_day = 50000
enabled = true

[money]
usd_per_day = 5.0                     # hard, for providers that cost money

# [book]                              # the quota book is a file; several hosts that share accounts need a server
# url = "env:UNDERSTUDY_BOOK_SERVER"  # redis://... or postgresql://...; needs understudy[redis] or [postgres]

[keys]
rotation_days = 30                    # understudy doctor warns about an older key; 0: never

# Providers. The name is yours, kind says which adapter.
# Keys come from env:NAME, keyring:NAME, file:PATH or vault:PATH#FIELD (HashiCorp Vault; needs understudy[secrets]).
# An account may have several keys, which take turns; they share its limits.

# [providers.groq]                    # free key: https://console.groq.com/keys
# kind = "groq"
# accounts = [ { name = "a", keys = ["env:GROQ_API_KEY"] } ]

# [providers.gemini]                  # free key: https://aistudio.google.com/apikey
# kind = "gemini"
# accounts = [ { name = "a", keys = ["env:GEMINI_API_KEY"] } ]

# [providers.claude_code]             # your Claude subscription, through the claude CLI
# kind = "claude_code"
# command = ["claude"]

# [providers.local]                   # a model in a process of its own; needs the extra: understudy[local]
# kind = "llama_cpp"
# models = [ { id = "ministral-3b", path = "~/models/ministral-3b.gguf", context = 8192 } ]

# [providers.ollama]                  # any OpenAI-compatible server; local only at a loopback or allowed address
# kind = "openai_compatible"
# base_url = "http://127.0.0.1:11434/v1"

# [providers.openai]                  # costs money; off until you turn it on
# kind = "openai"
# enabled = false
# accounts = [ { name = "a", keys = ["env:OPENAI_API_KEY"] } ]

# [providers.anthropic]               # costs money; off until you turn it on
# kind = "anthropic"
# enabled = false
# accounts = [ { name = "a", keys = ["env:ANTHROPIC_API_KEY"] } ]
"""


def init(config: str | None, *, force: bool, stdout: bool) -> int:
    """Write CONFIGURATION where it is looked for, 0600, whole or not at all. Raises UsageError and ConfigError."""
    from understudy.config.load import parse
    from understudy.config.places import config_path

    parse(tomllib.loads(CONFIGURATION), "the example")
    if stdout:
        say(CONFIGURATION.rstrip())
        return 0
    path = config_path(config)
    if path.exists() and not force:
        raise UsageError(f"There is a configuration at {path}.", remedy="--force replaces it; --stdout prints.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written ({os.strerror(error.errno or 0)}).", remedy="Choose another: --config PATH."
        ) from None
    say(f"Wrote {path}.")
    say("Uncomment the providers you have, then: understudy doctor")
    return 0


def _write(path: Path) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".config-")  # mkstemp makes it 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(CONFIGURATION)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
