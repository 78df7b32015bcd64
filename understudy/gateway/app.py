"""The application: which path is answered by whom."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, Router

from understudy.errors import UnknownCandidate
from understudy.gateway.asking import marks_of
from understudy.gateway.dialects import chat, embeddings, messages, responses
from understudy.gateway.dialects.refusals import Refusal
from understudy.gateway.exchange import Dialect, Exchange
from understudy.gateway.fields import parse
from understudy.gateway.jobs_api import JobsEndpoint, cancel, follow, look, submit
from understudy.gateway.limits import Limits, Slow, TooLarge
from understudy.gateway.looking import Looking
from understudy.gateway.metering import Metered, paths_of
from understudy.gateway.service import Service

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

DIALECTS = (
    Dialect("/v1/chat/completions", chat.read, chat.write, chat.Frames, chat.failure),
    Dialect("/v1/responses", responses.read, responses.write, responses.Frames, responses.failure),
    Dialect("/v1/messages", messages.read, messages.write, messages.Frames, messages.failure),
    Dialect(
        "/v1/embeddings",
        embeddings.read,
        embeddings.write,
        embeddings.Frames,
        embeddings.failure,
        scope="embeddings",
    ),
)


def application(
    service: Callable[[], Service], ready: Callable[[], str], looking: Looking | None = None
) -> Limits | Metered:
    """service: the one of now, which a reload replaces; ready: why not yet, or the empty string."""
    routes: list[BaseRoute] = [
        Route(path, _Endpoint(Exchange(d, service)), methods=["POST"]) for d in DIALECTS for path in _paths(d.path)
    ]
    models, model = _Plain(service, _models, "chat"), _Plain(service, _model, "chat")
    routes += [Route(path, models, methods=["GET"]) for path in _paths("/v1/models")]
    routes += [Route(path, model, methods=["GET"]) for path in _paths("/v1/models/{name:path}")]
    routes += [
        Route("/v1/messages/count_tokens", _Plain(service, _count, "chat", messages.failure), methods=["POST"]),
        Route("/v1/jobs", JobsEndpoint(service, submit), methods=["POST"]),
        Route("/v1/jobs/{id}", JobsEndpoint(service, look), methods=["GET"]),
        Route("/v1/jobs/{id}", JobsEndpoint(service, cancel), methods=["DELETE"]),
        Route("/v1/jobs/{id}/events", JobsEndpoint(service, follow), methods=["GET"]),
        Route("/openapi.json", _Endpoint(_Description()), methods=["GET"]),
        Route("/healthz", _Endpoint(_Health()), methods=["GET"]),
        Route("/readyz", _Endpoint(_Ready(ready)), methods=["GET"]),
    ]
    if looking is None:
        return Limits(_Fallback(Router(routes)))
    routes += [Route(path, _Endpoint(told), methods=["GET"]) for path, told in looking.endpoints.items()]
    return Metered(Limits(_Fallback(Router(routes))), looking.metrics, paths_of(routes))


def _paths(path: str) -> tuple[str, str]:
    """Groq's SDK writes /openai in front of what it asks."""
    return path, f"/openai{path}"


@dataclass(slots=True)
class _Endpoint:
    """An instance, so that starlette takes it for an ASGI application and leaves it alone."""

    app: Callable[[Scope, Receive, Send], Any]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@dataclass(slots=True)
class _Plain:
    """A question that is answered from what this process knows."""

    service: Callable[[], Service]
    told: Callable[[Service, Request], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]
    scope: str
    failure: Callable[[Refusal], Mapping[str, Any]] = chat.failure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request, service = Request(scope, receive), self.service()
        try:
            client = request.client.host if request.client else ""
            await service.who(request.headers, client, self.scope)
            told = self.told(service, request)
            response = JSONResponse(await told if isinstance(told, Awaitable) else told)
        except ClientDisconnect:
            return
        except (Slow, TooLarge):
            raise  # answered for all in one place
        except Exception as error:  # noqa: BLE001  as in an exchange
            refusal = service.refusal(error)
            response = JSONResponse(self.failure(refusal), refusal.status, headers=refusal.headers)
        await response(scope, receive, send)


class _Description:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        from understudy.gateway.openapi import describe

        await JSONResponse(describe())(scope, receive, send)


class _Health:
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await JSONResponse({"status": "ok"})(scope, receive, send)


@dataclass(slots=True)
class _Ready:
    why: Callable[[], str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        why = self.why()
        told = {"status": "ready"} if not why else {"status": "not ready", "why": why}
        await JSONResponse(told, 503 if why else 200)(scope, receive, send)


@dataclass(slots=True)
class _Fallback:
    """Paths and methods that are not there, and bugs, in JSON like everything else."""

    router: Router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        begun = False

        async def telling(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        scope["app"] = self  # starlette raises for what it does not find, instead of answering in plain text
        try:
            await self.router(scope, receive, telling)
        except Exception as error:  # noqa: BLE001  no traceback reaches a client
            status = getattr(error, "status_code", 500)
            if not begun:
                await _missing(status, getattr(error, "headers", None) or {})(scope, receive, send)


_WORDS = {
    404: ("not_found", "There is no such path. GET /openapi.json lists those there are."),
    405: ("method_not_allowed", "That path takes {allow} alone."),
    408: ("timeout", "The request did not arrive in time."),
    413: ("too_large", "The request is too large."),
}
_BUG = ("internal_error", "This is a bug in understudy.")


def _missing(status: int, headers: Mapping[str, str]) -> Response:
    """headers: those of the router, which name the methods that a path takes."""
    code, said = _WORDS.get(status, _BUG)
    kind = "api_error" if status >= 500 else "invalid_request_error"
    refusal = Refusal(status, kind, code, said.format(allow=headers.get("Allow", "another method")))
    return JSONResponse(chat.failure(refusal), status, headers={**headers, **refusal.headers})


async def _count(service: Service, request: Request) -> Mapping[str, Any]:
    body = parse(await request.body())
    return {"input_tokens": messages.count(body, marks_of(request.headers, body))}


def _model(service: Service, request: Request) -> Mapping[str, Any]:
    name = request.path_params["name"]
    found = next((m for m in _models(service, request)["data"] if m["id"] == name), None)
    if found is None:
        raise UnknownCandidate(f"There is no model {name[:100]!r}.", remedy="GET /v1/models lists them.")
    return found


def _models(service: Service, request: Request) -> Mapping[str, Any]:
    now = int(time.time())
    own = ["understudy/auto", "understudy/private", *(f"understudy/{name}" for name in service.director.agents)]
    listed = [_described(name, "understudy", now) for name in dict.fromkeys(own)]
    for name, candidate in {c.name: c for c in service.director.parts.fleet}.items():
        told = _described(name, candidate.provider, now)
        told |= {"context_window": candidate.context, "max_completion_tokens": candidate.output_cap}
        told |= {"capabilities": sorted(candidate.capabilities), "local": candidate.local, "free": candidate.free}
        listed.append(told)
    return {"object": "list", "data": listed, "has_more": False}


def _described(name: str, owner: str, now: int) -> dict[str, Any]:
    """In OpenAI's words and in Anthropic's, whose clients ask at the same path."""
    made = datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds")
    told: dict[str, Any] = {"id": name, "object": "model", "created": now, "owned_by": owner}
    return {**told, "type": "model", "display_name": name, "created_at": made}
