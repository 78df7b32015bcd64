"""`rehearse`: the real code against simulated models, plainly said so."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from understudy.cli.ask import follow
from understudy.cli.economics import report
from understudy.cli.live import LiveLine
from understudy.cli.render import duration, footer, show_answer, table
from understudy.cli.running import open_director
from understudy.cli.terminal import hint, say
from understudy.errors import UnderstudyError
from understudy.types import Intent, Quality, Reply, Sensitivity, Task

if TYPE_CHECKING:
    from understudy.config.settings import Settings
    from understudy.director.director import Director
    from understudy.store.replies import Economics

SIMULATED = "These models are simulated: the code, the limits and the fallbacks are real, the answers are not."


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop of the tour. broken: Groq answers nothing but errors then."""

    what: str
    task: Task
    broken: bool = False


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
    Stop("judged", Task("Which is larger, 2**10 or 10**3?", intent=Intent.REASONING, quality=Quality.BEST)),
    Stop("Groq is broken", Task("What is the capital of Norway?", intent=Intent.QUICK_QA), broken=True),
)
BROKEN = """\
[accounts]
default = ["rehearsal-key"]
[[models]]
id = "llama-3.1-8b-instant"
context = 131072
[[models.faults]]
kind = "server_error"
"""


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
    from understudy.director.director import Director

    if not as_json:
        say(SIMULATED + "\n")
    results: list[tuple[Stop, Reply | UnderstudyError]] = []
    # A store of its own, gone afterwards: simulated tokens are charged to nobody's real budget.
    with TemporaryDirectory(prefix="understudy-rehearsal-") as folder:
        home = state = Path(folder)
        async with LiveLine() as line:
            for broken in (False, True):
                async with Director(_settings(home, broken=broken), home) as director:
                    state = director.home  # the rehearsal's own, below the folder
                    results += [(s, await _visit(director, s, line)) for s in TOUR if s.broken is broken]
        economics = await _sum(state)
    if as_json:
        say(json.dumps({"simulated": True, "stops": [_stop_to_dict(s, r) for s, r in results]}))
    else:
        say(table(("task", "agent", "answered by", "on the way", "tokens", "took"), [_row(s, r) for s, r in results]))
        say("\n" + report(economics, "this tour"))
        say(f"\n{SIMULATED}\nFor real ones: export GROQ_API_KEY=... (free), then understudy doctor.")
    return next((r.exit_code for _, r in results if isinstance(r, UnderstudyError)), 0)


async def _sum(home: Path) -> Economics:
    """Of both directors, which kept their replies in the same store."""
    from understudy.clock import WallClock
    from understudy.store.store import Store

    async with await Store.open(home, WallClock()) as store:
        return await store.replies.economics()


async def _visit(director: Director, stop: Stop, line: LiveLine) -> Reply | UnderstudyError:
    try:
        return await follow(director, stop.task, line.show)
    except UnderstudyError as error:
        return error


def _settings(home: Path, *, broken: bool) -> Settings:
    """The rehearsal fleet; broken: its Groq answers every request with an error."""
    from understudy.config.load import parse
    from understudy.rehearsal.fleet import rehearsal_table

    table = rehearsal_table()
    if broken:
        script = home / "broken.toml"
        script.write_text(BROKEN)
        groq = {"kind": "rehearsal", "plays": "groq", "script": str(script), "models": [{"id": "llama-3.1-8b-instant"}]}
        table["providers"]["groq"] = groq
    return parse(table, "the rehearsal fleet")


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
