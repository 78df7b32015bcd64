"""What all dialects have in common: a conversation, looked at and turned into a task."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from understudy.errors import ToolFailed
from understudy.gateway.asking import digest
from understudy.gateway.fields import BadField
from understudy.tokens import MESSAGE_OVERHEAD, estimate, upper_bound
from understudy.tools.addresses import check_url, is_public, parse_address
from understudy.types import Chat, Task, Turn

IMAGE_TOKENS = 1_600  # what an image of a megapixel costs; providers scale larger ones down
LARGEST_TEXT = 4_000_000  # characters of one string
_UNREAD = frozenset({"type", "role", "id", "tool_call_id", "tool_use_id", "media_type", "data", "signature", "detail"})


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


def texts_in(value: object, name: str = "") -> Iterable[str]:
    """Every string a model would read, wherever it stands: keys of objects too, images not."""
    if isinstance(value, str):
        if name not in _UNREAD and not value.startswith("data:image/"):
            yield value
    elif isinstance(value, dict):
        for key, below in cast("dict[str, object]", value).items():
            if name not in ("", "function", "source", "image_url"):
                yield key
            yield from texts_in(below, key)
    elif isinstance(value, list):
        for below in cast("list[object]", value):
            yield from texts_in(below, name)


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
