"""OpenAI's embeddings: of a candidate that is named, by the same way as every request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from understudy.gateway.asking import Marks, aimed, is_named
from understudy.gateway.dialects import chat
from understudy.gateway.dialects.given import Given
from understudy.gateway.dialects.refusals import Refusal
from understudy.gateway.dialects.words import Wanted
from understudy.gateway.fields import BadField, Table, one_of, text, whole
from understudy.tokens import estimate, upper_bound
from understudy.types import Chat, Piece, Task

MOST = 2_048  # texts of one request


def read(body: Table, marks: Marks) -> Wanted:
    """Raises BadField."""
    model = text(body, "model")
    if not model or not is_named(model):
        remedy = "One with the capability embeddings: GET /v1/models."
        raise BadField("model", "it must name a candidate", remedy=remedy)
    texts = _texts(body.get("input"))
    kept: Table = {"input": texts}
    if (form := body.get("encoding_format")) is not None:
        kept["encoding_format"] = one_of(form, "encoding_format", ("float", "base64"))
    if (size := whole(body, "dimensions", 1, 100_000)) is not None:
        kept["dimensions"] = size
    found = Chat(
        "embeddings",
        kept,
        sum(map(estimate, texts)),
        sum(map(upper_bound, texts)) + 8 * len(texts),
        frozenset({"embeddings"}),
        tuple(texts),
    )
    return Wanted(aimed(Task("", remember=False, plan=False, chat=found, max_tokens=1), model, marks), model)


def write(given: Given) -> Table:
    answer = given.reply.answer
    said: Any = answer.message if answer is not None else {}
    used = given.usage.input_tokens
    told = {"prompt_tokens": used, "total_tokens": used}
    return {"object": "list", "data": said["data"], "model": given.model, "usage": told, "understudy": given.told}


def failure(refusal: Refusal) -> Table:
    return chat.failure(refusal)


class Frames:
    """There is no stream of embeddings: a request for one is answered whole."""

    def __init__(self, name: str, created: int, model: str) -> None: ...
    def alive(self) -> Iterator[bytes]:
        return iter(())

    def piece(self, piece: Piece) -> Iterator[bytes]:
        return iter(())

    def end(self, given: Given, *, live: bool, usage_too: bool) -> Iterator[bytes]:
        return iter(())

    def fail(self, refusal: Refusal) -> Iterator[bytes]:
        return iter(())


def _texts(given: object) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not 0 < len(cast("list[object]", texts)) <= MOST:
        raise BadField("input", f"it must be a string, or a list of at most {MOST:,} of them")
    if not all(isinstance(t, str) and t for t in cast("list[object]", texts)):
        raise BadField("input", "each of them must be a string that is not empty")
    return cast("list[str]", texts)
