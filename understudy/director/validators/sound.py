"""Empty, cut off, an error, or a refusal: the ways in which a text that arrived is not an answer."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from understudy.director.validators.fingerprints import (
    ABOUT_BODIES,
    ABOUT_PAGES,
    KINDS,
    LONGEST,
    STATUS_PAGE,
    WHOLE,
    Kind,
)
from understudy.director.validators.signs import (
    ABOUT_ERRORS,
    ABOUT_REFUSALS,
    ABOUT_TEXTS,
    ERROR_TYPES,
    FILLER,
    HTML,
    HTML_ERROR,
    MESSAGES,
    PROXY_MARKS,
    REFUSAL_LENGTH,
    REFUSALS,
    TRACE,
)
from understudy.director.validators.text import fences, spoken
from understudy.types import Answer, Task

_TOLD = ("message", "detail", "Message", "errorMessage", "error_msg", "title", "fault")
_CODES = ("code", "error_code", "errorCode")
_BODY_KEYS = frozenset(
    {
        "error",
        "errors",
        "type",
        "request_id",
        "status",
        "code",
        "object",
        "param",
        "success",
        "ok",
        "result",
        "messages",
    }
    | {"statusCode", "error_code", "errorCode", "timestamp", "path", "requestId", "__type", "instance", *_TOLD}
)
_OPENED_WITHIN = re.compile(r"[^`\s][ \t]*```[ \t]*\w*[ \t]*$", re.M)
_LONG_WORD = re.compile(r"[^\W\d_]{5,}")
_SOME = 8  # characters from which a text that stands in the task is no chance
_SHORT = 400  # characters; an error message or a refusal that is the whole answer is shorter, an essay is longer


def not_empty(answer: Answer, task: Task) -> str:
    """A single character can be an answer, invisible ones and placeholders cannot."""
    text = spoken(answer.text)
    if not any(c.isprintable() and not c.isspace() and c not in "\u200b\u2060\ufeff\u3164\u2800" for c in text):
        return "the answer is empty"
    found, outside = fences(text)
    if found and not outside.strip() and not any(f.body.strip() for f in found):
        return "the answer is an empty code block"
    if FILLER.match(text) and task.schema is None and len(task.text) > 60 and not _asks_for(text, task):
        return f"the answer is only {text[:20]!r}"
    return ""


def _asks_for(word: str, task: Task) -> bool:
    """The task itself speaks of the word ("answer with N/A if there is none")."""
    return word.strip(" .()").lower() in task.text.lower()


def not_error(answer: Answer, task: Task) -> str:
    """The answer is itself an error. A task that speaks of errors may well get one as its answer."""
    if answer.finish in ("error", "content_filter"):
        return f"the provider ended the answer ({answer.finish})"
    text = spoken(answer.text)
    if task.schema is not None:
        return ""  # what is no data of the schema fails there; an "error" key may well be data
    about = _about(task)
    if _is_error_body(text) and not ABOUT_BODIES.search(about):
        return "the answer is the body of an API error"
    if text == task.text.strip() or (len(text) > _SOME and text.lower() in about):
        return ""  # it was asked for in so many words
    if HTML.match(text) and STATUS_PAGE.search(text[:3000]) and not ABOUT_PAGES.search(about):
        return "the answer is an HTML error page"
    if kind := _kind_of(text):
        asked = kind.asked.search(about) is not None
        return "" if asked else "the answer is a message of a proxy, a cloud or a connection"
    if ABOUT_ERRORS.search(about) or (ABOUT_TEXTS.search(about) and (HTML.match(text) or _share_words(text, about))):
        return ""
    return _message_in(text)


def _about(task: Task) -> str:
    """What the caller asks for, with the questions before: "And shorter?" is about what was asked then."""
    return "\n".join((*(turn.user for turn in task.history[-2:]), task.text)).lower()


def _kind_of(text: str) -> Kind | None:
    """What only machines say."""
    return next((kind for kind in KINDS if kind.said.search(text)), None) if len(text) <= LONGEST else None


def _share_words(text: str, about: str) -> bool:
    """Whether a short answer takes up a word of the task. "Write a message to Ann" has none of "Bad Gateway"."""
    return len(text) > _SHORT or not set(_LONG_WORD.findall(text.lower())).isdisjoint(_LONG_WORD.findall(about))


def _message_in(text: str) -> str:
    if HTML.match(text) and (HTML_ERROR.search(text[:3000]) or PROXY_MARKS.search(text[:3000])):
        return "the answer is an HTML error page"
    if TRACE.match(text):
        return "the answer is the stack trace of a client or proxy"
    return "the answer is an error message" if _is_error_text(text) else ""


def _is_error_text(text: str) -> bool:
    line = text.strip("\"'`*[]() \n")
    return len(text) <= _SHORT and (WHOLE.match(line) is not None or any(p.search(line) for p in MESSAGES))


def _is_error_body(text: str) -> bool:
    """JSON of the shape in which APIs report errors: {"error": {...message...}} and nothing that looks like data."""
    body = text.removeprefix("data:").strip()
    if not body.startswith(("{", "[{")) or len(body) > 20_000:
        return False
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError):
        return False
    if isinstance(found, list) and len(cast(list[Any], found)) == 1:
        found = cast(list[Any], found)[0]  # Gemini's stream wraps it so
    if not isinstance(found, dict) or set(cast(dict[str, Any], found)) - _BODY_KEYS:
        return False
    table = cast(dict[str, Any], found)
    error: Any = table.get("error")
    if isinstance(error, dict):
        return _is_error_object(cast(dict[str, Any], error))
    if isinstance(fault := table.get("fault"), dict) and "faultstring" in fault:
        return True  # Apigee's
    if table.get("success") is False and table.get("errors"):
        return True  # Cloudflare's
    told = error if isinstance(error, str) else next((table[key] for key in _TOLD if table.get(key)), None)
    if not isinstance(told, str):
        return False
    marked = "error" in (table.get("type"), table.get("object")) or any(isinstance(table.get(k), int) for k in _CODES)
    return marked or _is_error_text(told) or any(kind.said.search(told) for kind in KINDS)


def _is_error_object(error: dict[str, Any]) -> bool:
    if not isinstance(error.get("message"), str):
        return False
    # An API's own fields and nothing else: what they hold differs with every provider.
    if set(error) <= {"message", "type", "code", "status", "param", "details", "failed_generation"}:
        return True
    named = [error[key] for key in ("type", "status", "code") if error.get(key) is not None]
    return any(isinstance(n, int) or ERROR_TYPES.search(str(n)) for n in named)


def not_refusal(answer: Answer, task: Task) -> str:
    """The answer is a refusal and nothing else. A long answer that mentions one, or a task about them, is fine."""
    text = spoken(answer.text).lstrip("*_#>\"'“ ").replace("’", "'")
    found, _ = fences(text)
    if found or len(text) > REFUSAL_LENGTH or task.schema is not None:
        return ""
    if not any(p.search(text) for p in REFUSALS):
        return ""
    if (
        ABOUT_REFUSALS.search(task.text.lower())
        and len(text) < 0.5 * REFUSAL_LENGTH
        and not re.search(r"\b(?:help|assist)\b", text, re.I)
    ):
        return ""  # "Translate: es tut mir leid, ich kann nicht kommen"
    return "the answer is a refusal"


# --- cut off

_OPENERS = {"{": "}", "[": "]"}


def not_truncated(answer: Answer, task: Task) -> str:
    """Cut at the output limit, in a code block, or inside JSON."""
    if answer.finish == "length":
        return "the answer was cut at the output limit"
    text = spoken(answer.text)
    if re.match(r"\s*<think(?:ing)?>", text, re.I):
        return "the answer ends inside its reasoning"
    found, _ = fences(text)
    if found and not found[-1].closed and not found[-1].body.strip() and _OPENED_WITHIN.search(text):
        return ""  # it was opened behind words of its line ("Sure! ```json"): what looks like an opening closes it
    if found and not found[-1].closed and not _may_stay_open(text, found[-1].tag):
        return "the last code block is not closed"
    if not found and text[:1] in _OPENERS and _is_cut_json(text):
        return "the JSON is not complete"
    return ""


def _may_stay_open(text: str, tag: str) -> bool:
    """Prose that shows fences inside of fences is beyond counting: then the end of the text decides."""
    return tag in ("markdown", "md") and text.rstrip().endswith(("```", "~~~"))


def _is_cut_json(text: str) -> bool:
    """Text that is JSON up to its very end, where something is still open. Prose in brackets is not."""
    if len(text) > 1 and not re.match(r'[\[{]\s*(?:["\[{}\]]|-?\d|true\b|false\b|null\b|\Z)', text):
        return False
    try:
        json.loads(text)
    except RecursionError:
        return False
    except json.JSONDecodeError as error:
        rest = text[error.pos :].strip()
        starts_string = rest.startswith('"') and "Unterminated" in error.msg
        return (not rest or starts_string) and bool(re.match(r'\[|\{\s*(?:"|\Z)', text))
    return False
