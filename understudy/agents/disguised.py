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
    """A response hook: raises ErrorInBody for JSON that says an error and no answer beside it, and for a web page."""
    kind = response.headers.get("content-type", "").lower()
    if response.status_code != 200 or not ("json" in kind or "text/html" in kind):
        return
    content: bytes = await response.aread()
    if len(content) > _LONGEST:
        return
    if "html" in kind:
        raise ErrorInBody(None, dict(response.headers), content.decode("utf-8", "replace"))
    if b'"error' not in content and any(b'"%s"' % key.encode() in content for key in _ANSWERS):
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
    if any(table.get(key) for key in _ANSWERS) or not _is_error(table):
        return
    raise ErrorInBody(status_in(table), dict(response.headers), table)


def status_in(body: dict[str, Any]) -> int | None:
    """The HTTP status an error names; Google, OpenRouter, vLLM and Azure put it there."""
    error = body.get("error")
    said = cast("dict[str, Any]", error) if isinstance(error, dict) else {}
    found = [said.get("code"), *(body.get(key) for key in ("code", "statusCode", "status"))]
    return next((code for code in found if isinstance(code, int) and 400 <= code <= 599), None)


def _is_error(body: dict[str, Any]) -> bool:
    said = body.get("error") or body.get("errors") or "error" in (body.get("object"), body.get("type"))
    # One field of words, and nothing that could be data beside it.
    alone = set(body) <= {"detail", "message", "code", "statusCode", "status", "request_id", "requestId", "type"}
    return bool(said) or (alone and isinstance(body.get("detail") or body.get("message"), str))
