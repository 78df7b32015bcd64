"""Items: rows in, calls out, with keys that stay and samples that do not depend on the order."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from understudy.errors import ConfigError
from understudy.pipelines.items import count_items, items_of
from understudy.pipelines.spec import Spec, parse_spec


def rows(folder: Path, *rows: Any, name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def spec(folder: Path, template: str = "Say {word}", **items: Any) -> Spec:
    table = {"template": template, "items": {"path": "rows.jsonl", **items}}
    return parse_spec(table, folder / "spec.toml")


def words(folder: Path, number: int) -> None:
    rows(folder, *({"word": f"w{n}", "n": n} for n in range(number)))


def test_rows_of_json_lines(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('\ufeff{"word": "one"}\n\n{"word": {"b": "ü"}}')
    found = list(items_of(spec(tmp_path, "Say {word} {{twice}}")))
    assert [(i.number, i.text) for i in found] == [(1, "Say one {twice}"), (3, 'Say {"b": "ü"} {twice}')]


def test_rows_of_csv(tmp_path: Path) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["word", "n"], ["one\nline", "1"], ['a "b", c', "2"]])
    (tmp_path / "rows.csv").write_text(text.getvalue())
    found = list(items_of(spec(tmp_path, path="rows.csv")))
    assert [i.text for i in found] == ["Say one\nline", 'Say a "b", c']


def test_rows_of_standard_input(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from understudy.pipelines.items import items_of;"
        "from understudy.pipelines.spec import parse_spec;"
        "t = {'template': 'Say {word}', 'items': {'path': '-', 'format': 'jsonl'}};"
        "print([i.text for i in items_of(parse_spec(t, Path('x')))])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], input='{"word": "one"}\n', capture_output=True, text=True, check=False
    )
    assert ended.stdout.strip() == "['Say one']", ended.stderr


def test_parquet_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ConfigError, match=r"pyarrow.*understudy\[parquet\]"):
        count_items(spec(tmp_path, path="rows.parquet"))


def test_rows_of_parquet(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pyarrow.table({"word": ["one", "two"], "n": [1, 2]})
    parquet.write_table(table, tmp_path / "rows.parquet")
    assert [i.text for i in items_of(spec(tmp_path, "{word} {n}", path="rows.parquet"))] == ["one 1", "two 2"]
    (tmp_path / "rows.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(ConfigError, match="is not Parquet"):
        count_items(spec(tmp_path, path="rows.parquet"))


def keys(folder: Path, **items: Any) -> dict[str, str]:
    return {i.fields["word"]: i.key for i in items_of(spec(folder, **items))}


def test_a_key_is_the_rows_and_the_templates(tmp_path: Path) -> None:
    rows(tmp_path, {"word": "a", "n": 1}, {"n": 1, "word": "b"})
    first = keys(tmp_path)
    assert len(set(first.values())) == 2
    rows(tmp_path, {"n": 1, "word": "b"}, {"n": 1, "word": "a"})  # order of rows and of columns does not matter
    assert keys(tmp_path) == first
    assert set(keys(tmp_path, key="word").values()).isdisjoint(first.values())
    other = {i.fields["word"]: i.key for i in items_of(spec(tmp_path, "Shout {word}"))}
    assert set(other.values()).isdisjoint(first.values())
    version = spec(tmp_path).model_copy(update={"version": "2"})
    assert {i.key for i in items_of(version)}.isdisjoint(first.values())


def test_a_key_column_names_the_row(tmp_path: Path) -> None:
    rows(tmp_path, {"word": "a", "seen": 1})
    first = keys(tmp_path, key="word")
    rows(tmp_path, {"word": "a", "seen": 2})
    assert keys(tmp_path, key="word") == first
    with pytest.raises(ConfigError, match="Row 1 has no wrod"):
        keys(tmp_path, key="wrod")


def test_a_share_is_sampled_by_the_seed_alone(tmp_path: Path) -> None:
    words(tmp_path, 2000)
    whole = (tmp_path / "rows.jsonl").read_text().splitlines(keepends=True)
    taken = set(keys(tmp_path, sample=0.25))
    assert 430 < len(taken) < 570
    (tmp_path / "rows.jsonl").write_text("".join(reversed(whole)))
    assert set(keys(tmp_path, sample=0.25)) == taken
    assert taken < set(keys(tmp_path, sample=0.5))  # a larger share keeps what the smaller one has
    other = spec(tmp_path, sample=0.25).model_copy(update={"seed": 2})
    assert {i.fields["word"] for i in items_of(other)} != taken


def test_a_number_of_rows_is_sampled_to_the_row(tmp_path: Path) -> None:
    words(tmp_path, 500)
    taken = keys(tmp_path, sample=40)
    assert len(taken) == count_items(spec(tmp_path, sample=40)) == 40
    assert list(taken) == sorted(taken, key=lambda w: int(w[1:]))  # in the order of the file
    assert len(keys(tmp_path, sample=501)) == 500
    with pytest.raises(ConfigError, match="cannot be sampled out of standard input"):
        count_items(spec(tmp_path, path="-", format="jsonl", sample=3))


def test_rows_stay_in_flat_memory(tmp_path: Path) -> None:
    """The peak of 20,000 rows is that of 2,000."""

    def peak(number: int) -> int:
        words(tmp_path, number)
        campaign = spec(tmp_path)
        tracemalloc.start()
        try:
            assert sum(1 for _ in items_of(campaign)) == number
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    small = peak(2_000)
    assert peak(20_000) < small * 1.5 + 100_000


@pytest.mark.parametrize(
    ("content", "items", "fault"),
    [
        (b'{"word": 1}\nno json\n', {}, "Line 2 of .* is not JSON"),
        (b'{"word": 1}\n[1]\n', {}, "Line 2 of .* is no object"),
        (b'{"word": "\xff"}\n', {}, "is not UTF-8 text"),
        (b'{"wrod": "a"}\n', {}, "The template wants {word}, which row 1 does not have, did you mean wrod"),
        (b"word,n\na,1,2\n", {"format": "csv"}, "Row 1 of .* another number of columns"),
        (b"word,n\na\n", {"format": "csv"}, "Row 1 of .* another number of columns"),
        (b'word\n"a', {"format": "csv"}, "is not CSV"),
        (b"[" * 200_000 + b"\n", {}, "Line 1 of .* is not JSON"),
        (b"a" * 4_000_002, {}, "Line 1 of .* is longer than"),
        (None, {}, "There is no file of items"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, items: dict[str, Any], fault: str) -> None:
    if content is not None:
        (tmp_path / "rows.jsonl").write_bytes(content)
    with pytest.raises(ConfigError, match=fault):
        list(items_of(spec(tmp_path, **items)))


def test_an_item_does_not_show_its_text(tmp_path: Path) -> None:
    rows(tmp_path, {"word": "secret"})
    assert "secret" not in repr(next(items_of(spec(tmp_path))))


SHAPE = {
    "shape": {
        "groups": 2,
        "generations": 2,
        "agents": 2,
        "turns": 3,
        "mutations": 1,
        "names": {"groups": ["red", "blue"]},
    },
    "template": "{group} {run} {generation} {agent} {scenario} {turn} {player}",
    "mutation_template": "{group} {generation} mutation {mutation}",
}


def test_a_shape_is_as_many_calls_as_its_volume() -> None:
    campaign = parse_spec(SHAPE, Path("x"))
    found = list(items_of(campaign))
    assert len(found) == len({i.key for i in found}) == 2 * 2 * (2 * 3 + 1)
    assert found[0].text == "red 1 1 1 1 1 1"
    assert [i.text for i in found if "mutation" in i.fields][:2] == ["red 1 mutation 1", "red 2 mutation 1"]


def test_a_shape_with_mutations_needs_words_for_them() -> None:
    campaign = parse_spec({**SHAPE, "mutation_template": ""}, Path("x"))
    with pytest.raises(ConfigError, match="no mutation_template"):
        list(items_of(campaign))
    with pytest.raises(ConfigError, match="has no template"):
        list(items_of(parse_spec({"shape": {}}, Path("x"))))


def test_a_template_of_its_own_file(tmp_path: Path) -> None:
    rows(tmp_path, {"word": "a"})
    (tmp_path / "task.txt").write_text("Say {word}")
    campaign = parse_spec({"template_file": "task.txt", "items": {"path": "rows.jsonl"}}, tmp_path / "spec.toml")
    assert [i.text for i in items_of(campaign)] == ["Say a"]
