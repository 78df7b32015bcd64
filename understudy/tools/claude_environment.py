"""The environment the claude CLI gets: built from nothing, so that no key of anybody else is in it."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping

from understudy.config.secrets import Secret

# What a program needs to run, to reach the network the way the user does, and to find the login.
PASSED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TZ"),
    *("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"),
    *("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"),
)
LOGIN = ("CLAUDE_CONFIG_DIR", "CLAUDE_CODE_OAUTH_TOKEN")  # the second is what `claude setup-token` prints

SWITCHES = {
    # Nothing but the requests themselves: no telemetry, updates, flags, titles, background work.
    **dict.fromkeys(
        (
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
            "DISABLE_AUTOUPDATER",
            "DISABLE_TELEMETRY",
            "DISABLE_ERROR_REPORTING",
            "DISABLE_GROWTHBOOK",
            "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS",
            "CLAUDE_CODE_DISABLE_AUTO_MEMORY",
        ),
        "1",
    ),
    # No repeated request: the chain of candidates is the one owner of retries.
    "CLAUDE_CODE_MAX_RETRIES": "0",
    "MAX_STRUCTURED_OUTPUT_RETRIES": "1",
    **dict.fromkeys(
        (
            "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK",
            "CLAUDE_CODE_DISABLE_REFUSAL_RETRY",
            "CLAUDE_CODE_DISABLE_REFUSAL_FALLBACK",
            "CLAUDE_CODE_NO_MODEL_FALLBACK",
            "DISABLE_COMPACT",
        ),
        "1",
    ),
    # Fewer tokens.
    "CLAUDE_CODE_ATTRIBUTION_HEADER": "0",
    **dict.fromkeys(
        (
            "CLAUDE_CODE_DISABLE_EXPERIMENTAL_BETAS",
            "CLAUDE_CODE_DISABLE_THINKING",
            "DISABLE_INTERLEAVED_THINKING",
            "DISABLE_PROMPT_CACHING",
            "CLAUDE_CODE_DISABLE_CLAUDE_MDS",
            "CLAUDE_CODE_DISABLE_GIT_INSTRUCTIONS",
        ),
        "1",
    ),
    # `@path` in a prompt would put that file into the request, even without any tool.
    "CLAUDE_CODE_DISABLE_FILE_MENTIONS": "1",
    "CLAUDE_CODE_DISABLE_ATTACHMENTS": "1",
    "CLAUDE_ENABLE_BYTE_WATCHDOG": "1",
}


def build(environ: Mapping[str, str], key: Secret | None, base_url: str | None, folder: str) -> dict[str, str]:
    """From the user's `environ`. With a key the login is out of sight: its configuration folder is below `folder`."""
    built = {name: environ[name] for name in PASSED if environ.get(name)}
    built |= {"TERM": "dumb", "CLAUDE_CODE_TMPDIR": folder, "TMPDIR": folder}
    if url := base_url or environ.get("ANTHROPIC_BASE_URL"):
        built["ANTHROPIC_BASE_URL"] = url
    if key is None:
        return built | {name: environ[name] for name in LOGIN if environ.get(name)} | SWITCHES
    built |= {"ANTHROPIC_API_KEY": key.reveal(), "CLAUDE_CONFIG_DIR": f"{folder}/c"}
    if shutil.which("bwrap", path=environ.get("PATH")):
        built["CLAUDE_CODE_SUBPROCESS_ENV_SCRUB"] = "1"  # its Bash does not see the key; refuses to start without bwrap
    return built | SWITCHES


def switches(output_cap: int, seconds: float) -> dict[str, str]:
    """Those that depend on the request. The byte watchdog takes no less than 10 s."""
    return {
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(max(1, output_cap)),
        "API_TIMEOUT_MS": str(max(1000, math.ceil(seconds * 1000))),
        "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS": str(int(min(max(seconds, 10.0), 60.0) * 1000)),
    }
