"""The privacy gate: whether a task may leave the machine. Local, before anything else, and only ever raising.

The order is label, session, files by path, then what the detectors see in the text, the files, the history and the
schema: everything that a request to a provider would carry.
"""

from __future__ import annotations

import contextlib
import fnmatch
import hashlib
import json
import os
import posixpath
import re
from collections import OrderedDict
from pathlib import Path
from typing import Literal, get_args

from understudy.classifiers import detectors
from understudy.errors import ConfigError, UsageError
from understudy.types import Sensitivity, Span, Task, Verdict

LONG = 1_000  # characters from which a text that was looked at is known again
MOST = 1_000  # of such texts
_PLAIN = (("\\n", "\n"), ("\\r", "\r"), ("\\t", "\t"), ("\\b", " "), ("\\f", " "), ('\\"', '"'), ("\\/", "/"))
_CODE = re.compile(r"\\u(?![dD][89a-fA-F])([0-9a-fA-F]{4})")  # half a pair of surrogates is no character
HUGE, PIECE, EDGE = 16_000, 2_000, 200  # characters: a large text, what is glanced at, what is cut off of that
OperatingPoint = Literal["balanced", "strict"]


class Gate:
    """Judges tasks. `private_paths` are globs (`**` crosses folders, `~` is home); raises ConfigError on a bad one."""

    def __init__(self, private_paths: tuple[str, ...] = (), operating_point: OperatingPoint = "balanced") -> None:
        if operating_point not in get_args(OperatingPoint):
            raise ConfigError(f"There is no operating point {operating_point!r}.", remedy="Write balanced or strict.")
        self._globs = tuple(compiled for glob in private_paths for compiled in _compile(glob))
        self._detectors = detectors.STRICT if operating_point == "strict" else detectors.BALANCED
        self._salt = os.urandom(16)
        self._known: OrderedDict[bytes, tuple[Span, ...]] = OrderedDict()

    def judge(self, task: Task, session_private: bool = False) -> Verdict:
        """The verdict over all a task carries; spans are offsets into the task's own text. Raises UsageError."""
        reasons: list[str] = []
        asked = "private" in (task.intent, task.agent)  # who asks for the private specialist means what it says
        if _label(task.sensitivity) is Sensitivity.PRIVATE or asked:
            reasons.append("label")
        if session_private:
            reasons.append("session")
        if any(self._is_private_path(attachment.path) for attachment in task.files):
            reasons.append("path")
        spans = self._glance(task.text)
        reasons += [span.type for span in spans]
        for carried in _carried(task):
            reasons += [span.type for span in self._glance(carried)]
        sensitivity = Sensitivity.PRIVATE if reasons else Sensitivity.PUBLIC
        return Verdict(sensitivity, tuple(dict.fromkeys(reasons)), spans)

    def _glance(self, text: str) -> tuple[Span, ...]:
        """As look, but of a large text with something private in a few pieces, only what is in the first of them.

        Nothing makes a private task public again, so the rest need not be read to know where the task may go.
        """
        if len(text) > HUGE:
            for begin in (0, len(text) // 2, len(text) - PIECE):
                spans = detectors.find(text[begin : begin + PIECE], self._detectors)
                # What stands at an end of the piece may look otherwise in the whole.
                inside = [s for s in spans if (s.start > EDGE or not begin) and s.end < PIECE - EDGE]
                if inside:
                    return tuple(Span(s.start + begin, s.end + begin, s.type) for s in inside)
        return self.look(text)

    def look(self, text: str) -> tuple[Span, ...]:
        """What the detectors see in one text: for answers and for text that is not a task yet."""
        if len(text) < LONG:
            return detectors.find(text, self._detectors)
        # An agent sends its long beginning again with each turn. What is kept of it is no text, and only in memory.
        name = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=self._salt).digest()
        found = self._known.get(name)
        if found is None:
            found = self._known[name] = detectors.find(text, self._detectors)
            if len(self._known) > MOST:
                self._known.popitem(last=False)
        return found

    def _is_private_path(self, path: str) -> bool:
        if not self._globs:
            return False
        names = _names(path)
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
    texts += task.chat.texts if task.chat is not None else ()
    texts += [task.instructions] if task.instructions else []
    for turn in task.history:
        texts += [turn.user, turn.assistant]
    if task.schema is not None:
        texts.append(json.dumps(task.schema, default=str, ensure_ascii=False))
    # What stands in JSON is looked at as it is meant, too: an escape ends in a letter, which hides where a word begins.
    texts += [unescaped(text) for text in (task.text, *texts) if "\\" in text]
    # A conversation that is handed on says the same twice, as it is and in plain words.
    return list(dict.fromkeys(text for text in texts if text != task.text))


def unescaped(text: str) -> str:
    """The text with the escapes of JSON as what they stand for, also of JSON inside of JSON."""
    for _ in range(3):
        before = text
        text = text.replace("\\\\", "\0")
        for escape, meant in _PLAIN:
            text = text.replace(escape, meant)
        if "\\u" in text:
            text = _CODE.sub(lambda found: chr(int(found[1], 16)), text)
        text = text.replace("\0", "\\")
        if text == before:
            break
    return text


def _names(path: str) -> tuple[str, ...]:
    """Every way to call a file: as given, absolute with its links and without, from the working folder, its bare name.

    A folder of the glob may itself be a link, and so may one of the path.
    """
    given = path.replace("\\", "/")
    names = [given]
    try:
        expanded = Path(given).expanduser().as_posix()
        absolute = os.path.abspath(expanded)
        names += [posixpath.normpath(expanded), absolute, Path(expanded).resolve().as_posix()]
        names += [os.path.relpath(name) for name in names[-2:]]
    except (OSError, RuntimeError, ValueError):
        pass  # a null byte or an unknown ~user: the path as given is all there is
    names.append(names[-1].rpartition("/")[2])
    names.append(given.rpartition("/")[2])
    return tuple(dict.fromkeys(names))


def _compile(glob: str) -> tuple[re.Pattern[str], ...]:
    """A glob as regexes, as written and with its links followed.

    ** crosses folders, * and ? do not, a trailing slash means all below.
    """
    if not glob.strip():
        raise ConfigError("private_paths has an empty glob.", remedy="Remove it, or write ** for every file.")
    expanded = glob.replace("\\", "/")
    if expanded.startswith("~"):
        # A home that nobody has stays as it is written.
        with contextlib.suppress(RuntimeError):
            expanded = Path(expanded).expanduser().as_posix() + ("/" if glob.endswith("/") else "")
    while expanded.startswith("./"):
        expanded = expanded[2:].lstrip("/")
    if expanded.endswith("/"):
        expanded += "**"
    return tuple(re.compile(_translate(one), re.IGNORECASE) for one in dict.fromkeys((expanded, _followed(expanded))))


def _followed(glob: str) -> str:
    """The glob with the links in its folders followed, as far as they are spelled out."""
    wild = next((at for at, character in enumerate(glob) if character in "*?["), len(glob))
    head, slash, tail = glob[:wild].rpartition("/")
    if not slash or not head:
        return glob
    try:
        real = os.path.realpath(head)
    except (OSError, ValueError):
        return glob
    return glob if real == os.path.abspath(head) else f"{real}/{tail}{glob[wild:]}"


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
