"""The beginning of an answer that passes on while it is written: held back while it may be an error in disguise."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from understudy.types import Began, Piece

HELD = 400  # characters; an error message that is the whole answer is shorter
# How errors, error pages and notices of providers and proxies begin; few answers do.
_SUSPICIOUS = re.compile(
    r"\s*(?:[{\[<]|data:|error|exception|traceback|upstream|http|50\d|4\d\d|rate.?limit|quota|insufficient|out of"
    r"|credit|invalid|unauthori[sz]ed|forbidden|access denied|too many|internal|bad gateway|service|request"
    r"|you(?:'ve| have|r)|this model|the model|sorry|api)",
    re.IGNORECASE,
)


@dataclass(slots=True)
class Prefix:
    """Between a worker and a reader. What it has let pass cannot be taken back: released says so."""

    told: Callable[[Piece], None]
    began: Began | None = None  # told with the first piece
    released: bool = False
    _held: list[Piece] = field(default_factory=list[Piece])

    def hear(self, piece: Piece) -> None:
        if self.released:
            self.told(piece)
            return
        self._held.append(piece)
        text = "".join(held.text for held in self._held)
        if len(text) >= HELD or (text.strip() and not _SUSPICIOUS.match(text)):
            self.end()

    def end(self) -> None:
        """What is held back is good: the answer was accepted, or is too long to be an error."""
        self.released = True
        for piece in self._held:
            began, self.began = self.began, None
            self.told(piece if began is None else replace(piece, began=began))
        self._held.clear()

    def forget(self) -> None:
        """The answer it began was none; another's may begin."""
        self._held.clear()
