"""Who of the fleet can take a task at all: the candidate it names, those that can do what its conversation needs."""

from __future__ import annotations

import difflib

from understudy.agents.roster import hands_on
from understudy.errors import UnknownCandidate, UsageError
from understudy.types import Candidate, Task

EMBEDS = "embeddings"
DOCUMENTS = "documents"  # in the conversation, beside text and images


def fit_for(fleet: tuple[Candidate, ...], task: Task) -> tuple[Candidate, ...]:
    """Raises UsageError for a candidate that is not there, or cannot do what is needed."""
    if task.candidate is not None:
        fleet = named(fleet, task.candidate)
    if task.among:
        fleet = _among(fleet, task.among)
    embeds = task.chat is not None and task.chat.dialect == "embeddings"
    if not embeds and any(EMBEDS in c.capabilities for c in fleet):
        fleet = tuple(c for c in fleet if EMBEDS not in c.capabilities)
        if not fleet and task.candidate is not None:
            raise UsageError(f"{task.candidate} embeds texts, and answers none.", remedy="POST /v1/embeddings.")
    if task.chat is None:
        return fleet
    needs = task.chat.needs
    able = tuple(c for c in fleet if needs <= can(c) and (hands_on(c) or (not needs and task.chat.plain)))
    if task.chat.remote:  # a server on this machine would reach what is only meant for this machine
        able = tuple(c for c in able if not c.local)
    if fleet and not able:
        who = task.candidate or "Nobody here"
        together = ["images by their address"] if task.chat.remote else sorted(needs) or ["a conversation so shaped"]
        missing = sorted(needs - frozenset[str]().union(*map(can, fleet))) or together
        raise UsageError(
            f"{who} {'cannot' if task.candidate else 'can'} do what the request needs: {', '.join(missing)}.",
            remedy="Name another model; GET /v1/models and understudy models say what each can do.",
        )
    return able


def _among(fleet: tuple[Candidate, ...], names: tuple[str, ...]) -> tuple[Candidate, ...]:
    left = tuple(c for c in fleet if c.name in names)
    if not left:
        raise UnknownCandidate(
            f"None of the candidates that the task allows is there: {', '.join(sorted(names))[:300]}.",
            remedy="understudy models lists them.",
        )
    return left


def can(candidate: Candidate) -> frozenset[str]:
    """Its capabilities, and what only its wire has words for."""
    return candidate.capabilities | {DOCUMENTS} if candidate.kind == "anthropic" else candidate.capabilities


def named(fleet: tuple[Candidate, ...], name: str) -> tuple[Candidate, ...]:
    """All accounts of provider/model, or of kind/model. Raises UsageError that names the nearest."""
    head, _, model = name.partition("/")
    for attribute in ("provider", "kind"):
        if found := tuple(c for c in fleet if getattr(c, attribute) == head and c.model == model):
            return found
    known = list(dict.fromkeys(c.name for c in fleet))
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    raise UnknownCandidate(
        f"There is no candidate {name[:100]!r}.",
        remedy=f"Did you mean {near[0]}?" if near else "understudy models lists them.",
    )
