"""The tests that an answer brings are run, in the real sandbox."""

from __future__ import annotations

import pytest

from understudy.director.validators import validate
from understudy.errors import ToolFailed
from understudy.tools import sandbox
from understudy.tools.box import landlock
from understudy.types import Answer, Check, Task

pytestmark = pytest.mark.skipif(not landlock.version(), reason="this kernel has no Landlock")

GOOD = "```python\ndef add(a, b):\n    return a + b\n```\n"
BAD = "```python\ndef add(a, b):\n    return a - b\n```\n"
TESTS = "And the tests:\n```python\nfrom adder import add\n\ndef test_add():\n    assert add(1, 2) == 3\n```\n"
CASE = (
    "```python\nimport unittest\n\n"
    "def add(a, b):\n    return a + b\n\nclass T(unittest.TestCase):\n"
    "    def test_add(self):\n        self.assertEqual(add(1, 2), 3)\n\n"
    "if __name__ == '__main__':\n    unittest.main()\n```"
)


async def check(text: str, task: str = "Write add with tests") -> Check:
    (done,) = await validate(Answer(text), Task(task), ["tests_pass"])
    return done


@pytest.mark.parametrize(
    "text",
    [
        GOOD + TESTS,
        TESTS + GOOD,
        CASE,
        GOOD.replace("```python", "Some words\n```py") + TESTS,
        GOOD + TESTS + "Run it:\n```bash\npytest -q\n```",
        GOOD + "```python\n>>> add(1, 2)\n3\n```\n" + TESTS,
        (GOOD + TESTS).replace("from adder import add\n", ""),
        (GOOD + TESTS).replace("from adder import add\n", "import pytest\nfrom src.math.adder import add\n"),
    ],
)
async def test_tests_that_hold(text: str) -> None:
    done = await check(text)
    assert done.passed, done.reason
    assert done.reason.startswith("1 tests passed")


async def test_tests_that_do_not_hold_go_back_with_their_reason() -> None:
    done = await check(BAD + TESTS)
    assert not done.passed
    assert "test_add" in done.reason
    assert "assert add(1, 2) == 3" in done.reason
    assert not (await check(CASE.replace("a + b", "a * b"))).passed
    assert not (await check(GOOD.replace(":\n", ":\n    import os; os._exit(0)\n") + TESTS)).passed


async def test_tests_for_the_code_of_the_task() -> None:
    tests = "```python\ndef test_add():\n    assert add(1, 2) == 3\n```"
    assert (await check(tests, "Write unit tests for this:\n" + GOOD)).passed
    assert not (await check(tests, "Write unit tests for this:\n" + BAD)).passed


async def test_no_tests_are_a_remark_unless_they_were_asked_for() -> None:
    done = await check(GOOD, "Write a function that adds")
    assert (done.passed, done.reason) == (True, "there are no tests in the answer")
    assert not (await check(GOOD, "Write a function that adds, with unit tests")).passed
    assert (await check("Paris", "What is the capital of France?")).passed


async def test_a_library_that_is_not_there_is_a_remark() -> None:
    done = await check("```python\nimport numpy as np\ndef test_a():\n    assert np.add(1, 2) == 3\n```")
    assert done.passed
    assert done.reason == "not run, numpy is not in the standard library"


async def test_without_a_sandbox_it_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: object, **__: object) -> None:
        raise ToolFailed("Code cannot be run safely here: no seccomp.", remedy="Use Linux.")

    monkeypatch.setattr(sandbox, "run_python", refuse)
    done = await check(GOOD + TESTS)
    assert (done.passed, done.reason) == (False, "Code cannot be run safely here: no seccomp.")
