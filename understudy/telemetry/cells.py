"""Numbers that several processes count each for itself, in a file each, so that any of them can add all up.

A file is doubles, then the names they go by, one in a line. To count is to add to a double in mapped memory: it costs
no call of the system, and what was counted outlives the process. Who takes a dead one's place goes on with its file.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from typing import cast

CELLS = 16_384  # doubles; the first says how many names there are, the second is for what has no place any more
NAMES = 900_000  # bytes
SIZE = 8 * CELLS + NAMES
LOST = 1
FIRST = 2
Name = tuple[str, ...]


class Cells:
    """One process's. Without a file they are its own alone. Raises OSError when the file cannot be had, whole."""

    def __init__(self, path: Path | None = None) -> None:
        self._memory: bytearray | mmap.mmap = bytearray(SIZE) if path is None else _map(path)
        self._next = FIRST
        self._names_end = 8 * CELLS
        self._places: dict[tuple[Name, int], int] = {}
        self.values = memoryview(self._memory)[: 8 * CELLS].cast("d")
        self._take_up()

    def place(self, name: Name, width: int = 1) -> int:
        """Where its doubles begin; LOST when there is no room left, which whoever is wider than one must look at."""
        found = self._places.get((name, width))
        if found is None:
            found = self._places[name, width] = self._make(name, width)
        return found

    def read(self) -> Iterator[tuple[Name, tuple[float, ...]]]:
        return read(self._memory)

    def close(self) -> None:
        self.values.release()
        if isinstance(self._memory, mmap.mmap):
            self._memory.close()

    def _make(self, name: Name, width: int) -> int:
        line = json.dumps([width, *name]).encode() + b"\n"
        if self._next + width > CELLS or self._names_end + len(line) > SIZE:
            return LOST
        place, self._next = self._next, self._next + width
        self._memory[self._names_end : self._names_end + len(line)] = line
        self._names_end += len(line)
        for n in range(place, place + width):  # somebody's before, in a file that was damaged
            self.values[n] = 0.0
        self.values[0] += 1  # only now it is there
        return place

    def _take_up(self) -> None:
        """Go on with what is in the file; one that makes no sense is begun anew."""
        try:
            for name, values in read(self._memory):
                self._places[name, len(values)] = self._next
                self._next += len(values)
                self._names_end = self._memory.find(b"\n", self._names_end) + 1
        except ValueError:
            self._memory[:] = bytes(SIZE)
            self._places.clear()
            self._next, self._names_end = FIRST, 8 * CELLS


def read(memory: bytes | bytearray | mmap.mmap) -> Iterator[tuple[Name, tuple[float, ...]]]:
    """Every name with its doubles. Raises ValueError for what is no such file."""
    if len(memory) < SIZE:
        raise ValueError("too short")
    with memoryview(memory) as raw, raw[: 8 * CELLS].cast("d") as values:
        count, place, begin = values[0], FIRST, 8 * CELLS
        if not 0 <= count < CELLS:
            raise ValueError("no count")
        for _ in range(int(count)):
            end = memory.find(b"\n", begin)
            line: object = json.loads(bytes(raw[begin:end])) if end > 0 else None
            width, *name = cast("list[object]", line) if isinstance(line, list) and line else [None]
            if not isinstance(width, int) or width < 1 or place + width > CELLS:
                raise ValueError("no width")
            yield tuple(map(str, name)), tuple(values[place : place + width])
            place, begin = place + width, end + 1


def _map(path: Path) -> mmap.mmap:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        # Room on the disk from the start: to write to a mapped page that has none ends the process.
        os.posix_fallocate(file, 0, SIZE)
        return mmap.mmap(file, SIZE)
    except OSError:
        if os.fstat(file).st_size < SIZE:
            with contextlib.suppress(OSError):
                path.unlink()
        raise
    finally:
        os.close(file)
