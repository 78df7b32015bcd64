"""The server, from the command line."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.cli.running import quiet_libraries
from understudy.cli.terminal import say
from understudy.errors import UsageError

if TYPE_CHECKING:
    from understudy.gateway.service import Service

PRINTED = "printed"  # the name of the key that --print-key makes


def serve(
    config: str | None,
    host: str,
    port: int,
    workers: int,
    *,
    print_key: bool,
    without_key: bool,
    as_json: bool,
    inherited: int | None = None,
    parent: int | None = None,
    place: str | None = None,
) -> int:
    """Until it is stopped. Raises UsageError, ConfigError, StoreError."""
    from understudy.director.director import Director
    from understudy.gateway.board import Place
    from understudy.gateway.serving import LOOPBACK, Serving, listen, run
    from understudy.telemetry.log import configure
    from understudy.telemetry.metrics import Shared, folder_of

    if without_key and host not in LOOPBACK:
        raise UsageError(
            f"Without keys only this machine may ask, and {host} lets others in.",
            remedy="Serve at 127.0.0.1, or make keys: understudy key add NAME.",
        )
    director = Director.from_config(config)  # what is wrong with it is told before anything is opened
    configure(director.home, director.settings.log_level)
    quiet_libraries()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    if inherited is not None:
        _leave_with(parent)
        listening = socket.socket(fileno=inherited)
        serving = Serving(config, is_open=without_key, told=_note)
        if parent is not None and place is not None:
            serving.place = Place(*map(int, place.split("/")))
            serving.shared = Shared(folder_of(director.home, parent), serving.place.number)
        run(serving, listening, lambda service: None)
        return 0
    listening = listen(host, port)
    url = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
    if print_key:
        _print_key(config)
    if workers > 1:
        return _several(director.home, config, listening, workers, url, without_key=without_key, as_json=as_json)

    def opened(service: Service) -> None:
        _greet(service, url, as_json=as_json)

    run(Serving(config, is_open=without_key, told=_note), listening, opened)
    return 0


def _several(
    home: Path,
    config: str | None,
    listening: socket.socket,
    workers: int,
    url: str,
    *,
    without_key: bool,
    as_json: bool,
) -> int:
    from understudy.gateway.workers import Workers, command
    from understudy.telemetry.metrics import Shared, forget_live, make_folder, remove_folder

    folder = Path()
    try:
        folder = make_folder(home, os.getpid())
    except OSError as error:  # each worker tells of itself alone then, and logs it
        _note(f"note: /metrics will be of one worker each ({error.strerror or type(error).__name__}).")

    def died(place: int) -> None:
        with contextlib.suppress(OSError):
            forget_live(Shared(folder, place + 1))

    given = ["serve", *(["--config", config] if config else []), *(["--no-key"] if without_key else [])]
    if as_json:
        say(json.dumps({"url": url, "pid": os.getpid(), "workers": workers}))
    else:
        _note(f"understudy serves at {url}/v1 with {workers} workers.")
    sys.stdout.flush()
    try:
        return Workers(command(given, workers), workers, _note, died).run(listening)
    finally:
        remove_folder(home, os.getpid())


def _greet(service: Service, url: str, *, as_json: bool) -> None:
    parts = service.director.parts
    if as_json:
        say(json.dumps({"url": url, "pid": os.getpid(), "workers": 1, "candidates": len(parts.fleet)}))
        sys.stdout.flush()
        return
    key = "no key is needed on this machine" if service.is_open else "a key: understudy key add NAME"
    _note(f"understudy serves at {url}/v1: {len(parts.fleet)} candidates, policy {parts.settings.policy}; {key}.")
    for note in parts.notes:
        _note(f"note: {note}")


def _print_key(config: str | None) -> None:
    """A new key that may ask for everything but what is the owner's; the one printed before is no key any more."""
    import asyncio

    from understudy.cli.callers import print_anew

    asyncio.run(print_anew(config, PRINTED))
    sys.stdout.flush()


def _leave_with(parent: int | None) -> None:
    """A worker whose parent was killed ends too: nobody would ever stop it."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    if parent is not None:
        threading.Thread(target=watch, name="understudy-parent", daemon=True).start()


def _note(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201
