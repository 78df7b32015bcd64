"""`doctor`: what is configured, reachable, logged in and loaded; one line and one remedy each."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Literal

from understudy.cli.aging import key_findings
from understudy.cli.render import plural
from understudy.cli.surroundings import book_keeper, claude_program, configuration, llama_extra, state_folder
from understudy.cli.terminal import one_line, say
from understudy.errors import UnderstudyError
from understudy.types import Call

if TYPE_CHECKING:
    from understudy.agents.keys import Rings
    from understudy.agents.roster import Roster
    from understudy.config.settings import Settings
    from understudy.store.store import Store
    from understudy.types import Candidate, Worker

CHECK_SECONDS = 10.0
State = Literal["ok", "note", "missing", "wrong"]
_MARKS = {"ok": "ok     ", "note": "note   ", "missing": "missing", "wrong": "WRONG  "}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line. needed: without it no task can be answered. age_days: of a key, since it was first seen or written."""

    name: str
    state: State
    text: str
    remedy: str = ""
    needed: bool = False
    simulated: bool = False
    age_days: int | None = None


async def doctor(config: str | None, *, as_json: bool) -> int:
    """0 when tasks can be answered, 1 when not."""
    findings = await examine(config)
    fine = not any(f.needed and f.state != "ok" for f in findings)
    if as_json:
        say(json.dumps({"can_answer": fine, "findings": [asdict(f) for f in findings]}))
        return 0 if fine else 1
    for finding in findings:
        say(f"{_MARKS[finding.state]} {one_line(f'{finding.name}: {finding.text}')}")
        if finding.remedy and finding.state != "ok":
            say(f"        -> {one_line(finding.remedy)}")
    simulated = " The models are simulated: their answers are not real." * any(f.simulated for f in findings)
    say(f"\nTasks can be answered.{simulated}" if fine else "\nTasks cannot be answered yet.")
    return 0 if fine else 1


async def examine(config: str | None, today: date | None = None) -> list[Finding]:
    """Every finding, the most basic first. Never raises an UnderstudyError. today: the real one, in UTC."""
    findings = [state_folder()]
    try:
        where, settings, notes = configuration(config)
    except UnderstudyError as error:
        return [Finding("configuration", "wrong", error.message, error.remedy, needed=True), *findings]
    findings.insert(0, Finding("configuration", "ok", where))
    findings += [Finding("found", "note", note) for note in notes]
    async with _store() as (finding, store):
        findings.append(finding)
        if (book := await book_keeper(settings, store)) is not None:
            findings.append(book)
        findings += _loaded(settings)
        listed = await _roster(settings)
        findings += [Finding("providers", "note", note) for note in listed.notes]
        from understudy.agents.keys import Rings

        rings = Rings(store.keys if store else None)
        findings += await _providers(settings, listed, rings)
        findings += key_findings(rings, settings.keys.rotation_days, time.time())
    findings += _figures(settings, listed, today or datetime.now(UTC).date())
    findings.append(_director(settings, listed))
    findings.append(_private(listed))
    findings.append(llama_extra())
    findings.append(await claude_program(settings))
    return findings


@asynccontextmanager
async def _store() -> AsyncGenerator[tuple[Finding, Store | None]]:
    from understudy.clock import WallClock
    from understudy.config.places import home
    from understudy.store.store import Store

    store: Store | None = None
    try:
        store = await Store.open(home(), WallClock())
        finding = Finding("store", "ok", await store.check(), needed=True)
    except UnderstudyError as error:
        finding = Finding("store", "wrong", error.message, error.remedy, needed=True)
    try:
        yield finding, store if finding.state == "ok" else None
    finally:
        if store is not None:
            await store.close()


def _loaded(settings: Settings) -> list[Finding]:
    findings: list[Finding] = []
    try:
        from understudy.policies import registry

        policy = registry.load(settings.policy)
        findings.append(Finding("policy", "ok", f"{policy.name} (hash {policy.hash})", needed=True))
    except UnderstudyError as error:
        findings.append(Finding("policy", "wrong", error.message, error.remedy, needed=True))
    try:
        from understudy.classifiers.gate import Gate
        from understudy.classifiers.local import LocalScorer

        Gate(settings.private_paths)
        findings.append(Finding("privacy gate", "ok", f"loaded, {plural(len(settings.private_paths), 'private path')}"))
        LocalScorer.load()
        findings.append(Finding("classifier", "ok", "the local scorer is loaded"))
    except UnderstudyError as error:
        findings.append(Finding("gate and classifier", "wrong", error.message, error.remedy, needed=True))
    return findings


async def _roster(settings: Settings) -> Roster:
    from understudy.agents.roster import roster

    return await roster(settings)


async def _providers(settings: Settings, listed: Roster, rings: Rings) -> list[Finding]:
    """One candidate of each provider and account is checked, of GGUF files each, all at the same time."""
    if not listed.candidates:
        return [
            Finding(
                "models",
                "missing",
                "there is nobody to ask",
                "export GROQ_API_KEY=... (free at https://console.groq.com/keys), or start a local server.",
                needed=True,
            )
        ]
    checks: dict[tuple[str, str, str], list[Candidate]] = {}
    for candidate in listed.candidates:
        file = candidate.model if candidate.kind == "llama_cpp" else ""
        checks.setdefault((candidate.provider, candidate.account, file), []).append(candidate)
    checked = await asyncio.gather(*(_check(settings, members, rings) for members in checks.values()))
    accounts = {(candidate.provider, candidate.account) for candidate in listed.candidates}
    reachable = any(f.state == "ok" for f in checked)
    summary = Finding(
        "models",
        "ok" if reachable else "wrong",
        f"{len(listed.candidates)} at {plural(len(accounts), 'account')}"
        + ("" if reachable else ", none of which works now"),
        "" if reachable else "Mend one of the providers above.",
        needed=True,
    )
    off = [name for name, provider in settings.providers.items() if not provider.enabled]
    return [*checked, *(Finding(name, "note", "is switched off in the configuration") for name in off), summary]


async def _check(settings: Settings, members: list[Candidate], rings: Rings) -> Finding:
    first = members[0]
    provider = settings.providers[first.provider]
    keys = [key for account in provider.accounts if account.name == first.account for key in account.keys]
    about = f"{provider.kind}, account {first.account}, {plural(len(members), 'model')}"
    about += f", key from {', '.join(keys)}" if keys else ""
    about += ", simulated" if first.simulated else ", on this machine" if first.local else ""
    try:
        async with _worker(first, settings, rings) as worker:
            await asyncio.to_thread(worker.load, Call(""))
            async with asyncio.timeout(CHECK_SECONDS):
                said = await worker.check()
    except TimeoutError:
        return Finding(first.provider, "wrong", f"{about}: silent for {CHECK_SECONDS:.0f} s", "Check the address.")
    except UnderstudyError as error:
        return Finding(first.provider, "wrong", f"{about}: {error.message}", error.remedy)
    except Exception as error:  # noqa: BLE001  one broken provider must not hide what is said of the others
        return Finding(first.provider, "wrong", f"{about}: {type(error).__name__}", "This is a bug; please report it.")
    return Finding(first.provider, "ok", f"{about}: {said}", simulated=first.simulated)


@asynccontextmanager
async def _worker(candidate: Candidate, settings: Settings, rings: Rings) -> AsyncGenerator[Worker]:
    from understudy.agents.roster import worker_for

    worker = worker_for(candidate, settings, rings)
    try:
        yield worker
    finally:
        await worker.close()


def _figures(settings: Settings, listed: Roster, today: date) -> list[Finding]:
    from understudy.agents.figures import STALE, grown_old

    old = grown_old(listed.candidates, settings, today)
    if not old:
        return []
    named = ", ".join(f"{name} ({dated})" for name, dated in list(old.items())[:3]) + ", ..." * (len(old) > 3)
    text = f"nobody has compared the figures of {plural(len(old), 'model')} for {STALE.days} days: {named}"
    remedy = "Update understudy, or compare them with the provider's page and say so: models = [{ id = ..., dated = "
    return [Finding("catalogue", "note", text, f'{remedy}"{today}" }}], with what has changed.')]


def _director(settings: Settings, listed: Roster) -> Finding:
    name = settings.director.candidate
    budget = f"{settings.director.tokens_per_conversation:,} tokens a conversation, "
    budget += f"{settings.director.tokens_per_day:,} a day"
    if not name or ("candidate" not in settings.director.model_fields_set and not _find(listed, name)):
        remedy = 'Log in to claude, or write [director] candidate = "provider/model".'
        return Finding("director", "note", "none: the policy decides alone", remedy)
    if candidate := _find(listed, name):
        return Finding("director", "ok", f"{candidate.name}, {budget}")
    remedy = "understudy models lists what there is; the policy decides alone until then."
    return Finding("director", "wrong", f"{name} is not among the models", remedy)


def _find(listed: Roster, name: str) -> Candidate | None:
    """As the director itself is found: by provider or kind, and the model or a part of it."""
    head, _, model = name.partition("/")
    same = [c for c in listed.candidates if head in (c.provider, c.kind)]
    return next((c for c in same if model and model in c.model), None)


def _private(listed: Roster) -> Finding:
    here = [c.name for c in listed.candidates if c.local]
    if here:
        return Finding("private tasks", "ok", f"answered on this machine by {', '.join(here[:3])}")
    return Finding(
        "private tasks",
        "missing",
        "there is no local model: private tasks will be refused",
        "Start Ollama, LM Studio or llama.cpp's server, or add a GGUF file (understudy init shows how).",
    )
