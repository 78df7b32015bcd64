"""Tool calls of a conversation that is handed on: are they what the caller's tools take?"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping
from typing import Any, cast

from understudy.director.validators.schema import check_schema, mismatch
from understudy.errors import UsageError
from understudy.types import Answer, Chat, Task, ToolCall

MOST = 128  # calls of one answer, as many as any provider makes; a loop of a broken model makes thousands


def tool_calls(answer: Answer, task: Task) -> str | Awaitable[str]:
    """Each names a tool there is, with arguments that are an object and fit its schema; a call that was asked for is
    there. A schema that cannot be used is the caller's own affair."""
    if task.chat is None:
        return ""
    known, wanted = tools_of(task.chat), choice_of(task.chat)
    if not answer.calls:
        return "a tool call was asked for, and there is none" if wanted not in ("auto", "none") else ""
    if len(answer.calls) > MOST:
        return f"it calls {len(answer.calls):,} tools at once, more than {MOST}"
    waiting: list[Awaitable[str]] = []
    usable: dict[str, bool] = {}
    for call in answer.calls:
        said = _check(call, known, wanted, usable)
        if isinstance(said, str):
            if said:
                return said
        else:
            waiting.append(said)
    return _all(waiting) if waiting else ""


def _check(call: ToolCall, known: Mapping[str, Any], wanted: str, usable: dict[str, bool]) -> str | Awaitable[str]:
    """usable: whether the schema of a tool can be used, found out once for all calls of it."""
    if call.name not in known:
        return f"there is no tool {call.name[:60]!r}"
    if wanted == "none":
        return "a tool was called, and none was to be"
    if wanted not in ("auto", "required", call.name):
        return f"the tool to call was {wanted[:60]!r}"
    try:
        given = json.loads(call.arguments or "{}", parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        return f"the arguments of {call.name} are no JSON ({str(error)[:100]})"
    if not isinstance(given, dict):
        return f"the arguments of {call.name} are no object"
    schema = known[call.name]
    if call.name not in usable:
        usable[call.name] = _is_usable(schema)
    if not usable[call.name]:
        return ""
    said = mismatch(schema, given)
    return _named(call.name, said) if isinstance(said, str) else _later(call.name, said)


def _is_usable(schema: object) -> bool:
    if not isinstance(schema, dict):
        return False
    try:
        check_schema(cast("Mapping[str, Any]", schema))
    except UsageError:
        return False
    return True


def _named(name: str, said: str) -> str:
    return f"the arguments of {name} do not fit: {said}" if said else ""


async def _later(name: str, said: Awaitable[str]) -> str:
    return _named(name, await said)


async def _all(waiting: list[Awaitable[str]]) -> str:
    found = [await said for said in waiting]
    return next((said for said in found if said), "")


def tools_of(chat: Chat) -> dict[str, Any]:
    """{name: schema of the arguments}, in either dialect."""
    tools: dict[str, Any] = {}
    for tool in cast("list[dict[str, Any]]", chat.body.get("tools") or []):
        function = cast("dict[str, Any]", tool.get("function") or tool)
        tools[str(function.get("name"))] = function.get("parameters", function.get("input_schema"))
    return tools


def choice_of(chat: Chat) -> str:
    """auto, none, required, or the one tool to call."""
    choice: Any = chat.body.get("tool_choice") or "auto"
    if isinstance(choice, str):
        return choice
    kind = str(choice.get("type"))
    name = (choice.get("function") or choice).get("name")
    return str(name) if name else {"any": "required"}.get(kind, kind)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")
