"""Run a program and its tests in this very process, and say what happened as a plain dict.

Tests are functions `test_*` with plain asserts, methods `test_*` of classes `Test*`, and unittest cases. The common
part of pytest is there without pytest (see pytest_words.py); what is not says so by name.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import itertools
import linecache
import os
import sys
import traceback
import types
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from understudy.tools.box import pytest_words as words

if TYPE_CHECKING:
    import unittest

SOLUTION, TESTS = "solution.py", "test_solution.py"
_STUBS = {"pytest": words}


def run(code: str, tests: str | None, folder: str) -> dict[str, Any]:
    """{"ran", "failed": [[name, reason]], "skipped", "error", "missing": module}. A script's SystemExit passes on."""
    report: dict[str, Any] = {"ran": 0, "failed": [], "skipped": 0, "error": "", "missing": ""}
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True
    sys.modules.update(_STUBS)
    if tests is None and not has_tests(code):
        report["kind"] = "script"
        _script(code, folder, report)
        return report
    try:
        solution = _load("solution", code, SOLUTION, folder, {})
        if tests is None:
            module = solution
        else:
            _lend(tests, solution)
            seeds = {k: v for k, v in vars(solution).items() if not k.startswith("__")}
            module = _load("test_solution", tests, TESTS, folder, seeds)
            report["ran"] += _bare_asserts(tests)
    except BaseException as error:  # noqa: BLE001  whatever the code raises while it is loaded is its result
        _explain_load(error, report)
        return report
    names = set(vars(module)) if tests is None else _defined(tests)
    for name, test in _collect(module, names):
        report["ran"] += 1
        try:
            test()
        except _skips():
            report["skipped"] += 1
        except BaseException as error:  # noqa: BLE001  SystemExit and KeyboardInterrupt in a test are failures of it
            report["failed"].append([name, explain(error)])
            if isinstance(error, ModuleNotFoundError):
                report["missing"] = report["missing"] or _third_party(error)
    return report


def has_tests(code: str) -> bool:
    """Whether a program brings tests of its own."""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return any(
        (isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name.startswith("test_"))
        or (isinstance(n, ast.ClassDef) and any("TestCase" in ast.unparse(b) for b in n.bases))
        or (isinstance(n, ast.ClassDef) and n.name.startswith("Test") and _has_test_methods(n))
        for n in tree.body
    )


def _has_test_methods(node: ast.ClassDef) -> bool:
    return any(isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name.startswith("test_") for n in node.body)


def _script(code: str, folder: str, report: dict[str, Any]) -> None:
    try:
        _load("__main__", code, SOLUTION, folder, {})
    except SystemExit:
        raise
    except BaseException as error:  # noqa: BLE001  its result
        trace = error.__traceback__
        while trace is not None and not trace.tb_frame.f_code.co_filename.endswith(SOLUTION):
            trace = trace.tb_next  # our own frames say nothing about the code
        traceback.print_exception(error.with_traceback(trace or error.__traceback__))
        _explain_load(error, report)


def _load(name: str, code: str, file: str, folder: str, seeds: dict[str, Any]) -> types.ModuleType:
    module = types.ModuleType(name)
    module.__file__ = os.path.join(folder, file)
    vars(module).update(seeds)
    sys.modules[name] = module
    linecache.cache[module.__file__] = (len(code), None, code.splitlines(keepends=True), module.__file__)
    exec(compile(code, module.__file__, "exec", dont_inherit=True), vars(module))  # noqa: S102  what a sandbox is for
    return module


def _lend(tests: str, solution: types.ModuleType) -> None:
    """Let the tests import the solution by whatever module name they made up, if it has the names they ask for."""
    for node in ast.walk(ast.parse(tests)):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            asked = {a.name for a in node.names}
            if asked == {"*"} or all(hasattr(solution, a) for a in asked):
                _alias(node.module, solution)
        elif isinstance(node, ast.Import):
            for imported in node.names:
                used = imported.asname or imported.name
                if _attributes(tests, used) and all(hasattr(solution, a) for a in _attributes(tests, used)):
                    _alias(imported.name, solution)


def _alias(name: str, solution: types.ModuleType) -> None:
    """Under this name and the packages above it, where the standard library has nothing of that name."""
    parts = name.split(".")
    if parts[0] in sys.stdlib_module_names or parts[0] in _STUBS:
        return
    for n in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:n]), solution)


def _attributes(tests: str, name: str) -> set[str]:
    return {n.attr for n in ast.walk(ast.parse(tests)) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == name}


def _bare_asserts(tests: str) -> int:
    """Asserts on the top level count as one test: the module did not raise, so they held."""
    body = ast.parse(tests).body
    loops = [n for n in body if isinstance(n, ast.For | ast.With | ast.If | ast.Try)]
    return int(any(isinstance(n, ast.Assert) for n in (*body, *itertools.chain(*(ast.walk(n) for n in loops)))))


def _defined(tests: str) -> set[str]:
    tree = ast.walk(ast.parse(tests))
    return {n.name for n in tree if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}


def _collect(module: types.ModuleType, names: set[str]) -> Iterator[tuple[str, Callable[[], None]]]:
    fixtures = words.fixtures_of(vars(module))
    for name, thing in list(vars(module).items()):
        if name not in names:
            continue
        if isinstance(thing, type) and issubclass(thing, _case_class()):
            yield from _cases(thing)
        elif isinstance(thing, type) and name.startswith("Test") and thing.__init__ is object.__init__:
            for method in [m for m in dir(thing) if m.startswith("test_")]:
                yield from _calls(f"{name}.{method}", getattr(thing, method), fixtures, thing)
        elif name.startswith("test_") and inspect.isfunction(thing):
            yield from _calls(name, thing, fixtures, None)


def _skips() -> tuple[type[BaseException], ...]:
    """What a test raises to be skipped. unittest is loaded by the tests or not at all: it is slow."""
    loaded = sys.modules.get("unittest")
    return (words.Skipped,) if loaded is None else (words.Skipped, loaded.SkipTest)


def _case_class() -> tuple[type, ...]:
    loaded = sys.modules.get("unittest")
    return () if loaded is None else (loaded.TestCase,)


def _cases(case: type[unittest.TestCase]) -> Iterator[tuple[str, Callable[[], None]]]:
    import unittest

    names = unittest.TestLoader().getTestCaseNames(case)
    if not names:
        return

    def whole() -> None:
        result = unittest.TestResult()
        unittest.TestSuite(case(name) for name in names).run(result)
        bad = [*result.failures, *result.errors]
        if bad:
            test, trace = bad[0]
            raise words.CaseFailed(
                f"{len(bad)} of {result.testsRun} failed; {test.id()}: {trace.strip().splitlines()[-1]}"
            )
        if result.unexpectedSuccesses:
            raise words.CaseFailed("a test that was expected to fail passed")

    yield case.__name__, whole


def _calls(
    name: str, test: Callable[..., Any], fixtures: dict[str, Callable[..., Any]], owner: type | None
) -> Iterator[tuple[str, Callable[[], None]]]:
    """One call for every set of parameters."""
    for label, values in words.parameters_of(test):

        def call(values: dict[str, Any] = values) -> None:
            instance = owner() if owner else None
            bound = getattr(instance, test.__name__) if instance is not None else test
            with words.Fixtures(fixtures, values, instance) as ready:
                if instance is not None and hasattr(instance, "setup_method"):
                    instance.setup_method(*([bound] if inspect.signature(instance.setup_method).parameters else []))
                outcome = words.call_as_marked(test, lambda: bound(**ready.arguments(bound)))
                if inspect.iscoroutine(outcome):
                    import asyncio

                    asyncio.run(outcome)
                if instance is not None and hasattr(instance, "teardown_method"):
                    instance.teardown_method(
                        *([bound] if inspect.signature(instance.teardown_method).parameters else [])
                    )

        yield f"{name}{label}", call


def explain(error: BaseException) -> str:
    """One line: the error and the line of the code it came from."""
    own = [f for f in traceback.extract_tb(error.__traceback__) if f.filename.endswith((SOLUTION, TESTS))]
    where = f" (line {own[-1].lineno}: {own[-1].line})" if own else ""
    said = " ".join(str(error).split())
    if isinstance(error, SyntaxError):
        where = f" (line {error.lineno})"
        said = error.msg
    return f"{type(error).__name__}{': ' if said else ''}{said[:300]}{where[:200]}"


def _explain_load(error: BaseException, report: dict[str, Any]) -> None:
    if isinstance(error, _skips()):
        report["skipped"] += 1
        return
    report["error"] = explain(error)
    if isinstance(error, ModuleNotFoundError):
        report["missing"] = _third_party(error)


def _third_party(error: ModuleNotFoundError) -> str:
    """The module, if it is one that no standard library has: then nothing was learnt about the code."""
    top = (error.name or "").partition(".")[0]
    known = top in sys.stdlib_module_names or importlib.util.find_spec("json") is None
    return "" if known or not top.isidentifier() else top
