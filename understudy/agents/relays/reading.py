"""Looking into JSON that came from elsewhere: what is not of the kind wanted is as good as not there."""

from __future__ import annotations

from typing import Any, cast

Body = dict[str, Any]


def table(value: object) -> Body:
    return cast("Body", value) if isinstance(value, dict) else {}


def tables(value: object) -> list[Body]:
    if not isinstance(value, list):
        return []
    return [cast("Body", item) for item in cast("list[object]", value) if isinstance(item, dict)]


def words(value: object) -> str:
    return value if isinstance(value, str) else ""


def whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def text_of(content: object) -> str:
    """Of a message: a string, or the text among its parts."""
    if isinstance(content, str):
        return content
    return "".join(words(part.get("text")) for part in tables(content))
