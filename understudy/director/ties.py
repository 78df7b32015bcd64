"""Which candidate gave a conversation its last answer. Kept in memory: losing it costs a cache, nothing else."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

MOST = 10_000  # conversations


@dataclass(slots=True)
class Ties:
    _domains: OrderedDict[str, str] = field(default_factory=OrderedDict[str, str])

    def of(self, conversation: str) -> str:
        """The candidate's domain, or the empty string."""
        return self._domains.get(conversation, "")

    def keep(self, conversation: str, domain: str) -> None:
        if not conversation:
            return
        self._domains[conversation] = domain
        self._domains.move_to_end(conversation)
        if len(self._domains) > MOST:
            self._domains.popitem(last=False)
