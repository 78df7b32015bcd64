"""Python in an answer: does it compile, and do the tests it brings hold?"""

from __future__ import annotations

import ast
import re
import warnings

from understudy.director.validators.text import Fence, fences, spoken
from understudy.types import Answer, Task

_PYTHON_TAGS = re.compile(r"(?:python3?|py3?|python[\d.]+|\{\.?python\}|pytest)(?:[\s{:,=].*)?\Z")
_SESSION = re.compile(r"^(?:>>> |\.\.\. ?|In \[\d+\]:|\$ |% )", re.M)
# A line that only Python has, twice: then an answer without a fence is Python and not prose.
_PYTHON_LINE = re.compile(
    r"^(?:(?:async )?def \w+\(.*\).*:|class \w+.*:|from [\w.]+ import .+|import [\w.]+(?: as \w+)?|"
    r"@\w[\w.]*(?:\(.*\))?|(?:if|for|while|with|elif) .+:|(?:else|try|finally):|except\b.*:|"
    r" +(?:return|yield|raise)\b.*|\w+(?:\.\w+)* = .+|print\(.*\))\s*(?:#.*)?$",
    re.M,
)
_ELLIPSIS = re.compile(r"^[ \t]*(?:\.\.\.|…)[^\n]*$", re.M)
_MAX_CHARS = 500_000
_FOR_TESTS = re.compile(
    r"\b(?:unit[- ]?tests?|test (?:cases?|suite|functions?)|tests\b|pytest|unittest|testfälle|pruebas unitarias)", re.I
)
_DIFF = re.compile(r"^(?:[-+]{3} |@@ |diff --git)", re.M)


def python_compiles(answer: Answer, task: Task) -> str:
    """Every block of Python in the answer compiles. Shell sessions, diffs and sketches with "..." are let be."""
    blocks = _python(answer.text)
    for n, block in enumerate(blocks, 1):
        if _is_no_program(block):
            continue
        if why := why_not_python(block.body):
            return why if len(blocks) == 1 else f"code block {n}: {why}"
    return ""


def why_not_python(code: str) -> str:
    """The syntax error of a piece of Python, or the empty string. A fragment may be indented, or await on top level."""
    if len(code) > _MAX_CHARS:
        return f"the code is longer than {_MAX_CHARS:,} characters"
    error = _syntax_error(code)
    if error and _syntax_error(_dedented(code)) and _syntax_error(_in_a_function(code)):
        return error
    return ""


def _syntax_error(code: str) -> str:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(code, "answer", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    except SyntaxError as error:
        return f"the Python does not compile: {error.msg} (line {error.lineno})"
    except (ValueError, RecursionError, MemoryError, OverflowError) as error:
        return f"the Python does not compile ({type(error).__name__})"
    return ""


def _dedented(code: str) -> str:
    import textwrap

    return textwrap.dedent(code)


def _in_a_function(code: str) -> str:
    """A fragment that returns or yields is fine inside the function it belongs to."""
    import textwrap

    return "async def fragment():\n" + textwrap.indent(textwrap.dedent(code), "    ") + "\n    pass"


def _python(text: str) -> list[Fence]:
    text = spoken(text)
    found, _ = fences(text)
    if not found and len(_PYTHON_LINE.findall(text)) >= 2 and _is_mostly_code(text):
        return [Fence("python", text, closed=True)]
    return [f for f in found if _PYTHON_TAGS.match(f.tag) and f.body.strip()]


def _is_mostly_code(text: str) -> bool:
    """No line of prose: nothing that begins like a sentence and ends like one."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    prose = [line for line in lines if re.match(r"[A-Z][a-z]+ [^=(\[]*[.:!?]$", line.strip())]
    return bool(lines) and _PYTHON_LINE.match(lines[0].rstrip()) is not None and not prose


def _is_no_program(block: Fence) -> bool:
    """An interpreter session, a diff, or a sketch in which dots stand for what is left out."""
    body = block.body
    if _SESSION.search(body) or _DIFF.search(body):
        return True
    dots = _ELLIPSIS.search(body)
    return dots is not None and bool(_syntax_error(body)) and not why_not_python(_ELLIPSIS.sub("", body) or "pass")


def split_tests(text: str) -> tuple[str, str | None]:
    """(code, tests) of an answer: blocks that bring tests are the tests, the others before them the code.

    One block with both is code with its own tests: tests is None then.
    """
    from understudy.tools.box.suite import has_tests

    blocks = [b.body for b in _python(text) if not _is_no_program(b)]
    code = [b for b in blocks if not has_tests(b)]
    tests = [b for b in blocks if has_tests(b)]
    if not tests:
        return "\n\n".join(code), None
    if not code:
        return "\n\n".join(tests), None
    return "\n\n".join(code), "\n\n".join(tests)


async def tests_pass(answer: Answer, task: Task) -> str:
    """The tests in the answer hold, run in the sandbox. None there is a remark, unless they were asked for.

    Code that needs a module outside of the standard library cannot be run there: a remark too, not a failure.
    Raises ToolFailed where there is no sandbox.
    """
    from understudy.tools.box.suite import has_tests
    from understudy.tools.sandbox import run_python

    code, tests = split_tests(answer.text)
    if tests is None and not has_tests(code):
        if code and _FOR_TESTS.search(task.text):
            return "tests were asked for and there are none in the answer"
        return "note: there are no tests in the answer"
    given = _code_of(task)
    if tests is None and given and not has_tests(given):
        code, tests = given, code  # tests were asked for the code in the task
    result = await run_python(code, tests=tests)
    if result.passed:
        return f"note: {result.tests} tests passed in {result.seconds:.1f} s"
    if result.missing:
        return f"note: not run, {result.missing} is not in the standard library"
    return f"the tests fail: {result.why}"


def _code_of(task: Task) -> str:
    """Python that came with the task: tests may have been asked for just that."""
    return "\n\n".join(b.body for b in _python(task.text) if not _is_no_program(b))
