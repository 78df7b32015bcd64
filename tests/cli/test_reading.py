"""Schemas that are not what they should be."""

from __future__ import annotations

from pathlib import Path

import pytest

from understudy.cli.reading import read_attachment, read_schema
from understudy.errors import UsageError


def test_a_file_keeps_its_name_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("text")
    attachment = read_attachment("./a.txt")
    assert (attachment.path, attachment.text) == ("./a.txt", "text")


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
