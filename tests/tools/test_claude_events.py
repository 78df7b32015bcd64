"""Reading what the CLI writes, without the CLI: results, failures, reset times, hostile output."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from understudy.errors import CallFailed
from understudy.tools.claude_events import ClaudeResult, Events
from understudy.tools.claude_refusals import classify, until_reset
from understudy.tools.processes import Ended
from understudy.types import Failure, Usage

NOW = datetime(2026, 11, 21, 0, 6, tzinfo=UTC).timestamp()
MODEL_USAGE = {"m": {"inputTokens": 10, "cacheReadInputTokens": 3, "cacheCreationInputTokens": 2, "outputTokens": 5}}
DONE = {"type": "result", "subtype": "error_max_budget_usd", "is_error": True, "modelUsage": MODEL_USAGE}
SAID = {"type": "assistant", "message": {"content": [{"type": "text", "text": "hello"}]}, "parent_tool_use_id": None}


def read(*events: object, code: int = 1, cut: str = "", schema=None, one_call: bool = True) -> ClaudeResult:
    out = b"\n".join(e if isinstance(e, bytes) else json.dumps(e).encode() for e in events)
    reader = Events()
    for start in range(0, len(out), 7):  # pieces end where they like
        reader.feed(out[start : start + 7])
    return reader.result(Ended(code, out, b"", cut), schema, one_call=one_call, seconds=3.0, now=NOW)


def failure(*events: object, **changes) -> CallFailed:
    with pytest.raises(CallFailed) as caught:
        read(*events, **changes)
    return caught.value


def refused(text: str, **fields: object) -> CallFailed:
    trouble = {"type": "assistant", "is_api_error_message": True, "message": {"content": []}, **fields}
    return failure(trouble, {"type": "result", "subtype": "success", "is_error": True, "result": text, **fields})


def test_a_call_that_our_budget_ended_is_an_answer():
    result = read(SAID, DONE | {"stop_reason": "end_turn", "total_cost_usd": 0.25})
    assert (result.text, result.usage, result.cost_usd) == ("hello", Usage(15, 5, cached_tokens=3), 0.25)
    assert result.model == "m"


def test_a_hang_after_the_answer_does_not_lose_it():
    assert read(SAID, DONE, cut="deadline", code=137).text == "hello"


def test_several_blocks_and_noise_make_one_text():
    noise = [b"warning: not json", b"[]", b"null", b"{}", {"type": "assistant", "parent_tool_use_id": "x"}, {"type": 3}]
    assert read(SAID, *noise, SAID, DONE).text == "hellohello"


@pytest.mark.parametrize("count", ["NaN", "Infinity", "-5", "1e30", "1" + "0" * 400, '"5"'])
def test_counts_that_cannot_be_are_not_measured(count: str):
    lying = json.dumps(DONE | {"num_turns": "N", "total_cost_usd": "N", "modelUsage": {"m": {"outputTokens": "N"}}})
    result = read(SAID, lying.replace('"N"', count).encode())
    assert (result.text, result.usage) == ("hello", Usage(measured=False))
    assert result.cost_usd is None


def test_nesting_without_end_is_noise():
    assert read(SAID, b"[" * 100_000, DONE).text == "hello"


def test_the_last_of_several_results_counts():
    first = {"type": "result", "subtype": "success", "is_error": False, "result": "first"}
    last = {"type": "result", "subtype": "success", "is_error": False, "result": "last", "num_turns": 4}
    result = read(SAID, first, last, one_call=False, code=0)
    assert (result.text, result.turns, result.usage.measured) == ("last", 4, False)


@pytest.mark.parametrize("text", ["", "  \n "])
def test_an_empty_answer_is_malformed_and_paid_for(text):
    said = {"type": "assistant", "message": {"content": [{"type": "text", "text": text}]}}
    error = failure(said, DONE)
    assert (error.failure, error.charged, error.usage) == (Failure.MALFORMED, True, Usage(15, 5, cached_tokens=3))


def test_a_refusal_is_filtered_content():
    assert failure(SAID, DONE | {"stop_reason": "refusal"}).failure is Failure.CONTENT_FILTER
    event = {"type": "system", "subtype": "model_refusal_no_fallback"}
    assert failure(SAID, event, DONE | {"stop_reason": None}).failure is Failure.CONTENT_FILTER


@pytest.mark.parametrize("subtype", ["error_max_turns", "error_during_execution", "error_max_budget_usd"])
def test_with_tools_every_error_result_is_a_failure(subtype):
    assert failure(SAID, DONE | {"subtype": subtype}, one_call=False).failure is Failure.MALFORMED


@pytest.mark.parametrize(
    ("fields", "text", "expected", "charged"),
    [
        ({"api_error_status": 401}, "Invalid API key", Failure.AUTH, False),
        ({}, "Not logged in · Please run /login", Failure.UNAVAILABLE, False),
        ({"api_error_status": 401}, "Not logged in · Please run /login", Failure.AUTH, False),
        ({"api_error_status": 402}, "Credit balance is too low", Failure.PAYMENT, False),
        ({"api_error_status": 400}, "Credit balance is too low", Failure.PAYMENT, False),
        ({"api_error_status": 403}, "API Error: 403 forbidden", Failure.AUTH, False),
        ({"api_error_status": 404}, "no such model", Failure.UNAVAILABLE, False),
        ({"api_error_status": 400}, "Prompt is too long", Failure.CONTEXT, False),
        ({"api_error_status": 400}, "bad thing", Failure.MALFORMED, False),
        ({"api_error_status": 413}, "Request too large", Failure.TOO_LARGE, False),
        ({"api_error_status": 429}, "API Error: Request rejected (429)", Failure.MINUTE_QUOTA, False),
        ({"api_error_status": 529}, "Overloaded", Failure.OVERLOAD, False),
        ({"api_error_status": 500}, "prompt is too long? no", Failure.OVERLOAD, True),
        ({}, "API Error: Connection dropped (ECONNRESET)", Failure.TRANSPORT, True),
        ({}, "API Error: JSON Parse error", Failure.MALFORMED, True),
    ],
)
def test_refusals_have_their_class(fields, text, expected, charged):
    error = refused(text, **fields)
    assert (error.failure, error.charged) == (expected, charged)
    assert error.remedy
    assert text not in str(error)


def test_the_words_of_the_server_are_not_repeated():
    error = refused("API Error: 400 your prompt 'my secret' is bad", api_error_status=400)
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("You've hit your limit · resets 1:06am (UTC)", 3600),
        ("5-hour limit reached ∙ resets 12am (UTC)", 86_400 - 360),
        ("Weekly limit reached · resets Nov 25 at 3pm (UTC)", 4 * 86_400 + 15 * 3600 - 360),
        ("resets Jan 2, 12:06am (Europe/Berlin)", 42 * 86_400 - 3600),
        ("Claude AI usage limit reached|1795219620", 60),
        ("resets 13pm (Nowhere/Land)", None),
        ("try later", None),
    ],
)
def test_reset_times(text, seconds):
    assert NOW == 1795219560
    found = until_reset(text, NOW)
    assert found is None if seconds is None else found == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["You've hit your limit · resets 1:06am (UTC)", "Claude usage limit reached|1795223160"]
)
@pytest.mark.parametrize("status", [None, 429])
def test_a_used_up_subscription_says_when_it_resets(text, status):
    error = refused(text, api_error_status=status)
    assert (error.failure, error.retry_after) == (Failure.DAY_QUOTA, pytest.approx(3600))


def test_the_reset_of_the_event_beats_the_words():
    event = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": NOW + 120}}
    trouble = {"type": "assistant", "is_api_error_message": True}
    last = {"type": "result", "subtype": "success", "is_error": True, "api_error_status": 429, "result": "limited"}
    error = failure(event, trouble, last)
    assert (error.failure, error.retry_after) == (Failure.DAY_QUOTA, 120)


def test_a_busy_server_is_no_used_up_subscription():
    event = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected"}}
    text = "API Error: Server is temporarily limiting requests (not your usage limit)"
    last = {"type": "result", "subtype": "success", "is_error": True, "api_error_status": 429, "result": text}
    assert failure(event, last).failure is Failure.MINUTE_QUOTA


@pytest.mark.parametrize(
    ("code", "cut", "expected"),
    [
        (143, "deadline", Failure.TRANSPORT),
        (143, "output", Failure.MALFORMED),
        (143, "", Failure.CANCELLED),
        (137, "", Failure.CANCELLED),
        (0, "", Failure.CANCELLED),  # SIGINT: exit code 0 and not a word
        (1, "", Failure.UNAVAILABLE),
    ],
)
def test_silence(code, cut, expected):
    error = failure(code=code, cut=cut)
    assert (error.failure, error.charged) == (expected, code != 1)


def test_after_the_first_event_something_may_have_been_sent():
    assert failure({"type": "system", "subtype": "init"}, code=1).charged


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.mark.parametrize(
    "event",
    [
        {
            "type": "assistant",
            "message": {"content": [{"type": "tool_use", "name": "StructuredOutput", "input": {"a": 1}}]},
        },
        {"type": "assistant", "message": {"content": [{"type": "text", "text": ' {"a": 1}'}]}},
    ],
)
def test_structured_output(event):
    result = read(event, DONE, schema=SCHEMA)
    assert result.structured == {"a": 1}
    assert json.loads(result.text) == {"a": 1}


@pytest.mark.parametrize("text", ["no json", '{"a": "private words"}', ""])
def test_structured_output_is_validated_by_us(text):
    said = {"type": "assistant", "message": {"content": [{"type": "text", "text": text}]}}
    error = failure(said, DONE, schema=SCHEMA)
    assert error.failure is Failure.MALFORMED
    assert "private" not in str(error)


@pytest.mark.parametrize("text", ["API Error: Connection closed mid-response.", "API Error: something unheard of"])
def test_what_a_broken_connection_had_counted_is_not_all_that_is_charged(text: str) -> None:
    failure = classify({"result": text}, {}, {}, Usage(100, 3), now=0.0)
    assert failure.charged
    assert failure.usage is None, "in full"
    answered = classify({"result": text, "api_error_status": 500}, {}, {}, Usage(100, 3), now=0.0)
    assert answered.usage == Usage(100, 3)
