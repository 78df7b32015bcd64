"""`rehearse`: the real code against simulated models, plainly said so."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from understudy.cli.ask import follow
from understudy.cli.economics import report
from understudy.cli.live import LiveLine
from understudy.cli.render import duration, footer, show_answer, table
from understudy.cli.running import open_director
from understudy.cli.terminal import hint, say
from understudy.errors import UnderstudyError
from understudy.types import Intent, Reply, Sensitivity, Task

if TYPE_CHECKING:
    from understudy.director.director import Director

SIMULATED = "These models are simulated: the code, the limits and the fallbacks are real, the answers are not."


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop of the tour. failing: a provider that is away then."""

    what: str
    task: Task
    failing: str | None = None


TOUR = (
    Stop("quick question", Task("What is the capital of France?", intent=Intent.QUICK_QA)),
    Stop("reasoning", Task("A bat and a ball cost 1.10, the bat 1.00 more. The ball?", intent=Intent.REASONING)),
    Stop("tool call", Task("Call get_weather(city) for Oslo.", intent=Intent.TOOL_CALLING)),
    Stop("coding", Task("Write a Python function that reverses a list.", intent=Intent.CODING)),
    Stop("long context", Task("What does the text below say?", intent=Intent.LONG_CONTEXT)),
    Stop("code review", Task("Review: def mean(xs): return sum(xs) / len(xs)", intent=Intent.CODE_REVIEW)),
    Stop("summary", Task("Summarize: the meeting moved from Monday to Tuesday.", intent=Intent.SUMMARIZATION)),
    Stop("memory", Task("Extract the facts: I prefer tea, and I live by the sea.", intent=Intent.MEMORY)),
    Stop("web research", Task("Find the release notes of Python 3.13.", intent=Intent.WEB_RESEARCH)),
    Stop("private", Task("My salary is a secret. Note it.", sensitivity=Sensitivity.PRIVATE)),
    Stop("Groq is away", Task("What is the capital of Norway?", intent=Intent.QUICK_QA), failing="groq"),
)


async def rehearse(text: str, *, as_json: bool) -> int:
    """One task on the rehearsal fleet, or the tour. Raises what the director raises for the one task."""
    if text.strip():
        return await _one(text, as_json=as_json)
    return await _tour(as_json=as_json)


async def _one(text: str, *, as_json: bool) -> int:
    async with open_director(None, rehearsal=True) as director, LiveLine() as line:
        reply = await follow(director, Task(text), line.show)
    if as_json:
        from understudy.director.provenance import reply_to_dict

        say(json.dumps(reply_to_dict(reply)))
        return 0
    show_answer(reply.text)
    for said in footer(reply):
        hint(said)
    return 0


async def _tour(*, as_json: bool) -> int:
    """Exit code 0 when every stop was answered, else that of the first failure."""
    import time

    began = time.time()
    if not as_json:
        say(SIMULATED + "\n")
    async with open_director(None, rehearsal=True) as director:
        async with LiveLine() as line:
            results = [(stop, await _visit(director, stop, line)) for stop in TOUR]
        economics = await director.parts.store.replies.economics(since=began)
    if as_json:
        say(json.dumps({"simulated": True, "stops": [_stop_to_dict(s, r) for s, r in results]}))
    else:
        say(table(("task", "agent", "answered by", "on the way", "tokens", "took"), [_row(s, r) for s, r in results]))
        say("\n" + report(economics, "this tour"))
        say(f"\n{SIMULATED}\nFor real ones: export GROQ_API_KEY=... (free), then understudy doctor.")
    return next((r.exit_code for _, r in results if isinstance(r, UnderstudyError)), 0)


async def _visit(director: Director, stop: Stop, line: LiveLine) -> Reply | UnderstudyError:
    if stop.failing is not None:
        await _send_away(director, stop.failing)
    try:
        return await follow(director, stop.task, line.show)
    except UnderstudyError as error:
        return error


async def _send_away(director: Director, provider: str) -> None:
    """Let every model of a provider rest for a minute, as a minute quota would."""
    from understudy.types import Failure

    parts = director.parts
    until = parts.clock.now() + 60.0
    for candidate in parts.fleet:
        if candidate.provider == provider:
            await parts.store.rests.rest(candidate.domain, until, Failure.MINUTE_QUOTA)


def _row(stop: Stop, result: Reply | UnderstudyError) -> tuple[object, ...]:
    if isinstance(result, UnderstudyError):
        return (stop.what, "-", f"nobody: {type(result).__name__}", result.message, "-", "-")
    worked = [a for a in result.attempts if a.outcome == "ok" and a.role == "worker"]
    who = ", ".join(dict.fromkeys(a.candidate for a in worked))
    failed = [f"{a.candidate}: {a.outcome}" for a in result.attempts if a.outcome != "ok"]
    helped = [f"{a.role}: {a.candidate}" for a in result.attempts if a.role != "worker" and a.outcome == "ok"]
    passed = [f"{len(result.skipped)} passed over"] if result.skipped else []
    way = "; ".join([*failed, *helped, *passed]) or "-"
    return (stop.what, result.agent, who, way, f"{result.total_tokens:,}", duration(result.seconds))


def _stop_to_dict(stop: Stop, result: Reply | UnderstudyError) -> dict[str, Any]:
    from understudy.cli.ending import failure
    from understudy.director.provenance import reply_to_dict

    told = failure(result) if isinstance(result, UnderstudyError) else reply_to_dict(result)
    return {"what": stop.what, "reply": told}
