"""Policies by name. A policy is a module with NAME and decide(facts); its hash is that of its source."""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.resources
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import cast

from understudy.errors import UsageError
from understudy.policies.handing import hand_on
from understudy.types import Decision, Facts

RELEASED = ("v1",)
NAMED = "named"  # decides where the caller has named a candidate; not for choosing


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """A types.Policy: the function with its name and the hash of its source."""

    name: str
    hash: str
    decide: Callable[[Facts], Decision]


@cache  # a module that is loaded does not change under a running process
def load(name: str) -> NamedPolicy:
    """The released policy of this name. Raises UsageError that names the nearest one."""
    if name not in (*RELEASED, NAMED):
        near = difflib.get_close_matches(name, RELEASED, n=1, cutoff=0.3)
        raise UsageError(
            f"There is no policy {name!r}.",
            remedy=f"Did you mean {near[0]}?" if near else f"Known: {', '.join(RELEASED)}.",
        )
    module = importlib.import_module(f"understudy.policies.{name}")
    decide = cast(Callable[[Facts], Decision], module.decide)
    return NamedPolicy(name, source_hash(name), lambda facts: hand_on(decide(facts), facts))


@cache
def source_hash(name: str) -> str:
    """SHA-256 of the policy's source with unix line ends: the same on every machine, another for every change."""
    source = importlib.resources.files("understudy.policies").joinpath(f"{name}.py").read_bytes()
    return hashlib.sha256(source.replace(b"\r\n", b"\n")).hexdigest()[:16]
