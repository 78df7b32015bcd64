"""Files that are not what they should be."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from understudy.config.reading import LARGEST, read_text_file
from understudy.errors import UsageError


def test_utf8_with_and_without_a_mark(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xef\xbb\xbf" + "größer".encode())
    assert read_text_file(str(file)) == "größer"
    file.write_text("größer")
    assert read_text_file(str(file)) == "größer"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"caf\xe9", "is not UTF-8 text (byte 3)"),
        (b"\xff\xfeh\x00i\x00", "is UTF-16 text"),
        (b"\x7fELF\x00\x01", "is a binary file"),
        (b"x" * (LARGEST + 1), "is larger than 4 MB"),
    ],
)
def test_what_is_no_text_is_named(data: bytes, says: str, tmp_path: Path) -> None:
    file = tmp_path / "a.bin"
    file.write_bytes(data)
    with pytest.raises(UsageError, match=r"a\.bin") as caught:
        read_text_file(str(file))
    assert says in caught.value.message


def test_the_largest_passes(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"x" * LARGEST)
    assert len(read_text_file(str(file))) == LARGEST


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("none.txt", "There is no file none.txt"),
        (".", "is a folder"),
        ("/dev/zero", "is no file"),
        ("a\x00b", "cannot be read"),
        ("x" * 5000, "cannot be read"),
        ("~nobodyatall/x", ""),
    ],
)
def test_what_is_no_file_is_named(path: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        read_text_file(path)
    assert says in caught.value.message
    assert caught.value.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("x")
    file.chmod(0)
    with pytest.raises(UsageError, match="may not be read"):
        read_text_file(str(file))


def test_a_pipe_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_text("through a pipe"))
    writer.start()
    assert read_text_file(str(pipe)) == "through a pipe"
    writer.join()
    with pytest.raises(UsageError, match=r"is no file\. Give a file\."):
        read_text_file(str(pipe), pipes=False)
