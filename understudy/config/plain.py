"""Reading small files that a user names: regular ones, and no more of them than can be meant."""

from __future__ import annotations

import os
import stat
from pathlib import Path


class TooLarge(OSError):
    pass


def read_plain(path: Path, most: int) -> bytes:
    """The content, at most `most` bytes. Raises OSError: a pipe would be waited for, and a device has no end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError("it is not a regular file")
        content = b""
        while piece := file.read(most + 1 - len(content)):
            content += piece
        if len(content) > most:
            raise TooLarge(f"it is larger than {most:,} bytes")
        if piece is None and not content:
            raise OSError("it has no end, and nothing to read now")  # files of the kernel's, such as its log
        return content
