"""What all dialects have in common: a conversation, looked at and turned into a task."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import msgspec

from understudy.errors import ToolFailed
from understudy.gateway.asking import digest
from understudy.gateway.fields import BadField
from understudy.tokens import MESSAGE_OVERHEAD, estimate, upper_bound
from understudy.tools.addresses import check_url, is_public, parse_address
from understudy.types import Chat, Task, Turn

IMAGE_TOKENS = 1_600  # what an image of a megapixel costs; providers scale larger ones down
LARGEST_TEXT = 4_000_000  # characters of one string
_WORDS = frozenset({"type", "role", "media_type", "detail"})  # names whose values are words of the wire
_WORD = re.compile(r"[a-z_]{1,40}|(?:image|application|text)/[\w.+-]{1,40}|[a-z_]{1,40}_20\d{6}")
_IDS = frozenset({"id", "tool_call_id", "tool_use_id"})
_ID = re.compile(r"(?=[^A-Za-z]{0,127}[A-Za-z])[\w.:|-]{1,128}", re.ASCII)
_IMAGE = re.compile(r"data:image/[\w.+-]{1,40};base64")
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=-_\r\n"
_FREE = frozenset({"input", "parameters", "input_schema", "schema"})  # tables with keys of the client's own
_LONG_NUMBER = 10_000_000  # from which a number may say more than how many
# Names that the wire has at its top, in functions, sources, images and schemas.
_NAMED = """
    messages tools tool_choice parallel_tool_calls response_format system thinking context_management output_config
    service_tier stop stop_sequences temperature top_p top_k presence_penalty frequency_penalty seed logprobs
    top_logprobs logit_bias reasoning_effort name description parameters arguments strict type media_type data url
    detail content minimum maximum exclusiveMinimum exclusiveMaximum
"""
_KEYS = frozenset(_NAMED.split())
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Wanted:
    """A request: what is to be done, and how its answer is to be given. model: as the client named it."""

    task: Task
    model: str
    stream: bool = False
    usage: bool = False  # a stream ends with a frame of its own for what was used
    known: frozenset[str] = frozenset()  # ids of the tool calls there are already


@dataclass(frozen=True, slots=True)
class Message:
    """One of a conversation that is only text."""

    role: Literal["system", "user", "assistant"]
    text: str


def task_of(messages: Iterable[Message]) -> Task | None:
    """A plain task: instructions, history, and the last question. None when the conversation has another shape."""
    instructions: list[str] = []
    turns: list[tuple[str, list[str]]] = []  # roles in turn, with what each said
    for message in messages:
        if message.role == "system":
            instructions.append(message.text)
        elif turns and turns[-1][0] == message.role:
            turns[-1][1].append(message.text)
        else:
            turns.append((message.role, [message.text]))
    said = [(role, "\n\n".join(texts)) for role, texts in turns]
    if not said or said[0][0] != "user" or said[-1][0] != "user":
        return None
    history = tuple(Turn(said[n][1], said[n + 1][1]) for n in range(0, len(said) - 1, 2))
    return Task(
        said[-1][1],
        history=history,
        instructions="\n\n".join(text for text in instructions if text),
        remember=False,
        plan=None if not history else False,
    )


def chat_of(
    dialect: Literal["openai", "anthropic"],
    body: Mapping[str, Any],
    *,
    needs: Iterable[str],
    images: Sequence[bool],
    begins: str,
    plain: bool,
) -> Chat:
    """The conversation as it is handed on. images: whether each has to be fetched; begins: what names it to its end."""
    texts = tuple(texts_in(body))
    pictures = IMAGE_TOKENS * len(images)
    tokens = sum(map(estimate, texts)) + MESSAGE_OVERHEAD * len(body["messages"]) + pictures
    most = sum(map(upper_bound, texts)) + MESSAGE_OVERHEAD * len(texts) + 2 * pictures
    return Chat(dialect, body, tokens, most, frozenset(needs), texts, any(images), plain, digest(begins))


def texts_in(value: object, name: str = "", *, free: bool = False) -> Iterable[str]:
    """Every string a model would read, wherever it stands: keys of objects too.

    Left out is what says nothing by its place and its shape: names of the wire, ids, images, signatures. free: below a
    table whose keys are the client's own, where no place says anything.
    """
    if isinstance(value, str):
        if not (_is_word(name, value) if free else _is_wire(name, value)):
            yield value
    elif isinstance(value, dict):
        for key, below in cast("dict[str, object]", value).items():
            if name not in ("", "function", "source", "image_url") or key not in _KEYS:
                yield key
            if key == "input" and isinstance(below, dict):  # what a tool is called with, as OpenAI's wire says it
                yield _encode(cast("object", below)).decode("utf-8", "replace")
            else:
                yield from texts_in(below, key, free=free or key in _FREE)
    elif isinstance(value, list):
        for below in cast("list[object]", value):
            yield from texts_in(below, name, free=free)
    elif isinstance(value, int | float) and abs(value) >= _LONG_NUMBER and name not in _KEYS:
        yield f"{value}"


def _is_word(name: str, value: str) -> bool:
    return name in _WORDS and _WORD.fullmatch(value) is not None


def _is_wire(name: str, value: str) -> bool:
    """Whether a string at this place of the wire is none that anybody reads."""
    if name in _WORDS:
        return _is_word(name, value)
    if name in _IDS:
        return _ID.fullmatch(value) is not None
    if name in ("data", "signature"):
        return _is_base64(value)
    if name in ("url", "image_url") and value.startswith("data:image/"):
        head, _, data = value.partition(",")
        return _IMAGE.fullmatch(head) is not None and _is_base64(data)
    return False


def _is_base64(value: str) -> bool:
    return value.isascii() and not value.encode().translate(None, _BASE64)


def is_remote(url: str, name: str) -> bool:
    """Whether an image has to be fetched from a public address, rather than being in the request. Raises BadField."""
    if url.startswith("data:image/"):
        return False
    try:
        _, host = check_url(url)
    except ToolFailed as refused:
        raise BadField(name, refused.message.rstrip("."), remedy="Send the image itself, as a data: address.") from None
    address = parse_address(host)
    if address is not None and not is_public(address):
        raise BadField(name, "that address is not public", remedy="Send the image itself, as a data: address.")
    return True
