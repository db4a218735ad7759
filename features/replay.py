"""Replay: the vectors of the past, rebuilt from the log in the order in which it was applied.

A row of topic `applied` says of a range under which number each shard took it. So what an event saw of an entity is
known: the entries of all ranges that the entity's shard took under a smaller number, and the events before it in its
own range. The worker's own code runs here (columns, payloads, fold, compaction, vector); only the store is another one,
a dictionary of bags per group, and stamps do the rest: entries may be appended before a range is folded that did not
see them, as long as they carry the larger number.

Ranges may come in any order. The caller says up to which number of each shard nothing is missing any more: ranges up
to there are folded, and what is stamped below every number that can still be asked for becomes tiles. So memory holds
the bags and a few thousand events, however long the log is. A bag that nobody has touched for twice its group's
lifetime is dropped, as the store drops it. The price: 7 to 12 us an order and group, more where ranges are short.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from features.bag import Numbers
from features.columns import Columns, Floats2d, Ints
from features.compact import compact, over_cap
from features.definitions import Definitions
from features.entry import Own, own_of, stamped
from features.fold import Lot, fold_each
from features.group import Group
from features.grown import ordered
from features.payload import payloads
from features.vector import Vector
from schemas.ids import bag_name, shard_of

AT_ONCE: Final = 4_000  # events that are folded together: a pass costs 1 ms however few they are
LAST: Final = 2**63  # above every number


class OrderError(ValueError):
    """A range under numbers that were said not to come any more: what was rebuilt since may be wrong."""


@dataclass(frozen=True, slots=True)
class Range:
    """A range as it was applied: its fresh events in offset order, and the number under which each shard took it."""

    topic: str
    numbers: Sequence[int]
    events: Sequence[Any]  # as the topic's flow decodes them
    at_ms: Ints  # (n,) event times
    tag: Any = None  # whatever the caller wants to know it by


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The vectors of a scored range."""

    range: Range
    columns: Columns
    rows: Floats2d  # (n, d), as the worker had them


@dataclass(frozen=True, slots=True)
class _Touched:
    """What a range has to do with one group."""

    entities: list[str]
    shards: Ints  # (u,)
    own: Own


@dataclass(frozen=True, slots=True)
class _Taken:
    """A range whose entries are in the bags."""

    range: Range
    columns: Columns
    touched: Mapping[str, _Touched]  # by group
    numbers: Numbers


class Replay:
    """`take` what was applied, `advance` to what is complete: that gives the vectors of scored ranges up to there."""

    def __init__(
        self,
        definitions: Definitions,
        shards: int,
        vector: Vector | None = None,
        lifetimes_ms: Mapping[str, int] | None = None,
    ) -> None:
        """`vector` None: that of the definitions; one of fewer groups takes less time. `lifetimes_ms`: by group, how
        long the store keeps a bag that nobody touches; None: for ever.
        """
        self._flows = {flow.topic: flow for flow in definitions.flows}
        self._vector = vector or definitions.vector
        lifetimes = lifetimes_ms or {}
        self._bags = {group.name: _Bags(group, shards, lifetimes.get(group.name)) for group in self._vector.groups}
        self._taken: list[_Taken] = []  # not folded yet
        self._complete: Numbers = np.zeros(shards, np.uint64)
        self.waiting = 0  # scored events that are not folded yet

    @property
    def bags(self) -> int:
        """How many are held."""
        return sum(map(len, self._bags.values()))

    def state(self, group: str) -> Iterator[tuple[str, bytes]]:
        """Every entity of a group with its bag, as a store would hold it."""
        return self._bags[group].held()

    def take(self, range_: Range) -> None:
        """Adds a range's entries. Raises OrderError where `advance` was told that it would not come."""
        numbers = np.array(range_.numbers, np.uint64)
        if (numbers < self._complete).any():
            shard = int(np.flatnonzero(numbers < self._complete)[0])
            raise OrderError(
                f"a range of {range_.topic!r} has number {numbers[shard]} on shard {shard}: everything below "
                f"{self._complete[shard]} was said to be there already"
            )
        flow = self._flows.get(range_.topic)
        groups = [group for group in flow.groups if group.name in self._bags] if flow else []
        if flow is None or not groups or not len(range_.events):
            return
        columns = flow.columns(range_.events, range_.at_ms)
        touched = {group.name: self._bags[group.name].append(columns, range_.numbers) for group in groups}
        if flow.scored and touched.keys() == self._bags.keys():
            self._taken.append(_Taken(range_, columns, touched, numbers))
            self.waiting += columns.n

    def advance(self, complete: Sequence[int] | Numbers) -> list[Rebuilt]:
        """`complete`: by shard, no range is to come whose number is below. The vectors of all ranges that are up to
        there on every shard, in one pass; then old entries become tiles.
        """
        self._complete = np.maximum(self._complete, np.array(complete, np.uint64))
        ready = [taken for taken in self._taken if (taken.numbers <= self._complete).all()]
        self._taken = [taken for taken in self._taken if (taken.numbers > self._complete).any()]
        self.waiting -= sum(taken.columns.n for taken in ready)
        rebuilt = self._fold(ready)
        self._compact()
        return rebuilt

    def finish(self) -> list[Rebuilt]:
        """The rest: no range is to come."""
        return self.advance(np.full(len(self._complete), LAST, np.uint64))

    def _fold(self, ready: Sequence[_Taken]) -> list[Rebuilt]:
        groups = self._vector.groups
        lots = [self._bags[g.name].lot(taken.touched[g.name], taken.numbers) for taken in ready for g in groups]
        folded = iter(fold_each(lots) if lots else ())
        rebuilt = []
        for taken in ready:
            of_group = {group.name: next(folded) for group in groups}
            rebuilt.append(Rebuilt(taken.range, taken.columns, self._vector.rows(taken.columns, of_group)))
        return rebuilt

    def _compact(self) -> None:
        """Below every number that a range which waits or is still to come can have."""
        floor = np.minimum.reduce([self._complete, *(taken.numbers for taken in self._taken)])
        for bags in self._bags.values():
            bags.compact(floor)
            bags.age(int(floor.min()))


def replay(replay: Replay, ranges: Iterable[Range], at_once: int = AT_ONCE) -> Iterator[Rebuilt]:
    """The vectors of ranges that come ordered by their least number."""
    for range_ in ranges:
        if replay.waiting >= at_once:
            yield from replay.advance([min(range_.numbers)] * len(range_.numbers))
        replay.take(range_)
    yield from replay.finish()


class _Bags:
    """What a store keeps of one group, in memory.

    Bags are in two generations: one that is touched comes into the young one; once a lifetime what is still in the old
    one is dropped and the young one becomes the old.
    """

    def __init__(self, group: Group, shards: int, lifetime_ms: int | None) -> None:
        self._group, self._shards = group, shards
        self._lifetime_us = None if lifetime_ms is None else lifetime_ms * 1000
        self._young: dict[str, bytes] = {}
        self._old: dict[str, bytes] = {}
        self._since_us = 0
        self._grown: dict[str, int] = {}  # entities touched since the last compaction, with their shards

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def held(self) -> Iterator[tuple[str, bytes]]:
        """Each entity with its bag, entries by their stamps."""
        for generation in (self._young, self._old):
            for entity, bag in generation.items():
                yield entity, ordered(self._group, bag)

    def append(self, columns: Columns, numbers: Sequence[int]) -> _Touched:
        """Adds a range's events."""
        entities, own = own_of(self._group, columns)
        shards = [shard_of(bag_name(self._group.name, entity), self._shards) for entity in entities]
        stamps = [number.to_bytes(8, "big") for number in numbers]
        young, old = self._young, self._old
        for entity, shard, entries in zip(entities, shards, payloads(self._group, own, len(entities)), strict=True):
            bag = young.get(entity) or old.pop(entity, b"")
            young[entity] = bag + stamped(entries, stamps[shard])
        self._grown.update(zip(entities, shards, strict=True))
        return _Touched(entities, np.array(shards, np.int64), own)

    def lot(self, touched: _Touched, numbers: Numbers) -> Lot:
        """What a range saw of the group."""
        bags = [self._young.get(entity) or self._old[entity] for entity in touched.entities]
        return Lot(self._group, bags, numbers[touched.shards], touched.own)

    def compact(self, floor: Numbers) -> None:
        """Folds entries stamped below `floor`, by shard, of the bags that have grown over their cap."""
        names = list(self._grown)
        bags = [self._young.get(name) for name in names]
        full = [
            (names[place], ordered(self._group, bags[place] or b"")) for place in over_cap(self._group, bags).tolist()
        ]
        below = floor[[self._grown[name] for name, _ in full]]
        made = compact(self._group, [bag for _, bag in full], below) if full else []
        for (name, bag), each in zip(full, made, strict=True):
            if each is not None:
                self._young[name] = each.replacement + bag[len(each.prefix) :]
        self._grown.clear()

    def age(self, now_us: int) -> None:
        """Drops what nobody has touched for a lifetime and more."""
        if self._lifetime_us is not None and now_us - self._since_us > self._lifetime_us:
            self._old, self._young, self._since_us = self._young, {}, now_us
