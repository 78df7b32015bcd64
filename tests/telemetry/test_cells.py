"""Numbers in files: kept through a kill, taken up again, begun anew when they make no sense."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from understudy.telemetry import cells as module
from understudy.telemetry.cells import CELLS, FIRST, LOST, SIZE, Cells, read

KILLED = """
import os, signal, sys
from pathlib import Path
from understudy.telemetry.cells import Cells
cells = Cells(Path(sys.argv[1]))
place = cells.place(("a", "x"))
for n in range(1000):
    cells.values[place] += 1
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_was_counted_is_there_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "1.cells"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert dict(read(path.read_bytes())) == {("a", "x"): (1000.0,)}
    cells = Cells(path)
    cells.values[cells.place(("a", "x"))] += 1
    wide = cells.place(("b",), 3)
    cells.values[wide + 2] = 7
    assert dict(cells.read()) == {("a", "x"): (1001.0,), ("b",): (0.0, 0.0, 7.0)}
    cells.close()
    again = Cells(path)
    assert again.place(("b",), 3) == wide
    assert dict(again.read())["b",] == (0.0, 0.0, 7.0)
    again.close()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.stat().st_blocks * 512 >= SIZE  # no room is missing when the disk is full


@pytest.mark.parametrize("seed", range(20))
def test_a_file_that_makes_no_sense_is_begun_anew(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "1.cells"
    cells = Cells(path)
    cells.values[cells.place(("a", "x"))] = 5
    cells.close()
    chance = random.Random(seed)
    raw = bytearray(path.read_bytes())
    for _ in range(4):
        at = chance.choice([0, 6, 7, 8 * CELLS + chance.randrange(12)])
        raw[at] = chance.randrange(256)
    path.write_bytes(bytes(raw))
    cells = Cells(path)
    place = cells.place(("fresh",))
    cells.values[place] += 1
    assert dict(cells.read())["fresh",] == (1.0,)
    cells.close()


def test_what_has_no_room_is_lost_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = Cells()
    assert cells.place(("x",)) == FIRST
    assert cells.place(("wide",), CELLS) == LOST
    monkeypatch.setattr(module, "SIZE", 8 * CELLS + 20)
    assert cells.place(("y" * 100,)) == LOST
    assert dict(cells.read()) == {("x",): (0.0,)}
    with pytest.raises(ValueError, match="short"):
        list(read(b""))


def test_it_is_a_file_of_its_own(tmp_path: Path) -> None:
    os.symlink(tmp_path / "elsewhere", tmp_path / "1.cells")
    with pytest.raises(OSError):
        Cells(tmp_path / "1.cells")
    assert not (tmp_path / "elsewhere").exists()
