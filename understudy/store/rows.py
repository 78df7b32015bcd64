"""Reading rows: SQLite keeps what it is given, whatever a column's type says, so each value is looked at.

A damaged row is an error of its own: of this row, named with its table. What lists many rows leaves it out.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Collection, Iterable
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Damaged(sqlite3.DataError):
    """A row that cannot be what this program wrote. `row` is an id, never what the row holds."""

    def __init__(self, table: str, row: str = "") -> None:
        super().__init__(f"damaged row in {table}")
        self.table, self.row = table, row


class Row:
    """The values of one row, taken in their order."""

    def __init__(self, table: str, name: object, values: Iterable[object]) -> None:
        self._table, self._name = table, name if isinstance(name, str) else ""
        self._values = iter(values)

    def whole(self) -> int:
        return self._take(lambda value: isinstance(value, int))

    def whole_or_none(self) -> int | None:
        return self._take(lambda value: value is None or isinstance(value, int))

    def number(self) -> float:
        return self._take(is_number)

    def number_or_none(self) -> float | None:
        return self._take(lambda value: value is None or is_number(value))

    def text_or_none(self) -> str | None:
        return self._take(lambda value: value is None or isinstance(value, str))

    def raw(self) -> bytes:
        return self._take(lambda value: isinstance(value, bytes) and bool(value))

    def text(self) -> str:
        return self._take(lambda value: isinstance(value, str))

    def one_of(self, words: Collection[str]) -> str:
        return self._take(lambda value: isinstance(value, str) and value in words)

    def flag(self) -> bool:
        return self._take(lambda value: isinstance(value, int) and value in (0, 1)) == 1

    def table(self) -> dict[str, Any]:
        """A JSON object."""
        return cast("dict[str, Any]", self._json(dict))

    def texts(self) -> tuple[str, ...]:
        """A JSON list of texts."""
        found = cast("list[object]", self._json(list))
        if not all(isinstance(one, str) for one in found):
            raise self.damaged()
        return tuple(cast("list[str]", found))

    def tables(self) -> list[dict[str, Any]]:
        """A JSON list of objects."""
        found = cast("list[object]", self._json(list))
        if not all(isinstance(one, dict) for one in found):
            raise self.damaged()
        return cast("list[dict[str, Any]]", found)

    def damaged(self) -> Damaged:
        return Damaged(self._table, self._name)

    def _json(self, kind: type[object]) -> object:
        try:
            found = json.loads(self.text())
        except (ValueError, RecursionError):
            raise self.damaged() from None
        if not isinstance(found, kind):
            raise self.damaged()
        return found

    def _take(self, fits: Callable[[object], bool]) -> Any:
        value = next(self._values, None)
        if not fits(value):
            raise self.damaged()
        return value


def as_text(raw: bytes) -> str | bytes:
    """Bytes that are no text stay bytes, so that only the row they stand in is damaged."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def sound(rows: Iterable[Any], read: Callable[[Any], T]) -> list[T]:
    """Those that can be read."""
    found: list[T] = []
    for row in rows:
        try:
            found.append(read(row))
        except Damaged:
            continue
    return found
