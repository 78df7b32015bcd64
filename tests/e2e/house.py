"""A whole understudy on servers faithful to the wire: real settings, real SDKs, real store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from understudy import Director
from understudy.rehearsal.fleet import default_models
from understudy.rehearsal.script import Fault, Plays, Script
from understudy.rehearsal.server import Server


@dataclass
class House:
    """The running servers by name, and a configuration file that points at them."""

    home: Path
    servers: dict[str, Server] = field(default_factory=dict)
    config: Path = Path()

    def director(self) -> Director:
        from understudy.config.load import load

        settings, _ = load(self.config)
        return Director(settings, self.home)

    def received(self, name: str) -> int:
        """How many completions were asked of a server (listing models is not one)."""
        return sum(
            r.method == "POST" and not r.path.endswith(("countTokens", "count_tokens"))
            for r in self.servers[name].requests
        )

    def bytes_at(self, name: str) -> bytes:
        """Everything a server was sent: paths, queries, headers, bodies."""
        return b"\n".join(f"{r.path}?{r.query} {r.headers}".encode() + r.body for r in self.servers[name].requests)


def script(plays: Plays, *, faults: dict[str, list[Fault]] | None = None, accounts: bool = True, **more: Any) -> Script:
    """The default fleet's script of one provider without limits, with faults by a part of the model's id ("" = all)."""
    from understudy.rehearsal.script import ModelLimits

    models = []
    for model in default_models(plays):
        struck = tuple(f for part, fs in (faults or {}).items() if part in model.id for f in fs)
        changes = {"faults": struck, "limits": ModelLimits(), "first_token": 0.0, "latency": 0.0, "pace": 0}
        models.append(model.model_copy(update=changes))
    keys = {"default": ("rehearsal-key",)} if plays != "local" and accounts else None
    return Script(models=tuple(models), accounts=keys, **more)


@contextmanager
def open_house(home: Path, scripts: dict[str, Script], *, extra: str = "", top: str = "") -> Iterator[House]:
    """Servers named groq, gemini, anthropic, openai and local, as far as scripts has them."""
    house = House(home)
    key = home / "key"
    home.mkdir(parents=True, exist_ok=True)
    key.write_text("rehearsal-key")
    key.chmod(0o600)
    lines = [top, "[director]", 'candidate = "anthropic/opus"', ""] if "[director]" not in top else [top]
    with ExitStack() as stack:
        for name, written in scripts.items():
            server = stack.enter_context(Server(name, written))  # type: ignore[arg-type]
            house.servers[name] = server
            kind = "openai_compatible" if name == "local" else name
            lines += [f"[providers.{name}]", f'kind = "{kind}"', f'base_url = "{server.base_url}"']
            if name != "local":
                lines.append(f'accounts = [ {{ name = "a", keys = ["file:{key}"] }} ]')
            ids = ", ".join(f'{{ id = "{m.id}" }}' for m in written.models)
            lines += [f"models = [ {ids} ]", ""]
        house.config = home / "config.toml"
        house.config.write_text("\n".join(lines) + extra)
        yield house
