"""Order skew: by how much a group's features depend on the order in which its events came.

Live, an event sees of its entity what was applied before it (processing time). Whoever computes a feature of history by
event time, in SQL or from a log without `applied`, lets it see what is dated before it. Late and out-of-order events
make the two differ. On a sample of entities both are computed here by the one fold, from the same events:

- **seen**: of each event that asks (of a scored topic), its value in applied order against that in event-time order.
  This is the skew between what was served and what an event-time join would train on.
- **kept**: of each entity, what the next event would see, from a bag that was filled and compacted in the one order
  and from one filled in the other. A feature of order `any` is a function of the events that are known: here it is 0.

The sample is those entities whose names hash lowest (bottom-k), so it is the same for the same history, wherever a
stretch ended, and of each of them every event is there up to a cap. The price: memory for MOST_EVENTS, and two folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final

import numpy as np
import numpy.typing as npt

from features.columns import Floats2d, Ints
from features.compact import ALL
from features.entry import Own, stamped
from features.feature import Order
from features.fold import fold
from features.group import Group
from features.grown import grown
from features.payload import payloads
from schemas.ids import bag_name, hash64

MOST_EVENTS: Final = 100_000  # of a sample
A_BAG: Final = 5_000  # events of one entity: the first that were applied
AT_ONCE: Final = 5_000  # events in a fold
PIECE: Final = 64  # events of an entity that are folded, and go into its bag, at a time

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Skew:
    """Of one feature. Values are those of the fold: amounts in minor units, times in seconds or days."""

    column: str
    order: Order
    values: int  # compared
    differ: int  # of them
    mean: float  # of the absolute differences, over all values
    most: float  # the largest of them
    kept: int  # entities whose next event would see another value


@dataclass(frozen=True, slots=True)
class Skews:
    """Of a group."""

    group: str
    entities: int
    events: int
    out_of_order: int  # events that were applied after one of the same entity that is dated later
    cut: int  # entities of which only the first events are in the sample
    features: Sequence[Skew]


@dataclass(slots=True)
class _Told:
    """The events of an entity, each a row of words: number it was applied under, whether it asks, at, amount, flags,
    place, others. Bytes, for an array of a few events weighs more than they do.
    """

    words: bytearray = field(default_factory=bytearray)
    events: int = 0
    asks: bool = False
    cut: bool = False


class Sample:
    """`take` all events of a group; what is kept of them is bounded."""

    def __init__(self, group: Group, entities: int, most_events: int = MOST_EVENTS, a_bag: int = A_BAG) -> None:
        self._group, self._most, self._most_events, self._a_bag = group, entities, most_events, a_bag
        self._told: dict[str, _Told] = {}
        self._ranks: list[tuple[int, str]] = []  # a heap, the one to go first on top
        self._limit = 1 << 64  # who hashes to this or above is not in the sample, and was not before
        self._events = 0

    def take(self, entities: Sequence[str], own: Own, numbers: Sequence[int], *, asks: bool) -> None:
        """A range's events; `numbers` under which each entity's shard took it; `asks`: somebody sees their values."""
        mine = [place for place, entity in enumerate(entities) if self._wanted(entity)]
        if not mine:
            return
        told = np.array([own.at, own.at, own.at, own.amount, own.flags, own.place])
        rows = np.concatenate((told, own.others)).T  # (n, words)
        rows[:, 1] = asks
        for place in mine:
            if (one := self._told.get(entities[place])) is not None:
                of_one = rows[own.owner == place]
                of_one[:, 0] = numbers[place]
                self._add(one, of_one, asks=asks)
        while len(self._told) > self._most or (self._events > self._most_events and len(self._told) > 1):
            self._drop()

    def _wanted(self, entity: str) -> bool:
        """Whether it is in the sample, where it is put if it is."""
        if entity in self._told:
            return True
        rank = hash64(bag_name(self._group.name, entity))
        if rank >= self._limit:
            return False
        self._told[entity] = _Told()
        heappush(self._ranks, (-rank, entity))
        return True

    def _add(self, told: _Told, rows: Ints, *, asks: bool) -> None:
        room = self._a_bag - told.events
        told.cut |= len(rows) > room
        rows = rows[:room]
        told.words += np.ascontiguousarray(rows).tobytes()
        told.asks |= asks
        told.events += len(rows)
        self._events += len(rows)

    def _drop(self) -> None:
        rank, entity = heappop(self._ranks)
        self._limit = -rank
        self._events -= self._told.pop(entity).events

    def skews(self) -> Skews:
        """Of all that was told; where no event asks for values, those of all events are compared."""
        every = sorted(self._told)
        tally = _Tally(self._group, nobody_asks=not any(told.asks for told in self._told.values()))
        some: list[_Told] = []
        for name in every:
            some.append(self._told[name])
            if sum(told.events for told in some) >= AT_ONCE:
                tally.add(some)
                some = []
        if some:
            tally.add(some)
        return tally.result(len(every), sum(told.cut for told in self._told.values()))


class _Tally:
    """Adds up over lots of entities."""

    def __init__(self, group: Group, *, nobody_asks: bool) -> None:
        self._group, self._nobody_asks = group, nobody_asks
        columns = len(group.columns)
        self._events = self._late = self._values = 0
        self._differ, self._kept = np.zeros(columns, np.int64), np.zeros(columns, np.int64)
        self._sum, self._most = np.zeros(columns), np.zeros(columns)

    def add(self, some: Sequence[_Told]) -> None:
        words = np.frombuffer(b"".join(told.words for told in some), np.int64)
        number, asked, *_ = rows = words.reshape(-1, 6 + len(self._group.others)).T
        rows, asks = rows[2:], (asked > 0) | self._nobody_asks
        owner = np.repeat(np.arange(len(some)), [told.events for told in some])
        at = rows[0]
        applied = np.lexsort((number, owner))
        dated = np.lexsort((number, at, owner))
        last = applied[np.append(np.flatnonzero(np.diff(owner[applied])), len(applied) - 1)]
        probe = _own(self._group, np.arange(len(some)), rows[:, last])
        live, left = _lived(self._group, owner, rows, applied, probe)
        by_time, left_by_time = _lived(self._group, owner, rows, dated, probe)
        apart = np.abs(live - by_time)[asks]
        self._events += len(at)
        self._late += _late(owner[applied], at[applied])
        self._values += len(apart)
        self._differ += (apart > 0).sum(axis=0)
        self._sum += apart.sum(axis=0)
        self._most = np.maximum(self._most, apart.max(axis=0, initial=0.0))
        self._kept += (left != left_by_time).sum(axis=0)

    def result(self, entities: int, cut: int) -> Skews:
        count = max(self._values, 1)
        told = zip(self._group.features, self._differ, self._sum / count, self._most, self._kept, strict=True)
        features = [
            Skew(
                feature.column(self._group.name), feature.order, self._values, int(n), float(mean), float(most), int(k)
            )
            for feature, n, mean, most, k in told
        ]
        return Skews(self._group.name, entities, self._events, self._late, cut, features)


def _own(group: Group, owner: Ints, rows: Ints) -> Own:
    at, amount, flags, place = rows[:4]
    return Own.of(owner, at, amount, flags, place, rows[4:].reshape(len(group.others), len(at)))


def _lived(group: Group, owner: Ints, rows: Ints, order: Ints, probe: Own) -> tuple[Floats2d, Floats2d]:
    """Had the events come in this order: (n, columns) what each saw, and (entities, columns) what one more would see.

    A few of each entity at a time, as ranges bring them: events of one range are compared in pairs.
    """
    entities = len(probe.owner)
    bags, everything = [b""] * entities, np.full(entities, ALL, np.uint64)
    seen = np.empty((len(order), len(group.columns)))
    piece = _nth(owner[order]) // PIECE
    for number in range(int(piece.max(initial=0)) + 1):
        which = order[piece == number]
        own = _own(group, owner[which], rows[:, which])
        seen[which] = fold(group, bags, everything, own)
        stamp = (number + 1).to_bytes(8, "big")
        bags = grown(group, bags, [stamped(entries, stamp) for entries in payloads(group, own, entities)])
    return seen, fold(group, bags, everything, probe)


def _nth(owner: Ints) -> Ints:
    """(n,) of owners that ascend, which of its owner's each is."""
    counts = np.bincount(owner)
    found: Ints = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return found


def _late(owner: Ints, at: Ints) -> int:
    """How many came after one of the same owner that is dated later; owners ascend."""
    newest = np.maximum.accumulate(at - at.min() + owner * (int(np.ptp(at)) + 1))
    return int((newest > at - at.min() + owner * (int(np.ptp(at)) + 1)).sum())
