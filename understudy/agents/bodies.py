"""An error body of any dialect, read into marks and words. None of it is ever shown: bodies echo prompts."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

_SAID = ("message", "detail", "Message", "errors", "error_msg", "errorMessage", "title", "fault")
LONGEST = 4000  # characters of a message that are looked at
_HTML = re.compile(r"^\s*(?:<!doctype|<html|<head|<body|<center|<h1)", re.I)


@dataclass(frozen=True, slots=True)
class Body:
    """Everything lower-cased. marks: code, type, status and reason. delay: Google's RetryInfo."""

    marks: frozenset[str] = frozenset()
    message: str = field(default="", repr=False)
    quotas: tuple[str, ...] = field(default=(), repr=False)
    delay: str = ""
    html: bool = False


def read_body(body: object) -> Body:
    """OpenAI's, Anthropic's, Google's, Ollama's error string, HTML, bytes, or nothing. Never raises."""
    if isinstance(body, bytes):
        body = body.decode("utf-8", "replace")
    if isinstance(body, str):
        if _HTML.match(body):
            return Body(html=True)
        body = _parsed(body)
    if isinstance(body, list):  # Google's stream wraps its error in a list
        body = next(iter(cast("list[object]", body)), None)
    error: object = body
    if isinstance(body, dict):
        error = cast("dict[str, object]", body).get("error", cast("object", body))
    if isinstance(error, str):
        return Body(message=error[:LONGEST].lower())
    return _read_table(cast("dict[str, object]", error)) if isinstance(error, dict) else Body()


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _read_table(error: Mapping[str, object]) -> Body:
    marks = {str(error[k]).lower() for k in ("code", "type", "status") if isinstance(error.get(k), str | int)}
    quotas: list[str] = []
    delay = ""
    for detail in _tables(error.get("details")):
        if isinstance(reason := detail.get("reason"), str):
            marks.add(reason.lower())
        if isinstance(seconds := detail.get("retryDelay"), str):
            delay = seconds
        quotas.extend(_words(violation) for violation in _tables(detail.get("violations")))
    message = _words(next((error[key] for key in _SAID if error.get(key)), ""))
    # google-genai wraps a web page in a table of its own
    return Body(frozenset(marks), message, tuple(quotas), delay, html=bool(_HTML.match(message)))


def _tables(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list):
        return []
    return [cast("dict[str, Any]", item) for item in cast("list[object]", value) if isinstance(item, dict)]


def _words(value: object) -> str:
    if not isinstance(value, str):
        try:
            value = json.dumps(value, default=str)
        except (ValueError, RecursionError, TypeError):
            return ""
    return value[:LONGEST].lower()
