"""`campaign run, resume, status, pause, cancel, export, list`: half a million calls, watched or left alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from understudy.cli.campaign_view import Bars, Lines, sheet, told_in_a_line
from understudy.cli.render import table
from understudy.cli.running import open_director
from understudy.cli.terminal import hint, is_lively, say
from understudy.errors import NoCandidate, UsageError

if TYPE_CHECKING:
    from understudy.pipelines.campaigns import Campaigns
    from understudy.pipelines.progress import Progress

EVERY = 1.0  # seconds between two looks of whoever works on it
WATCHED = 2.0  # and of whoever only looks
MONEY = 4  # the exit code of a campaign that its money limit stopped
FORMATS = ("jsonl", "parquet")


@asynccontextmanager
async def _opened(config: str | None) -> AsyncGenerator[Campaigns]:
    from understudy.pipelines.campaigns import open_campaigns

    async with open_director(config) as director, open_campaigns(director) as campaigns:
        yield campaigns


async def run(config: str | None, spec: str, *, detach: bool, as_json: bool) -> int:
    """Begin a campaign and work on it."""
    from understudy.pipelines.begin import items_of, orders_of
    from understudy.pipelines.spec import load_spec

    read = load_spec(spec)
    async with _opened(config) as campaigns:
        campaign = await campaigns.begin(orders_of(read), items_of(read))
        hint(f"campaign {campaign.id}: {campaign.items:,} calls in {campaign.chunks:,} chunks")
        if not detach:
            return await _work(campaigns, campaign.id, as_json=as_json)
    return _detach(config, campaign.id, as_json=as_json)


async def resume(
    config: str | None, name: str, *, detach: bool, usd: float | None, as_json: bool, quiet: bool = False
) -> int:
    """Work on what is missing of it: alone, or beside others."""
    async with _opened(config) as campaigns:
        campaign, missing = await campaigns.reopen(name, usd=usd)
        if not missing:
            return _say_end(await campaigns.progress(campaign.id), as_json=as_json)
        if not quiet:
            hint(f"campaign {campaign.id}: {missing:,} of {campaign.items:,} calls are missing")
        if not detach:
            return await _work(campaigns, campaign.id, as_json=as_json, quiet=quiet)
    return _detach(config, campaign.id, as_json=as_json)


async def status(config: str | None, name: str, *, watch: bool, as_json: bool) -> int:
    """How it stands; watched, until it has ended or Ctrl-C."""
    enough = asyncio.Event()
    if watch:
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, enough.set)
    async with _opened(config) as campaigns:
        while True:
            progress = await campaigns.progress(name)
            if as_json:
                say(json.dumps(progress.as_dict()))
            else:
                if watch and is_lively(sys.stdout):
                    say("\x1b[H\x1b[2J", end="")
                say(sheet(progress))
            if not watch or progress.campaign.state in ("done", "cancelled", "stopped", "paused"):
                break
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(enough.wait(), WATCHED)
            if enough.is_set():
                return 0
        if not as_json:
            for row in await campaigns.table.asides(progress.campaign.id, 5):
                hint(f"set aside: {row['key']}: {row['why']}")
        return 0


async def pause(config: str | None, name: str, *, as_json: bool) -> int:
    async with _opened(config) as campaigns:
        campaign = await campaigns.pause(name)
        return await _tell_turn(campaigns, campaign.id, "go on with: understudy campaign resume", as_json=as_json)


async def cancel(config: str | None, name: str, *, as_json: bool) -> int:
    async with _opened(config) as campaigns:
        campaign = await campaigns.cancel(name)
        return await _tell_turn(campaigns, campaign.id, "what it has: understudy campaign export", as_json=as_json)


async def every(config: str | None, *, as_json: bool) -> int:
    """The newest first."""
    async with _opened(config) as campaigns:
        known = [await campaigns.progress(c.id) for c in await campaigns.every()]
        if as_json:
            say(json.dumps({"campaigns": [p.as_dict() for p in known]}))
            return 0
        if not known:
            hint("There is no campaign. understudy campaign run SPEC begins one.")
            return 0
        rows = [(p.campaign.id, p.campaign.name, p.as_dict()["state"], told_in_a_line(p)) for p in known]
        say(table(("id", "name", "state", "how it stands"), rows))
        return 0


async def export(config: str | None, name: str, *, kind: str, out: str | None, as_json: bool) -> int:
    """Its results, to a file or to standard output."""
    from understudy.pipelines.export import to_jsonl, to_parquet

    if kind not in FORMATS:
        raise UsageError(f"There is no format {kind!r}.", remedy=f"There are {', '.join(FORMATS)}.")
    if kind == "parquet" and out is None:
        raise UsageError("Parquet is no text for a terminal.", remedy="Name a file: --out results.parquet.")
    async with _opened(config) as campaigns:
        results = campaigns.results(name)
        if out is None:
            await to_jsonl(results, sys.stdout)
            return 0
        try:
            if kind == "parquet":
                count = await to_parquet(results, Path(out))
            else:
                with Path(out).open("w", encoding="utf-8") as file:  # noqa: ASYNC230  nobody else waits here
                    count = await to_jsonl(results, file)
        except OSError as error:
            why = os.strerror(error.errno or 0)
            raise UsageError(f"{out} cannot be written ({why}).", remedy="Name another file.") from None
    if as_json:
        say(json.dumps({"items": count, "file": out, "format": kind}))
    else:
        hint(f"{count:,} items in {out}")
    return 0


async def _work(campaigns: Campaigns, name: str, *, as_json: bool, quiet: bool = False) -> int:
    """Until it has ended, or a signal comes: the first lets the calls under way end, the second does not."""
    crew = campaigns.crew(await campaigns.get(name))
    loop, got = asyncio.get_running_loop(), list[int]()
    task = asyncio.current_task()

    def stop(number: int) -> None:
        got.append(number)
        crew.stop()
        if len(got) > 1 and task is not None:
            task.cancel()
        else:
            hint("stopping: the calls under way have ten seconds; once more to give them up")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    view = _viewer(as_json=as_json, quiet=quiet)
    showing = asyncio.create_task(_show(campaigns, name, view))
    try:
        await crew.work()
    except asyncio.CancelledError:
        if not got:
            raise
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
        view.close()
    progress = await campaigns.progress(name)
    if not got:
        return _say_end(progress, as_json=as_json)
    hint(told_in_a_line(progress))
    hint(f"To go on: understudy campaign resume {name}")
    if as_json:
        say(json.dumps(progress.as_dict()))
    return 130 if got[0] == signal.SIGINT else 128 + got[0]


def _viewer(*, as_json: bool, quiet: bool) -> Bars | Lines:
    lively = is_lively(sys.stderr) and not as_json and not quiet
    return Bars() if lively else Lines(every=10.0 if not quiet else 60.0, silent=as_json)


async def _show(campaigns: Campaigns, name: str, view: Bars | Lines) -> None:
    while True:
        view.show(await campaigns.progress(name))
        await asyncio.sleep(EVERY)


def _say_end(progress: Progress, *, as_json: bool) -> int:
    """0: every item has an answer."""
    if as_json:
        say(json.dumps(progress.as_dict()))
    else:
        hint(told_in_a_line(progress))
        for line in _advice(progress):
            hint(line)
    if progress.campaign.reason.startswith("money"):
        return MONEY
    return 0 if progress.done == progress.campaign.items else NoCandidate.exit_code


def _advice(progress: Progress) -> list[str]:
    id_, reason = progress.campaign.id, progress.campaign.reason
    lines = [f"stopped by {reason}"] if reason else []
    if progress.done < progress.campaign.items and progress.campaign.state != "cancelled":
        more = " --usd N" if reason.startswith("money") else ""
        lines.append(f"understudy campaign resume {id_}{more} asks only what is missing")
    if progress.done:
        lines.append(f"understudy campaign export {id_} --out results.jsonl")
    return lines


async def _tell_turn(campaigns: Campaigns, id_: str, advice: str, *, as_json: bool) -> int:
    progress = await campaigns.progress(id_)
    if as_json:
        say(json.dumps(progress.as_dict()))
    else:
        hint(f"campaign {id_} is {progress.campaign.state}; {advice} {id_}")
    return 0


def _detach(config: str | None, id_: str, *, as_json: bool) -> int:
    """A process of its own works on it, and outlives this one."""
    from understudy.config.places import home

    folder = home() / "logs"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"campaign-{id_}.log"
    own = ["--config", str(Path(config).resolve())] if config else []
    command = [sys.executable, "-m", "understudy", "campaign", "resume", id_, "--quiet", *own]
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, close_fds=True
        )
    if as_json:
        say(json.dumps({"id": id_, "pid": process.pid, "log": str(path)}))
    else:
        say(id_)
        hint(f"process {process.pid} works on it; understudy campaign status {id_} --watch")
    return 0
