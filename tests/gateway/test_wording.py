"""No remedy that crosses a wire speaks of options or questions of the command line."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import understudy
from understudy.errors import NoCandidate, UnknownCandidate
from understudy.gateway.delegation import refusal
from understudy.gateway.dialects.refusals import refusal_of
from understudy.gateway.task_record import error_of
from understudy.gateway.wording import Wire, worded

HOUSE = Path(understudy.__file__).parent
# understudy doctor, init and key are for whoever runs the server, and have no other way.
COMMAND_LINE = re.compile(r"(?<![\w-])--[a-z]|understudy (?:models|explain|ask|budget|fleet|policy|chat)\b")

ELSEWHERE = ("diff --git", "as `ask --json` shows them")  # what git writes; what a program at this machine may record


def sentences() -> Iterator[str]:
    """Texts of the rooms whose errors end up on a wire, that read as advice."""
    for path in [
        HOUSE / "errors.py",
        *(p for room in ("director", "fleet", "store") for p in (HOUSE / room).rglob("*.py")),
    ]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        described = {
            ast.get_docstring(n, clean=False)
            for n in ast.walk(tree)
            if isinstance(n, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        }
        for node in ast.walk(tree):
            said = node.value if isinstance(node, ast.Constant) and node.value not in described else None
            if isinstance(said, str) and COMMAND_LINE.search(said) and said.rstrip().endswith((".", ")")):
                yield said


@pytest.mark.parametrize("wire", ["http", "tool"])
def test_every_remedy_is_worded_for_the_wire(wire: Wire) -> None:
    found = [said for said in sentences() if not any(known in said for known in ELSEWHERE)]
    assert len(found) > 4, "the test looks where remedies are"
    assert [said for said in found if COMMAND_LINE.search(worded(said, wire))] == []


def test_each_wire_words_it() -> None:
    error = NoCandidate("Late.", remedy="Give it more time: --deadline.")
    assert refusal_of(error, lambda _: None).message == "Late. Give it more time: X-Understudy-Deadline, in seconds."
    assert refusal(error, 0).remedy == "Give it more time: deadline, in seconds."
    assert error_of(error)["remedy"] == "Give it more time: X-Understudy-Deadline, in seconds."
    unknown = UnknownCandidate("There is no x/y.", remedy="understudy models lists them.")
    assert "GET /v1/models" in refusal_of(unknown, lambda _: None).message
