"""A pipeline: steps that need each other, as a graph. What cannot work is refused before anything is called."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any, Literal

import networkx as nx

from understudy.errors import UsageError
from understudy.pipelines.step import Step

if TYPE_CHECKING:
    from understudy.director.director import Director

BOX, GAP = (150, 40), (60, 24)  # of the drawing: width and height, and the space between


class Pipeline:
    """`Pipeline("review", files, summary, report)`. A parameter that no step is called by is an input.

    Raises UsageError for two steps of one name, a cycle, a step that is not there, types that do not fit.
    """

    def __init__(self, name: str, *steps: Step, inputs: Mapping[str, Any] | None = None) -> None:
        """inputs: further ones, with their types."""
        self.name = name
        self.steps = {s.name: s for s in steps}
        if len(self.steps) < len(steps) or not steps:
            raise UsageError(f"The pipeline {name} needs steps, each with a name of its own.", remedy="Name them.")
        self.inputs: dict[str, Any] = dict(inputs or {})
        self._optional: set[str] = set()
        for s in steps:
            for parameter, source in s.needs.items():
                if source not in self.steps and self.inputs.get(source, Any) is Any:
                    self.inputs[source] = Any if parameter == s.mapped else s.wants.get(parameter, Any)
                    if parameter in s.optional:
                        self._optional.add(source)
        self.graph = self._compiled()
        self._check_types()

    @property
    def last(self) -> tuple[str, ...]:
        """The steps that nobody waits for: their results are the pipeline's."""
        return tuple(n for n in self.steps if self.graph.out_degree(n) == 0)

    async def run(
        self,
        inputs: Mapping[str, Any] | None = None,
        *,
        director: Director | None = None,
        run: str | None = None,
        at_once: int = 16,
    ) -> Any:
        """The result of the last step; of several last ones a table by name.

        run: names it, so that it goes on where it was when it was killed. Without a director the configuration's.
        Raises UsageError, StepFailed and what a director raises.
        """
        from understudy.director.director import Director as Real
        from understudy.pipelines.execute import execute

        given = self.checked(inputs or {})
        if director is not None:
            return await execute(self, given, director, run, at_once)
        async with Real.from_config() as opened:
            return await execute(self, given, opened, run, at_once)

    def checked(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Raises UsageError for inputs that are missing, unknown or of another type."""
        missing = sorted(set(self.inputs) - set(inputs) - self._optional)
        if missing:
            raise UsageError(f"{self.name}: the input {missing[0]} is missing.", remedy=f"Give {', '.join(missing)}.")
        if strange := sorted(set(inputs) - set(self.inputs)):
            known = ", ".join(self.inputs) or "none"
            raise UsageError(f"{self.name}: there is no input {strange[0]}.", remedy=f"There are: {known}.")
        for name, value in inputs.items():
            if not _is_a(value, self.inputs[name]):
                what = (
                    f"{self.name}: the input {name} is to be {_said(self.inputs[name])}, and is {type(value).__name__}."
                )
                raise UsageError(what, remedy="Give another.")
        return dict(inputs)

    def draw(self, form: Literal["mermaid", "svg"] = "mermaid") -> str:
        return self._mermaid() if form == "mermaid" else self._svg()

    def _compiled(self) -> Any:
        library: Any = nx
        graph: Any = library.DiGraph()
        graph.add_nodes_from(self.steps)
        for s in self.steps.values():
            for source in (*s.needs.values(), *s.after):
                if source in self.steps:
                    graph.add_edge(source, s.name)
                elif source in s.after:
                    raise UsageError(f"{s.name} depends on {source}, which is no step.", remedy="Name a step.")
        if not library.is_directed_acyclic_graph(graph):
            circle = [edge[0] for edge in library.find_cycle(graph)]
            raise UsageError(f"The steps wait for each other: {' -> '.join([*circle, circle[0]])}.", remedy="Break it.")
        return graph

    def _check_types(self) -> None:
        for s in self.steps.values():
            for parameter, source in s.needs.items():
                wanted = s.wants.get(parameter, Any)
                if source not in self.steps:
                    continue
                giver = self.steps[source]
                given = list[giver.gives] if giver.mapped else giver.gives
                if parameter == s.mapped:
                    if not _fits(given, list):
                        what = f"{s.name} runs over {source}, which gives {_said(given)} and no list."
                        raise UsageError(what, remedy="Map over a list.")
                    given = next(iter(typing.get_args(given)), Any)
                if not _fits(given, wanted):
                    what = f"{s.name} wants {parameter} as {_said(wanted)}; {source} gives {_said(given)}."
                    raise UsageError(what, remedy="Mend one of them.")

    def _mermaid(self) -> str:
        lines = ["flowchart LR", *(f"    in_{name}([{name}])" for name in self.inputs)]
        for s in self.steps.values():
            told = f"{s.name} x {len(s.models)} ({s.keep})" if s.models else s.name
            lines.append(f'    {s.name}{"[[" if s.mapped else "["}"{told}"{"]]" if s.mapped else "]"}')
        for s in self.steps.values():
            lines += [
                f"    {source if source in self.steps else f'in_{source}'}"
                f" {'-->|each|' if parameter == s.mapped else '-->'} {s.name}"
                for parameter, source in s.needs.items()
            ]
            lines += [f"    {source} -.-> {s.name}" for source in s.after if source not in s.needs.values()]
        return "\n".join(lines)

    def _svg(self) -> str:
        (wide, high), (right, down) = BOX, GAP
        layers = [sorted(layer) for layer in nx.topological_generations(self.graph)]
        at = {
            name: (x * (wide + right) + 10, y * (high + down) + 10)
            for x, layer in enumerate(layers)
            for y, name in enumerate(layer)
        }
        size = len(layers) * (wide + right), max(map(len, layers)) * (high + down) + 10
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{size[0]}" height="{size[1]}" font-family="sans-serif">'
        ]
        for a, b in self.graph.edges:
            (x1, y1), (x2, y2) = at[a], at[b]
            middle = high / 2
            parts.append(
                f'<path d="M{x1 + wide},{y1 + middle} C{x1 + wide + right},{y1 + middle} {x2 - right},{y2 + middle}'
                f' {x2},{y2 + middle}" fill="none" stroke="#888"/>'
            )
        for name, (x, y) in at.items():
            parts.append(f'<rect x="{x}" y="{y}" width="{wide}" height="{high}" rx="6" fill="#eef" stroke="#447"/>')
            parts.append(
                f'<text x="{x + wide / 2}" y="{y + 25}" text-anchor="middle" font-size="13">{escape(name)}</text>'
            )
        return "\n".join([*parts, "</svg>"])


def _fits(given: Any, wanted: Any) -> bool:
    """What is not known fits; else by the outer type, and by its elements where both say them."""
    if Any in (given, wanted) or wanted is object:
        return True
    if typing.get_origin(wanted) in (typing.Union, types.UnionType):
        return any(_fits(given, one) for one in typing.get_args(wanted))
    outer, inner = typing.get_origin(given) or given, typing.get_origin(wanted) or wanted
    if not (isinstance(outer, type) and isinstance(inner, type)):
        return True
    if not issubclass(outer, inner):
        return False
    pairs = zip(typing.get_args(given), typing.get_args(wanted), strict=False)
    return all(_fits(a, b) for a, b in pairs)


def _is_a(value: Any, wanted: Any) -> bool:
    return (wanted is float and isinstance(value, int)) or _fits(type(value), wanted)


def _said(of: Any) -> str:
    return getattr(of, "__name__", str(of)) if not typing.get_args(of) else str(of)
