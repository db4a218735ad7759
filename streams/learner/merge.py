"""Merge: records of many partitions in one order that is the same however they were read.

A record's time here is its own, or that of the newest record before it in its partition, whichever is later. Records
are given out by (time, source, offset), each only when no other partition can still bring an earlier one: a partition
whose next record is not known holds up all that is later than its newest. So the order is a function of the
partitions' contents alone.

A partition to which nothing comes would hold up everything for ever. Whoever reads may call it idle; it then holds up
nothing, until it has a record again. The price: a record that comes to it later than that and is older than what was
given out meanwhile, takes the time of then: it is not lost, but a pass over the whole log would have had it earlier.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Generic, Self, TypeVar

T = TypeVar("T")

BEFORE_ALL = -1


@dataclass(slots=True)
class _Source(Generic[T]):
    clock: int = BEFORE_ALL  # the time of its newest record
    idle: bool = False
    waiting: deque[tuple[int, T]] = field(default_factory=deque)


class Merge(Generic[T]):
    """Sources by number. Those of equal times take turns by number."""

    def __init__(self, sources: int) -> None:
        self._sources: list[_Source[T]] = [_Source() for _ in range(sources)]
        self._heads: list[tuple[int, int]] = []  # of each source that has one: time, number
        self._holder: tuple[int, int] | None = None
        self._stale = True  # whether the holder is to be looked for
        self._now = BEFORE_ALL  # nothing is given out below

    def held(self, source: int) -> int:
        """Records of a source that wait."""
        return len(self._sources[source].waiting)

    def clocks(self) -> list[int]:
        """Of each source, the time that the first of its records which is not given out cannot be before."""
        return [one.waiting[0][0] if one.waiting else one.clock for one in self._sources]

    @property
    def now(self) -> int:
        """Nothing is given out below."""
        return self._now

    @classmethod
    def at(cls, clocks: Sequence[int], now: int) -> Self:
        """One of which each source goes on with its first record that was not given out."""
        made = cls(len(clocks))
        made._now = now
        for one, clock in zip(made._sources, clocks, strict=True):
            one.clock = clock
        return made

    def add(self, source: int, at_ms: int, item: T) -> None:
        """The next record of a source."""
        one = self._sources[source]
        one.clock, one.idle = max(one.clock, at_ms), False
        if not one.waiting:
            heappush(self._heads, (one.clock, source))
            self._stale = True
        one.waiting.append((one.clock, item))

    def tick(self, source: int, at_ms: int) -> None:
        """A record of a source that is nothing but a sign of the time."""
        one = self._sources[source]
        one.clock, one.idle = max(one.clock, at_ms), False
        self._stale = True

    def rest(self, source: int) -> None:
        """Nothing has come to it for long: it holds up nothing until something does."""
        self._sources[source].idle = True
        self._stale = True

    def take(self) -> Iterator[tuple[int, T]]:
        """What no record to come can be before: time and item."""
        while self._heads:
            time, number = self._heads[0]
            holder = self._held_up()
            if holder is not None and holder < (time, number):
                return
            heappop(self._heads)
            source = self._sources[number]
            _, item = source.waiting.popleft()
            if source.waiting:
                heappush(self._heads, (source.waiting[0][0], number))
            else:
                self._stale = True
            self._now = max(self._now, time)
            yield self._now, item

    def bound(self) -> int:
        """All that is to come is of this time or later. Where all are idle, that is later than all there was."""
        known = [time for time, _ in self._heads[:1]]
        if (holder := self._held_up()) is not None:
            known.append(holder[0])
        self._now = max(self._now, min(known) if known else self.newest + 1)
        return self._now

    @property
    def newest(self) -> int:
        """The time of the newest record of all."""
        return max((source.clock for source in self._sources), default=BEFORE_ALL)

    def _held_up(self) -> tuple[int, int] | None:
        """Who holds up the others, and from when on."""
        if self._stale:
            empty = ((s.clock, n) for n, s in enumerate(self._sources) if not s.waiting and not s.idle)
            self._holder, self._stale = min(empty, default=None), False
        return self._holder
