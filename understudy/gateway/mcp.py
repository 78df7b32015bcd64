"""The tools of MCP: what they are called and say of themselves, and a server of them over any transport."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from understudy.errors import UsageError
from understudy.gateway.answers import Answers
from understudy.gateway.delegation import ABOUT, ARGUMENTS, Done, Refusal, refusal
from understudy.gateway.desk import MOST_TASKS, Desk
from understudy.gateway.telling import Telling, tell_done, tell_many, tell_object, tell_refusal, tell_rest
from understudy.types import Caller, Event, Progress, Stage

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext
    from mcp.server.lowlevel.server import Server
    from mcp_types import CallToolRequestParams, CallToolResult, ListToolsResult, PaginatedRequestParams

BETWEEN = 1.0  # seconds between two told progresses of a candidate that writes
INSTRUCTIONS = (
    "understudy does work on cheap, free and local models under a hard budget, and checks every answer. Hand down what "
    "is bulky and self-contained; keep what needs this conversation. A refusal says why, and when to try again."
)

Used = Callable[[str, Caller | None, Sequence[Done | Refusal], float], None]  # (tool, who, what came of it, seconds)
Say = Callable[[float, float | None, str], Awaitable[None]]  # progress so far, of how much, in words


class Tools:
    """The five of them, over a desk. used: told of every call of one."""

    def __init__(self, desk: Desk, *, used: Used | None = None) -> None:
        self._desk = desk
        self._used = used

    async def call(self, name: str, arguments: Mapping[str, Any], caller: Caller | None, say: Say) -> Telling:
        """Never raises: what goes wrong is told."""
        started = time.monotonic()
        ended: Sequence[Done | Refusal] = ()
        try:
            match name:
                case "delegate":
                    one = await self._desk.delegate(arguments, caller, _teller(say))
                    ended = (one,)
                    told = tell_refusal(one) if isinstance(one, Refusal) else await self._kept(one, caller)
                case "delegate_many":
                    many = await self._desk.delegate_many(arguments.get("tasks"), caller, _counter(say))
                    ended = (many,) if isinstance(many, Refusal) else many
                    told = tell_refusal(many) if isinstance(many, Refusal) else await self._all_kept(many, caller)
                case "fleet":
                    found = await self._desk.fleet(caller)
                    told = tell_refusal(found) if isinstance(found, Refusal) else tell_object({"fleet": found})
                case "budget":
                    spent = await self._desk.budget(caller)
                    told = tell_refusal(spent) if isinstance(spent, Refusal) else tell_object(spent)
                case "explain":
                    told = await self._explain(arguments, caller)
                case _:
                    known = ", ".join(DESCRIPTIONS)
                    raise UsageError(f"There is no tool {name[:40]!r}.", remedy=f"There are: {known}.")
        except Exception as error:  # noqa: BLE001  a bug is told too, and is in the log
            ended = (refusal(error, time.time()),)
            told = tell_refusal(ended[0])
        if self._used is not None:
            self._used(name, caller, ended, time.monotonic() - started)
        return told

    async def _kept(self, done: Done, caller: Caller | None) -> Telling:
        return await asyncio.to_thread(tell_done, done, lambda r, text: self._keep(r, text, caller))

    async def _all_kept(self, ended: Sequence[Done | Refusal], caller: Caller | None) -> Telling:
        return await asyncio.to_thread(tell_many, ended, lambda r, text: self._keep(r, text, caller))

    async def _explain(self, arguments: Mapping[str, Any], caller: Caller | None) -> Telling:
        reply_id, offset = arguments.get("id"), arguments.get("offset")
        if offset is not None:
            if isinstance(offset, bool) or not isinstance(offset, int) or offset < 0:
                raise UsageError("The offset is no number of characters.", remedy="Give the one that was told.")
            answers = await self._answers()
            whole = await asyncio.to_thread(answers.read, str(reply_id), _owner(caller))
            if whole is None:
                raise UsageError(
                    "Of this reply no answer is kept.", remedy="Only long ones are, for a day; leave the offset out."
                )
            return tell_rest(str(reply_id), whole, offset)
        record = await self._desk.explain(reply_id, caller)
        return tell_refusal(record) if isinstance(record, Refusal) else tell_object(record)

    async def _answers(self) -> Answers:
        director = await self._desk.opened()
        return Answers(director.home, director.parts.clock)

    def _keep(self, reply_id: str, text: str, caller: Caller | None) -> str | None:
        director = self._desk.director
        if director is None:
            return None
        path = Answers(director.home, director.parts.clock).keep(reply_id, text, _owner(caller))
        return None if path is None else str(path)


def _owner(caller: Caller | None) -> str:
    return caller.id if caller is not None else ""


def _counter(say: Say) -> Callable[[int, int], Awaitable[None]]:
    async def counted(done: int, total: int) -> None:
        await say(done, total, f"{done} of {total} done")

    return counted


def _teller(say: Say) -> Callable[[Event], Awaitable[None]]:
    """Progress counts what was told: nobody knows how much there will be."""
    told, last = 0, float("-inf")

    async def tell(event: Event) -> None:
        nonlocal told, last
        if isinstance(event, Stage):
            words = f"{event.name}: {event.detail}" if event.detail else event.name
        elif isinstance(event, Progress) and time.monotonic() - last >= BETWEEN:
            last = time.monotonic()
            words = f"{event.candidate} has written {event.chars:,} characters"
        else:
            return
        told += 1
        await say(told, None, words)

    return tell


DESCRIPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "delegate": (ABOUT, ARGUMENTS),
    "delegate_many": (
        f"As delegate, for up to {MOST_TASKS} tasks at once; each comes back with its own answer or refusal, in the "
        "order they were given. For many pieces of the same kind. All of them together have the time one would have.",
        {
            "type": "object",
            "properties": {"tasks": {"type": "array", "items": ARGUMENTS, "minItems": 1, "maxItems": MOST_TASKS}},
            "required": ["tasks"],
            "additionalProperties": False,
        },
    ),
    "fleet": (
        "Which models can work now, which are local, and how much of their quota is left. Costs nothing.",
        {"type": "object", "properties": {}},
    ),
    "budget": ("What is spent, reserved and left today. Costs nothing.", {"type": "object", "properties": {}}),
    "explain": (
        "Why a reply is what it is: who was asked, what each attempt came to and cost, what was checked. With an "
        "offset: the rest of an answer that was cut. Costs nothing.",
        {
            "type": "object",
            "properties": {
                "id": {"type": "string", "description": "The reply_id of an answer or a refusal."},
                "offset": {
                    "type": "integer",
                    "minimum": 0,
                    "description": "Give the text of a long answer from this character on, in place of the reasons.",
                },
            },
            "required": ["id"],
            "additionalProperties": False,
        },
    ),
}


def make_server(tools: Tools, caller_of: Callable[[Any], Caller | None]) -> Server[Any]:
    """An MCP server of them. caller_of: whose request it is, by what its transport has attached to it."""
    import mcp_types as types
    from mcp.server.lowlevel.server import Server

    import understudy

    listed = types.ListToolsResult(tools=[_described(name) for name in DESCRIPTIONS])

    async def on_list(
        _context: ServerRequestContext[Any, Any], _params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        return listed

    async def on_call(context: ServerRequestContext[Any, Any], params: CallToolRequestParams) -> CallToolResult:
        async def say(progress: float, total: float | None, message: str) -> None:
            await context.session.report_progress(progress, total, message)

        told = await tools.call(params.name, params.arguments or {}, caller_of(context.request), say)
        return types.CallToolResult(
            content=[types.TextContent(text=told.words)], structured_content=told.object, is_error=told.failed
        )

    return Server(
        "understudy",
        version=understudy.__version__,
        instructions=INSTRUCTIONS,
        on_list_tools=on_list,
        on_call_tool=on_call,
    )


def _described(name: str) -> Any:
    import mcp_types as types

    about, arguments = DESCRIPTIONS[name]
    asks = name.startswith("delegate")
    return types.Tool(
        name=name,
        description=about,
        input_schema=arguments,
        # Claude Code shows a model nothing but the names of the others, until it asks for them.
        _meta={"anthropic/alwaysLoad": True} if name == "delegate" else None,
        annotations=types.ToolAnnotations(read_only_hint=not asks, destructive_hint=False, open_world_hint=asks),
    )
