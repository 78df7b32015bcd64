"""Policies by name: released ones, a user's own by path or entry point. A hash names the source a policy was made of.

A released policy is a module with NAME and decide(facts), or a table over one.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.resources
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import cast

from understudy.errors import UsageError
from understudy.policies.handing import hand_on
from understudy.types import Decision, Facts

RELEASED = ("v1", "v2", "advisor", "phase1", "phase2", "phase3", "orchestra", "control")
TABLES = frozenset({"phase1", "phase2", "phase3"})
NAMED = "named"  # decides where the caller has named a candidate; not for choosing
OWN_SUFFIXES = (".py", ".toml")


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """A types.Policy: the function with its name and the hash of its source.

    module: of a policy written in Python. table: the source of one that is laid over another, whose name is `base`.
    own: a user's, not released; source: where it was found.
    """

    name: str
    hash: str
    decide: Callable[[Facts], Decision]
    about: str = ""
    base: str = ""
    module: ModuleType | None = field(default=None, repr=False, compare=False)
    table: str = field(default="", repr=False, compare=False)
    own: bool = False
    source: str = ""


def is_path(name: str) -> bool:
    """Whether this is where a policy lies, and not what it is called."""
    return "/" in name or name.endswith(OWN_SUFFIXES)


def load(name: str) -> NamedPolicy:
    """The policy of this name: a released one, a path (NAME.py, NAME.toml), or an entry point's name.

    Raises UsageError that names the nearest one; ConfigError for one's own that cannot be read or breaks a rule.
    """
    return _loaded(name)


@cache  # what is loaded does not change under a running process, until forget()
def _loaded(name: str) -> NamedPolicy:
    if is_path(name):
        from understudy.policies import own

        return own.open_own(name)
    if name not in (*RELEASED, NAMED):
        from understudy.policies import own

        if (found := own.entry_point(name)) is not None:
            return own.open_own(found, named=name)
        near = difflib.get_close_matches(name, RELEASED, n=1, cutoff=0.3)
        raise UsageError(
            f"There is no policy {name!r}.",
            remedy=f"Did you mean {near[0]}?" if near else f"Known: {', '.join(RELEASED)}.",
        )
    return _released(name)


def forget() -> None:
    """Read one's own policies anew the next time they are asked for."""
    _loaded.cache_clear()


@cache
def _released(name: str) -> NamedPolicy:
    if name in TABLES:
        from understudy.policies.tables import over

        return over(source(f"{name}.toml").decode(), f"{name}.toml")
    module = importlib.import_module(f"understudy.policies.{name}")
    decide = cast(Callable[[Facts], Decision], module.decide)
    about = (module.__doc__ or "").partition("\n")[0].partition(": ")[2].rstrip(".")
    return NamedPolicy(name, source_hash(name), handed(decide), about, module=module)


def bare(policy: NamedPolicy) -> Callable[[Facts], Decision]:
    """A module's own function, without what holds for every policy."""
    return cast(Callable[[Facts], Decision], policy.module.decide) if policy.module is not None else policy.decide


def handed(decide: Callable[[Facts], Decision]) -> Callable[[Facts], Decision]:
    """What holds for conversations that are handed on holds whatever policy decides."""
    return lambda facts: hand_on(decide(facts), facts)


@cache
def source_hash(name: str) -> str:
    """Of the source of a module of this room: the same on every machine, another for every change."""
    return hash_of(source(f"{name}.py"))


def hash_of(*sources: bytes) -> str:
    """SHA-256 over sources with unix line ends, shortened."""
    return hashlib.sha256(b"\0".join(s.replace(b"\r\n", b"\n") for s in sources)).hexdigest()[:16]


def source(file: str) -> bytes:
    """A file of this room. Raises FileNotFoundError."""
    return importlib.resources.files("understudy.policies").joinpath(file).read_bytes()
