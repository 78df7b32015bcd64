"""Answers too long for who asked: whole, in files of their own for a day, each asker's in a folder of its own."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from understudy.telemetry.log import log
from understudy.types import Clock

KEPT = 24 * 3600.0  # seconds
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")


class Answers:
    """Below home/answers, read by nobody but the user. Every method touches the disk: call it in a thread."""

    def __init__(self, home: Path, clock: Clock) -> None:
        self._folder = home / "answers"
        self._clock = clock

    def keep(self, reply_id: str, text: str, owner: str = "") -> Path | None:
        """Where it is; None when the disk took it not. What is too old goes meanwhile."""
        self.expire()
        path = self._path(reply_id, owner)
        if path is None:
            return None
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(path, flags, 0o600), "w", encoding="utf-8") as file:
                file.write(text)
            moment = self._clock.now()
            os.utime(path, (moment, moment))
        except OSError as error:
            log().warning("answer_not_kept", reply=reply_id, why=os.strerror(error.errno or 0))
            with contextlib.suppress(OSError):
                path.unlink()  # half of it is worse than nothing
            return None
        return path

    def read(self, reply_id: str, owner: str = "") -> str | None:
        """The whole text of one that is still there."""
        path = self._path(reply_id, owner)
        if path is None:
            return None
        with contextlib.suppress(OSError, UnicodeDecodeError):
            if self._clock.now() - path.stat().st_mtime < KEPT:
                return path.read_text(encoding="utf-8")
        return None

    def expire(self) -> None:
        oldest = self._clock.now() - KEPT
        for path in self._all():
            with contextlib.suppress(OSError):
                if path.lstat().st_mtime < oldest:
                    path.unlink()

    def _all(self) -> Iterator[Path]:
        with contextlib.suppress(OSError):
            yield from self._folder.glob("*/*.txt")

    def _path(self, reply_id: str, owner: str) -> Path | None:
        """None for a name that is none: it comes from outside."""
        if not _NAME.fullmatch(reply_id) or not (owner == "" or _NAME.fullmatch(owner)):
            return None
        return self._folder / (f"key-{owner}" if owner else "own") / f"{reply_id}.txt"
