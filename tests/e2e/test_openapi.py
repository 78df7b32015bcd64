"""GET /openapi.json tells the truth: generated requests are answered as it says, and never by a bug."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.routing import Route

from tests.agents.stub import Stub
from tests.e2e.gateway_rig import CLOUD, Says, gateway, plays, write_config
from understudy.gateway.app import application
from understudy.gateway.openapi import describe

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
FREE = "limits = { rpm = false, rpd = false, tpm = false, tpd = false }"
UNSEEN = ("/v1/embeddings", "/v1/models/{name}", "/v1/jobs/{id}", "/v1/jobs/{id}/events")  # where chance finds nothing
EACH = 40  # examples of each of a dozen operations


@dataclass
class Running:
    url: str
    key: str


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """In a loop of its own: what generates requests blocks."""
    folder: Path = tmp_path_factory.mktemp("openapi")
    ready, over, found = threading.Event(), threading.Event(), list[Running]()

    async def serve() -> None:
        async with Stub() as stub:
            plays(stub, Says("Good day."))
            top = 'deadline = 5\npatience = 0\n[director]\ncandidate = "none/none"\n[classifier]\nenabled = false\n'
            config = write_config(folder, {"groq": stub.url}, top=top, model=FREE)
            async with gateway(config, folder, most_queued=4) as server:
                found.append(Running(server.url, await server.key()))
                ready.set()
                await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(60)
    yield found[0]
    over.set()
    thread.join(60)


def operations() -> list[tuple[str, str]]:
    verbs = ("get", "post", "delete")
    return [(path, verb) for path, item in describe()["paths"].items() for verb in verbs if verb in item]


@pytest.mark.parametrize(("path", "verb"), operations())
def test_it_answers_as_described(running: Running, path: str, verb: str) -> None:
    told = {name: value for name, value in describe().items() if name != "security"}  # keys of its own are no keys
    schema = schemathesis.openapi.from_dict(told)
    schema.config.update(base_url=running.url)
    operation = schema[path][verb.upper()]
    cases = st.one_of(
        operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE),
        operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)
        if verb == "post"
        else operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE),
    )

    statuses: Counter[int] = Counter()

    @seed(20261121)
    @settings(
        max_examples=EACH,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, known=st.booleans())
    def answers(case: Any, known: bool) -> None:
        if known and isinstance(case.body, dict) and "model" in case.body:
            case.body["model"] = CLOUD  # else nothing but 404 would be seen
            for name in ("tools", "tool_choice", "response_format", "metadata", "text"):
                case.body.pop(name, None)  # what in them belongs together no generator knows
            case.headers = {}
        answer = case.call(headers={"x-api-key": running.key})
        case.validate_response(answer, checks=list(CHECKS))
        statuses[answer.status_code] += 1

    answers()
    if path not in UNSEEN:
        assert sum(statuses[good] for good in (200, 202)), "and some of them were right"


def test_every_path_is_described() -> None:
    app = application(lambda: None, lambda: "")  # type: ignore[arg-type, return-value]
    routes = [r for r in app.app.router.routes if isinstance(r, Route)]  # type: ignore[attr-defined]
    served = {
        (r.path.replace(":path", ""), m.lower())
        for r in routes
        for m in r.methods or ()
        if m != "HEAD" and not r.path.startswith("/openai/")
    }
    assert served == set(operations())
