"""How many calls a shape makes, and how many each dimension accounts for."""

from __future__ import annotations

from dataclasses import dataclass

from understudy.pipelines.spec import Shape


@dataclass(frozen=True, slots=True)
class Volume:
    """Calls, and the steps by which they were counted: (what, formula, calls)."""

    calls: int
    steps: tuple[tuple[str, str, int], ...] = ()


def counted(shape: Shape) -> Volume:
    """groups x runs x generations x (agents x scenarios x turns x players + mutations)."""
    evaluation = shape.agents * shape.scenarios * shape.turns * shape.players
    generation = evaluation + shape.mutations
    run, runs = generation * shape.generations, shape.groups * shape.runs
    each = (
        f"{shape.agents:,} agents x {shape.scenarios:,} scenarios x {shape.turns:,} turns x {shape.players:,} players"
    )
    steps = (
        ("a generation", f"{each} + {shape.mutations:,} mutations", generation),
        ("a run", f"{generation:,} x {shape.generations:,} generations", run),
        ("runs", f"{shape.groups:,} groups x {shape.runs:,} runs", runs),
        ("all", f"{run:,} x {runs:,}", run * runs),
    )
    return Volume(run * runs, steps)
