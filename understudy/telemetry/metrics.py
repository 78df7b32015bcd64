"""Figures for a monitor, in Prometheus's words: counters and histograms of a process, or of several as one.

No caller's text is in a label, and no label has values without end: above MOST_SERIES of a figure the rest is "other".
"""

from __future__ import annotations

import os
import shutil
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from understudy.telemetry.cells import FIRST, LOST, Cells, Name, read
from understudy.telemetry.log import log

MOST_SERIES = 500  # of one figure
OTHER = "other"
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
BUCKETS = len(SECONDS) + 1  # the last one has no end
IN_FLIGHT = "in_flight"  # the first name in every file: it is over with its process
# name: (what it is, its labels)
COUNTERS: Mapping[str, tuple[str, Name]] = {
    "requests": ("Requests that have ended.", ("path", "status")),
    "refused": ("Requests that were refused, by why.", ("why",)),
    "tasks": ("Tasks that have ended.", ("candidate", "intent", "policy", "outcome")),
    "attempts": ("Calls to candidates.", ("candidate", "outcome")),
    "tokens": ("Tokens of these calls.", ("candidate", "direction")),
    "micro_dollars": ("Paid for them, in millionths of a dollar.", ("candidate",)),
}
HISTOGRAMS: Mapping[str, str] = {
    "request_seconds": "From the head of a request to the last byte of its answer.",
    "first_byte_seconds": "To the first byte of its answer's body.",
}


@dataclass(frozen=True, slots=True)
class Shared:
    """The folder of several processes, and which of them this one is: no two that live have the same number."""

    folder: Path
    number: int

    @property
    def path(self) -> Path:
        return self.folder / f"{self.number}.cells"


@dataclass(frozen=True, slots=True)
class Figure:
    """What is measured at the moment of asking. rows: the labels' values, and the figure."""

    name: str
    about: str
    labels: Name
    rows: Sequence[tuple[Name, float]]


@dataclass(slots=True)
class _Places:
    """Where the doubles of each series of one figure are."""

    cells: Cells
    name: str
    labels: int
    width: int = 1
    known: dict[Name, int] = field(default_factory=dict[Name, int])

    def of(self, labels: Name) -> int:
        found = self.known.get(labels)
        if found is None:
            if len(self.known) >= MOST_SERIES:
                return self.cells.place((self.name, *(OTHER,) * self.labels), self.width)
            found = self.known[labels] = self.cells.place((self.name, *labels), self.width)
        return found


class Metrics:
    """One per process, for its event loop. Counting takes about a microsecond a figure and raises nothing."""

    def __init__(self, shared: Shared | None = None) -> None:
        """shared: with other processes; where its file cannot be had this one counts for itself, and logs it."""
        self.shared = shared
        self._cells = self._open()
        values = self._values = self._cells.values
        self._under_way = self._cells.place((IN_FLIGHT,))
        values[self._under_way] = 0.0
        counters = {name: _Places(self._cells, name, len(labels)) for name, (_, labels) in COUNTERS.items()}
        self._requests, self._refused, self._tasks = (counters[n] for n in ("requests", "refused", "tasks"))
        self._attempts, self._tokens = counters["attempts"], counters["tokens"]
        self._money = counters["micro_dollars"]
        self._seconds, self._first = (_Places(self._cells, name, 1, BUCKETS + 1) for name in HISTOGRAMS)

    def began(self) -> None:
        """A request."""
        self._values[self._under_way] += 1

    def ended(self, path: str, status: int, seconds: float, first: float | None) -> None:
        """A request. path: one of those there are, or OTHER; first: seconds to the first byte of a body."""
        self._values[self._under_way] -= 1
        self._values[self._requests.of((path, str(status)))] += 1
        if not path.endswith("/events"):  # somebody looks on for hours
            self._observe(self._seconds.of((path,)), seconds)
            if first is not None:
                self._observe(self._first.of((path,)), first)

    def refused(self, why: str) -> None:
        self._values[self._refused.of((why,))] += 1

    def task(self, candidate: str, intent: str, policy: str, outcome: str) -> None:
        self._values[self._tasks.of((candidate, intent, policy, outcome))] += 1

    def attempt(self, candidate: str, outcome: str, tokens_in: int, tokens_out: int, micro_usd: int) -> None:
        self._values[self._attempts.of((candidate, outcome))] += 1
        if tokens_in or tokens_out:
            self._values[self._tokens.of((candidate, "in"))] += tokens_in
            self._values[self._tokens.of((candidate, "out"))] += tokens_out
        if micro_usd:
            self._values[self._money.of((candidate,))] += micro_usd

    def render(self, figures: Iterable[Figure] = ()) -> tuple[bytes, str]:
        """All of it, of all processes, and the type of such a text."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(_Told(self.sums(), tuple(figures))), CONTENT_TYPE_LATEST  # type: ignore[arg-type]

    def sums(self) -> dict[Name, tuple[float, ...]]:
        """Of all processes, those that were killed and replaced too."""
        found: dict[Name, tuple[float, ...]] = {}
        for name, values in self._all():
            before = found.get(name)
            found[name] = values if before is None else tuple(map(sum, zip(before, values, strict=False)))
        return found

    def close(self) -> None:
        self._cells.close()

    def _open(self) -> Cells:
        if self.shared is not None:
            try:
                return Cells(self.shared.path)
            except OSError as error:
                log().warning("metrics_not_shared", why=os.strerror(error.errno or 0))
                self.shared = None
        return Cells()

    def _observe(self, place: int, seconds: float) -> None:
        if place != LOST:
            self._values[place + bisect_left(SECONDS, seconds)] += 1
            self._values[place + BUCKETS] += seconds

    def _all(self) -> Iterator[tuple[Name, tuple[float, ...]]]:
        if self.shared is None:
            yield from self._cells.read()
            return
        for path in sorted(self.shared.folder.glob("*.cells")):
            try:
                yield from read(path.read_bytes())
            except (OSError, ValueError) as error:
                log().warning("metrics_unreadable", file=path.name, why=type(error).__name__)


@dataclass(frozen=True, slots=True)
class _Told:
    """What prometheus-client writes down."""

    sums: Mapping[Name, tuple[float, ...]]
    figures: tuple[Figure, ...]

    def collect(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        for name, (about, labels) in COUNTERS.items():
            counter = CounterMetricFamily(f"understudy_{name}", about, labels=labels)
            for found, (value, *_) in self._of(name):
                counter.add_metric(found, value)
            yield counter
        for name, about in HISTOGRAMS.items():
            histogram = HistogramMetricFamily(f"understudy_{name}", about, labels=["path"])
            for found, values in self._of(name):
                histogram.add_metric(found, _buckets(values), values[BUCKETS])
            yield histogram
        now = Figure(IN_FLIGHT, "Requests under way.", (), [((), self.sums.get((IN_FLIGHT,), (0.0,))[0])])
        for figure in (now, *self.figures):
            gauge = GaugeMetricFamily(f"understudy_{figure.name}", figure.about, labels=figure.labels)
            for labels, value in dict(figure.rows).items():
                gauge.add_metric(labels, value)
            yield gauge

    def _of(self, name: str) -> Iterator[tuple[Name, tuple[float, ...]]]:
        yield from ((found[1:], values) for found, values in sorted(self.sums.items()) if found[0] == name)


def _buckets(values: Sequence[float]) -> list[tuple[str, float]]:
    """As Prometheus has them: each with all that is below it."""
    told: list[tuple[str, float]] = []
    total = 0.0
    for n, bound in enumerate((*map(str, SECONDS), "+Inf")):
        total += values[n]
        told.append((bound, total))
    return told


def make_folder(home: Path, owner: int) -> Path:
    """A fresh folder for the processes of this owner, by its process id; those of owners that are gone go too.

    Raises OSError.
    """
    every = home / "metrics"
    every.mkdir(mode=0o700, parents=True, exist_ok=True)
    for old in every.iterdir():
        if old.name.isdigit() and (int(old.name) == owner or not _lives(int(old.name))):
            shutil.rmtree(old, ignore_errors=True)
    folder = folder_of(home, owner)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def remove_folder(home: Path, owner: int) -> None:
    shutil.rmtree(folder_of(home, owner), ignore_errors=True)


def folder_of(home: Path, owner: int) -> Path:
    return home / "metrics" / str(owner)


def forget_live(shared: Shared) -> None:
    """What a process had under way when it died is under way no more; what it counted stays. Raises OSError."""
    with shared.path.open("r+b") as file:
        file.seek(8 * FIRST)
        file.write(bytes(8))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
