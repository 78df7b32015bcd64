"""The simulated fleet as candidates: the real adapter of the kind it plays, pointed at a server on this machine."""

from __future__ import annotations

import hashlib
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from understudy.agents.candidates import account_named, layers
from understudy.agents.catalogue import entry
from understudy.agents.keyed import KeyedWorker
from understudy.agents.keys import Rings
from understudy.agents.limits import MINUTE, stated, tokens_per_minute, windows_of
from understudy.config.secrets import Secret
from understudy.config.settings import Account, Model, Provider, Settings
from understudy.types import Answer, Call, Candidate, Clock, Guard, Limits, Worker

if TYPE_CHECKING:
    from understudy.rehearsal.host import Host
    from understudy.rehearsal.script import ModelLimits, Script, ScriptedModel
    from understudy.rehearsal.server import Server

KINDS = {"local": "openai_compatible"}  # plays -> the kind of the adapter, where they differ
NOWHERE = "http://127.0.0.1:9/v1"  # stands for the server while only candidates are listed
# As `python -m understudy.rehearsal.claude`, but of this very package: the CLI's environment has no PYTHONPATH.
CLAUDE = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from understudy.rehearsal.claude import main; sys.exit(main())"
)


async def candidates(name: str, provider: Provider, settings: Settings) -> tuple[Candidate, ...]:
    """The candidates the played kind would offer, marked simulated and free. Raises ConfigError for a broken script."""
    stand_in = _stand_in(provider, NOWHERE)
    found: tuple[Candidate, ...] = await _adapter(stand_in.kind).candidates(name, stand_in, settings)
    script = script_of(provider)
    return tuple(_simulated(c, provider, script) for c in found)


def _simulated(candidate: Candidate, provider: Provider, script: Script) -> Candidate:
    """Its limits are the script's, in place of the catalogue's; what the configuration says goes before both."""
    scripted = script.model(candidate.model)
    known = _limits(candidate, scripted.limits) if scripted else Limits()
    day = scripted.limits.day if scripted and scripted.limits.day != "bucket" else "rolling"
    played = (m for m in provider.models if scripted is not None and script.model(m.id) is scripted)
    model = next(played, Model(id=candidate.model))
    account = next((a for a in provider.accounts if a.name == candidate.account), Account())
    limits = stated(known, day, layers(provider, account, model))
    return replace(
        candidate,
        local=provider.plays == "local",
        simulated=True,
        free=provider.free is not False,  # a rehearsal of money says so
        limits=limits,
        tokens_per_minute=tokens_per_minute(limits),
    )


def _limits(candidate: Candidate, played: ModelLimits) -> Limits:
    """The windows the simulated server counts in, as it counts them."""
    figures = {short: limit for short in ("rpm", "rpd", "tpm", "tpd") if (limit := getattr(played, short))}
    day = "rolling" if played.day == "bucket" else played.day
    charged = "input" if played.charges == "input" else "cap"
    minute = played.minute_seconds  # a script may have shorter ones
    windows = tuple(replace(w, seconds=minute) if w.seconds == MINUTE else w for w in windows_of(figures, day))
    return replace(candidate.limits, windows=windows, charged=charged, cached_free=False)


def worker(candidate: Candidate, provider: Provider, settings: Settings, rings: Rings | None = None) -> Worker:
    """A worker of the real adapter; its server starts with the first one of this provider and stops with the last.

    Raises ConfigError for a broken script.
    """
    rings = (rings or Rings()).simulated()
    if provider.plays == "claude_code":
        stand_in = _stand_in(provider, None)
        return _adapter(stand_in.kind).worker(candidate, stand_in, settings, rings)
    server, leave = _playing.enter(candidate.provider, provider)
    try:
        stand_in = _stand_in(provider, server.base_url)
        return Rehearsing(candidate, _adapter(stand_in.kind).worker(candidate, stand_in, settings, rings), leave)
    except BaseException:
        leave()
        raise


def staged(
    candidate: Candidate, provider: Provider, rings: Rings, host: Host | None, clock: Clock
) -> tuple[Worker, Host]:
    """A worker without a wire, and its provider in this process: the host given, else a new one.

    Raises ConfigError for a broken script.
    """
    from understudy.agents.staged import StagedWorker
    from understudy.rehearsal.host import Host

    host = host or Host(provider.plays, script_of(provider), clock)
    playing = host

    def make(key: Secret | None) -> Worker:
        return StagedWorker(candidate, playing, key.reveal() if key is not None else "")

    if provider.plays == "claude_code":  # the CLI has a login, and no keys
        login = next((keys[0] for keys in (host.script.accounts or {}).values() if keys), "")
        return StagedWorker(candidate, host, login), host
    stand_in = _stand_in(provider, NOWHERE)
    ring = rings.simulated().of(candidate.provider, stand_in, account_named(stand_in, candidate.account, ()))
    return make(None) if ring is None else KeyedWorker(candidate, ring, make), host


@dataclass
class Rehearsing:
    """The real worker, and the server it needs."""

    candidate: Candidate
    inner: Worker
    leave: Callable[[], None]

    def load(self, call: Call) -> None:
        self.inner.load(call)

    async def work(self, call: Call, guard: Guard, progress: Callable[[int], None] | None = None) -> Answer:
        return await self.inner.work(call, guard, progress)

    def bound(self, call: Call) -> int:
        return self.inner.bound(call)

    async def check(self) -> str:
        return f"{await self.inner.check()} (simulated)"

    async def close(self) -> None:
        try:
            await self.inner.close()
        finally:
            self.leave()


def servers() -> dict[str, Server]:
    """The servers of this process by the provider's name, running or stopped: what they received can be looked at."""
    return _playing.servers()


class _Playing:
    """The servers of this process, one for each provider's table; what is used of their limits outlives a pause."""

    def __init__(self) -> None:
        self._servers: dict[tuple[str, Provider], tuple[Server, set[object]]] = {}
        self._lock = threading.Lock()

    def enter(self, name: str, provider: Provider) -> tuple[Server, Callable[[], None]]:
        """The running server, and what to call once when it is no longer needed."""
        from understudy.rehearsal.server import Server

        with self._lock:
            place = (name, provider)
            if place not in self._servers:
                self._servers[place] = Server(provider.plays, script_of(provider)), set()
            server, guests = self._servers[place]
            if not guests:
                server.start()
            guest = object()
            guests.add(guest)
        return server, lambda: self._leave(place, guest)

    def servers(self) -> dict[str, Server]:
        with self._lock:
            return {name: server for (name, _), (server, _) in self._servers.items()}

    def _leave(self, place: tuple[str, Provider], guest: object) -> None:
        with self._lock:
            server, guests = self._servers[place]
            if guest in guests:
                guests.remove(guest)
                if not guests:
                    server.stop()


_playing = _Playing()  # workers are made one by one and share a server: somebody has to know it


class _Keys:
    """The keys the servers accept, as files of this process alone: adapters read keys from sources only."""

    def __init__(self) -> None:
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.Lock()

    def source(self, account: str, key: str) -> str:
        """file:PATH of a file that only this user can read and that goes with the process."""
        with self._lock:
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="understudy-rehearsal-")
            path = Path(self._folder.name) / hashlib.sha256(f"{account}\0{key}".encode()).hexdigest()[:32]
            if not path.exists():
                path.touch(mode=0o600)
                path.write_text(key, encoding="utf-8")
        return f"file:{path}"


_keys = _Keys()


def script_of(provider: Provider) -> Script:
    """The scripted fleet, else the default one with a key for each configured account."""
    from understudy.rehearsal.fleet import default_script
    from understudy.rehearsal.script import load_script

    if provider.script is not None:
        return load_script(provider.script)
    return default_script(provider.plays, {a.name: (f"rehearsal-key-{a.name}",) for a in provider.accounts} or None)


def _stand_in(provider: Provider, base_url: str | None) -> Provider:
    """The table the real adapter is given: its own kind, the server's address, keys, and models as scripted."""
    script = script_of(provider)
    changes: dict[str, Any] = {
        "kind": KINDS.get(provider.plays, provider.plays),
        "plays": "local",
        "script": None,
        "local": None,
        "models": _models(provider, script),
        "accounts": _accounts(provider, script),
    }
    if provider.plays == "claude_code":
        scripted = ("--rehearsal-script", str(provider.script.expanduser().resolve())) if provider.script else ()
        changes["command"] = (sys.executable, "-c", CLAUDE, str(Path(__file__).parents[3]), *scripted)
        changes["accounts"] = provider.accounts
    else:
        changes["base_url"] = base_url
    return provider.model_copy(update=changes)


def _accounts(provider: Provider, script: Script) -> tuple[Account, ...]:
    """An account for each configured one, with the script's keys of that name; the script's first where it has none.

    A script that takes any key is never given a real one out of the environment.
    """
    known = {name: keys for name, keys in (script.accounts or {}).items() if keys}
    if not known and provider.plays == "local":
        return provider.accounts or (Account(name="default"),)
    if not known:
        own = tuple(a if a.keys else a.model_copy(update={"keys": _any_key(a.name)}) for a in provider.accounts)
        return own or (Account(name="default", keys=_any_key("default")),)
    wanted = [a.name for a in provider.accounts] or list(known)
    first = next(iter(known.values()))
    return tuple(
        Account(name=name, keys=tuple(_keys.source(name, key) for key in known.get(name, first[:1]))) for name in wanted
    )


def _any_key(account: str) -> tuple[str, ...]:
    from understudy.rehearsal.script import DEFAULT_KEY

    return (_keys.source(account, DEFAULT_KEY),)


def _models(provider: Provider, script: Script) -> tuple[Model, ...]:
    """The configured models, else all of the script, with what the script says of them."""
    return tuple(_model(m, script, provider.plays) for m in provider.models or _ids(script))


def _ids(script: Script) -> tuple[Model, ...]:
    return tuple(Model(id=m.id) for m in script.models)


def _model(model: Model, script: Script, plays: str) -> Model:
    scripted: ScriptedModel | None = script.model(model.id)
    if scripted is None:
        return model
    known: dict[str, Any] = {"context": scripted.context, "output_cap": scripted.output_cap}
    if plays == "local":
        known["capabilities"] = ("tools", "json")
        if entry("local", scripted.id) is None:
            known |= {"quality": 45, "speed": 60}
    return model.model_copy(update={k: v for k, v in known.items() if getattr(model, k) is None})


def _adapter(kind: str) -> Any:
    return import_module(f"understudy.agents.providers.{kind}")
