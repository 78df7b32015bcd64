"""The answer engine: deterministic, sensible answers to what a prompt asks for, none of which pretends to be real.

A free-text answer begins with "(simulated MODEL) "; JSON, code and tool calls have the form that was asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from understudy.rehearsal import prose, schema
from understudy.rehearsal.forms import shaped
from understudy.rehearsal.programs import review, write_code, write_tests
from understudy.tokens import estimate


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the caller offers."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Ask:
    """One request, in words no wire owns. user is the last user message; results what tools said after it."""

    model: str
    user: str = field(repr=False)
    system: str = field(default="", repr=False)
    earlier: tuple[str, ...] = field(default=(), repr=False)
    schema: Mapping[str, Any] | None = field(default=None, repr=False)
    wants_json: bool = False
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"  # auto, required, none, or a tool's name
    results: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    max_tokens: int | None = None
    grounding: bool = False
    stream: bool = False
    stream_usage: bool = False  # whether the caller wants a usage chunk at the end of a stream
    input_tokens: int = 0


@dataclass(frozen=True, slots=True)
class ToolCall:
    id: str
    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """What the model says. finish: stop, length, tool_calls or content_filter."""

    text: str = field(default="", repr=False)
    calls: tuple[ToolCall, ...] = ()
    finish: str = "stop"
    sources: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        """Output tokens, four characters each; a tool call costs its JSON."""
        return estimate(self.text) + sum(8 + estimate(json.dumps(dict(c.arguments))) for c in self.calls)

    def capped(self, limit: int) -> Said:
        """Cut off at `limit` tokens, as a provider does."""
        if estimate(self.text) <= limit:
            return self
        return replace(self, text=self.text[: limit * 4], finish="length")


def answer(ask: Ask) -> Said:
    """The answer to a request. Same request, same answer."""
    if call := _tool_call(ask):
        return Said(calls=(call,), finish="tool_calls")
    if (shape := _asked_shape(ask)) is not None:
        value = schema.sample(shape, _hints(ask))
        return Said(json.dumps(value, ensure_ascii=False))
    sources = ("https://example.com/simulated-source",) if ask.grounding else ()
    return Said(_text(ask), sources=sources)


def tool_call(ask: Ask, name: str, arguments: Mapping[str, Any]) -> ToolCall:
    """A call with an id that is the same for the same request."""
    number = sum(map(ord, ask.user + name)) * 2654435761 % 16**8
    return ToolCall(f"call_{number:08x}", name, arguments)


def _tool_call(ask: Ask) -> ToolCall | None:
    """The tool whose name and description share most with the request; none fits: no call, unless one is required."""
    forced = next((t for t in ask.tools if t.name == ask.tool_choice), None)
    if not ask.tools or ask.tool_choice == "none" or (ask.results and not forced and ask.tool_choice != "required"):
        return None
    tool = forced
    if tool is None:
        words = prose.words(ask.user)
        scored = [(_likeness(t, words), -place, t) for place, t in enumerate(ask.tools)]
        best, _, tool = max(scored, key=lambda s: s[:2])
        # An unforced output tool is how JSON is asked for (final_result, StructuredOutput): it is what ends the turn.
        output = next((t for t in ask.tools if t.name in ("final_result", "StructuredOutput")), None)
        if ask.results or best == 0:
            tool = output or (tool if ask.tool_choice == "required" else None)
        if tool is None:
            return None
    return tool_call(ask, tool.name, schema.sample(tool.parameters or {"type": "object"}, _hints(ask)))


def _likeness(tool: Tool, words: set[str]) -> int:
    named = prose.words(re.sub(r"[_\-]|(?<=[a-z])(?=[A-Z])", " ", tool.name))
    return 3 * len(named & words) + len(prose.words(tool.description) & words)


def _asked_shape(ask: Ask) -> Mapping[str, Any] | None:
    """The schema that was asked for: on the wire, in the instructions, or by an example beside the word JSON."""
    if ask.schema is not None:
        return ask.schema
    for text in (ask.system, ask.user):
        if found := schema.find_schema(text):
            return found
    if not ask.wants_json and not re.search(r"\bJSON\b", ask.system):
        asked = re.search(
            r"\b(?:as|in|with|return|reply|respond|answer|output|only|valid|a|one) (?:a |one )?JSON\b", ask.user
        )
        if not asked or prose.is_code_request(ask.user):
            return None
    for text in (ask.system, ask.user):
        if found := schema.find_example(text):
            return found
    intents = [name for name in prose.INTENTS if name in ask.system + ask.user]
    if len(intents) >= 3:
        number = {"type": "number", "minimum": 0, "maximum": 1}
        return {"type": "object", "properties": {"intent": {"enum": intents}, "probability": number}}
    return {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}


def _text(ask: Ask) -> str:
    mark = f"(simulated {ask.model}) "
    if ask.results:
        said = "; ".join(f"{name} says {prose.head(text, 400)}" for name, text in ask.results)
        return f"{mark}{said}"
    kind, code_only = prose.kind_of(ask.user, ask.system), prose.only_code(ask.user + ask.system)
    if kind in ("code", "tests"):
        code = write_code(ask.user) if kind == "code" else write_tests(ask.user)
        code = f"# (simulated {ask.model})\n{code}"
        return (
            code if code_only else f"{mark}Here {'is' if kind == 'code' else 'are'} the {kind}.\n\n```python\n{code}```"
        )
    if kind == "review":
        return mark + review(ask.user)
    said = prose.summary(ask.user) if kind == "summary" else prose.plain(ask.user, ask.earlier)
    return shaped(prose.task_part(ask.user), mark, said)


def _hints(ask: Ask) -> schema.Hint:
    """What to prefer for a property, by its name and by what the prompt is about."""
    task = prose.task_part(ask.user)

    def hint(name: str, level: schema.Schema) -> Any:
        key = name.lower()
        if "enum" in level:
            return prose.pick(list(level["enum"]), task, ask.user)
        kinds = level.get("type")
        if key in ("steps", "tasks", "subtasks", "nodes", "plan") and kinds == "array":
            return _plan(level, ask)
        if kinds == "boolean":
            return _boolean(key, ask)
        if kinds in ("number", "integer"):
            return _number(key, level, task)
        return _string(key, task, ask) if kinds == "string" else None

    return hint


def _boolean(key: str, ask: Ask) -> bool | None:
    if re.search(r"pass|accept|valid|\bok\b|correct|good|approve|satisf|complete|answer(?:s|ed)|success", key):
        return prose.looks_answered(ask.user)
    if re.search(r"private|sensitive|unsure|abstain|plan|multi|refus|error|escalat|fail|truncat|reject", key):
        return False
    return None


def _number(key: str, level: schema.Schema, task: str) -> float | int | None:
    high = level.get("maximum")
    if re.search(r"prob|confid|score|certain|quality|rating", key):
        share = 0.9 if high is None or high <= 1 else round(0.9 * high)
        return int(share) if level.get("type") == "integer" else share
    total = prose.arithmetic(task)
    found = [total] if total is not None else re.findall(r"-?\d+(?:\.\d+)?", task)
    if not found:
        return None
    number = float(found[0])
    return int(number) if level.get("type") == "integer" or number.is_integer() else number


# Where a string property finds its value in a task: (pattern of its name, pattern of the value, group).
_FOUND = (
    (r"url|uri|link", r"https?://[^\s\"'<>)]+", 0),
    (r"e?mail", r"[\w.+-]+@[\w-]+\.[\w.]+", 0),
    (r"city|location|place|country|destination", r"\b(?i:in|to|for|at|from|of) ((?:[A-Z][\w'-]+ ?)+)", 1),
    (r"(?:full_?)?name|person|author", r"\b[A-Z][a-z]+(?: [A-Z][a-z]+)*\b", 0),
    (r"expression|formula", r"[\d(][\d\s().+*/-]*[\d)]", 0),
)


def _string(key: str, task: str, ask: Ask) -> str | None:
    if re.search(r"reason|why|explan|rationale|because|comment|feedback", key):
        return f"simulated judgement of {ask.model} by fixed rules"
    if key in ("code", "source", "program"):
        return write_code(task)
    if found := re.search(rf"\b{re.escape(key)}\b[\"']?\s*(?:[:=]|\bis\b)\s*[\"']?([^\n,;.\"']+)", task, re.IGNORECASE):
        return found[1].strip()
    for named, pattern, group in _FOUND:
        if re.fullmatch(named, key) and (found := re.search(pattern, task)):
            return found[group].strip()
    if re.search(r"query|question|prompt|input|text|message|topic|task|instruction|goal", key) and ask.tools:
        return prose.head(task, 300)
    wanted = re.search(r"answer|result|output|content|summary|text|message|response", key)
    return _text(replace(ask, user=task)) if wanted else None


def _plan(level: schema.Schema, ask: Ask) -> list[Any] | None:
    """A valid chain of steps: each needs the one before it. Ids are s1, s2 ... or numbers, as the schema says."""
    items: Mapping[str, Any] = level.get("items") or {}
    if "properties" not in items:
        return None
    most = min(int(level.get("maxItems", 8)), 8)
    parts = prose.steps(prose.task_part(ask.user))[:most]
    return [_step(items, ask, number, part) for number, part in enumerate(parts, 1)]


def _step(items: Mapping[str, Any], ask: Ask, number: int, part: str) -> Any:
    inner = _hints(replace(ask, user=part))

    def hint(name: str, level: schema.Schema) -> Any:
        key, kind = name.lower(), level.get("type")
        if key in ("id", "key", "step", "number", "name") and kind in ("string", "integer"):
            return number if kind == "integer" else f"s{number}"
        if kind == "array" and re.search(r"need|depend|after|input|require|from|uses", key):
            before: Mapping[str, Any] = level.get("items") or {}
            whole = before.get("type") == "integer"
            return [] if number == 1 else [number - 1 if whole else f"s{number - 1}"]
        if kind == "string" and re.search(r"task|text|prompt|goal|descr|instruct|title|what|do", key):
            return part
        return inner(name, level)

    return schema.sample(items, hint)
