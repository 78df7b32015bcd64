"""The best mix: calls split over several options at once, at the least cost that meets a deadline; then the soonest.

By a time T an option can answer so many calls, each at its price; options of one pool share that number. Filling the
cheapest first is exact for this shape (capacities within capacities), unless a pool serves several shares of the
campaign: then it is a flow of least cost, and networkx solves it. Plans of one provider exclude each other (an account
is on its free plan or pays), so every choice of them is tried.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, cast

from understudy.pipelines.options import NANO, Option
from understudy.pipelines.pace import FAR


@dataclass(frozen=True, slots=True)
class Part:
    option: Option
    calls: int


@dataclass(frozen=True, slots=True)
class Mix:
    """seconds: until the last answer."""

    parts: tuple[Part, ...]
    seconds: float

    @property
    def calls(self) -> int:
        return sum(p.calls for p in self.parts)

    @property
    def nano(self) -> int:
        return sum(p.calls * p.option.nano for p in self.parts)

    @property
    def usd(self) -> float:
        return self.nano / NANO


def best_mix(
    options: Sequence[Option],
    calls: int,
    *,
    deadline: float | None = None,
    usd: float | None = None,
    shares: Mapping[str, float] | None = None,
) -> Mix | None:
    """The cheapest that meets deadline (seconds) and money, and of those the soonest; None: there is none."""
    market = Market(options, shares or {})
    latest = FAR if deadline is None else deadline
    cheapest = market.cheapest(calls, latest)
    if cheapest is None or (usd is not None and cheapest.nano > round(usd * NANO)):
        return None
    return market.soonest(calls, latest, cheapest.nano)


def soonest_mix(
    options: Sequence[Option], calls: int, *, usd: float | None = None, shares: Mapping[str, float] | None = None
) -> Mix | None:
    """The soonest that the money allows; None: it is never done for that."""
    market = Market(options, shares or {})
    return market.soonest(calls, FAR, None if usd is None else round(usd * NANO))


def most_calls(
    options: Sequence[Option],
    upto: int,
    *,
    deadline: float | None = None,
    usd: float | None = None,
    shares: Mapping[str, float] | None = None,
) -> int:
    """The most calls that meet deadline and money, `upto` at the most."""
    market, latest = Market(options, shares or {}), FAR if deadline is None else deadline
    most = math.inf if usd is None else round(usd * NANO)

    def fits(calls: int) -> bool:
        mix = market.cheapest(calls, latest)
        return mix is not None and mix.nano <= most

    return _last(fits, upto)


class Market:
    """The options of a campaign, and what they can do by a time."""

    def __init__(self, options: Sequence[Option], shares: Mapping[str, float]) -> None:
        """shares: name -> share of the calls that this model, and nobody else, answers."""
        self.options = sorted((o for o in options if o.pace and not o.refused), key=lambda o: (o.nano, -o.quality))
        self.shares = dict(shares)
        self._within = dict[tuple[int, float], int]()
        self._choices = tuple(self._of_plans())

    def cheapest(self, calls: int, seconds: float) -> Mix | None:
        """The least cost at which so many calls are answered by then."""
        found = (self._filled(choice, calls, seconds) for choice in self._choices)
        return min((m for m in found if m is not None), key=lambda m: m.nano, default=None)

    def soonest(self, calls: int, latest: float, most: int | None) -> Mix | None:
        """The soonest of at most `most` nano-dollars."""

        def mix_by(seconds: float) -> Mix | None:
            mix = self.cheapest(calls, seconds)
            return mix if mix is not None and (most is None or mix.nano <= most) else None

        best = mix_by(latest)
        if best is None:
            return None
        low, high = 0.0, 1.0
        while high < latest and mix_by(high) is None:
            low, high = high, high * 2
        high = min(high, latest)
        while high - low > 0.5:
            middle = (low + high) / 2
            low, high = (low, middle) if mix_by(middle) is not None else (middle, high)
        best = mix_by(high) or best
        return Mix(best.parts, _ended(best.parts))

    def _of_plans(self) -> Iterable[tuple[Option, ...]]:
        """The options under every choice of plans: for each provider with both, its free one or those that cost."""
        plans = {o.provider: {p.plan == "free" for p in self.options if p.provider == o.provider} for o in self.options}
        both = [provider for provider, kinds in plans.items() if len(kinds) == 2]
        for chosen in product((True, False), repeat=len(both)):
            free = dict(zip(both, chosen, strict=True))
            yield tuple(o for o in self.options if free.get(o.provider, o.plan == "free") == (o.plan == "free"))

    def _by(self, option: Option, seconds: float) -> int:
        """option.within(seconds), kept: choices of plans ask for the same."""
        key = (id(option), seconds)
        if key not in self._within:
            self._within[key] = option.within(seconds)
        return self._within[key]

    def _filled(self, options: tuple[Option, ...], calls: int, seconds: float) -> Mix | None:
        lots = _lots(options, calls, self.shares)
        pools = [{o.pool for o in lot} for lot, _ in lots]
        apart = len(set[str]().union(*pools)) == sum(map(len, pools))
        fill = _greedily if apart else _by_flow
        parts = fill(lots, lambda o: self._by(o, seconds))
        return None if parts is None else Mix(tuple(p for p in parts if p.calls), seconds)


def _ended(parts: Sequence[Part]) -> float:
    """Seconds until the last answer; parts of one pool share its windows."""
    pools: dict[str, tuple[Option, int]] = {}
    for part in parts:
        _, calls = pools.get(part.option.pool, (part.option, 0))
        pools[part.option.pool] = (part.option, calls + part.calls)
    return max((option.soonest(calls) for option, calls in pools.values()), default=0.0)


def _lots(options: tuple[Option, ...], calls: int, shares: Mapping[str, float]) -> list[tuple[tuple[Option, ...], int]]:
    """(who may answer, how many calls): each share, and the rest for those without one."""
    lots: list[tuple[tuple[Option, ...], int]] = []
    left, free = calls, options
    for name, share in shares.items():
        number = min(left, round(calls * share))
        lots.append((tuple(o for o in free if o.is_called(name)), number))
        free, left = tuple(o for o in free if not o.is_called(name)), left - number
    rounding = left if left <= len(shares) and math.isclose(math.fsum(shares.values()), 1) else 0
    if rounding and lots:
        lots[0], left = (lots[0][0], lots[0][1] + rounding), left - rounding
    return [*lots, (free, left)]


def _greedily(lots: list[tuple[tuple[Option, ...], int]], within: Callable[[Option], int]) -> list[Part] | None:
    parts: list[Part] = []
    for options, calls in lots:
        left, room = calls, dict[str, int]()
        for option in options:
            if not left:
                break
            most = within(option)
            take = min(left, most, room.get(option.pool, most))
            room[option.pool] = room.get(option.pool, most) - take
            left -= take
            parts.append(Part(option, take))
        if left:
            return None
    return parts


def _by_flow(lots: list[tuple[tuple[Option, ...], int]], within: Callable[[Option], int]) -> list[Part] | None:
    import networkx as nx

    graph = cast(Any, nx).DiGraph()
    total = sum(calls for _, calls in lots)
    graph.add_node("source", demand=-total)
    graph.add_node("sink", demand=total)
    for number, (options, calls) in enumerate(lots):
        graph.add_edge("source", ("lot", number), capacity=calls, weight=0)
        for option in options:
            capacity = min(within(option), total)
            graph.add_edge(("lot", number), option, capacity=capacity, weight=option.nano)
            graph.add_edge(option, ("pool", option.pool), capacity=capacity, weight=0)
            graph.add_edge(("pool", option.pool), "sink", capacity=capacity, weight=0)
    try:
        flow = nx.min_cost_flow(graph)
    except nx.NetworkXUnfeasible:
        return None
    return [Part(o, flow["lot", n][o]) for n, (options, _) in enumerate(lots) for o in options]


def _last(fits: Callable[[int], bool], upto: int) -> int:
    """The largest number that fits; what fits does so for every smaller one."""
    if fits(upto):
        return upto
    low, high = 0, upto
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low
