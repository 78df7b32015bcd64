"""Tables: whole on paper and in a pipe; on a narrow terminal nothing is lost either."""

from __future__ import annotations

import pytest

from understudy.cli import render

COLUMNS = ("model", "where", "windows")
ROWS = (
    ("groq/small", "cloud", "RPM 3/30, 26 s; RPD 5/1,000"),
    ("local/large", "here", "no limits known"),
    ("x", "", ""),
)


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch):
    def terminal(columns: int) -> None:
        monkeypatch.setattr(render, "is_lively", lambda _: columns > 0)
        monkeypatch.setattr(render, "width", lambda: columns)

    return terminal


def test_without_a_terminal_every_row_is_one_line(narrow) -> None:
    narrow(0)
    assert len(render.table(COLUMNS, ROWS).splitlines()) == 5


def test_a_table_that_just_fits_is_left_alone(narrow) -> None:
    narrow(0)
    whole = render.table(COLUMNS, ROWS)
    narrow(max(map(len, whole.splitlines())))
    assert render.table(COLUMNS, ROWS) == whole


@pytest.mark.parametrize("columns", [46, 40, 24, 12, 3])
def test_what_does_not_fit_stands_below_its_row(narrow, columns: int) -> None:
    narrow(columns)
    shown = render.table(COLUMNS, ROWS)
    said = " ".join(shown.replace("\u00b7", " ").split())
    for row in (COLUMNS, *ROWS):
        assert " ".join(" ".join(row).split()) in said
    assert "…" not in shown
    assert shown.splitlines()[-1] == "x"  # what has nothing more to say takes no line for it


def test_the_lines_keep_within_the_terminal(narrow) -> None:
    narrow(40)
    assert max(map(len, render.table(COLUMNS, ROWS).splitlines())) <= 40
