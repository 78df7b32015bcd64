"""Fields of a JSON body, read with their kinds. What is wrong is named, and never repeated."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import msgspec

from understudy.errors import UsageError

Table = dict[str, Any]
DEEPEST = 60  # levels of a body; deeper ones are somebody's joke
_decode = msgspec.json.Decoder().decode


class BadField(UsageError):
    """A field of a request. `field` is its path, as OpenAI's `param` has it."""

    def __init__(self, field: str, what: str, *, remedy: str = "") -> None:
        super().__init__(f"{field}: {what}.", remedy=remedy)
        self.field = field


def parse(raw: bytes) -> Table:
    """The object a body holds. Raises BadField."""
    try:
        value = _decode(raw)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadField("body", f"it is no JSON ({str(error)[:100] or 'nested too deeply'})") from None
    if not isinstance(value, dict):
        raise BadField("body", "it is no JSON object")
    body = cast("Table", value)
    _measure(body)
    return body


def text(body: Mapping[str, Any], name: str, *, longest: int = 500) -> str | None:
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > longest:
        raise BadField(name, f"it must be a string of at most {longest:,} characters")
    return value


def number(body: Mapping[str, Any], name: str, least: float, most: float) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise BadField(name, f"it must be a number from {least:,} to {most:,}")
    return value


def whole(body: Mapping[str, Any], name: str, least: int, most: int) -> int | None:
    value = number(body, name, least, most)
    if value is None:
        return None
    if isinstance(value, float) and not value.is_integer():
        raise BadField(name, "it must be a whole number")
    return int(value)


def flag(body: Mapping[str, Any], name: str) -> bool:
    value = body.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadField(name, "it must be true or false")
    return bool(value)


def table(value: object, name: str) -> Table:
    if not isinstance(value, dict):
        raise BadField(name, "it must be an object")
    return cast("Table", value)


def tables(value: object, name: str, *, most: int = 10_000) -> list[Table]:
    if not isinstance(value, list):
        raise BadField(name, "it must be a list")
    items = cast("list[object]", value)
    if len(items) > most:
        raise BadField(name, f"it has more than {most:,} items")
    return [table(item, f"{name}[{n}]") for n, item in enumerate(items)]


def strings(value: object, name: str, *, most: int) -> list[str]:
    items = cast("list[object]", value) if isinstance(value, list) else None
    if items is None or len(items) > most or not all(isinstance(item, str) for item in items):
        raise BadField(name, f"it must be a list of at most {most} strings")
    return cast("list[str]", items)


def one_of(value: object, name: str, known: Sequence[str]) -> str:
    if value not in known:
        raise BadField(name, f"it must be one of {', '.join(known)}")
    return cast("str", value)


def seconds(value: str, name: str) -> float:
    try:
        given = float(value)
    except ValueError:
        given = math.nan
    if not 0 < given <= 86_400:
        raise BadField(name, "it must be a number of seconds above 0, a day at most")
    return given


def _measure(value: object) -> None:
    level: list[object] = [value]
    for _ in range(DEEPEST):
        level = [below for one in level for below in _below(one) if isinstance(below, dict | list)]
        if not level:
            return
    raise BadField("body", "it is nested too deeply")


def _below(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return cast("dict[str, object]", value).values()
    return cast("list[object]", value) if isinstance(value, list) else ()
