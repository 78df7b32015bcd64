"""What a call of nanobot's `delegate` comes to. Nothing here imports nanobot."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from understudy.clock import WallClock
from understudy.gateway.delegation import Done, Refusal, Terms, read_task, refusal, told

LONGEST = 15_000  # characters of an answer: nanobot moves a result above 16,000 to a file, or cuts it
API = 110.0  # seconds: nanobot's own HTTP API gives a whole turn 120
_FOREIGN = re.compile(r"[^A-Za-z0-9_.:-]")
_KEPT = 60  # characters of a session key; a director's session has 100 at most


async def hand_over(
    arguments: Mapping[str, Any], *, session: str | None, channel: str, folders: Sequence[Path]
) -> Done | Refusal:
    """The answer or why there is none; nothing is raised but a cancellation.

    session: nanobot's key of it, whose tasks share one budget of the director. folders: below which files may be named;
    a relative name is of the first.
    """
    try:
        from understudy.gateway.nanobot.resident import director

        here = await director()
        most = here.settings.deadline
        terms = Terms(
            deadline=min(most, API) if channel == "api" else most,
            folders=tuple(folders),
            session=None if session is None else session_of(session),
        )
        task = await read_task({**arguments, "files": _placed(arguments.get("files"), folders[0])}, terms)
        # What is handed down is self-contained: a private piece does not make the next one private.
        return _fitting(told(await here.run(replace(task, remember=False))))
    except Exception as error:  # noqa: BLE001  nanobot's model reads what is wrong; its turn goes on
        return refusal(error, WallClock().now())


def session_of(key: str) -> str:
    """The director's session of a nanobot session: another one for every key, whatever it is made of."""
    clean = _FOREIGN.sub("_", key)[:_KEPT]
    if clean == key:
        return f"nanobot:{key}"
    return f"nanobot:{clean}-{hashlib.sha256(key.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _placed(files: Any, workspace: Path) -> Any:
    """Relative paths are of nanobot's workspace, not of the folder its process was started in."""
    if not isinstance(files, list):
        return files
    named = cast("list[object]", files)
    return [str(workspace / path) if isinstance(path, str) and path[:1] not in ("", "~") else path for path in named]


def _fitting(done: Done) -> Done:
    if len(done.text) <= LONGEST:
        return done
    note = f"[Cut here: {LONGEST:,} of {len(done.text):,} characters. Ask for a shorter answer, or for it in parts.]"
    return replace(done, text=f"{done.text[:LONGEST]}\n\n{note}")
