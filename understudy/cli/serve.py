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
    from collections.abc import Mapping

    from understudy.gateway.service import Service

PRINTED = "printed-{port}"  # the name of the key that --print-key makes: two servers do not end each other's


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
        run(serving, listening, _tell_notes if serving.place.number == 1 else lambda service: None)
        return 0
    listening = listen(host, port)
    url = f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
    key: Mapping[str, str] = _new_key(config, listening.getsockname()[1], as_json=as_json) if print_key else {}
    if workers > 1:
        return _several(director.home, config, listening, workers, url, key, without_key=without_key, as_json=as_json)

    def opened(service: Service) -> None:
        _greet(service, url, key, as_json=as_json)

    run(Serving(config, is_open=without_key, told=_note), listening, opened)
    return 0


def _several(
    home: Path,
    config: str | None,
    listening: socket.socket,
    workers: int,
    url: str,
    key: Mapping[str, str],
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
        say(json.dumps({"url": url, "pid": os.getpid(), "workers": workers, **key}))
    else:
        _note(f"understudy serves at {url}/v1 with {workers} workers; {_asked(is_open=without_key)}.")
    sys.stdout.flush()
    try:
        return Workers(command(given, workers), workers, _note, died).run(listening)
    finally:
        remove_folder(home, os.getpid())


def _greet(service: Service, url: str, key: Mapping[str, str], *, as_json: bool) -> None:
    parts = service.director.parts
    if as_json:
        say(json.dumps({"url": url, "pid": os.getpid(), "workers": 1, "candidates": len(parts.fleet), **key}))
        sys.stdout.flush()
        return
    asked = _asked(is_open=service.is_open)
    _note(f"understudy serves at {url}/v1: {len(parts.fleet)} candidates, policy {parts.settings.policy}; {asked}.")
    _tell_notes(service)


def _asked(*, is_open: bool) -> str:
    return "no key is needed on this machine" if is_open else "a key: understudy key add NAME"


def _tell_notes(service: Service) -> None:
    for note in service.director.parts.notes:
        _note(f"note: {note}")


def _new_key(config: str | None, port: int, *, as_json: bool) -> Mapping[str, str]:
    """A new key that may ask for everything but what is the owner's; the one printed for this port before is none any
    more. Printed here, or for --json given back."""
    import asyncio

    from understudy.cli.callers import make_anew

    secret, replaced = asyncio.run(make_anew(config, PRINTED.format(port=port)))
    if replaced:
        _note("note: The key printed at the last start is revoked. One that stays: understudy key add NAME.")
    if as_json:
        return {"key": secret.reveal()}
    say(secret.reveal())
    sys.stdout.flush()
    return {}


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
