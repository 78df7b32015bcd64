"""What a provider's wire must be able to do for the server, and what all wires share."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from understudy.rehearsal.engine import Ask
from understudy.rehearsal.script import Script
from understudy.rehearsal.stage import Trouble, Turn
from understudy.tokens import estimate

Body = dict[str, Any]
CREATED = 1_760_000_000  # seconds since the epoch; a constant keeps recorded bytes comparable


@dataclass(frozen=True, slots=True)
class Rendered:
    """A whole response."""

    status: int
    body: Body
    headers: dict[str, str] = field(default_factory=dict[str, str])


class Wire(Protocol):
    """One provider's dialect. Operations: chat, count, models, model, health; None: no such path."""

    def operation(self, method: str, path: str) -> str | None: ...

    def key(self, headers: Mapping[str, str], query: Mapping[str, str]) -> str: ...

    def ask(self, path: str, query: Mapping[str, str], body: Body) -> Ask:
        """The request in the engine's words. Raises Trouble("bad_request")."""
        ...

    def trouble(self, trouble: Trouble, now: float) -> Rendered: ...

    def headers(self, turn: Turn, now: float) -> dict[str, str]: ...

    def whole(self, turn: Turn) -> Body: ...

    def frames(self, turn: Turn) -> list[bytes]:
        """The pieces of a stream, each sent by itself."""
        ...

    def count(self, ask: Ask) -> Body: ...

    def models(self, script: Script) -> Body: ...

    def model(self, script: Script, path: str) -> Body | None: ...


def pieces(text: str) -> list[str]:
    """A text in pieces of about a word, which joined are the text."""
    return re.findall(r"\s*\S+\s*?(?=\s|$)|\s+", text)


def sse(data: Any, event: str = "", end: str = "\n\n") -> bytes:
    """One server-sent event."""
    payload = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return ((f"event: {event}{end[: len(end) // 2]}" if event else "") + f"data: {payload}{end}").encode()


def text_of(content: Any, name: str = "content") -> str:
    """The text of a message's content: a string, or a list of blocks. Raises Trouble for anything else."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(_block_text(b, name) for b in cast(list[Any], content))
    raise Trouble("bad_request", detail=f"{name}: must be a string or a list")


def _block_text(block: Any, name: str) -> str:
    if isinstance(block, str):
        return block
    if not isinstance(block, dict):
        raise Trouble("bad_request", detail=f"{name}: each block must be an object")
    table = cast(dict[str, Any], block)
    return str(table.get("text") or "")


def table_of(value: Any, name: str) -> dict[str, Any]:
    """`value` when it is an object. Raises Trouble naming it."""
    if not isinstance(value, dict):
        raise Trouble("bad_request", detail=f"{name}: must be an object")
    return cast(dict[str, Any], value)


def tables_of(value: Any, name: str) -> list[dict[str, Any]]:
    """`value` when it is a list of objects; None is the empty list. Raises Trouble naming it."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Trouble("bad_request", detail=f"{name}: must be a list")
    return [table_of(v, f"{name}[{i}]") for i, v in enumerate(cast(list[Any], value))]


def positive(value: Any, name: str) -> int | None:
    """A positive integer or None. Raises Trouble naming it."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise Trouble("bad_request", detail=f"{name}: must be a positive integer")
    return value


def input_tokens(texts: list[str], tools: Any = None) -> int:
    """What the simulated providers count: four characters a token, four a message, tools as their JSON."""
    extra = estimate(json.dumps(tools)) if tools else 0
    return sum(estimate(t) + 4 for t in texts) + extra
