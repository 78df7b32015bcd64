"""Redaction: what is replaced, what forbids it, and that every byte comes back and none of the values leaves."""

from __future__ import annotations

from random import Random

import pytest

from tests.classifiers import frames
from understudy.classifiers import redaction
from understudy.classifiers.gate import Gate
from understudy.classifiers.redaction import Redaction, redact
from understudy.types import Attachment, Chat, Check, Sensitivity, Task, Turn

GATE = Gate()
MAIL, PHONE = "lena.vogt@posteo.de", "+49 170 1234567"
# Of the invented values, those that are somebody's own.
OWN = frozenset(
    (
        *("email", "card", "rawcard", "iban", "ibans", "cpf", "cnpj", "dni", "nie", "pesel", "bsn", "sin", "tfn"),
        *("pnr", "hetu", "nhs", "nir", "steuer", "china", "korea", "inn", "snils", "tckn", "aadhaar", "imei", "ip"),
        *("ip6", "mac", "ssn", "rawssn", "nino", "passport", "us", "usdots", "intl", "fr", "de", "pl", "cn", "jp"),
        *("kr", "pw", "token", "hex", "aws", "gh", "sk", "jwt"),
    )
)


def redacted(task: Task, gate: Gate = GATE) -> Redaction | None:
    return redact(gate, task, gate.judge(task))


def test_every_part_is_redacted_with_one_name_for_one_value() -> None:
    task = Task(
        f"write to {MAIL}",
        instructions=f"sign as {MAIL}",
        files=(Attachment(f"for {MAIL} only", f"call {PHONE}"),),
        history=(Turn(f"my mail is {MAIL}", f"noted, {PHONE}"),),
        schema={"type": "object", "description": f"the mail {MAIL}", "properties": {"a": {"enum": [MAIL]}}},
    )
    done = redacted(task)
    assert done is not None
    assert done.task.text == "write to [EMAIL_1]"
    assert done.task.instructions == "sign as [EMAIL_1]"
    assert done.task.files[0].text == "call [PHONE_1]"
    assert done.task.history[0] == Turn("my mail is [EMAIL_1]", "noted, [PHONE_1]")
    assert "[EMAIL_1]" in str(done.task.schema)
    assert MAIL not in repr((done.task.text, done.task.files, done.task.history, done.task.schema))
    assert done.told.sensitivity is Sensitivity.PRIVATE
    assert done.told.reasons[-1] == "redacted:1 email,1 phone"


@pytest.mark.parametrize(
    "text",
    [
        f"mail {MAIL}, password=Tr0ub4dor&3x",
        f"mail {MAIL}, key AKIAQ3EGUNX7RT5HCYZK",
        f"{MAIL} -----BEGIN RSA PRIVATE KEY-----",
        f"{MAIL} and I was diagnosed with lupus",
        f"{MAIL} and my salary is 84,000 a year",
    ],
)
def test_a_secret_or_what_is_no_value_forbids_it(text: str) -> None:
    assert redacted(Task(text)) is None


@pytest.mark.parametrize("reason", ["label", "session", "path"])
def test_somebodys_word_is_not_overruled(reason: str) -> None:
    gate = Gate(("*.txt",))
    task = Task(f"to {MAIL}", sensitivity="private" if reason == "label" else "public")
    if reason == "path":
        task = Task(f"to {MAIL}", files=(Attachment("a.txt", ""),))
    verdict = gate.judge(task, session_private=reason == "session")
    assert {reason, "email"} <= set(verdict.reasons)
    assert redact(gate, task, verdict) is None


def test_a_conversation_that_is_handed_on_is_not_redacted() -> None:
    chat = Chat("openai", {"messages": []}, tokens=1, most=1, texts=(MAIL,))
    assert redacted(Task("hello", chat=chat)) is None


def test_a_value_is_replaced_where_nobody_announced_it_and_in_other_groups() -> None:
    done = redacted(Task("account number 8830192845. Later: 8830192845 and 88301-92845."))
    assert done is not None
    assert "8830192845" not in done.task.text.replace("-", "")


def test_a_part_of_a_value_that_is_left_keeps_all_of_it_here() -> None:
    assert redacted(Task("my phone is +49 170 1234567, short 1701234567 x")) is None


def test_what_still_looks_private_afterwards_stays_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redaction, "_replace_all", lambda names: lambda text: text)  # type: ignore[misc]
    assert redacted(Task(f"to {MAIL}")) is None


def test_names_that_the_task_uses_itself_are_not_taken() -> None:
    done = redacted(Task(f"replace [EMAIL_1] by {MAIL}"))
    assert done is not None
    assert done.task.text == "replace [EMAIL_1] by [EMAIL_2]"
    assert done.restored("[EMAIL_1] is [EMAIL_2]") == f"[EMAIL_1] is {MAIL}"


@pytest.mark.parametrize("said", ["[EMAIL_1]", "[email_1]", "\\[EMAIL_1\\]", "EMAIL_1", "[ EMAIL_1 ]"])
def test_models_write_placeholders_in_many_ways(said: str) -> None:
    done = redacted(Task(f"to {MAIL}"))
    assert done is not None
    assert done.restored(f"Dear {said}!") == f"Dear {MAIL}!"
    assert done.restored("EMAIL_12 stays") == "EMAIL_12 stays"


def test_inside_of_json_a_value_is_written_as_json_does() -> None:
    done = redacted(Task('at "42 Elm\nStreet" and o\'brien@posteo.de', schema={"type": "object"}))
    assert done is not None
    assert "o'brien" in done.restored('{"mail": "[EMAIL_1]"}')


def test_a_reason_that_goes_back_to_a_model_holds_no_value() -> None:
    done = redacted(Task(f"to {MAIL}"))
    assert done is not None
    assert done.hidden(Check("schema", False, f"{MAIL!r} is no date")) == Check(
        "schema", False, "'[EMAIL_1]' is no date"
    )


def test_no_value_in_any_repr() -> None:
    assert "lena" not in repr(redacted(Task(f"to {MAIL}")))


def test_ten_thousand_invented_tasks_come_back_whole_and_lose_nothing() -> None:
    """Ten values or so a time, in a text, a file or a turn: redacted without any of them, or kept here."""
    rng, kept, sent = Random(5), 0, 0
    lines = [*frames.PERSONAL.strip().splitlines() * 2, *frames.SECRETS.strip().splitlines()]
    for _ in range(10_000):
        put: list[tuple[str, str]] = []
        text = frames.filled(rng.choice(lines), rng, put)
        place = rng.randrange(3)
        task = (
            Task(text),
            Task("Look at it.", files=(Attachment("a.txt", text),)),
            Task("Go on.", history=(Turn(text, "yes"),)),
        )[place]
        done = redacted(task)
        if done is None:
            kept += 1
            continue
        sent += 1
        shown = (done.task.text, done.task.files[0].text if done.task.files else "")
        shown = (*shown, *(turn.user for turn in done.task.history))
        whole = "\n".join(shown)
        assert not [name for name, value in put if name in OWN and value in whole], (text, whole)
        assert text in "\n".join(map(done.restored, shown))
    assert sent > 3_000
    assert kept > 2_000
