"""One step of a pipeline: a function whose parameters are what it needs, by name.

    @step(agent="summarizer", map="doc in docs")
    def summary(doc: str) -> str:
        return f"Summarize in one sentence:\\n{doc}"

It returns what is to be asked, a text or a Task; its result is the answer. With ask=False it is plain Python, and its
result is what it returns.
"""

from __future__ import annotations

import inspect
import re
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from understudy.errors import UsageError

Keep = Literal["all", "first", "majority", "judge"]
KEEPS: tuple[Keep, ...] = typing.get_args(Keep)
Check = Callable[[Any], object]  # False, or a text that says why not: the result is rejected
_MAP = re.compile(r"\s*([A-Za-z_]\w*)\s+in\s+([A-Za-z_]\w*)\s*")


@dataclass(frozen=True, slots=True)
class Step:
    """needs: parameter -> the step or input it takes, or each element of which it takes (mapped)."""

    name: str
    function: Callable[..., Any] = field(repr=False)
    needs: Mapping[str, str]
    optional: frozenset[str] = frozenset()
    mapped: str = ""  # the parameter that runs over a list
    after: tuple[str, ...] = ()
    ask: bool = True
    agent: str | None = None
    intent: str | None = None
    policy: str | None = None
    schema: Mapping[str, Any] | None = field(default=None, repr=False)
    private: bool = False
    max_tokens: int | None = None
    checks: tuple[str, ...] = ()
    checkers: tuple[Check, ...] = ()
    deadline: float | None = None
    retries: int = 1
    models: tuple[str, ...] = ()
    keep: Keep = "first"
    wants: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)  # annotations of the parameters
    gives: Any = Any  # of one run of it; a mapped step gives a list of these

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function itself, for tests of it."""
        return self.function(*args, **kwargs)


def step(
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    map: str = "",  # noqa: A002 - the field's word
    depends_on: tuple[str, ...] | list[str] = (),
    ask: bool = True,
    agent: str | None = None,
    intent: str | None = None,
    policy: str | None = None,
    schema: Mapping[str, Any] | None = None,
    private: bool = False,
    max_tokens: int | None = None,
    validators: tuple[str | Check, ...] | list[str | Check] = (),
    deadline: float | None = None,
    retries: int = 1,
    models: tuple[str, ...] | list[str] = (),
    keep: Keep = "first",
) -> Any:
    """A step of this function, or a decorator that makes one. Raises UsageError.

    map: "doc in docs": the parameter doc takes each element of docs. depends_on: steps that end before, beside those
    named by parameters. models: each is asked; keep says whose answers count.
    """

    def make(function: Callable[..., Any]) -> Step:
        title = name or function.__name__
        signature = inspect.signature(function)
        needs = {p: p for p in signature.parameters}
        mapped = ""
        if map:
            read = _MAP.fullmatch(map)
            if read is None or read[1] not in needs:
                raise UsageError(f"{title}: map = {map!r} names no parameter.", remedy='Such as map="doc in docs".')
            mapped, needs[read[1]] = read[1], read[2]
        if keep not in KEEPS or (keep != "first" and not models):
            raise UsageError(f"{title}: keep = {keep!r}.", remedy=f"One of {', '.join(KEEPS)}, and name the models.")
        if retries < 0 or (deadline is not None and deadline <= 0):
            raise UsageError(f"{title}: retries and deadline are not below 0.", remedy="Give others.")
        hints = _hints(function)
        gives: Any = hints.get("return", Any) if not ask else (dict if schema is not None else str)
        return Step(
            name=title,
            function=function,
            needs=needs,
            optional=frozenset(n for n, p in signature.parameters.items() if p.default is not p.empty),
            mapped=mapped,
            after=tuple(depends_on),
            ask=ask,
            agent=agent,
            intent=intent,
            policy=policy,
            schema=schema,
            private=private,
            max_tokens=max_tokens,
            checks=tuple(v for v in validators if isinstance(v, str)),
            checkers=tuple(v for v in validators if not isinstance(v, str)),
            deadline=deadline,
            retries=retries,
            models=tuple(models),
            keep=keep,
            wants={n: hints.get(n, Any) for n in needs},
            gives=list if ask and keep == "all" else gives,
        )

    return make if function is None else make(function)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except (NameError, TypeError):
        return {}  # names of a function's own scope: nothing is known of them
