"""The privacy gate: whether a task may leave the machine. Local, before anything else, and only ever raising.

The order is label, session, files by path, then what the detectors see in the text, the files, the history and the
schema: everything that a request to a provider would carry.
"""

from __future__ import annotations

import contextlib
import fnmatch
import json
import re
from pathlib import Path
from typing import Literal, get_args

from understudy.classifiers import detectors
from understudy.errors import ConfigError, UsageError
from understudy.types import Sensitivity, Span, Task, Verdict

OperatingPoint = Literal["balanced", "strict"]


class Gate:
    """Judges tasks. `private_paths` are globs (`**` crosses folders, `~` is home); raises ConfigError on a bad one."""

    def __init__(self, private_paths: tuple[str, ...] = (), operating_point: OperatingPoint = "balanced") -> None:
        if operating_point not in get_args(OperatingPoint):
            raise ConfigError(f"There is no operating point {operating_point!r}.", remedy="Write balanced or strict.")
        self._globs = tuple(_compile(glob) for glob in private_paths)
        self._detectors = detectors.STRICT if operating_point == "strict" else detectors.BALANCED

    def judge(self, task: Task, session_private: bool = False) -> Verdict:
        """The verdict over all a task carries; spans are offsets into the task's own text. Raises UsageError."""
        reasons: list[str] = []
        if _label(task.sensitivity) is Sensitivity.PRIVATE:
            reasons.append("label")
        if session_private:
            reasons.append("session")
        if any(self._is_private_path(attachment.path) for attachment in task.files):
            reasons.append("path")
        spans = detectors.find(task.text, self._detectors)
        reasons += [span.type for span in spans]
        for carried in _carried(task):
            reasons += [span.type for span in detectors.find(carried, self._detectors)]
        sensitivity = Sensitivity.PRIVATE if reasons else Sensitivity.PUBLIC
        return Verdict(sensitivity, tuple(dict.fromkeys(reasons)), spans)

    def look(self, text: str) -> tuple[Span, ...]:
        """What the detectors see in one text: for answers and for text that is not a task yet."""
        return detectors.find(text, self._detectors)

    def _is_private_path(self, path: str) -> bool:
        if not self._globs:
            return False
        given = path.replace("\\", "/")
        absolute = _absolute(path)
        names = (given, absolute, absolute.rpartition("/")[2])
        return any(glob.match(name) for glob in self._globs for name in names)


def _label(label: Sensitivity | str) -> Sensitivity:
    try:
        return Sensitivity(label)
    except ValueError:
        # The label is not repeated: a caller may have passed the text in its place.
        raise UsageError("The sensitivity label is unknown.", remedy="Write public or private.") from None


def _carried(task: Task) -> list[str]:
    """Texts beside the task's own that a request would carry."""
    texts = [attachment.text for attachment in task.files]
    texts += [attachment.path for attachment in task.files]
    for turn in task.history:
        texts += [turn.user, turn.assistant]
    if task.schema is not None:
        texts.append(json.dumps(task.schema, default=str, ensure_ascii=False))
    return texts


def _absolute(path: str) -> str:
    try:
        return Path(path).expanduser().resolve().as_posix()
    except (OSError, RuntimeError, ValueError):
        # A null byte or an unknown ~user: the path as given is all there is.
        return path


def _compile(glob: str) -> re.Pattern[str]:
    """A glob as a regex: ** crosses folders, * and ? do not, a trailing slash means all below."""
    if not glob.strip():
        raise ConfigError("private_paths has an empty glob.", remedy="Remove it, or write ** for every file.")
    expanded = glob.replace("\\", "/")
    if expanded.startswith("~"):
        # A home that nobody has stays as it is written.
        with contextlib.suppress(RuntimeError):
            expanded = Path(expanded).expanduser().as_posix() + ("/" if glob.endswith("/") else "")
    if expanded.endswith("/"):
        expanded += "**"
    return re.compile(_translate(expanded), re.IGNORECASE)


def _translate(glob: str) -> str:
    parts: list[str] = []
    for piece in re.split(r"(\*\*/?|\*|\?|\[[^\]]+\])", glob):
        if piece == "**/":
            parts.append(r"(?:[^/]*/)*")
        elif piece == "**":
            parts.append(r".*")
        elif piece == "*":
            parts.append(r"[^/]*")
        elif piece == "?":
            parts.append(r"[^/]")
        elif piece.startswith("[") and len(piece) > 2:
            parts.append(fnmatch.translate(piece)[4:-3])
        else:
            parts.append(re.escape(piece))
    return "(?s:" + "".join(parts) + r")\Z"
