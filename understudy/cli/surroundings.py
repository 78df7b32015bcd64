"""What the doctor finds around understudy: files, folders, programs, optional packages."""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import os
import shutil
import stat
from typing import TYPE_CHECKING

from understudy.errors import install

if TYPE_CHECKING:
    from understudy.cli.doctor import Finding
    from understudy.config.settings import Settings
    from understudy.store.store import Store

VERSION_SECONDS = 10.0
BOOK_SECONDS = 2.0


def configuration(config: str | None) -> tuple[str, Settings, tuple[str, ...]]:
    """(where it is from, the settings, notes). Raises ConfigError."""
    from understudy.config.load import load
    from understudy.config.places import config_path
    from understudy.director.found import find_settings

    _, file = load(config)
    found = find_settings(config)
    where = f"no file at {config_path(config)}; what is found on this machine (understudy init writes one)"
    return (where if file is None else str(file)), found.settings, found.notes


def state_folder() -> Finding:
    from understudy.cli.doctor import Finding
    from understudy.config.places import home

    folder = home()
    remedy = "Set UNDERSTUDY_HOME to a folder of your own."
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        return Finding("state folder", "wrong", f"{folder} cannot be made ({why})", remedy, needed=True)
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return Finding("state folder", "wrong", f"{folder} cannot be written", remedy, needed=True)
    if stat.S_IMODE(folder.stat().st_mode) & 0o077:
        return Finding("state folder", "note", f"{folder} can be read by others", f"chmod 700 {folder}")
    return Finding("state folder", "ok", str(folder), needed=True)


async def book_keeper(settings: Settings, store: Store | None) -> Finding | None:
    """Where the quota book is kept, as a director would open it. None: in the store, which cannot be opened."""
    from understudy.cli.doctor import Finding
    from understudy.clock import WallClock
    from understudy.errors import UnderstudyError
    from understudy.fleet.form import PageForm
    from understudy.store import server_faults
    from understudy.store.shelves import open_server, resolve

    try:
        if not (address := resolve(settings.book.url)):
            return Finding("book", "ok", "kept in the store, for all processes of this machine") if store else None
        try:
            async with asyncio.timeout(BOOK_SECONDS):
                await (await open_server(address, PageForm(), WallClock())).close()
        except TimeoutError:
            raise server_faults.away(address, f"silent for {BOOK_SECONDS:.0f} s") from None
    except UnderstudyError as error:
        return Finding("book", "wrong", error.message, error.remedy, needed=True)
    return Finding("book", "ok", f"kept at {server_faults.masked(address)}, which answers", needed=True)


def llama_extra() -> Finding:
    from understudy.cli.doctor import Finding

    if importlib.util.find_spec("llama_cpp") is None:
        return Finding("llama.cpp", "note", "not installed; needed for GGUF files only", install("local"))
    try:
        version = importlib.metadata.version("llama-cpp-python")
    except importlib.metadata.PackageNotFoundError:
        version = "of unknown version"
    return Finding("llama.cpp", "ok", f"llama-cpp-python {version}")


async def claude_program(settings: Settings) -> Finding:
    """Which claude there is. Whether it is logged in is its provider's own line, when it is configured."""
    from understudy.cli.doctor import Finding

    commands = [p.command for p in settings.providers.values() if p.kind == "claude_code"] or [("claude",)]
    program = shutil.which(commands[0][0])
    if program is None:
        remedy = "Install Claude Code and log in, if you have a subscription."
        return Finding("claude", "note", f"{commands[0][0]} is not on the PATH", remedy)
    try:
        async with asyncio.timeout(VERSION_SECONDS):
            version = await _version((program, *commands[0][1:]))
    except (TimeoutError, OSError):
        return Finding("claude", "wrong", f"{program} does not tell its version", "Run it once by hand.")
    return Finding("claude", "ok", f"{program} {version}")


async def _version(command: tuple[str, ...]) -> str:
    environment = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TERM")}
    running = await asyncio.create_subprocess_exec(
        *command,
        "--version",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        env={**environment, "DISABLE_AUTOUPDATER": "1"},
    )
    try:
        out, _ = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    return out.decode("utf-8", "replace").strip().splitlines()[0][:60] if out.strip() else "(no version told)"
