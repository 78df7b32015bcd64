"""Names of things that are no files: each is refused at once, wherever a file may be named."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from understudy.cli.reading import read_attachment, read_schema
from understudy.config import reading
from understudy.config.load import load
from understudy.config.plain import read_plain
from understudy.config.secrets import read_key
from understudy.errors import ConfigError, UsageError

SECONDS = 10.0


@pytest.fixture
def special(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with one of each."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reading, "PATIENCE", 0.3)
    os.mkfifo("pipe")
    Path("folder").mkdir()
    Path("link-to-pipe").symlink_to("pipe")
    Path("loop").symlink_to("loop")
    Path("endless").symlink_to("/dev/zero")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("socket")
    listener.close()
    with Path("huge").open("wb") as file:
        file.truncate(5 * 2**30)
    return tmp_path


READERS: dict[str, Callable[[str], object]] = {
    "--file": read_attachment,
    "--schema": read_schema,
    "--config": load,
    "key": lambda name: read_key(f"file:{name}"),
}


@pytest.mark.usefixtures("special")
@pytest.mark.parametrize(
    "name", ["pipe", "link-to-pipe", "folder", "loop", "endless", "socket", "huge", "/dev/zero", "/dev/random"]
)
@pytest.mark.parametrize("reader", READERS)
def test_none_is_waited_for(reader: str, name: str) -> None:
    told: list[Exception] = []

    def read() -> None:
        try:
            READERS[reader](name)
        except (ConfigError, UsageError) as error:
            told.append(error)

    reading_it = threading.Thread(target=read, daemon=True)
    reading_it.start()
    reading_it.join(SECONDS)
    assert not reading_it.is_alive(), "it hangs"
    assert told, "it was read"
    assert name in str(told[0])


@pytest.mark.usefixtures("special")
def test_the_kernel_is_not_waited_for_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """/proc/kmsg calls itself a regular file, and reading it waits for the next message: as a pipe that is open."""
    writer = os.open("pipe", os.O_RDWR)
    monkeypatch.setattr("stat.S_ISREG", lambda _: True)
    with pytest.raises(OSError, match="nothing to read now"):
        read_plain(Path("pipe"), 100)
    monkeypatch.setattr("stat.S_ISFIFO", lambda _: False)
    with pytest.raises(UsageError, match="nothing to read now"):
        read_attachment("pipe")
    os.close(writer)


@pytest.mark.usefixtures("special")
def test_a_pipe_is_waited_for_while_somebody_may_write() -> None:
    writer = os.open("pipe", os.O_RDWR)

    def write() -> None:
        os.write(writer, b"late")
        os.close(writer)

    threading.Timer(1.0, write).start()  # more than the patience for one that nobody has open
    assert read_attachment("pipe").text == "late"
