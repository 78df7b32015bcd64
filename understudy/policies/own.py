"""A policy of the user's own: a Python module or a TOML table, read, looked through, tried over the fact space, sealed.

What is refused here keeps slips out, not malice: a module is its owner's code and runs as such. That is why no path is
taken over the wire.
"""

from __future__ import annotations

import ast
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import cast

from understudy.errors import ConfigError
from understudy.policies import check, lattice, registry
from understudy.policies.vocabulary import NAME
from understudy.types import Decision, Facts

GROUP = "understudy.policies"  # of entry points
LARGEST = 1_000_000  # bytes of a source
# What of the standard library has neither a clock, nor chance, nor a way out.
PURE = frozenset(
    {
        "__future__", "abc", "bisect", "collections", "dataclasses", "decimal", "enum", "fractions", "functools",
        "heapq", "itertools", "math", "operator", "re", "string", "textwrap", "typing",
    }
)  # fmt: skip
IMPURE = {
    **dict.fromkeys(("open", "input", "print", "breakpoint"), "reads or writes"),
    **dict.fromkeys(("eval", "exec", "compile", "__import__", "globals", "locals", "vars"), "runs what cannot be seen"),
    **dict.fromkeys(("id", "hash"), "is another in each process"),
    **dict.fromkeys(("setattr", "delattr"), "changes what it is given"),
}
HELP = "A policy is a function of its facts alone; docs/policies.md says what it may use."


def entry_point(name: str) -> str | None:
    """Where the module of this entry point lies; None: no package offers a policy of this name."""
    from importlib.metadata import entry_points
    from importlib.util import find_spec

    for point in entry_points(group=GROUP, name=name):
        try:
            found = find_spec(point.module)
        except (ImportError, ValueError):
            found = None
        if found is None or found.origin is None:
            raise ConfigError(
                f"The entry point {name} of {GROUP} names {point.module}, which is not there.",
                remedy="Install its package anew.",
            )
        return found.origin
    return None


def open_own(path: str, *, named: str | None = None) -> registry.NamedPolicy:
    """The policy at this path, tried and sealed. named: what its entry point calls it. Raises ConfigError."""
    place, text = _read(path)
    policy = _module(text, place) if place.suffix == ".py" else _table(text, place)
    if policy.name in (*registry.RELEASED, registry.NAMED):
        raise ConfigError(f"{place}: {policy.name} is a released policy's name.", remedy="Call it something else.")
    if named is not None and policy.name != named:
        what = f"{place}: the policy calls itself {policy.name}, its entry point {named}."
        raise ConfigError(what, remedy="Give both the same name.")
    _try(policy, place)
    return replace(policy, decide=_sealed(policy), own=True, source=str(place))


def numbers_of(policy: registry.NamedPolicy) -> tuple[float, ...]:
    """Every number in a policy's source: where it may change its mind."""
    if policy.module is None:
        return ()
    path = policy.module.__file__ or ""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ()
    found = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return tuple(v for v in found if isinstance(v, int | float) and not isinstance(v, bool))


def _read(path: str) -> tuple[Path, str]:
    try:
        place = Path(path).expanduser().resolve()
        if place.suffix not in registry.OWN_SUFFIXES:
            raise ConfigError(f"A policy is a .py or a .toml file, and {path} is neither.", remedy="Name its file.")
        if not place.is_file():  # a pipe would be waited for
            raise ConfigError(f"There is no policy at {path}.", remedy="Name its file: NAME.py or NAME.toml.")
        data = place.read_bytes()
        if len(data) > LARGEST:
            raise ConfigError(f"{path} is larger than {LARGEST:,} bytes.", remedy="A policy is a page or two.")
        return place, data.decode("utf-8")
    except (OSError, ValueError, RuntimeError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else type(error).__name__
        raise ConfigError(f"The policy {path} cannot be read ({why}).", remedy="Check the file.") from None


def _table(text: str, place: Path) -> registry.NamedPolicy:
    from understudy.policies.tables import over

    return over(text, str(place))


def _module(text: str, place: Path) -> registry.NamedPolicy:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None) or 1
        raise ConfigError(f"{place}, line {line}: this is not Python ({error.args[0]}).", remedy="Mend it.") from None
    for line, what in _impurities(tree):
        raise ConfigError(f"{place}, line {line}: {what}.", remedy=HELP)
    hashed = registry.hash_of(text.encode())
    module = ModuleType(f"understudy_own_policy_{hashed}")
    module.__file__ = str(place)
    sys.modules[module.__name__] = module  # where dataclasses look up the names in their annotations
    try:
        exec(compile(tree, str(place), "exec"), module.__dict__)  # noqa: S102  the user's own file, by the user's word
    except Exception as error:  # noqa: BLE001  it may be anything
        what = f"{_at(place, error)}: it cannot be run ({type(error).__name__})"
        raise ConfigError(f"{what}.", remedy="Mend that line.") from None
    name, decide = getattr(module, "NAME", None), getattr(module, "decide", None)
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        what = f"{place}, line {_line_of(tree, 'NAME')}: NAME must be a string of lower case letters, digits, - and _."
        raise ConfigError(what, remedy='Write NAME = "mine".')
    if not callable(decide):
        what = f"{place}, line {_line_of(tree, 'decide')}: there is no function decide."
        raise ConfigError(what, remedy="Write def decide(facts: Facts) -> Decision: ...")
    about = (module.__doc__ or "").partition("\n")[0].rstrip(".")
    decides = registry.handed(cast(Callable[[Facts], Decision], decide))
    return registry.NamedPolicy(name, hashed, decides, about, module=module)


def _impurities(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and what is wrong, of what a pure function has no use for."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 1)
        match node:
            case ast.Import(names=names):
                for alias in names:
                    if alias.name != "understudy.types" and alias.name.partition(".")[0] not in PURE:
                        yield line, f"it imports {alias.name}"
            case ast.ImportFrom(module=module, level=level):
                name = module or "."
                if level or (name != "understudy.types" and name.partition(".")[0] not in PURE):
                    yield line, f"it imports {'.' * level}{module or ''}"
            case ast.Name(id=name) if name in IMPURE:
                yield line, f"it uses {name}, which {IMPURE[name]}"
            case ast.Attribute(attr=name) if name.startswith("__") and name.endswith("__"):
                yield line, f"it reaches for {name}"
            case ast.Global() | ast.Nonlocal():
                yield line, "it keeps something from one decision to the next"
            case ast.AsyncFunctionDef() | ast.Await() | ast.Yield() | ast.YieldFrom():
                yield line, "a decision is made at once: no async, no yield"
            case _:
                pass


def _try(policy: registry.NamedPolicy, place: Path) -> None:
    """Raises ConfigError naming the rule, the facts, and the line where the policy broke, if it did."""
    found, _ = check.first_violation(policy.decide, lattice.walk(whole=False, marks=numbers_of(policy)), twice=True)
    if found is not None:
        raise broken(policy.name, found, place)


def broken(name: str, found: check.Violation, place: Path | None = None) -> ConfigError:
    """A violation as an error."""
    where = _at(place, found.error) if place is not None and found.error is not None else str(place or name)
    what = f"{where}: the policy {name} breaks a rule ({found.rule}): {found.what}; for {check.in_words(found.facts)}."
    return ConfigError(what, remedy=f"understudy policy test {place or name} looks at all facts.")


def _sealed(policy: registry.NamedPolicy) -> Callable[[Facts], Decision]:
    """Every decision is checked before anybody acts on it: what was not among the facts tried breaks no rule either."""
    decide = policy.decide

    def sealed(facts: Facts) -> Decision:
        found = check.examined(decide, facts)
        if isinstance(found, check.Violation):
            raise broken(policy.name, found)
        return found

    return sealed


def _at(place: Path, error: BaseException) -> str:
    """The file, and the last line of it that the error passed through."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(place)]
    return f"{place}, line {lines[-1]}" if lines else str(place)


def _line_of(tree: ast.Module, name: str) -> int:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.FunctionDef) and getattr(node, "id", getattr(node, "name", "")) == name:
            return node.lineno
    return 1
