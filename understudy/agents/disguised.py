"""Errors that come with status 200: the body says so, and the SDKs only find that it is no answer."""

from __future__ import annotations

import json
from typing import Any, cast

_ANSWERS = frozenset({"choices", "candidates", "content", "data"})  # keys of a body that answers, whatever else it says
_LONGEST = 100_000  # bytes; an error is shorter


class ErrorInBody(Exception):
    """Raised by our HTTP client; failures.py finds it under whatever the SDK makes of it. Shows nothing of the body."""

    def __init__(self, status: int | None, headers: dict[str, str], body: object) -> None:
        super().__init__("the body of a reply with status 200 is an error")
        self.status = status
        self.headers = headers
        self.body = body

    def __reduce__(self) -> tuple[type[ErrorInBody], tuple[None, dict[str, str], None]]:
        return ErrorInBody, (None, {}, None)


async def look_inside(response: Any) -> None:
    """A response hook: raises ErrorInBody for JSON with an `error` and no answer beside it."""
    if response.status_code != 200 or "json" not in response.headers.get("content-type", "").lower():
        return
    content: bytes = await response.aread()
    if b'"error"' not in content or len(content) > _LONGEST:
        return
    try:
        body: Any = json.loads(content)
    except (ValueError, RecursionError):
        return
    if isinstance(body, list) and len(cast("list[Any]", body)) == 1:
        body = cast("list[Any]", body)[0]
    if not isinstance(body, dict):
        return
    table = cast("dict[str, Any]", body)
    if not table.get("error") or any(table.get(key) for key in _ANSWERS):
        return
    raise ErrorInBody(_status_in(table), dict(response.headers), table)


def _status_in(body: dict[str, Any]) -> int | None:
    """The HTTP status the error names; Google, OpenRouter and vLLM put it there."""
    error = body["error"]
    code: Any = cast("dict[str, Any]", error).get("code") if isinstance(error, dict) else body.get("code")
    return code if isinstance(code, int) and 400 <= code <= 599 else None
