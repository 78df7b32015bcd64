"""What `claude -p --output-format stream-json` writes, read as a result or as a failure of the right class."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, cast

from understudy.errors import CallFailed
from understudy.tools import claude_refusals
from understudy.tools.processes import Ended
from understudy.types import Failure, Usage

OUR_BUDGET = "error_max_budget_usd"  # how every call without tools ends, see claude_cli
MOST_TOKENS = 1_000_000_000  # of one run, whose requests may be a hundred
LARGEST = 2**53  # beyond it a count is no longer exact
_OPTION = re.compile(rb"error: unknown option '(--[a-z-]+)'")


@dataclass(frozen=True, slots=True)
class ClaudeResult:
    """An answer. `usage` counts cached input too; `models` is the CLI's own count for each model. cost in USD, list
    price, whoever pays. `stop`: end_turn, max_tokens, stop_sequence, ... `denied`: tools it wanted and was refused."""

    text: str = field(repr=False)
    structured: Any = field(repr=False)
    usage: Usage
    models: Mapping[str, Usage]
    cost_usd: float | None
    stop: str
    turns: int
    denied: tuple[str, ...] = ()

    @property
    def model(self) -> str:
        return max(self.models, key=lambda name: self.models[name].total, default="")


class Events:
    """Collects the lines while they come, and judges them at the end."""

    def __init__(self, progress: Callable[[int], None] | None = None) -> None:
        self._progress = progress
        self._rest = b""
        self._chars = 0
        self._begun = False
        self._refused = False
        self._texts: list[str] = []
        self._structured: Any = None
        self._trouble: dict[str, Any] = {}
        self._limit: dict[str, Any] = {}
        self._last: dict[str, Any] | None = None

    def feed(self, piece: bytes) -> None:
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            self._take(line)

    def result(
        self, ended: Ended, schema: Mapping[str, Any] | None, *, one_call: bool, seconds: float, now: float
    ) -> ClaudeResult:
        """Raises CallFailed. `now`: seconds since the epoch, to turn a reset time into a wait."""
        self._take(self._rest)
        self._rest = b""
        last = self._last
        if last is None:
            self._refuse_silence(ended, seconds)
        models, usage = _usage(last)
        subtype = str(last.get("subtype"))
        if self._trouble or (last.get("is_error") and subtype == "success"):
            raise claude_refusals.classify(last, self._trouble, self._limit, usage, now)
        if subtype != "success" and not (one_call and subtype == OUR_BUDGET):
            raise _malformed(f"claude gave up ({subtype.removeprefix('error_').replace('_', ' ')}).", usage)
        stop = str(last.get("stop_reason") or "end_turn")
        if stop == "refusal" or self._refused:
            raise CallFailed(Failure.CONTENT_FILTER, "The model refused.", remedy="Ask another model.", usage=usage)
        text = last.get("result")
        text = text if isinstance(text, str) and not one_call else "".join(self._texts)
        structured = last.get("structured_output", self._structured)
        if schema is not None:
            structured = _validated(structured, text, schema, usage)
        elif not text.strip():
            raise _malformed("The answer is empty.", usage)
        return ClaudeResult(
            text=text or json.dumps(structured, ensure_ascii=False),
            structured=structured,
            usage=usage or Usage(measured=False),
            models=models,
            cost_usd=_number(last.get("total_cost_usd")) if usage else None,
            stop=stop,
            turns=int(_number(last.get("num_turns")) or 1),
            denied=tuple(str(d.get("tool_name")) for d in _tables(last.get("permission_denials"))),
        )

    def _take(self, line: bytes) -> None:
        try:
            event: Any = json.loads(line)
        except (ValueError, RecursionError):
            return
        if not isinstance(event, dict):
            return
        said = cast("dict[str, Any]", event)
        match said.get("type"):
            case "system":
                self._begun = True
                # Such as model_refusal_no_fallback; the result's own stop_reason is null then.
                self._refused = self._refused or str(said.get("subtype")).startswith("model_refusal")
            case "stream_event":
                self._count(_table(_table(said.get("event")).get("delta")))
            case "rate_limit_event":
                self._limit = _table(said.get("rate_limit_info"))
            case "assistant" if said.get("parent_tool_use_id") is None:
                self._hear(said)
            case "result":
                self._last = said
            case _:
                pass

    def _hear(self, said: dict[str, Any]) -> None:
        if said.get("is_api_error_message"):
            self._trouble = said
            return
        for block in _tables(_table(said.get("message")).get("content")):
            if block.get("type") == "text":
                self._texts.append(str(block.get("text", "")))
            elif block.get("type") == "tool_use" and block.get("name") == "StructuredOutput":
                self._structured = block.get("input")

    def _count(self, delta: dict[str, Any]) -> None:
        piece = delta.get("text") or delta.get("partial_json") or ""
        if self._progress is not None and piece:
            self._chars += len(str(piece))
            self._progress(self._chars)

    def _refuse_silence(self, ended: Ended, seconds: float) -> NoReturn:
        """Nothing was said in the end. What has been sent by then nobody knows, except before the first event."""
        charged = self._begun or ended.cut != "" or ended.code == 0
        if ended.cut == "deadline":
            raise CallFailed(Failure.TRANSPORT, f"claude took longer than {seconds:g} s.", remedy="Allow more time.")
        if ended.cut == "output":
            raise CallFailed(Failure.MALFORMED, "claude wrote more than is read.", remedy="Ask for less.")
        if ended.code > 128 or (ended.code == 0 and not ended.stdout):  # an interrupt ends it with 0 and no word
            raise CallFailed(Failure.CANCELLED, "claude was stopped from outside.", remedy="Ask again.")
        if option := _OPTION.search(ended.stderr):
            remedy = "Update it: claude update"
            message = f"This claude does not know {option[1].decode('ascii')}."
        elif b"bubblewrap" in ended.stderr:
            message, remedy = "claude needs bubblewrap to keep the key from its commands.", "Install bubblewrap."
        else:
            message, remedy = f"claude ended with code {ended.code} and no result.", "Run claude once by hand."
        raise CallFailed(Failure.UNAVAILABLE, message, remedy=remedy, charged=charged)


def _usage(last: dict[str, Any]) -> tuple[dict[str, Usage], Usage | None]:
    """By model and in all; None where nothing was counted, or nothing that can be.

    `usage` leaves things out, `modelUsage` does not.
    """
    models: dict[str, Usage] = {}
    for name, said in _table(last.get("modelUsage")).items():
        row = _table(said)
        names = ("inputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
        read = sum(int(_number(row.get(n)) or 0) for n in names)
        cached = int(_number(row.get("cacheReadInputTokens")) or 0)
        models[name] = Usage(read, int(_number(row.get("outputTokens")) or 0), cached_tokens=cached)
    total = sum(models.values(), Usage())
    counts = [n for used in models.values() for n in (used.input_tokens, used.output_tokens)]
    possible = total.total > 0 and min(counts) >= 0 and max(counts) <= MOST_TOKENS
    return models, total if possible else None


def _validated(structured: Any, text: str, schema: Mapping[str, Any], usage: Usage | None) -> Any:
    """The object asked for; a model that answered in text may still have written it."""
    import jsonschema

    if structured is None:
        try:
            structured = json.loads(text)
        except (ValueError, RecursionError):
            raise _malformed("The answer has no structured output.", usage) from None
    try:
        jsonschema.validate(structured, schema)
    except jsonschema.SchemaError:
        raise _malformed("The schema is no JSON schema.", usage) from None
    except jsonschema.ValidationError as error:
        where = "/".join(str(p) for p in error.absolute_path) or "the top"
        raise _malformed(
            f"The structured output does not fit the schema at {where} ({error.validator}).", usage
        ) from None
    return structured


def _malformed(message: str, usage: Usage | None) -> CallFailed:
    return CallFailed(Failure.MALFORMED, message, remedy="Ask another candidate.", usage=usage)


def _table(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _tables(value: Any) -> list[dict[str, Any]]:
    rows = cast("list[Any]", value) if isinstance(value, list) else []
    return [cast("dict[str, Any]", row) for row in rows if isinstance(row, dict)]


def _number(value: Any) -> float | None:
    """None for what is no number, or none that counts anything: JSON as Python reads it has NaN and Infinity."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) <= LARGEST:
        return None
    return float(value)
