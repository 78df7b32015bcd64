"""`mcp`: a server of the Model Context Protocol, on the standard streams or over HTTP."""

from __future__ import annotations

import math
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.cli.terminal import hint, say
from understudy.errors import ConfigError, UsageError
from understudy.gateway.delegation import LONGEST, Terms

if TYPE_CHECKING:
    from understudy.director.director import Director
    from understudy.gateway.desk import Desk

PORT = 8792
OLDEST = 2  # of the package mcp, its major version
DEADLINE = 25.0  # seconds: nanobot gives up after 30 and does not say so, others after 60
AT_ONCE = 8


@dataclass(frozen=True, slots=True)
class Serving:
    """The command line of `mcp` as it was written; None: left out."""

    http: bool = False
    host: str | None = None
    port: int | None = None
    open: bool = False
    names: tuple[str, ...] = ()
    deadline: float = DEADLINE
    at_once: int = AT_ONCE
    files: tuple[str, ...] = ()
    private: bool = False

    def terms(self) -> Terms:
        """Raises UsageError."""
        if not (math.isfinite(self.deadline) and 1 <= self.deadline <= LONGEST):
            raise UsageError("--deadline is a number of seconds, 1 at least and a day at most.", remedy="Give another.")
        beside = {"--host": self.host, "--port": self.port, "--open": self.open, "--name": self.names}
        given = [name for name, value in beside.items() if value not in (None, False, ())]
        if given and not self.http:
            raise UsageError(f"{given[0]} belongs to --http.", remedy="Add --http, or leave it out.")
        folders = tuple(Path(folder).expanduser() for folder in self.files)
        for folder in folders:
            if not folder.is_dir():
                raise UsageError(f"There is no folder {folder}.", remedy="--files names one whose files may be read.")
        # Who speaks over the standard streams has started us, and may read what we may. Who comes over HTTP may not.
        opened = folders if folders or self.http else None
        return Terms(deadline=self.deadline, folders=opened, private=self.private)


async def mcp(config: str | None, serving: Serving) -> int:
    """Raises UsageError; over HTTP also what opening the director raises."""
    from understudy.gateway.desk import Desk

    _check_version()
    terms = serving.terms()

    def make() -> Director:
        from understudy.cli.warm import make_director

        return make_director(config)

    def warm(director: Director) -> None:
        from understudy.cli.warm import load_workers

        load_workers(director.parts.fleet)

    desk = Desk(make, terms, at_once=serving.at_once, warm=warm)
    if serving.http:
        return await _over_http(desk, serving)
    if sys.stdin is not None and sys.stdin.isatty():  # pyright: ignore[reportUnnecessaryComparison]
        hint("This speaks MCP: a client starts it, see docs/mcp.md. Ctrl-D ends it.")
    from understudy.gateway.mcp import Tools, make_server
    from understudy.gateway.stdio import serve_stdio

    async with desk:
        await serve_stdio(make_server(Tools(desk), lambda _request: None))
    return 0


def _check_version() -> None:
    """An environment shared with nanobot has an older mcp, which speaks to clients only."""
    from importlib.metadata import version

    found = version("mcp")
    if int(found.partition(".")[0]) < OLDEST:
        raise ConfigError(
            f"The package mcp {found} of this environment is older than {OLDEST}.",
            remedy="Install understudy into an environment of its own, and name its program to the client.",
        )


async def _over_http(desk: Desk, serving: Serving) -> int:
    from understudy.gateway.audit import Audit
    from understudy.gateway.keys import Keys
    from understudy.gateway.mcp import Tools, make_server
    from understudy.gateway.mcp_http import Noted, Place, caller_of, make_app, serve_http

    port = PORT if serving.port is None else serving.port
    place = Place(serving.host or "127.0.0.1", port, serving.open, serving.names)
    with place.listen() as listener:
        async with desk:
            director = await desk.opened()
            store, clock = director.parts.store, director.parts.clock
            with closing(Audit(director.home, clock)) as audit:
                noted = Noted(audit)
                server = make_server(Tools(desk, used=noted.use), caller_of)
                keys = None if place.open else Keys(store.callers, clock)
                if keys is not None and not any(key.revoked_at is None for key in await store.callers.all()):
                    hint("There is no key yet that could ask: understudy key add NAME makes one.")
                for note in director.parts.notes:  # that all is simulated, for one
                    hint(f"note: {note}")
                say(place.url(listener))
                await serve_http(make_app(server, place, keys, noted.refusal), listener)
    return 0
