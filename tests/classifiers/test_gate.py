"""The gate on every path by which a task can be private, and what it says about it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from understudy.classifiers import detectors
from understudy.classifiers.gate import Gate, unescaped
from understudy.errors import ConfigError, UsageError
from understudy.types import Attachment, Sensitivity, Task, Turn

PRIVATE, PUBLIC = Sensitivity.PRIVATE, Sensitivity.PUBLIC
MAIL = "write to lena.vogt@posteo.de"


def test_an_ordinary_task_is_public() -> None:
    verdict = Gate().judge(Task("What is the capital of Norway?"))
    assert (verdict.sensitivity, verdict.reasons, verdict.spans) == (PUBLIC, (), ())


@pytest.mark.parametrize("label", ["private", Sensitivity.PRIVATE])
def test_a_label_raises(label: str) -> None:
    verdict = Gate().judge(Task("hello", sensitivity=label))
    assert verdict.sensitivity is PRIVATE
    assert verdict.reasons == ("label",)


def test_a_public_label_never_lowers() -> None:
    assert Gate().judge(Task(MAIL, sensitivity="public")).sensitivity is PRIVATE


@pytest.mark.parametrize("label", ["secret", "", "PRIVATE ", "confidential"])
def test_an_unknown_label_is_refused_and_not_repeated(label: str) -> None:
    with pytest.raises(UsageError) as caught:
        Gate().judge(Task("hello", sensitivity=label))
    assert caught.value.remedy
    assert not label or label not in str(caught.value).replace("private", "")


def test_a_private_session_stays_private() -> None:
    verdict = Gate().judge(Task("and now shorter"), session_private=True)
    assert verdict.sensitivity is PRIVATE
    assert verdict.reasons == ("session",)


@pytest.mark.parametrize(
    "task",
    [
        Task(MAIL),
        Task("see file", files=(Attachment("a.txt", MAIL),)),
        Task("go on", history=(Turn(MAIL, "ok"),)),
        Task("go on", history=(Turn("hi", MAIL),)),
        Task("fill this", schema={"type": "object", "description": MAIL}),
    ],
    ids=["text", "file", "history user", "history assistant", "schema"],
)
def test_everything_a_request_would_carry_is_judged(task: Task) -> None:
    verdict = Gate().judge(task)
    assert verdict.sensitivity is PRIVATE
    assert "email" in verdict.reasons


def test_without_detectors_the_same_task_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unplugged once: it is the detectors that hold the text back."""
    monkeypatch.setattr(detectors, "BALANCED", ())
    assert Gate().judge(Task(MAIL)).sensitivity is PUBLIC


def test_spans_are_of_the_tasks_own_text() -> None:
    verdict = Gate().judge(Task("short", files=(Attachment("a", "x" * 500 + " " + MAIL),)))
    assert verdict.spans == ()
    verdict = Gate().judge(Task(MAIL))
    assert [MAIL[s.start : s.end] for s in verdict.spans] == ["lena.vogt@posteo.de"]


def test_no_value_in_any_repr() -> None:
    assert "lena" not in repr(Gate().judge(Task(MAIL)))
    assert "lena" not in repr(Task(MAIL))


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("secrets/**", "secrets/a/b.txt"),
        ("**/secrets/**", "deep/secrets/b.txt"),
        ("**/secrets/**", "secrets/b.txt"),
        ("*.pem", "keys/server.pem"),
        ("*.PEM", "server.pem"),
        ("~/taxes/**", "~/taxes/2023.pdf"),
        ("~/taxes/", "~/taxes/2023.pdf"),
        ("**/hr/*.xlsx", "/srv/hr/list.xlsx"),
        ("report-?.md", "report-3.md"),
        ("report-[0-9].md", "report-3.md"),
        ("report-[!0-9].md", "report-a.md"),
        ("**", "anything"),
        ("notes.txt", "./notes.txt"),
    ],
)
def test_private_paths(glob: str, path: str) -> None:
    verdict = Gate((glob,)).judge(Task("hi", files=(Attachment(path, "nothing"),)))
    assert verdict.sensitivity is PRIVATE
    assert verdict.reasons == ("path",)


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("secrets/*", "secrets/a/b.txt"),
        ("*.pem", "server.pem.txt"),
        ("report-[!0-9].md", "report-3.md"),
        ("a.b", "aXb"),
    ],
)
def test_other_paths(glob: str, path: str) -> None:
    assert Gate((glob,)).judge(Task("hi", files=(Attachment(path, "nothing"),))).sensitivity is PUBLIC


def test_paths_match_absolute_and_through_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "private").mkdir()
    (tmp_path / "private" / "x.txt").write_text("x")
    (tmp_path / "link.txt").symlink_to(tmp_path / "private" / "x.txt")
    monkeypatch.chdir(tmp_path)
    gate = Gate((f"{tmp_path}/private/**",))
    assert gate.judge(Task("hi", files=(Attachment("private/x.txt", ""),))).sensitivity is PRIVATE
    assert gate.judge(Task("hi", files=(Attachment("link.txt", ""),))).sensitivity is PRIVATE
    assert gate.judge(Task("hi", files=(Attachment("private/../other.txt", ""),))).sensitivity is PUBLIC


@pytest.mark.parametrize(
    ("glob", "path"),
    [
        ("~/medical/**", "~/medical/x.txt"),
        ("~/medical/", "home/medical/x.txt"),
        ("~/medical/**", "data/med/x.txt"),
        ("home/medical/**", "data/med/x.txt"),
        ("home/medical/**", "./home/medical/x.txt"),
        ("./home/medical/**", "home/medical/x.txt"),
        ("home/medical/**", "data/../home/medical/x.txt"),
    ],
)
def test_a_folder_that_is_a_link_stays_private(
    glob: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data" / "med").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "medical").symlink_to(tmp_path / "data" / "med")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    gate = Gate((glob,))
    for name in dict.fromkeys((path, path if path.startswith("~") else f"{tmp_path}/{path}")):
        assert gate.judge(Task("hi", files=(Attachment(name, ""),))).sensitivity is PRIVATE
    assert gate.judge(Task("hi", files=(Attachment("data/x.txt", ""),))).sensitivity is PUBLIC


def test_odd_paths_do_not_break_the_gate() -> None:
    gate = Gate(("~nobody-here/**", "[", "a[b"))
    assert gate.judge(Task("hi", files=(Attachment("\0", ""), Attachment("~nobody-here/x", "")))).sensitivity is PRIVATE


@pytest.mark.parametrize("glob", ["", "  "])
def test_an_empty_glob_is_refused(glob: str) -> None:
    with pytest.raises(ConfigError):
        Gate((glob,))


def test_an_unknown_operating_point_is_refused() -> None:
    with pytest.raises(ConfigError):
        Gate(operating_point="lenient")  # pyright: ignore[reportArgumentType]


def test_strict_sees_names_and_balanced_does_not() -> None:
    task = Task("Follow up with Sigrid Nyström tomorrow.")
    assert Gate().judge(task).sensitivity is PUBLIC
    assert Gate(operating_point="strict").judge(task).sensitivity is PRIVATE


def test_the_same_task_gets_the_same_verdict() -> None:
    task = Task(f"{MAIL}, password=Tr0ub4dor&3x, 84.17.33.201, 42 Elm Street")
    assert len({Gate().judge(task) for _ in range(5)}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "my card ４１１１ １１１１ １１１１ １１１１",
        "card 4111\n1111\n1111\n1111",
        "card\n4111 1111\r\n1111 1111 bye",
        "mail ａｎｎａ．ｂｅｒｇ＠ｎｏｒｄｌｉｃｈｔ－ｖｅｒｌａｇ．ｎｏ",
    ],
)
def test_other_widths_and_line_breaks_hide_nothing(text: str) -> None:
    assert Gate().look(text)


def test_a_column_of_a_table_is_no_card() -> None:
    assert not Gate().look("year\n" + "\n".join(str(n) for n in (4111, 1111, 1111, 1111, 2015)) + "\n")


@pytest.mark.parametrize("wrapped", [1, 2, 3])
def test_what_stands_in_json_is_seen_as_it_is_meant(wrapped: int) -> None:
    """An escape ends in a letter, which hides where an IBAN begins."""
    text = "Please pay to\nDE89370400440532013000\nby Friday."
    for _ in range(wrapped):
        text = json.dumps({"note": text})
    assert Gate().judge(Task(text)).reasons == ("iban",)
    assert Gate().judge(Task("Sum it up.", history=(Turn(text, "Yes."),))).reasons == ("iban",)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\\\0\b\f")))
def test_what_was_escaped_is_read_again(text: str) -> None:
    assert unescaped(json.dumps(text, ensure_ascii=False)[1:-1]) == text
