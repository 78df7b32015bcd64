"""What servers say of their windows: headers and bodies as they came over the wire, and hostile ones."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.agents.stub import Reply, Seen, Stub
from tests.agents.wires import ANTHROPIC, GEMINI, GROQ, LOCAL, OPENAI, Ledger, Wire, made
from understudy.agents.readings import LARGEST, aged, readings
from understudy.agents.resets import LONGEST
from understudy.errors import CallFailed
from understudy.types import Call, Failure, Reading, Usage

NOW = 1_795_000_000.0  # 2026-11-18 11:06:40 UTC
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0

GROQ_OK = {
    "x-ratelimit-limit-requests": "14400",
    "x-ratelimit-limit-tokens": "6000",
    "x-ratelimit-remaining-requests": "14370",
    "x-ratelimit-remaining-tokens": "5997",
    "x-ratelimit-reset-requests": "2m59.56s",
    "x-ratelimit-reset-tokens": "7.66s",
    "retry-after": "2",
}
HEADERS: dict[str, tuple[str, dict[str, str], tuple[Reading, ...]]] = {
    "Groq": (
        "groq",
        GROQ_OK,
        (Reading("requests", 14400, 14370, 179.56), Reading("tokens", 6000, 5997, 7.66)),
    ),
    "OpenAI": (
        "openai",
        {
            "X-RateLimit-Limit-Requests": "500",
            "X-RateLimit-Remaining-Requests": "499",
            "X-RateLimit-Reset-Requests": "120ms",
            "x-ratelimit-limit-tokens": "30000",
            "x-ratelimit-remaining-tokens": "29975",
            "x-ratelimit-reset-tokens": "6m0s",
        },
        (Reading("requests", 500, 499, 0.12), Reading("tokens", 30000, 29975, 360.0)),
    ),
    "Cerebras": (
        "openai_compatible",
        {
            "x-ratelimit-limit-requests-day": "14400",
            "x-ratelimit-limit-tokens-minute": "60000",
            "x-ratelimit-remaining-requests-day": "14399",
            "x-ratelimit-remaining-tokens-minute": "58298",
            "x-ratelimit-reset-requests-day": "33011.382867097855",
            "x-ratelimit-reset-tokens-minute": "11.382867097854614",
        },
        (
            Reading("requests", 14400, 14399, 33011.382867097855, DAY),
            Reading("tokens", 60000, 58298, 11.382867097854614, MINUTE),
        ),
    ),
    "Anthropic": (
        "anthropic",
        {
            "anthropic-ratelimit-requests-limit": "50",
            "anthropic-ratelimit-requests-remaining": "49",
            "anthropic-ratelimit-requests-reset": "2026-11-18T11:06:42Z",
            "anthropic-ratelimit-tokens-limit": "38000",
            "anthropic-ratelimit-tokens-remaining": "37000",
            "anthropic-ratelimit-tokens-reset": "2026-11-18T11:06:41.5Z",
            "anthropic-ratelimit-input-tokens-limit": "30000",
            "anthropic-ratelimit-input-tokens-remaining": "29000",
            "anthropic-ratelimit-input-tokens-reset": "2026-11-18T11:06:10Z",
            "anthropic-ratelimit-output-tokens-limit": "8000",
            "anthropic-ratelimit-output-tokens-remaining": "8000",
            "anthropic-ratelimit-unified-status": "allowed",
            "anthropic-organization-id": "x",
        },
        (
            Reading("requests", 50, 49, 2.0, MINUTE),
            Reading("tokens", 38000, 37000, 1.5, MINUTE),
            Reading("input", 30000, 29000, None, MINUTE),  # a moment that has passed
            Reading("output", 8000, 8000, None, MINUTE),
        ),
    ),
    "DigitalOcean": (
        "openai_compatible",
        {
            "x-ratelimit-limit-tokens-per-minute": "100",
            "x-ratelimit-remaining-tokens-per-minute": "40",
            "x-ratelimit-limit-tokens-per-day": "9000",
            "x-ratelimit-reset-tokens-per-day": str(int(NOW) + 30),
        },
        (Reading("tokens", 100, 40, None, MINUTE), Reading("tokens", 9000, None, 30.0, DAY)),
    ),
    "Mistral": (
        "openai_compatible",
        {"x-ratelimit-limit-req-minute": "60", "x-ratelimit-remaining-req-minute": "59"},
        (Reading("requests", 60, 59, None, MINUTE),),
    ),
    "OpenRouter": (
        "openai_compatible",
        {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(NOW * 1000) + 5000)},
        (Reading("requests", 20, 0, 5.0),),
    ),
    "IETF draft 3": (
        "openai_compatible",
        {"RateLimit-Limit": "10, 10;w=1, 500;w=3600", "RateLimit-Remaining": "7", "RateLimit-Reset": "1"},
        (Reading("requests", 10, 7, 1.0, 1.0),),
    ),
    "IETF draft 7": (
        "openai_compatible",
        {"RateLimit": "limit=100, remaining=50, reset=30", "RateLimit-Policy": "100;w=60"},
        (Reading("requests", 100, 50, 30.0, MINUTE),),
    ),
    "IETF draft 8": (
        "openai_compatible",
        {"RateLimit": '"default";r=50;t=30', "RateLimit-Policy": '"default";q=100;w=60, "day";q=1000;w=86400'},
        (Reading("requests", 100, 50, 30.0, MINUTE),),
    ),
    "bytes, not requests": ("openai_compatible", {"RateLimit-Policy": '"up";q=65535;qu="content-bytes";w=10'}, ()),
    "only a reset": ("groq", {"x-ratelimit-reset-tokens": "1s"}, ()),
    "more left than there is": (
        "groq",
        {"x-ratelimit-limit-tokens": "10", "x-ratelimit-remaining-tokens": "11"},
        (Reading("tokens", 10),),
    ),
    "twice in one reply": ("groq", {"x-ratelimit-limit-tokens": "6000, 6000"}, (Reading("tokens", 6000),)),
    "nothing": ("gemini", {"content-type": "application/json"}, ()),
}


@pytest.mark.parametrize(("kind", "headers", "said"), HEADERS.values(), ids=HEADERS)
def test_headers(kind: str, headers: dict[str, str], said: tuple[Reading, ...]) -> None:
    found = readings(kind, headers, None, NOW, 200)
    assert [(r.counts, r.limit, r.left, r.seconds) for r in found] == [
        (r.counts, r.limit, r.left, r.seconds) for r in said
    ]
    assert [r.reset for r in found] == [r.reset if r.reset is None else pytest.approx(r.reset) for r in said]


HOSTILE = ("-1", "1e99", "nan", "NaN", "inf", "unlimited", "", " ", "0x10", "½", "٣", "9" * 16, "1" * 1_000_000)


@pytest.mark.parametrize("value", HOSTILE, ids=lambda v: v[:12] or "empty")
@pytest.mark.parametrize("name", ["x-ratelimit-{}-tokens", "anthropic-ratelimit-tokens-{}", "ratelimit-{}"])
def test_what_is_no_number_is_not_read(name: str, value: str) -> None:
    headers = {name.format(what): value for what in ("limit", "remaining", "reset")}
    assert readings("groq", headers, None, NOW, 200) == ()


def groq(message: str, code: str = "rate_limit_exceeded") -> dict[str, Any]:
    return {"error": {"message": message, "type": "tokens", "code": code}}


WHERE = "for model `llama-3.1-8b-instant` in organization `org_01j` service tier `on_demand`"


def gemini(*violations: tuple[str, str]) -> dict[str, Any]:
    rows = [
        {"quotaMetric": "generativelanguage.googleapis.com/x", "quotaId": i, "quotaValue": v} for i, v in violations
    ]
    for row in rows:
        if not row["quotaValue"]:
            del row["quotaValue"]
    failure = {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": rows}
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "27s"}
    error = {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "You exceeded", "details": [failure, retry]}
    return {"error": error}


INPUT_A_MINUTE = "GenerateContentInputTokensPerModelPerMinute-FreeTier"
BODIES: dict[str, tuple[str, object, tuple[Reading, ...]]] = {
    "Groq, a minute's tokens": (
        "groq",
        groq(f"Rate limit reached {WHERE} on tokens per minute (TPM): Limit 6000, Used 5990, Requested 42. Please try"),
        (Reading("tokens", 6000, 10, None, MINUTE),),
    ),
    "Groq, a day's tokens": (
        "groq",
        groq(f"Rate limit reached {WHERE} on tokens per day (TPD): Limit 100000, Used 100500, Requested 42."),
        (Reading("tokens", 100000, 0, None, DAY),),
    ),
    "Groq, a day's requests": (
        "groq",
        groq(f"Rate limit reached {WHERE} on requests per day (RPD): Limit 1000, Used 1000, Requested 1."),
        (Reading("requests", 1000, 0, None, DAY),),
    ),
    "Groq, too large": (
        "groq",
        groq(f"Request too large {WHERE} on tokens per minute (TPM): Limit 6000, Requested 7042, please reduce"),
        (Reading("tokens", 6000, None, None, MINUTE),),
    ),
    "OpenAI": (
        "openai",
        groq("Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM): Limit 30,000, Used 29,000."),
        (Reading("tokens", 30000, 1000, None, MINUTE),),
    ),
    "OpenAI as it once was": (
        "openai",
        groq("Rate limit reached for x in organization org-x on requests per min. Limit: 3 / min. Please try again"),
        (Reading("requests", 3, None, None, MINUTE),),
    ),
    "Anthropic": (
        "anthropic",
        {"type": "error", "error": {"type": "rate_limit_error", "message": "This request would exceed your "
         "organization's rate limit of 30,000 input tokens per minute. For details"}},
        (Reading("input", 30000, None, None, MINUTE),),
    ),
    "Cerebras": (
        "openai_compatible",
        {"message": "Requests per hour limit exceeded - too many requests sent.", "type": "too_many_requests_error"},
        (Reading("requests", None, 0, None, HOUR),),
    ),
    "Gemini": (
        "gemini",
        gemini(("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "250"), (INPUT_A_MINUTE, "250000")),
        (Reading("requests", 250, 0, None, DAY), Reading("tokens", 250000, None, None, MINUTE)),
    ),
    "Gemini, a minute's requests, unnumbered": (
        "gemini",
        gemini(("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "")),
        (Reading("requests", None, 0, None, MINUTE),),
    ),
    "Gemini, never": ("gemini", gemini(("GenerateRequestsPerDayPerProjectPerModel-FreeTier", "0")), ()),
    "a page": ("groq", "<html>429 tokens per minute limit 5</html>", ()),
    "nothing": ("groq", None, ()),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "body", "said"), BODIES.values(), ids=BODIES)
def test_bodies(kind: str, body: object, said: tuple[Reading, ...]) -> None:
    assert readings(kind, None, body, NOW, 429) == said
    assert readings(kind, None, body, NOW, 200) == ()


def test_body_and_headers_of_one_window_are_one_reading() -> None:
    body = groq(f"Rate limit reached {WHERE} on tokens per minute (TPM): Limit 6000, Used 5990, Requested 42.")
    assert readings("groq", GROQ_OK, body, NOW, 429) == (
        Reading("requests", 14400, 14370, pytest.approx(179.56)),
        Reading("tokens", 6000, 10, pytest.approx(7.66), MINUTE),
    )
    other = groq(f"Rate limit reached {WHERE} on tokens per day (TPD): Limit 500000, Used 499999, Requested 42.")
    assert [(r.limit, r.left) for r in readings("groq", GROQ_OK, other, NOW, 429)] == [
        (14400, 14370), (6000, 5997), (500000, 1),
    ]  # fmt: skip


def test_a_reset_comes_nearer() -> None:
    said = (Reading("tokens", 10, 1, 5.0), Reading("requests", 3, 1))
    assert aged(said, 2.0) == (Reading("tokens", 10, 1, 3.0), Reading("requests", 3, 1))
    assert aged(said, 9.0)[0].reset == 0.0
    assert aged(said, -9.0) == said


names = st.sampled_from([n for _, headers, _ in HEADERS.values() for n in headers]) | st.text(max_size=90)
values = (
    st.sampled_from([v for _, headers, _ in HEADERS.values() for v in headers.values()])
    | st.text()
    | st.sampled_from(HOSTILE)
)
json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9) | st.sampled_from(
        ["error", "message", "details", "violations", "quotaId", "quotaValue", "code", "type"]), inner, max_size=4),
)  # fmt: skip
kinds = st.sampled_from(["groq", "gemini", "anthropic", "openai", "openai_compatible", "claude_code", ""])


@given(kinds, st.dictionaries(names, values, max_size=8), json_like, st.floats(0, 4e9), st.none() | st.integers())
def test_it_never_raises_and_never_says_nonsense(
    kind: str, headers: dict[str, str], body: object, now: float, status: int | None
) -> None:
    for said in readings(kind, headers, body, now, status):
        assert said.limit is None or 0 < said.limit <= LARGEST
        assert said.left is None or 0 <= said.left <= (said.limit or LARGEST)
        assert said.reset is None or 0 <= said.reset <= LONGEST
        assert said.seconds is None or said.seconds > 0
        assert (said.limit, said.left) != (None, None)


@given(kinds, st.text(alphabet="limit used:,.0123456789 tokensrequests per minute day(TPM)") | st.text())
def test_no_message_makes_it_raise(kind: str, message: str) -> None:
    readings(kind, None, {"error": {"message": message, "details": [{"violations": [message, {"quotaId": message}]}]}},
             NOW, 429)  # fmt: skip


@pytest.mark.parametrize("wire", [GROQ, OPENAI, ANTHROPIC, LOCAL], ids=lambda w: w.kind)
@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
async def test_answers_and_failures_carry_them(wire: Wire, streamed: bool, stub: Stub) -> None:
    name = {"anthropic": "anthropic-ratelimit-tokens-{}"}.get(wire.kind, "x-ratelimit-{}-tokens")
    headers = {name.format("limit"): "6000", name.format("remaining"): "5990", name.format("reset"): "40"}
    seconds = MINUTE if wire is ANTHROPIC else None
    progress = (lambda _: None) if streamed else None
    stub.answer = wire.stream(["a", "b"]) if streamed else wire.good("ab")
    stub.answer.headers |= headers
    _, worker = await made(wire, stub.url)
    (said,) = (await worker.work(Call("x", timeout=5), Ledger(), progress)).readings
    assert (said.counts, said.limit, said.left, said.seconds) == ("tokens", 6000, 5990, seconds)
    assert said.reset is not None
    assert 39 < said.reset <= 40
    stub.answer = Reply(429, {"error": {"message": "slow down", "type": "rate_limit_error"}}, headers=headers)
    with pytest.raises(CallFailed) as caught:
        await worker.work(Call("x", timeout=5), Ledger(), progress)
    assert caught.value.failure is Failure.MINUTE_QUOTA
    assert [(r.counts, r.left) for r in caught.value.readings] == [("tokens", 5990)]
    stub.answer = wire.good("")  # an answer that is none still says how much is left
    stub.answer.headers |= headers
    with pytest.raises(CallFailed) as caught:
        await worker.work(Call("x", timeout=5), Ledger())
    assert caught.value.failure is Failure.MALFORMED
    assert [(r.counts, r.left) for r in caught.value.readings] == [("tokens", 5990)]
    await worker.close()


async def test_geminis_refusal_names_its_windows(stub: Stub) -> None:
    stub.answer = Reply(429, gemini(("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", "10")))
    _, worker = await made(GEMINI, stub.url)
    with pytest.raises(CallFailed) as caught:
        await worker.work(Call("x", timeout=5), Ledger())
    await worker.close()
    assert caught.value.readings == (Reading("requests", 10, 0, None, MINUTE),)


async def test_headers_of_an_old_reply_are_not_a_new_ones(stub: Stub) -> None:
    """Of two replies within one call the last counts, also when it says nothing."""
    stub.answer = GROQ.good("x")
    _, worker = await made(GROQ, stub.url)

    async def one(told: bool) -> tuple[Reading, ...]:
        return (await worker.work(Call("told" if told else "untold", timeout=5), Ledger())).readings

    def answer(seen: Seen) -> Reply:
        reply = GROQ.good("x")
        if b"untold" not in seen.raw:
            reply.headers["x-ratelimit-limit-tokens"] = "7"
        return reply

    stub.answer = answer
    found = await asyncio.gather(*(one(n % 2 == 0) for n in range(8)))
    assert found == [(Reading("tokens", 7),) if n % 2 == 0 else () for n in range(8)]
    await worker.close()


@pytest.mark.parametrize("wire", [GROQ, OPENAI, LOCAL], ids=lambda w: w.kind)
async def test_cached_tokens_are_told(wire: Wire, stub: Stub) -> None:
    stub.answer = wire.good("x", (100, 7))
    stub.answer.body["usage"]["prompt_tokens_details"] = {"cached_tokens": 64}
    _, worker = await made(wire, stub.url)
    ledger = Ledger()
    answer = await worker.work(Call("x", timeout=5), ledger)
    await worker.close()
    assert answer.usage == Usage(100, 7, cached_tokens=64)
    assert ledger.settled == [answer.usage]


async def test_cached_tokens_of_gemini_and_anthropic(stub: Stub) -> None:
    stub.answer = GEMINI.good("x", (100, 7))
    stub.answer.body["usageMetadata"]["cachedContentTokenCount"] = 60
    _, worker = await made(GEMINI, stub.url)
    assert (await worker.work(Call("x", timeout=5), Ledger())).usage == Usage(100, 7, cached_tokens=60)
    await worker.close()
    stub.answer = ANTHROPIC.good("x", (40, 7), cache_read_input_tokens=60)
    _, worker = await made(ANTHROPIC, stub.url)
    assert (await worker.work(Call("x", timeout=5), Ledger())).usage == Usage(100, 7, cached_tokens=60)
    await worker.close()
