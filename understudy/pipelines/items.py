"""The calls of a campaign, one after the other: rows of a file, or coordinates of a shape. Memory stays flat.

Each has a key of its own, a hash of the template's version and the row: the same row under the same template is the
same call, whatever process asks. Sampling looks at the row and the seed alone, so it does not depend on the order.
"""

from __future__ import annotations

import csv
import difflib
import hashlib
import heapq
import json
import re
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from io import TextIOBase
from pathlib import Path
from typing import Any, cast

from understudy.config.pasted import shown
from understudy.config.reading import LARGEST, read_text_file
from understudy.errors import ConfigError, install
from understudy.pipelines.spec import DIMENSIONS, Items, Shape, Spec

_FIELD = re.compile(r"\{\{|\}\}|\{([^{}]*)\}")
_SCALE = 2**64
_SINGULAR = {dimension: dimension.removesuffix("s") for dimension in DIMENSIONS}


@dataclass(frozen=True, slots=True)
class Item:
    """One call. number: of the row, from 1. key: 32 hexadecimal digits."""

    number: int
    key: str
    fields: Mapping[str, Any] = field(repr=False)
    text: str = field(repr=False)


def items_of(spec: Spec) -> Iterator[Item]:
    """All calls of the campaign, in order. Raises ConfigError naming the row; the template is checked first."""
    template = _template(spec)
    prints = hashlib.sha256(f"{spec.version}\0{template}\0{spec.mutation_template}".encode()).digest()
    if spec.items is None:
        yield from _of_shape(spec, cast(Shape, spec.shape), template, prints)
        return
    key = spec.items.key
    for number, row in _sampled(spec.items, spec.seed):
        text = _filled(template, row, f"row {number:,}")
        yield Item(number, _key(prints, _named(row, key, number)), row, text)


def count_items(spec: Spec) -> int:
    """How many rows there are, after sampling. Standard input is read to its end. Raises ConfigError."""
    if spec.items is None:
        return 0
    sample = spec.items.sample
    if sample is None or sample >= 1:  # who is chosen does not matter, only how many there are
        _check_source(spec.items)
        return min(sum(1 for _ in _rows(spec.items)), int(sample) if sample else sys.maxsize)
    return sum(1 for _ in _sampled(spec.items, spec.seed))


def _template(spec: Spec) -> str:
    template = spec.template
    if spec.template_file is not None:
        template = read_text_file(str(spec.template_file))
    if not template.strip():
        raise ConfigError("The SPEC has no template.", remedy='Write one: template = "Summarise: {text}".')
    return template


def _of_shape(spec: Spec, shape: Shape, template: str, prints: bytes) -> Iterator[Item]:
    if shape.mutations and not spec.mutation_template:
        what = "The shape has mutations, and the SPEC no mutation_template."
        raise ConfigError(what, remedy="Write one, or mutations = 0.")
    for number, row in enumerate(_coordinates(shape), 1):
        pattern = spec.mutation_template if "mutation" in row else template
        yield Item(number, _key(prints, json.dumps(row)), row, _filled(pattern, row, f"call {number:,}"))


def _coordinates(shape: Shape) -> Iterator[dict[str, Any]]:
    """group, run, generation; then agent, scenario, turn, player, or mutation: numbers from 1, or names."""

    def values(dimension: str) -> Iterator[tuple[str, Any]]:
        names = shape.names.get(dimension)
        return ((_SINGULAR[dimension], names[i] if names else i + 1) for i in range(getattr(shape, dimension)))

    def product(rest: tuple[str, ...], row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if not rest:
            yield row
            return
        for name, value in values(rest[0]):
            yield from product(rest[1:], {**row, name: value})

    for generation in product(("groups", "runs", "generations"), {}):
        yield from product(("agents", "scenarios", "turns", "players"), generation)
        yield from product(("mutations",), generation)


def _sampled(items: Items, seed: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """The rows that chance takes: each by its own, or those of the n smallest lots."""

    def lot(number: int, row: Mapping[str, Any]) -> int:
        named = f"{seed}\0{_named(row, items.key, number)}"
        return int.from_bytes(hashlib.sha256(named.encode()).digest()[:8])

    if items.sample is None:
        yield from _rows(items)
    elif items.sample < 1:
        yield from ((n, row) for n, row in _rows(items) if lot(n, row) < items.sample * _SCALE)
    else:
        _check_source(items)
        wanted = heapq.nsmallest(int(items.sample), ((lot(n, row), n) for n, row in _rows(items)))
        latest = wanted[-1] if wanted else (0, 0)
        yield from ((n, row) for n, row in _rows(items) if (lot(n, row), n) <= latest)


def _check_source(items: Items) -> None:
    if str(items.path) == "-" and items.sample is not None and items.sample >= 1:
        what = "A number of rows cannot be sampled out of standard input, which is read once."
        raise ConfigError(what, remedy="Give a share such as sample = 0.1, or a file.")


def _rows(items: Items) -> Iterator[tuple[int, dict[str, Any]]]:
    match items.kind:
        case "parquet":
            yield from _parquet(items.path)
        case "csv":
            yield from _csv(items.path)
        case _:
            yield from _jsonl(items.path)


@contextmanager
def _opened(path: Path) -> Generator[TextIOBase]:
    """The text of a file or of standard input. Raises ConfigError."""
    if str(path) == "-":
        if sys.stdin is None or sys.stdin.closed:  # pyright: ignore[reportUnnecessaryComparison]
            raise ConfigError("There is no standard input.", remedy="Name a file of items.")
        with open(sys.stdin.fileno(), encoding="utf-8-sig", newline="", closefd=False) as text:
            yield text
        return
    try:
        if not path.is_file():
            raise ConfigError(f"There is no file of items {shown(path)}.", remedy="Check its name.")
        text = path.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        what = f"The items {shown(path)} cannot be read ({error.strerror})."
        raise ConfigError(what, remedy="Give another file.") from None
    with text:
        yield text


def _jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with _opened(path) as text:
        number = 0
        for line in _lines(text, path):
            number += 1
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                raise ConfigError(f"Line {number:,} of {shown(path)} is not JSON.", remedy="Mend it.") from None
            if not isinstance(row, dict):
                what = f"Line {number:,} of {shown(path)} is no object."
                raise ConfigError(what, remedy='Write each row as {"field": "value"}.')
            yield number, cast(dict[str, Any], row)


def _csv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    csv.field_size_limit(LARGEST)
    with _opened(path) as text:
        reader = csv.DictReader(_lines(text, path), strict=True)
        try:
            for number, row in enumerate(reader, 1):
                if None in row or None in row.values():
                    what = f"Row {number:,} of {shown(path)} has another number of columns than its head."
                    raise ConfigError(what, remedy="Mend it.")
                yield number, dict(row)
        except csv.Error as error:
            raise ConfigError(f"{shown(path)} is not CSV ({error}).", remedy="Mend it.") from None


def _parquet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    if str(path) == "-":
        raise ConfigError("Parquet cannot be read from standard input.", remedy="Name a file, or pipe JSONL.")
    try:
        parquet: Any = import_module("pyarrow.parquet")
    except ImportError:
        raise ConfigError("Parquet needs the package pyarrow.", remedy=f"{install('parquet')}.") from None
    if not path.is_file():
        raise ConfigError(f"There is no file of items {shown(path)}.", remedy="Check its name.")
    try:
        with parquet.ParquetFile(str(path)) as file:
            number = 0
            for batch in file.iter_batches(batch_size=1000):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these
        raise ConfigError(f"{shown(path)} is not Parquet ({type(error).__name__}).", remedy="Check the file.") from None


def _lines(text: TextIOBase, path: Path) -> Iterator[str]:
    """Raises ConfigError for a line that is too long, or is no UTF-8 text."""
    number = 0
    try:
        while line := text.readline(LARGEST + 1):
            number += 1
            if len(line) > LARGEST:
                what = f"Line {number:,} of {shown(path)} is longer than {LARGEST:,} characters."
                raise ConfigError(what, remedy="Give a part of it.")
            yield line
    except UnicodeDecodeError:
        what = f"{shown(path)} is not UTF-8 text (after line {number:,})."
        raise ConfigError(what, remedy="Save it as UTF-8.") from None


def _filled(template: str, row: Mapping[str, Any], where: str) -> str:
    """{field} out of the row; {{ and }} are braces. Values that are no text are written as JSON."""

    def value(found: re.Match[str]) -> str:
        if found.group() in ("{{", "}}"):
            return found.group()[0]
        name = found[1].strip()
        if name not in row:
            near = difflib.get_close_matches(name, row, n=1, cutoff=0.5)
            hint = f", did you mean {near[0]}?" if near else f"; there are: {', '.join(map(str, list(row)[:20]))}"
            what = f"The template wants {{{shown(name)}}}, which {where} does not have{hint}"
            raise ConfigError(what.rstrip("?") + ("?" if near else "."), remedy="Write {{ and }} for plain braces.")
        content = row[name]
        return content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, default=str)

    return _FIELD.sub(value, template)


def _named(row: Mapping[str, Any], key: str, number: int) -> str:
    if not key:
        return json.dumps(row, sort_keys=True, ensure_ascii=False, default=str)
    if key not in row:
        raise ConfigError(f"Row {number:,} has no {shown(key)}, which should name it.", remedy="Name another key.")
    return json.dumps(row[key], ensure_ascii=False, default=str)


def _key(prints: bytes, named: str) -> str:
    return hashlib.sha256(prints + named.encode("utf-8", "surrogatepass")).hexdigest()[:32]
