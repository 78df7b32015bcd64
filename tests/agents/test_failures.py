"""Every class of refusal, from bodies as the providers write them, through the real SDKs."""

from __future__ import annotations

import socket
import traceback
from typing import Any

import pytest

from tests.agents.stub import Reply, Stub, sse
from tests.agents.wires import ALL, ANTHROPIC, CANARY, GEMINI, GROQ, KEY, LOCAL, OPENAI, Ledger, Wire, made
from understudy.agents import failures
from understudy.errors import CallFailed
from understudy.types import Call, Candidate, Failure

every = pytest.mark.parametrize("wire", ALL, ids=lambda w: w.kind)
HTML = b"<html>\r\n<head><title>502 Bad Gateway</title></head><body><center><h1>502</h1></center></body></html>"
AT_GROQ = "in organization `org_01` service tier `on_demand` on"


def openai_error(message: str, code: str | None = None, type_: str = "invalid_request_error") -> dict[str, Any]:
    return {"error": {"message": message, "type": type_, "param": None, "code": code}}


def google_error(code: int, status: str, message: str, *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": code, "status": status, "message": message, "details": list(details)}}


def anthropic_error(type_: str, message: str) -> dict[str, Any]:
    return {"type": "error", "error": {"type": type_, "message": message}, "request_id": "req_1"}


def google_quota(quota: str, value: str = "10", delay: str | None = "27.5s") -> tuple[dict[str, Any], ...]:
    violation = {"quotaMetric": "m", "quotaId": quota, "quotaValue": value}
    failure = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
    return (failure, retry) if delay else (failure,)


F = Failure
CASES: list[tuple[str, Wire, int, dict[str, str], Any, Failure, float | None, bool]] = [
    (
        "groq minute",
        GROQ,
        429,
        {"retry-after": "8", "x-ratelimit-remaining-requests": "14000", "x-ratelimit-reset-requests": "6ms"},
        openai_error(
            f"Rate limit reached for model `x` {AT_GROQ} tokens per minute (TPM): Limit 6000, Used 5990, "
            "Requested 42. Please try again in 7.66s. Need more tokens?",
            "rate_limit_exceeded",
            "tokens",
        ),
        F.MINUTE_QUOTA,
        8.0,
        False,
    ),
    (
        "groq day by words",
        GROQ,
        429,
        {},
        openai_error(
            f"Rate limit reached for model `x` {AT_GROQ} tokens per day (TPD): Limit 100000, Used 99500, "
            "Requested 900. Please try again in 9m38.016s.",
            "rate_limit_exceeded",
            "tokens",
        ),
        F.DAY_QUOTA,
        578.016,
        False,
    ),
    (
        "groq day by header",
        GROQ,
        429,
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2m59.56s"},
        openai_error("Rate limit reached", "rate_limit_exceeded", "requests"),
        F.DAY_QUOTA,
        179.56,
        False,
    ),
    (
        "groq minute in words, day spent by the header",
        GROQ,
        429,
        {"retry-after": "2", "x-ratelimit-remaining-requests": "0"},
        openai_error(f"Rate limit reached {AT_GROQ} requests per minute (RPM): Limit 30, Used 30, Requested 1."),
        F.MINUTE_QUOTA,
        2.0,
        False,
    ),
    (
        "groq too large",
        GROQ,
        413,
        {},
        openai_error(
            f"Request too large for model `x` {AT_GROQ} tokens per minute (TPM): Limit 6000, Requested 8012, "
            "please reduce your message size and try again.",
            "rate_limit_exceeded",
            "tokens",
        ),
        F.TOO_LARGE,
        None,
        False,
    ),
    ("groq key", GROQ, 401, {}, openai_error("Invalid API Key", "invalid_api_key"), F.AUTH, None, False),
    (
        "groq context",
        GROQ,
        400,
        {},
        openai_error("Please reduce the length of the messages or completion.", "context_length_exceeded"),
        F.CONTEXT,
        None,
        False,
    ),
    (
        "groq no model",
        GROQ,
        404,
        {},
        openai_error("The model `x` does not exist or you do not have access to it.", "model_not_found"),
        F.UNAVAILABLE,
        None,
        False,
    ),
    (
        "groq gone",
        GROQ,
        400,
        {},
        openai_error("The model `x` has been decommissioned and is no longer supported.", "model_decommissioned"),
        F.UNAVAILABLE,
        None,
        False,
    ),
    (
        "groq terms",
        GROQ,
        400,
        {},
        openai_error("The model `x` requires terms acceptance.", "model_terms_required"),
        F.UNAVAILABLE,
        None,
        False,
    ),
    (
        "groq blocked",
        GROQ,
        403,
        {},
        openai_error("The model `x` is blocked at the project level.", "model_permission_blocked_project"),
        F.UNAVAILABLE,
        None,
        False,
    ),
    (
        "groq json",
        GROQ,
        400,
        {},
        openai_error("Failed to generate JSON.", "json_validate_failed"),
        F.MALFORMED,
        None,
        True,
    ),
    ("groq capacity", GROQ, 498, {}, openai_error("over capacity", "capacity_exceeded"), F.OVERLOAD, None, True),
    (
        "groq down",
        GROQ,
        503,
        {},
        openai_error("Service Unavailable", None, "internal_server_error"),
        F.OVERLOAD,
        None,
        True,
    ),
    (
        "openai credit",
        OPENAI,
        429,
        {},
        openai_error("You exceeded your current quota", "insufficient_quota", "insufficient_quota"),
        F.PAYMENT,
        None,
        False,
    ),
    (
        "openai minute",
        OPENAI,
        429,
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1h2m", "retry-after-ms": "1500"},
        openai_error("Rate limit reached for gpt-4o on requests per min (RPM): Limit 3, Used 3", "rate_limit_exceeded"),
        F.MINUTE_QUOTA,
        1.5,
        False,
    ),
    (
        "openai too large",
        OPENAI,
        429,
        {},
        openai_error(
            "Request too large for gpt-4o in organization org-1 on tokens per min (TPM): Limit 30000, Requested 41204.",
            "rate_limit_exceeded",
            "tokens",
        ),
        F.TOO_LARGE,
        None,
        False,
    ),
    (
        "openai context",
        OPENAI,
        400,
        {},
        openai_error("This model's maximum context length is 128000 tokens.", "context_length_exceeded"),
        F.CONTEXT,
        None,
        False,
    ),
    (
        "openai filter",
        OPENAI,
        400,
        {},
        openai_error("flagged", "content_policy_violation"),
        F.CONTENT_FILTER,
        None,
        False,
    ),
    ("openai key", OPENAI, 401, {}, openai_error("Incorrect API key", "invalid_api_key"), F.AUTH, None, False),
    ("openai busy", OPENAI, 503, {}, openai_error("The engine is currently overloaded"), F.OVERLOAD, None, True),
    (
        "openai invalid",
        OPENAI,
        400,
        {},
        openai_error("Unknown parameter: 'x'.", "unknown_parameter"),
        F.MALFORMED,
        None,
        True,
    ),
    (
        "gemini minute",
        GEMINI,
        429,
        {},
        google_error(
            429, "RESOURCE_EXHAUSTED", "quota", *google_quota("GenerateRequestsPerMinutePerProjectPerModel-FreeTier")
        ),
        F.MINUTE_QUOTA,
        27.5,
        False,
    ),
    (
        "gemini never",
        GEMINI,
        429,
        {},
        google_error(
            429,
            "RESOURCE_EXHAUSTED",
            "Quota exceeded for metric: x, limit: 0, model: gemini-3-pro",
            *google_quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "0"),
        ),
        F.UNAVAILABLE,
        None,
        False,
    ),
    (
        "gemini key",
        GEMINI,
        400,
        {},
        google_error(
            400,
            "INVALID_ARGUMENT",
            "API key not valid. Please pass a valid API key.",
            {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"},
        ),
        F.AUTH,
        None,
        False,
    ),
    ("gemini forbidden", GEMINI, 403, {}, google_error(403, "PERMISSION_DENIED", "no"), F.AUTH, None, False),
    (
        "gemini context",
        GEMINI,
        400,
        {},
        google_error(
            400,
            "INVALID_ARGUMENT",
            "The input token count (2000001) exceeds the maximum number of tokens allowed (1048576).",
        ),
        F.CONTEXT,
        None,
        False,
    ),
    (
        "gemini place",
        GEMINI,
        400,
        {},
        google_error(400, "FAILED_PRECONDITION", "User location is not supported for the API use."),
        F.UNAVAILABLE,
        None,
        False,
    ),
    (
        "gemini billing",
        GEMINI,
        400,
        {},
        google_error(400, "FAILED_PRECONDITION", "Please enable billing on your project."),
        F.PAYMENT,
        None,
        False,
    ),
    (
        "gemini no model",
        GEMINI,
        404,
        {},
        google_error(404, "NOT_FOUND", "models/x is not found"),
        F.UNAVAILABLE,
        None,
        False,
    ),
    (
        "gemini busy",
        GEMINI,
        503,
        {},
        google_error(503, "UNAVAILABLE", "The model is overloaded."),
        F.OVERLOAD,
        None,
        True,
    ),
    ("gemini slow", GEMINI, 504, {}, google_error(504, "DEADLINE_EXCEEDED", "late"), F.TRANSPORT, None, True),
    (
        "anthropic minute",
        ANTHROPIC,
        429,
        {"retry-after": "12"},
        anthropic_error("rate_limit_error", "Number of request tokens has exceeded your per-minute rate limit"),
        F.MINUTE_QUOTA,
        12.0,
        False,
    ),
    ("anthropic busy", ANTHROPIC, 529, {}, anthropic_error("overloaded_error", "Overloaded"), F.OVERLOAD, None, True),
    (
        "anthropic credit",
        ANTHROPIC,
        400,
        {},
        anthropic_error("invalid_request_error", "Your credit balance is too low to access the Anthropic API."),
        F.PAYMENT,
        None,
        False,
    ),
    (
        "anthropic context",
        ANTHROPIC,
        400,
        {},
        anthropic_error("invalid_request_error", "prompt is too long: 213000 tokens > 200000 maximum"),
        F.CONTEXT,
        None,
        False,
    ),
    (
        "anthropic key",
        ANTHROPIC,
        401,
        {},
        anthropic_error("authentication_error", "invalid x-api-key"),
        F.AUTH,
        None,
        False,
    ),
    ("anthropic right", ANTHROPIC, 403, {}, anthropic_error("permission_error", "no"), F.AUTH, None, False),
    (
        "anthropic no model",
        ANTHROPIC,
        404,
        {},
        anthropic_error("not_found_error", "model: x"),
        F.UNAVAILABLE,
        None,
        False,
    ),
    ("anthropic size", ANTHROPIC, 413, {}, anthropic_error("request_too_large", "too big"), F.TOO_LARGE, None, False),
    (
        "anthropic fault",
        ANTHROPIC,
        500,
        {},
        anthropic_error("api_error", "Internal server error"),
        F.OVERLOAD,
        None,
        True,
    ),
    (
        "ollama no model",
        LOCAL,
        404,
        {},
        {"error": {"message": 'model "small" not found, try pulling it first', "type": "api_error"}},
        F.UNAVAILABLE,
        None,
        False,
    ),
    ("ollama bare", LOCAL, 404, {}, {"error": 'model "small" not found'}, F.UNAVAILABLE, None, False),
    ("ollama busy", LOCAL, 503, {}, {"error": "server busy, please try again."}, F.OVERLOAD, None, True),
    (
        "lm studio 404",
        LOCAL,
        404,
        {},
        {"error": {"message": "No models loaded. Please load a model.", "type": "invalid_request_error"}},
        F.UNAVAILABLE,
        None,
        False,
    ),
    ("lm studio 400", LOCAL, 400, {}, {"error": "No models loaded."}, F.UNAVAILABLE, None, False),
    (
        "lm studio context",
        LOCAL,
        400,
        {},
        {"error": "Trying to keep the first 5012 tokens when context the overflows. However, the model is loaded"},
        F.CONTEXT,
        None,
        False,
    ),
    (
        "llama.cpp loading",
        LOCAL,
        503,
        {},
        {"error": {"code": 503, "message": "Loading model", "type": "unavailable_error"}},
        F.UNAVAILABLE,
        5.0,
        False,
    ),
    (
        "llama.cpp context",
        LOCAL,
        400,
        {},
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size",
                "type": "exceed_context_size_error",
            }
        },
        F.CONTEXT,
        None,
        False,
    ),
    (
        "vllm context",
        LOCAL,
        400,
        {},
        {
            "object": "error",
            "message": "This model's maximum context length is 4096 tokens. However, you requested 5012 tokens.",
            "type": "BadRequestError",
            "code": 400,
        },
        F.CONTEXT,
        None,
        False,
    ),
    (
        "vllm no model",
        LOCAL,
        404,
        {},
        {"object": "error", "message": "The model `small` does not exist.", "type": "NotFoundError", "code": 404},
        F.UNAVAILABLE,
        None,
        False,
    ),
]


async def fail(wire: Wire, stub: Stub, reply: Reply, *, stream: bool = False, **more: Any) -> tuple[CallFailed, Ledger]:
    stub.answer = reply
    _, worker = await made(wire, stub.url)
    ledger = Ledger()
    call = Call(prompt=CANARY, instructions="be brief", output_cap=50, timeout=10, **more)
    with pytest.raises(CallFailed) as caught:
        await worker.work(call, ledger, (lambda _: None) if stream else None)
    await worker.close()
    assert not ledger.open
    return caught.value, ledger


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c[0])
async def test_class_wait_and_charge(case: tuple[Any, ...], stream: bool, stub: Stub) -> None:
    _, wire, status, headers, body, expected, wait, charged = case
    error, ledger = await fail(wire, stub, Reply(status, body, headers), stream=stream)
    assert error.failure is expected
    assert error.retry_after == pytest.approx(wait) if wait is not None else error.retry_after is None
    assert error.charged is charged
    assert error.status == status
    assert len(stub.seen) == 1  # no SDK retries
    assert (ledger.released, len(ledger.settled)) == ((0, 1) if charged else (1, 0))
    assert f"p/{wire.model}" in error.message
    assert len(str(error)) < 300


async def test_geminis_day_ends_at_midnight_pacific(stub: Stub) -> None:
    body = google_error(
        429,
        "RESOURCE_EXHAUSTED",
        "quota",
        *google_quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier", delay="27s"),
    )
    error, _ = await fail(GEMINI, stub, Reply(429, body))
    assert error.failure is F.DAY_QUOTA
    assert error.retry_after is not None
    candidate = Candidate("p", "gemini", "a", "m")
    noon_utc = 1_767_268_800.0  # 2026-01-01 12:00 UTC, 04:00 in California
    late = failures.refused(429, {}, body, candidate, noon_utc)
    assert late.retry_after == pytest.approx(20 * 3600)


@every
@pytest.mark.parametrize("status", [502, 503, 403, 200])
async def test_a_proxys_web_page(wire: Wire, status: int, stub: Stub) -> None:
    error, _ = await fail(wire, stub, Reply(status, HTML, {"content-type": "text/html"}))
    assert error.failure is {502: F.TRANSPORT, 503: F.OVERLOAD, 403: F.TRANSPORT, 200: F.TRANSPORT}[status]


@every
@pytest.mark.parametrize(
    "body", [b"", b"{", b"null", b"[]", b'"text"', b"{}", b'{"choices": []}', b"\xff\xfe"], ids=repr
)
async def test_a_200_that_is_no_answer(wire: Wire, body: bytes, stub: Stub) -> None:
    error, ledger = await fail(wire, stub, Reply(200, body))
    assert error.failure is F.MALFORMED
    assert ledger.settled == [None]


IN_BODY = [
    ({"error": {"message": "Provider returned error", "code": 502}}, F.TRANSPORT),
    ({"error": {"message": "Rate limit exceeded: free-models-per-day", "code": 429}}, F.MINUTE_QUOTA),
    (openai_error("You exceeded your current quota", "insufficient_quota"), F.PAYMENT),
    (anthropic_error("overloaded_error", "Overloaded"), F.OVERLOAD),
    ([google_error(503, "UNAVAILABLE", "The model is overloaded.")], F.OVERLOAD),
    ({"error": "model not loaded"}, F.UNAVAILABLE),
]


@every
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("body", "expected"), IN_BODY, ids=lambda c: str(c)[:40])
async def test_an_error_with_status_200_has_its_class(
    wire: Wire, body: Any, expected: Failure, stream: bool, stub: Stub
) -> None:
    json_type = {"content-type": "application/json; charset=utf-8"}
    error, ledger = await fail(wire, stub, Reply(200, body, json_type), stream=stream)
    assert error.failure is expected
    assert len(stub.seen) == 1
    assert ledger.settled == [None]  # taken by the server: charged


async def test_an_answer_that_says_there_was_no_error_is_an_answer(stub: Stub) -> None:
    good = LOCAL.good('The word is "error".')
    stub.answer = Reply(200, {**good.body, "error": {"message": "a note"}}, {"content-type": "application/json"})
    _, worker = await made(LOCAL, stub.url)
    answer = await worker.work(Call(prompt="x", output_cap=50, timeout=10), Ledger())
    assert "error" in answer.text
    await worker.close()


@every
async def test_an_error_within_a_stream_is_charged(wire: Wire, stub: Stub) -> None:
    if wire is ANTHROPIC:
        extra = sse(anthropic_error("overloaded_error", "Overloaded"), named=True)
        expected = F.OVERLOAD
    elif wire is GEMINI:
        extra, expected = sse(google_error(503, "UNAVAILABLE", "overloaded")), F.OVERLOAD
    else:
        extra, expected = sse(openai_error("slow down", "rate_limit_exceeded")), F.MINUTE_QUOTA
    reply = wire.stream(["Hel", "lo"], ended=False)
    assert reply.chunks is not None
    reply.chunks += extra
    error, ledger = await fail(wire, stub, reply, stream=True)
    assert error.failure is expected
    assert error.charged
    assert ledger.settled == [None]


@every
async def test_dropped_and_refused_connections(wire: Wire, stub: Stub) -> None:
    error, ledger = await fail(wire, stub, Reply(drop=True))
    assert (error.failure, error.charged, ledger.settled) == (F.TRANSPORT, True, [None])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
        _, worker = await made(wire, url)
        ledger = Ledger()
        with pytest.raises(CallFailed) as caught:
            await worker.work(Call(prompt="x", timeout=5), ledger)
        await worker.close()
    assert (caught.value.failure, caught.value.charged, ledger.released) == (F.TRANSPORT, False, 1)


@every
async def test_redirects_are_not_followed(wire: Wire, stub: Stub) -> None:
    async with Stub() as elsewhere:
        elsewhere.answer = wire.good("stolen")
        error, _ = await fail(wire, stub, Reply(307, b"", {"location": f"{elsewhere.url}/x"}))
        assert elsewhere.seen == []
    assert error.failure is F.UNAVAILABLE


@every
async def test_no_proxy_of_the_environment_sees_local_traffic(
    wire: Wire, stub: Stub, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Stub() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        stub.answer = wire.good("ok")
        _, worker = await made(wire, stub.url)
        await worker.work(Call(prompt=CANARY, timeout=5), Ledger())
        await worker.close()
        assert proxy.seen == []
    assert len(stub.seen) == 1


@every
@pytest.mark.parametrize("status", [400, 401, 404, 413, 429, 500, 200])
async def test_neither_prompt_nor_key_is_ever_said(wire: Wire, status: int, stub: Stub) -> None:
    echo = f"{CANARY} {KEY} Limit 1, Requested 2"
    for body in (
        {"error": {"message": echo, "code": echo, "type": echo, "status": echo, "param": echo}},
        {"error": echo},
        {"message": echo, "detail": echo},
        echo.encode(),
        f"<html>{echo}</html>".encode(),
    ):
        error, _ = await fail(wire, stub, Reply(status, body, {"retry-after": echo, "x-echo": echo}))
        shown = "".join(traceback.format_exception(error)) + repr(error) + str(error.as_dict())
        link: BaseException | None = error
        while link is not None:
            shown += f"{link!r} {link} {vars(link)}"
            link = link.__cause__ or link.__context__
        for secret in (CANARY, KEY):
            assert secret not in shown


@every
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"detail": "Too Many Requests"}, F.MINUTE_QUOTA),
        ({"message": "Rate limit is exceeded. Try again in 1 seconds.", "statusCode": 429}, F.MINUTE_QUOTA),
        ({"success": False, "errors": [{"code": 10000, "message": "rate limit reached"}]}, F.MINUTE_QUOTA),
        ({"object": "error", "message": "no", "code": 429}, F.MINUTE_QUOTA),
        ({"choices": [], "error": {"message": "Slow down", "code": 429}}, F.MINUTE_QUOTA),
        ({"error": "You are out of credits."}, F.PAYMENT),
        ({"message": "Service Unavailable"}, F.OVERLOAD),
    ],
)
async def test_an_error_with_status_200_in_any_shape(wire: Wire, body: Any, kind: F, stub: Stub) -> None:
    error, _ = await fail(wire, stub, Reply(200, body))
    assert error.failure is kind
