"""The way of one task up to its answer: gate, classify, decide; then dispatch, validate, judge."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

from understudy.agents.specialists import BARE, specialist
from understudy.classifiers.confidence import wrong_with
from understudy.classifiers.redaction import Redaction, redact
from understudy.config.settings import Provider
from understudy.director import budget
from understudy.director.accepting import Acceptance
from understudy.director.advising import adviser_of
from understudy.director.classify import classify
from understudy.director.confidence import Weighing
from understudy.director.decided import Decided
from understudy.director.fitting import fit_for
from understudy.director.outcome import explain_failure
from understudy.director.parts import Parts
from understudy.director.prefix import Prefix
from understudy.director.shadow import drawn, shadow
from understudy.director.trail import Trail
from understudy.errors import Forbidden, UsageError
from understudy.fleet.errand import Errand, Timing, Walk
from understudy.policies import registry
from understudy.tokens import estimate
from understudy.types import (
    Attempt,
    Began,
    Call,
    Caller,
    Candidate,
    Chat,
    Facts,
    Guess,
    Intent,
    Priority,
    Quality,
    Role,
    Sensitivity,
    Task,
    Verdict,
)

HOUR = 3_600  # seconds
LARGE = 20_000  # characters from which judging is worth a change of threads


async def decide(parts: Parts, trail: Trail, task: Task, *, session_private: bool) -> Decided:
    """Gate first: no byte of a task leaves the machine before its sensitivity is known."""
    trail.stage("gate")
    task = narrowed(task, trail.caller)
    verdict = await _judged(parts, task, session_private)
    redaction = await _redacted(parts, task, verdict)
    if redaction is not None:  # from here on, nobody sees the task as it was
        task, verdict = redaction.task, Verdict(Sensitivity.PUBLIC)
        trail.note(f"Redacted before it was sent: {redaction.summary}.")
    # One that is broken is told before anything is sent: the classifier may be a model elsewhere.
    policy = registry.load(registry.NAMED if task.candidate is not None else task.policy or parts.settings.policy)
    trail.stage("classify")
    prompt = render(task)
    tokens = estimate(prompt) + sum(estimate(t.user + t.assistant) for t in task.history)
    if task.chat is not None:
        tokens = task.chat.tokens
    fleet = fit_for(parts.fleet, task)
    guess = await _guessed(parts, trail, task, verdict.sensitivity, tokens)
    trail.stage("decide", str(guess.intent))
    if task.agent is not None:
        specialist(task.agent)  # an unknown one is the caller's error
    left = 0
    if task.candidate is None:  # else nobody but that one is asked
        _, left = await budget.director_left(parts.store.ledger, parts.settings, trail.session, trail.started)
    standings = await parts.book.standings(fleet)
    director = parts.find(parts.settings.director.candidate)
    facts = Facts(
        intent=guess.intent,
        probability=guess.probability,
        sensitivity=verdict.sensitivity,
        input_tokens=tokens,
        max_tokens=task.max_tokens,
        quality=_quality(task),
        agent=task.agent,
        deadline=trail.deadline - trail.started,
        has_schema=task.schema is not None,
        has_files=bool(task.files),
        multi_step=task.plan is not False and task.chat is None and _several_steps(task),
        has_tools=task.chat is not None and "tools" in task.chat.needs,
        handed=task.chat is not None,
        sticky=parts.ties.of(task.chat.tie) if task.chat is not None else "",
        explicit_intent=guess.by == "caller",
        director_left=left if director is not None else 0,
        rotation=parts.turns,
        fleet=fleet,
        director=director.domain if director is not None and director in fleet else "",
        phase=parts.settings.phase,
        hour=int(trail.started // HOUR),
        draw=drawn(trail.id, "draw"),
        resting=tuple(sorted(s.domain for s in standings if s.wait > 0)),
        standings=standings,
    )
    decision = policy.decide(facts)
    trail.intent, trail.policy, trail.policy_hash = str(guess.intent), policy.name, policy.hash
    if verdict.sensitivity is Sensitivity.PRIVATE:
        local = {c.domain for c in parts.fleet if c.local}
        decision = replace(decision, chain=tuple(link for link in decision.chain if link.domain in local))
    if task.candidate is None:
        trail.shadow = shadow(parts.shadow, parts.settings.shadow.share, trail.id, facts, decision)
    return Decided(task, verdict, guess, facts, decision, policy, redaction)


async def work(parts: Parts, trail: Trail, decided: Decided) -> Walk:
    """Dispatch along the chain; every answer is validated, and judged where the policy asks for it."""
    task, decision, redaction = decided.task, decided.decision, decided.redaction
    # A conversation that is handed on has its instructions in it.
    role = BARE if task.chat is not None or decision.agent == BARE.name else specialist(decision.agent)
    checks = tuple(dict.fromkeys((*decision.checks, *(() if task.schema else role.checks), *task.checks)))
    chain = tuple(parts.by_domain[link.domain] for link in decision.chain)
    prefix: Prefix | None = None
    if task.chat is not None and task.chat.live is not None and decision.live:
        names = {c.name for c in chain}
        prefix = Prefix(task.chat.live, Began(trail.id, names.pop() if len(names) == 1 else "", decided.policy.name))
    adviser = adviser_of(parts, trail, decided)
    call = Call(
        prompt=render(task),
        instructions="\n\n".join(t for t in (role.instructions, adviser.instructions, task.instructions) if t),
        history=task.history,
        schema=task.schema,
        output_cap=min(decision.output_cap, role.output_cap),
        timeout=decision.deadline,
        temperature=role.temperature,
        # A private task gets no tool that reaches the network: an address can carry text.
        tools=() if decided.private else role.tools,
        role=Role.WORKER,
        sensitivity=decided.verdict.sensitivity,
        chat=_heard(task.chat, prefix),
    )

    weighing = _weighing(parts, trail, decided, call, chain) if prefix is None else None
    acceptance = Acceptance(parts, trail, decided, checks, adviser, weighing)

    def record(made: Attempt) -> None:
        trail.attempts.append(made)
        if prefix is not None and made.outcome != "ok" and not prefix.released:
            prefix.forget()

    priority = _priority(task)
    turn = parts.turn(trail.caller, call, chain)
    errand = Errand(
        call=call,
        chain=chain,
        deadline=trail.deadline,
        max_attempts=decision.max_attempts,
        accept=acceptance.accept,
        guard=lambda c: parts.guard(c, decided.verdict.sensitivity, Role.WORKER, trail, turn=turn),
        timing=lambda c: _timing(parts.settings.providers[c.provider]),
        patience=_patience(parts, trail, task, priority),
        session=trail.session,
        priority=priority,
        hedge=decision.hedge,
        report=trail.report,
        watch=trail.watch,
        record=record,
        released=lambda: prefix is not None and prefix.released,
    )
    walk = await (parts.dispatcher.walk(errand) if turn is None else turn.take(errand, parts.dispatcher.walk))
    trail.skipped += walk.skipped
    shorter = turn.shortest if turn is not None else None
    if shorter is not None:
        trail.note(f"The day's tokens of this key had room for an answer of {shorter:,} only.")
    if weighing is not None and not walk.ended:
        weighing.fall_back(walk)
    if walk.answer is None or walk.candidate is None:
        raise explain_failure(walk, decided, parts.clock.now(), room=shorter)
    if redaction is not None:
        walk.answer = replace(walk.answer, text=redaction.restored(walk.answer.text))
    if prefix is not None:
        prefix.end()
    if task.chat is not None:
        parts.ties.keep(task.chat.tie, walk.candidate.domain)
    return walk


def _heard(chat: Chat | None, prefix: Prefix | None) -> Chat | None:
    """The conversation, of whose answer nothing passes on but through the prefix."""
    if chat is None or (chat.live is None and prefix is None):
        return chat
    return replace(chat, live=prefix and prefix.hear)


def _weighing(
    parts: Parts, trail: Trail, decided: Decided, call: Call, chain: tuple[Candidate, ...]
) -> Weighing | None:
    """What confidence the policy asks for; not of vectors. Raises UsageError for a wish nobody can meet."""
    wish, chat = decided.decision.confidence, decided.task.chat
    if wish is None or (chat is not None and chat.dialect == "embeddings"):
        return None
    if why := wrong_with(wish):
        raise UsageError(f"The policy {decided.policy.name} asks for a confidence that cannot be had.", remedy=why)
    return Weighing(parts, trail, decided, call, chain, wish)


def narrowed(task: Task, caller: Caller | None) -> Task:
    """The task as its caller's key allows it. Raises Forbidden."""
    if caller is None:
        return task
    if task.policy is not None and task.policy != caller.policy and registry.is_path(task.policy):
        raise Forbidden(  # a path may be any file of this machine, and reading one runs it
            "A request names a policy by its name, never by a path.",
            remedy="Let the server's configuration name the file, or install it as an entry point.",
        )
    if caller.policy is not None and (task.candidate is not None or task.policy not in (None, caller.policy)):
        raise Forbidden(
            f"The key {caller.name} allows no policy but {caller.policy}.",
            remedy="Name that one, or none at all; and no candidate, for the policy chooses it.",
        )
    if caller.policy is None and not caller.private:
        return task
    sensitivity = Sensitivity.PRIVATE if caller.private else task.sensitivity
    return replace(task, policy=caller.policy or task.policy, sensitivity=sensitivity)


async def _judged(parts: Parts, task: Task, session_private: bool) -> Verdict:
    """The gate's verdict. A large text takes it up to seconds, in which other tasks of this process go on."""
    texts = [task.text, task.instructions, *(f.text for f in task.files), *(task.chat.texts if task.chat else ())]
    size = sum(map(len, texts)) + sum(len(t.user) + len(t.assistant) for t in task.history)
    if size < LARGE:
        return parts.gate.judge(task, session_private)
    return await asyncio.to_thread(parts.gate.judge, task, session_private)


async def _redacted(parts: Parts, task: Task, verdict: Verdict) -> Redaction | None:
    if parts.settings.privacy.on_private != "redact" or verdict.sensitivity is Sensitivity.PUBLIC:
        return None
    return await asyncio.to_thread(redact, parts.gate, task, verdict)


async def _guessed(parts: Parts, trail: Trail, task: Task, sensitivity: Sensitivity, tokens: int) -> Guess:
    """Who is named is asked whatever the task is; who brings tools wants them called."""
    if task.intent is None and task.candidate is not None:
        return Guess(Intent.QUICK_QA, 1.0, "caller")
    if (
        task.intent is None
        and sensitivity is Sensitivity.PUBLIC
        and task.chat is not None
        and "tools" in task.chat.needs
    ):
        return Guess(Intent.TOOL_CALLING, 1.0, "caller")
    return await classify(parts, trail, task, sensitivity, tokens)


def render(task: Task) -> str:
    """The text with its files, each under its name."""
    files = "".join(f"\n\n--- file: {f.path} ---\n{f.text}" for f in task.files)
    return task.text + files


def _quality(task: Task) -> Quality:
    try:
        return Quality(str(task.quality)) if task.quality is not None else Quality.BALANCED
    except ValueError:
        known = ", ".join(Quality)
        raise UsageError(f"There is no quality {str(task.quality)!r}.", remedy=f"Known: {known}.") from None


def _priority(task: Task) -> Priority:
    try:
        return Priority(str(task.priority))
    except ValueError:
        raise UsageError(f"There is no priority {str(task.priority)!r}.", remedy="Known: interactive, batch.") from None


def _patience(parts: Parts, trail: Trail, task: Task, priority: Priority) -> float:
    """Seconds worth waiting for quota: the task's word, else for a batch all of its time, else the settings'."""
    if task.patience is not None:
        return max(0.0, task.patience)
    return trail.deadline - trail.started if priority is Priority.BATCH else parts.settings.patience


def _timing(provider: Provider) -> Timing:
    first, stall = provider.first_token, provider.stall
    return Timing(provider.timeout, math.inf if first is None else first, stall)


def _several_steps(task: Task) -> bool:
    from understudy.classifiers.steps import has_several_steps

    return has_several_steps(task.text)
