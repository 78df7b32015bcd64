"""Which files a store is made of. A name may come to mean another file, or none, while the old one is open."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from understudy.store import faults


@dataclass(frozen=True, slots=True)
class Files:
    """Device and inode of the database and of its write-ahead log."""

    path: Path
    store: tuple[int, int] | None
    log: tuple[int, int] | None

    @classmethod
    def at(cls, path: Path) -> Files:
        return cls(path, _identity(path), _identity(f"{path}-wal"))

    def check(self) -> None:
        """StoreError when what is written would go into files that nobody will open again."""
        if _identity(self.path) != self.store:
            raise faults.moved(self.path, "The file")
        if _identity(f"{self.path}-wal") != self.log:
            raise faults.moved(self.path, "The write-ahead log")

    @property
    def log_is_gone(self) -> bool:
        """And nobody has begun another: what it holds can still be folded into the file."""
        return _identity(self.path) == self.store and _identity(f"{self.path}-wal") is None


def _identity(path: Path | str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
