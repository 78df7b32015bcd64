"""The director's side of a rehearsed day: the real parts, with a store in memory, and what can go wrong with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from understudy.classifiers.gate import Gate
from understudy.classifiers.local import LocalScorer
from understudy.errors import StoreError
from understudy.fleet.form import PageForm
from understudy.fleet.page import Page
from understudy.fleet.queue import Line
from understudy.scenarios.weather import Sky
from understudy.store.memory_store import MemoryReplies, MemorySessions, MemoryStore
from understudy.store.pages import MemoryPages
from understudy.types import Answer, Check, Clock, Guess, Span, Task, Turn, Validator

T = TypeVar("T")
REMEMBERED = 5_000  # texts; people repeat themselves, and the same text has the same spans and the same intent


class RememberingGate(Gate):
    """The gate looks at each text once."""

    def __init__(self, private_paths: tuple[str, ...]) -> None:
        super().__init__(private_paths)
        self._seen: dict[str, tuple[Span, ...]] = {}

    def look(self, text: str) -> tuple[Span, ...]:
        return _once(self._seen, text, super().look)


class RememberingScorer(LocalScorer):
    """The scorer, too."""

    def __init__(self, *weights: Any) -> None:
        super().__init__(*weights)
        self._seen: dict[str, Guess] = {}

    def guess(self, text: str, *, tokens: int | None = None) -> Guess:
        return _once(self._seen, text, lambda text: super(RememberingScorer, self).guess(text, tokens=tokens))


class RememberingValidator:
    """A validator says the same of the same answer to the same task."""

    def __init__(self, inner: Validator) -> None:
        self.name = inner.name
        self._inner = inner
        self._seen: dict[object, Check] = {}

    def check(self, answer: Answer, task: Task) -> Check | Awaitable[Check]:
        asked = (task.text, id(task.schema), task.max_tokens, task.history, task.files)
        key = (answer.text, answer.finish, answer.usage.output_tokens, *asked)
        known = self._seen.get(key)
        if known is not None:
            return known
        said = self._inner.check(answer, task)
        if isinstance(said, Check):
            if len(self._seen) >= REMEMBERED:
                self._seen.clear()
            self._seen[key] = said
        return said


def _once(seen: dict[str, T], text: str, find: Callable[[str], T]) -> T:
    known = seen.get(text)
    if known is None:
        if len(seen) >= REMEMBERED:
            seen.clear()
        known = seen[text] = find(text)
    return known


class FarPages(MemoryPages[Page]):
    """Pages on a server of the day: sometimes it is away, sometimes a page there is damaged."""

    ahead = 0.0

    def __init__(self, form: PageForm, clock: Clock, sky: Sky) -> None:
        super().__init__(form, clock)
        self._packer, self._sky = form, sky
        self._damages = list(sky.moments("book_damaged"))

    async def turn(self, key: str, entry: Any) -> Any:
        self._look_up()
        return await super().turn(key, entry)

    async def look(self) -> tuple[Mapping[str, Page], float]:
        self._look_up()
        return await super().look()

    def known(self) -> Mapping[str, Page]:
        return self._pages

    def _look_up(self) -> None:
        if self._sky.strikes("book_gone"):
            raise StoreError("The server of the quota book is away.", remedy="It is a rehearsal.")
        if self._damages and self.now() >= self._damages[0][0]:
            _, number = self._damages.pop(0)
            self._sky.struck[number] += len(self._pages)
            for key, page in self._pages.items():
                self._pages[key] = self._packer.unpack(self._packer.pack(page)[:-1])


class BrokenLines(dict[str, Line]):
    """Lines in which, while the queue is broken, nobody can wait."""

    def __init__(self, sky: Sky) -> None:
        super().__init__()
        self._sky = sky
        self._none = _NoLine(sky)

    def setdefault(self, key: str, default: Line | None = None) -> Line:
        return self._none if self._sky.at_home("queue_broken") else super().setdefault(key, default or Line())


class _NoLine(Line):
    """Nobody gets a place in it."""

    def __init__(self, sky: Sky) -> None:
        super().__init__(longest=0)
        self._sky = sky

    @property
    def full(self) -> bool:
        self._sky.strikes("queue_broken")  # only who would wait asks
        return super().full


class HomeStore(MemoryStore):
    """A store that at times takes no records."""

    def __init__(self, clock: Clock, sky: Sky) -> None:
        super().__init__(clock)
        self.replies = _Replies(sky)
        self.sessions = _Sessions(clock, sky)


class _Replies(MemoryReplies):
    def __init__(self, sky: Sky) -> None:
        super().__init__()
        self._sky = sky

    async def save(self, record: Mapping[str, Any]) -> None:
        _check(self._sky)
        await super().save(record)


class _Sessions(MemorySessions):
    def __init__(self, clock: Clock, sky: Sky) -> None:
        super().__init__(clock)
        self._sky = sky

    async def append(self, id: str, turn: Turn, private: bool) -> None:  # noqa: A002 - the field's word
        _check(self._sky)
        await super().append(id, turn, private)


def _check(sky: Sky) -> None:
    if sky.strikes("store_gone"):
        raise StoreError("The store is away.", remedy="It is a rehearsal.")
