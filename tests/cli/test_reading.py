"""Files and schemas that are not what they should be."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from understudy.cli.reading import LARGEST, read_attachment, read_schema, read_text_file
from understudy.errors import UsageError


def test_utf8_with_and_without_a_mark(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xef\xbb\xbf" + "größer".encode())
    attachment = read_attachment(str(file))
    assert (attachment.path, attachment.text) == (str(file), "größer")


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


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"type": "object",\n "x": }', "at line 2, column 7"),
        ("", "at line 1, column 1"),
        ("[1]", "holds a list at line 1, column 1"),
        ('"object"', "holds a string"),
        ("7", "holds no object"),
        ('{"minimum": NaN}', "NaN is not JSON"),
        ("[" * 100_000, "not JSON"),
    ],
)
def test_a_broken_schema_is_named_with_its_place(text: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_schema(str(file))
    assert "schema.json" in caught.value.message
    assert says in caught.value.message


def test_a_schema_is_an_object(tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text('{"type": "object"}')
    assert read_schema(str(file)) == {"type": "object"}
