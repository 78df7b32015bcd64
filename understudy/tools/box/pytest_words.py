"""The words of pytest that answers use most, for tests that run where pytest is not.

raises, approx, fail, skip, importorskip, param, fixture (with yield), mark.parametrize, mark.skip, mark.skipif,
mark.xfail; the fixtures tmp_path, capsys and monkeypatch (setattr, setenv, delenv, setitem, delitem, chdir). Any other
mark is without effect, any other name raises AttributeError, an unknown fixture fails the test by its name.
"""

from __future__ import annotations

import cmath
import contextlib
import importlib
import inspect
import io
import os
import pathlib
import re
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from types import ModuleType, SimpleNamespace, TracebackType
from typing import Any, cast


class Skipped(Exception):
    pass


class CaseFailed(AssertionError):
    pass


def fail(reason: str = "", pytrace: bool = True) -> None:
    raise AssertionError(reason)


def skip(reason: str = "", *, allow_module_level: bool = False) -> None:
    raise Skipped(reason)


def importorskip(name: str, **_: Any) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise Skipped(name) from None


class raises:  # noqa: N801  pytest's name
    """Context manager, or with a function as the second argument a call."""

    def __init__(self, expected: Any, *call: Any, match: str | None = None, **keywords: Any) -> None:
        self.expected, self.match = expected, match
        self.value: BaseException | None = None
        self.type: type[BaseException] | None = None
        if call:
            with self:
                call[0](*call[1:], **keywords)

    def __enter__(self) -> raises:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        if value is None:
            raise AssertionError(f"DID NOT RAISE {getattr(self.expected, '__name__', self.expected)}")
        if not isinstance(value, self.expected):
            return False
        self.type, self.value = kind, value
        if self.match is not None and not re.search(self.match, str(value)):
            raise AssertionError(f"pattern {self.match!r} does not match {str(value)!r}")
        return True


class approx:  # noqa: N801  pytest's name
    """Equal within 1e-6 relative or 1e-12 absolute, as pytest has it; sequences and mappings member by member."""

    def __init__(self, expected: Any, rel: float | None = None, abs: float | None = None, nan_ok: bool = False) -> None:  # noqa: A002
        self.expected, self.rel, self.abs, self.nan_ok = expected, rel, abs, nan_ok

    def __eq__(self, actual: object) -> bool:
        return self._near(actual, self.expected)

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def _near(self, actual: Any, expected: Any) -> bool:
        if isinstance(expected, Mapping):
            wanted = cast(Mapping[Any, Any], expected)
            return actual.keys() == wanted.keys() and all(self._near(actual[k], wanted[k]) for k in wanted)
        if isinstance(expected, Sequence) and not isinstance(expected, str):
            members = cast(Sequence[Any], expected)
            return len(actual) == len(members) and all(self._near(a, e) for a, e in zip(actual, members, strict=True))
        return bool(actual == expected) or self._near_number(actual, expected)

    def _near_number(self, actual: Any, expected: Any) -> bool:
        try:
            if cmath.isnan(expected):
                return self.nan_ok and cmath.isnan(actual)
            if cmath.isinf(expected) or cmath.isinf(actual):
                return False
            return bool(abs(actual - expected) <= self._tolerance(abs(expected)))
        except TypeError:
            return False

    def _tolerance(self, size: float) -> float:
        if self.abs is not None and self.rel is None:
            return self.abs
        return max((1e-6 if self.rel is None else self.rel) * float(size), 1e-12 if self.abs is None else self.abs)

    def __repr__(self) -> str:
        return f"approx({self.expected!r})"


def param(*values: Any, id: str | None = None, marks: Any = ()) -> tuple[Any, ...]:  # noqa: A002
    return values


class _Mark:
    """pytest.mark: a mark is noted on the function; an unknown one is without effect, as in pytest."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def mark(*values: Any, **keywords: Any) -> Any:
            if len(values) == 1 and not keywords and (inspect.isfunction(values[0]) or inspect.isclass(values[0])):
                return _note(values[0], name, (), {})

            def note(thing: Any) -> Any:
                return _note(thing, name, values, keywords)

            return note

        return mark


def _note(thing: Any, name: str, values: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
    thing.box_marks = [*getattr(thing, "box_marks", []), (name, values, keywords)]
    return thing


mark = _Mark()


def fixture(function: Any = None, **options: Any) -> Any:
    if function is None:

        def note(function: Any) -> Any:
            return fixture(function, **options)

        return note
    function.box_fixture = options
    return function


def fixtures_of(names: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """The fixtures a module defines, by the name a test asks for."""
    found = {n: f for n, f in names.items() if inspect.isfunction(f) and hasattr(f, "box_fixture")}
    return {str(getattr(f, "box_fixture").get("name") or n): f for n, f in found.items()}  # noqa: B009


def parameters_of(test: Callable[..., Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(label, arguments) for every combination of the parametrize marks."""
    sets: list[dict[str, Any]] = [{}]
    for name, values, keywords in reversed(getattr(test, "box_marks", [])):
        if name != "parametrize":
            continue
        asked = keywords.get("argnames", values[0] if values else "")
        rows = keywords.get("argvalues", values[1] if len(values) > 1 else ())
        names = [n.strip() for n in asked.split(",") if n.strip()] if isinstance(asked, str) else list(asked)
        one = len(names) == 1
        grown: list[dict[str, Any]] = []
        for have in sets:
            for row in rows:
                members: tuple[Any, ...] = _members(row, one)
                grown.append({**have, **dict(zip(names, members, strict=True))})
        sets = grown
    for n, values in enumerate(sets):
        yield (f"[{n}]" if len(sets) > 1 else ""), values


def _members(row: Any, one: bool) -> tuple[Any, ...]:
    if not one:
        return tuple(row)
    packed: tuple[Any, ...] = (row,)
    if isinstance(row, tuple) and len(cast(tuple[Any, ...], row)) == 1:
        packed = cast(tuple[Any, ...], row)  # param(value)
    return packed


def call_as_marked(test: Callable[..., Any], call: Callable[[], Any]) -> Any:
    """The outcome of a test, its skip and xfail marks obeyed."""
    expected = False
    for name, values, keywords in getattr(test, "box_marks", []):
        if name == "skip" or (name == "skipif" and values and values[0]):
            raise Skipped(str(keywords.get("reason", "")))
        expected = expected or (name == "xfail" and (not values or bool(values[0])))
    if not expected:
        return call()
    with contextlib.suppress(Exception):
        call()
    return None


class Fixtures:
    """The arguments of one test: parameters, the module's fixtures, and the three built in."""

    def __init__(self, known: Mapping[str, Callable[..., Any]], values: Mapping[str, Any], instance: Any) -> None:
        self._known, self._values, self._instance = known, dict(values), instance
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Fixtures:
        for name, function in self._known.items():
            if getattr(function, "box_fixture", {}).get("autouse"):
                self._value(name)
        return self

    def __exit__(self, *exc: Any) -> None:
        self._stack.close()

    def arguments(self, function: Callable[..., Any]) -> dict[str, Any]:
        asked = inspect.signature(function).parameters.values()
        return {p.name: self._value(p.name) for p in asked if p.default is p.empty and p.kind not in (2, 4)}

    def _value(self, name: str) -> Any:
        if name not in self._values:
            own: Any = getattr(self._instance, name, None)
            if name in self._known:
                self._values[name] = self._made(self._known[name], self._known[name])
            elif hasattr(own, "box_fixture"):
                self._values[name] = self._made(own, getattr(self._instance, name))
            elif name in _BUILT_IN:
                self._values[name] = self._stack.enter_context(_BUILT_IN[name]())
            else:
                raise LookupError(f"the fixture {name} is not known here")
        return self._values[name]

    def _made(self, function: Any, bound: Callable[..., Any]) -> Any:
        options = function.box_fixture
        given = self.arguments_without_request(bound, options)
        if inspect.isgeneratorfunction(function):
            return self._stack.enter_context(contextlib.contextmanager(bound)(**given))
        return bound(**given)

    def arguments_without_request(self, bound: Callable[..., Any], options: Mapping[str, Any]) -> dict[str, Any]:
        if "request" in inspect.signature(bound).parameters:
            # One value of a parametrized fixture only: enough to run the test, and said in the module's docstring.
            values = options.get("params") or [None]
            self._values["request"] = SimpleNamespace(param=values[0])
        return self.arguments(bound)


@contextlib.contextmanager
def _tmp_path() -> Generator[pathlib.Path]:
    yield pathlib.Path(tempfile.mkdtemp(prefix="t", dir=os.environ.get("TMPDIR")))


class _Captured:
    def __init__(self, out: io.StringIO, err: io.StringIO) -> None:
        self._streams = (out, err)

    def readouterr(self) -> Any:
        said = [s.getvalue() for s in self._streams]
        for stream in self._streams:
            stream.seek(0)
            stream.truncate()
        return _Said(*said)


class _Said(tuple[str, str]):
    def __new__(cls, out: str, err: str) -> _Said:
        return super().__new__(cls, (out, err))

    @property
    def out(self) -> str:
        return self[0]

    @property
    def err(self) -> str:
        return self[1]


@contextlib.contextmanager
def _capsys() -> Generator[_Captured]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield _Captured(out, err)


class _Patches:
    def __init__(self, stack: contextlib.ExitStack) -> None:
        from unittest import mock  # slow to import, and few tests ask for it

        self._stack, self._mock = stack, mock

    def setattr(self, target: Any, name: Any, value: Any = None, raising: bool = True) -> None:
        if isinstance(target, str):
            self._stack.enter_context(self._mock.patch(target, name))
        else:
            self._stack.enter_context(self._mock.patch.object(target, name, value, create=not raising))

    def setenv(self, name: str, value: str, prepend: str | None = None) -> None:
        self._stack.enter_context(self._mock.patch.dict(os.environ, {name: str(value)}))

    def delenv(self, name: str, raising: bool = True) -> None:
        self.delitem(os.environ, name, raising)

    def setitem(self, mapping: Any, name: Any, value: Any) -> None:
        self._stack.enter_context(self._mock.patch.dict(mapping, {name: value}))

    def delitem(self, mapping: Any, name: Any, raising: bool = True) -> None:
        self._stack.enter_context(self._mock.patch.dict(mapping))
        if raising or name in mapping:
            del mapping[name]

    def chdir(self, path: Any) -> None:
        self._stack.callback(os.chdir, os.getcwd())
        os.chdir(path)


@contextlib.contextmanager
def _monkeypatch() -> Generator[_Patches]:
    with contextlib.ExitStack() as stack:
        yield _Patches(stack)


_BUILT_IN: dict[str, Callable[[], contextlib.AbstractContextManager[Any]]] = {
    "tmp_path": _tmp_path,
    "capsys": _capsys,
    "monkeypatch": _monkeypatch,
}
