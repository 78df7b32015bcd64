"""Jobs over HTTP: asked for, looked at, followed, cancelled."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from understudy.director.fitting import named
from understudy.gateway.asking import Marks, aimed, marks_of, session_of
from understudy.gateway.audit import Use
from understudy.gateway.dialects import chat
from understudy.gateway.dialects.given import sse
from understudy.gateway.fields import BadField, Table, number, one_of, parse, table, text, whole
from understudy.gateway.limits import Slow, TooLarge
from understudy.gateway.service import Service
from understudy.types import Caller, Intent, Priority, Quality, Sensitivity, Task

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

LONGEST_TEXT = 4_000_000  # characters
# Of a task. Another one is refused: who writes `private: true` shall not believe that it helped.
FIELDS = frozenset(
    {"task", "instructions", "intent", "quality", "schema", "max_tokens", "model", "deadline", "priority"}
    | {"sensitivity", "policy", "metadata"}
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request about a job, authorised. session: only requests of the same one see the job."""

    service: Service
    caller: Caller
    request: Request
    marks: Marks
    body: Table

    @property
    def id(self) -> str:
        return str(self.request.path_params["id"])

    @property
    def session(self) -> str | None:
        return session_of(self.caller, self.marks)


Answer = Callable[[Asked], Awaitable[Response]]


@dataclass(slots=True)
class JobsEndpoint:
    """An ASGI endpoint for one of the four."""

    service: Callable[[], Service]
    answer: Answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, service = Request(scope, receive), self.service()
        caller: Caller | None = None
        try:
            client = request.client.host if request.client else ""
            caller = await service.who(request.headers, client, "jobs")
            body = parse(await request.body()) if request.method == "POST" else {}
            response = await self.answer(Asked(service, caller, request, marks_of(request.headers, body), body))
        except ClientDisconnect:
            return
        except (Slow, TooLarge):
            raise  # answered for all in one place
        except Exception as error:  # noqa: BLE001  whatever it is, the client gets JSON
            refusal = service.refusal(error)
            response = JSONResponse(chat.failure(refusal), refusal.status, headers=refusal.headers)
        used = Use(caller.name if caller else "", caller.id if caller else "", "/v1/jobs", response.status_code)
        service.note(used)
        await response(scope, receive, send)


async def submit(asked: Asked) -> Response:
    task = replace(_task(asked.body, asked.marks), session=asked.session)
    if task.candidate is not None:
        named(asked.service.director.parts.fleet, task.candidate)  # what can never work is told at once
    job = await asked.service.jobs.submit(asked.caller, task, asked.session)
    return JSONResponse(job.as_dict(), 202, headers={"location": f"/v1/jobs/{job.id}"})


async def look(asked: Asked) -> Response:
    return JSONResponse((await asked.service.jobs.get(asked.caller, asked.id, asked.session)).as_dict())


async def cancel(asked: Asked) -> Response:
    return JSONResponse((await asked.service.jobs.cancel(asked.caller, asked.id, asked.session)).as_dict())


async def follow(asked: Asked) -> Response:
    """Server-sent events. 204 when all of them were seen, so that a browser does not ask for ever."""
    said = asked.request.headers.get("last-event-id", "0")
    if not said.isascii() or not said.isdecimal() or len(said) > 15:
        raise BadField("Last-Event-ID", "it must be the number of an event")
    events = asked.service.jobs.events(asked.caller, asked.id, asked.session, after=int(said))
    first = await anext(events, None)  # an unknown job is told before the stream has a status
    if first is None:
        return Response(status_code=204)

    async def frames() -> AsyncIterator[bytes]:
        async with aclosing(events):
            yield _frame(first)
            async for event in events:
                yield _frame(event)

    return StreamingResponse(frames(), media_type="text/event-stream", headers={"cache-control": "no-store"})


def _frame(event: Mapping[str, Any]) -> bytes:
    return f"id: {event['n']}\n".encode() + sse(dict(event), str(event["type"]))


def _task(body: Table, marks: Marks) -> Task:
    """`task` with wishes of its own, or `messages` as a chat completion has them."""
    marks = _marked(body, marks)
    if body.get("messages") is not None:
        wanted = chat.read({"model": "understudy/auto", **body}, marks)
        return _timed(wanted.task, body)
    if stray := sorted(body.keys() - FIELDS):
        raise BadField(stray[0][:60], "a job has no such field", remedy=f"It has: {', '.join(sorted(FIELDS))}.")
    said = text(body, "task", longest=LONGEST_TEXT)
    if not said:
        raise BadField("task", "it is missing", remedy="Say what is to be done, or give messages.")
    schema = body.get("schema")
    task = Task(
        said,
        instructions=text(body, "instructions", longest=LONGEST_TEXT) or "",
        intent=_one(body, "intent", tuple(Intent)),
        quality=_one(body, "quality", tuple(Quality)),
        schema=table(schema, "schema") if schema is not None else None,
        max_tokens=whole(body, "max_tokens", 1, chat.MOST_TOKENS),
    )
    return _timed(aimed(task, text(body, "model") or "understudy/auto", marks), body)


def _marked(body: Table, marks: Marks) -> Marks:
    """What a task says of itself; a header goes before, but for what raises the sensitivity."""
    own = {name: text(body, name, longest=200) or "" for name in ("sensitivity", "policy")}
    marked = replace(marks, **{name: getattr(marks, name) or value for name, value in own.items()})
    private = own["sensitivity"].strip().lower() == Sensitivity.PRIVATE
    return replace(marked, sensitivity=Sensitivity.PRIVATE) if private else marked


def _timed(task: Task, body: Table) -> Task:
    seconds = number(body, "deadline", 0.001, 86_400)
    priority = _one(body, "priority", tuple(Priority))
    task = task if seconds is None else replace(task, deadline=float(seconds))
    return task if priority is None else replace(task, priority=priority)


def _one(body: Table, name: str, known: tuple[str, ...]) -> str | None:
    return None if body.get(name) is None else one_of(body[name], name, [str(k) for k in known])
