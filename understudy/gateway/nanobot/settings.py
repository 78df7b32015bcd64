"""What nanobot's config.json says when understudy is its model. Tables in, tables out: no file is touched here.

nanobot takes camelCase and snake_case for the same key and ignores one of them when both are there, so what a file has
already is changed under the name it has.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, cast

from understudy.errors import ConfigError

KEY = "${UNDERSTUDY_API_KEY}"
API_BASE = "http://127.0.0.1:8791/v1"
MODEL, PRIVATE_MODEL = "understudy/auto", "understudy/private"
NEW_PRESET = {"maxTokens": 4096, "contextWindowTokens": 65536, "temperature": 0.2}
TOOL_TIMEOUT = 600  # seconds

Table = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Way:
    """One preset with a provider of its own, whose headers are all that understudy learns of who asks."""

    preset: str
    provider: str
    role: str
    model: str = MODEL
    private: bool = False

    @property
    def headers(self) -> dict[str, str]:
        return {"X-Understudy-Role": self.role} | ({"X-Understudy-Sensitivity": "private"} if self.private else {})


MAIN = Way("Understudy", "understudy_main", "main")
DREAM = Way("Understudy dream", "understudy_dream", "dream")
PRIVATE = Way("Understudy private", "understudy_private", "main", PRIVATE_MODEL, private=True)


@dataclass(frozen=True, slots=True)
class Mcp:
    """How nanobot starts `understudy mcp`, and what that process needs of the environment: a child inherits no key."""

    command: str
    arguments: tuple[str, ...] = ("mcp",)
    environ: tuple[tuple[str, str], ...] = ()


def merged(table: Table, *, api_base: str = API_BASE, mcp: Mcp | None = None) -> Table:
    """A copy with understudy in it. Everything else stays as it is. Raises ConfigError for a part of a wrong shape."""
    whole = deepcopy(table)
    providers = _part(whole, "providers")
    presets = _part(whole, "modelPresets", "model_presets")
    for way in (MAIN, DREAM, PRIVATE):
        provider = _part(providers, way.provider)
        _set(provider, api_base, "apiBase", "api_base")
        _set(provider, KEY, "apiKey", "api_key")
        _part(provider, "extraHeaders", "extra_headers").update(way.headers)
        preset = _part(presets, way.preset)
        fresh = not preset
        _set(preset, way.provider, "provider")
        _set(preset, way.model, "model")
        if fresh:
            preset.update(NEW_PRESET)
    defaults = _part(_part(whole, "agents"), "defaults")
    _set(defaults, MAIN.preset, "modelPreset", "model_preset")
    _set(_part(defaults, "dream"), DREAM.preset, "modelOverride", "model", "model_override")
    if defaults.get(named := _name(defaults, "fallbackModels", "fallback_models")):
        # Whoever stands there is sent the whole prompt when understudy is down, a private one too.
        defaults[named] = []
    if mcp is not None:
        _serve(_part(_part(_part(whole, "tools"), "mcpServers", "mcp_servers"), "understudy"), mcp)
    return whole


def _serve(server: Table, mcp: Mcp) -> None:
    fresh = not server
    _set(server, "stdio", "type")
    _set(server, mcp.command, "command")
    _set(server, list(mcp.arguments), "args")
    if mcp.environ:
        _part(server, "env").update(mcp.environ)
    if fresh:
        server["toolTimeout"] = TOOL_TIMEOUT
        server["enabledTools"] = ["delegate"]


def _name(table: Table, *names: str) -> str:
    """The spelling that nanobot reads: the first that is there, else the first."""
    return next((name for name in names if name in table), names[0])


def _set(table: Table, value: object, *names: str) -> None:
    table[_name(table, *names)] = value


def _part(table: Table, *names: str) -> Table:
    """The object below one of these names, made where there is none."""
    name = _name(table, *names)
    part = table.get(name)
    if part is None:
        part = table[name] = {}
    if not isinstance(part, dict):
        raise ConfigError(f"{name} in nanobot's configuration is no object.", remedy="Mend it, or take it out.")
    return cast(Table, part)
