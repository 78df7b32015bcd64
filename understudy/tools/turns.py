"""Taking turns among all processes of a user: first come, first served, and a crash frees the place.

A turn is a numbered file that its owner holds locked (flock). Whoever holds one of the lowest `places` live numbers
may run. The kernel drops the lock with its owner, so a dead owner's file is recognised and removed by the next.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

POLL = 0.05  # seconds between two looks


@asynccontextmanager
async def turn(
    folder: Path, places: int = 1, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
) -> AsyncGenerator[int]:
    """Wait for one of `places` and keep it inside the block. Yields the descriptor that holds the place: a process
    that inherits it keeps the place too. Raises OSError when the folder cannot be used."""
    _prepare(folder)
    path, descriptor = await _draw(folder, sleep)
    try:
        while _live_before(folder, path) >= places:
            await sleep(POLL)
        yield descriptor
    finally:
        # Not unlinked while an heir of the descriptor may still hold the lock: the next one tests that.
        os.close(descriptor)
        _is_dead(path)


async def _draw(folder: Path, sleep: Callable[[float], Awaitable[None]]) -> tuple[Path, int]:
    """A file with the next number, locked before it has its name."""
    counter = os.open(folder / "order", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while True:
            try:
                fcntl.flock(counter, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await sleep(0.002)
        _sweep(folder)
        number = int(os.pread(counter, 32, 0) or b"0") + 1
        os.pwrite(counter, b"%020d" % number, 0)
        path = folder / f"{number:020d}.turn"
        unnamed = folder / f"{number:020d}.new"
        descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(path)
        return path, descriptor
    finally:
        os.close(counter)


def _prepare(folder: Path) -> None:
    for level in (folder.parent, folder):  # parents=True would give the upper one the usual mode
        level.mkdir(parents=True, exist_ok=True, mode=0o700)


def _sweep(folder: Path) -> None:
    """Files whose owner died before they had their place; only called by the owner of the counter."""
    for stale in folder.glob("*.new"):
        stale.unlink(missing_ok=True)


def _live_before(folder: Path, own: Path) -> int:
    earlier = [p for p in folder.iterdir() if p.suffix == ".turn" and p.name < own.name]
    return sum(not _is_dead(path) for path in earlier)


def _is_dead(path: Path) -> bool:
    """Whether nobody holds it any more; then its file goes."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        return True
    finally:
        os.close(descriptor)
