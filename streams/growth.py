"""Growth: how bags are kept small while several partitions append to them.

A bag can be folded only below the stamps that may still be asked for again, which is at most one range of each
partition. So three things bound it: fold up to the first stamp that may be a partition's last range (`fold_below`),
fold before it matters (`due`), and take shorter ranges while what is raw in a bag takes up much of the room that its
tiles leave below 16 KB (`Appetite`): what cannot be folded yet is the last range of every partition, so half
the range is half of it. Where the busiest merchant has a twentieth of all orders its bag would otherwise reach 40 KB
while a backlog is drained.

What the last range of this worker's own partitions was is known (`Stamps`). Of other workers it is guessed that they
have moved on since our own range before the last; a wrong guess is a swap refused, no more.
The price: range sizes, and with them throughput, depend on the largest bag.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import NamedTuple

from features.bag import stamps_of
from features.group import Group
from streams.protocol.ports import Tp

MOST_BYTES = 14_000  # of a bag; the limit is 16 KB, and other workers' ranges are seen late
SHORTER, LONGER, MUCH_LONGER = 0.6, 0.4, 0.15  # of that less its tiles: above and below this share ranges change
NOTABLE_BYTES = 3_000  # bags that are raw by so much are looked at after every range
ENTRY_BYTES = 40
FIRST_RANGE = 250
ROUNDS = 3  # of all partitions, between changes of the size; the first still shows the size before
LEAST_RANGE = 25
EVERY = 500  # records between compactions while little in any bag is raw: a call costs 250-300 us whatever it does
QUIET_US = 3_000_000  # a partition without a range for so long has closed its last one
REMEMBERED = 16  # ranges of each partition
TOGETHER_US = 10_000  # ranges taken within so long were read in one go: of a bag in several, one swap will be accepted
MOST_ASKED = 10_000  # bags


@dataclass(frozen=True, slots=True)
class Known:
    """Numbers of this worker's ranges on one shard."""

    last: set[int]  # of each partition's last range: it may be asked for again
    superseded: set[int]  # a later range of the same partition has followed: nobody asks for them again


class Stamps:
    """The numbers under which each shard took the latest ranges of this worker's partitions."""

    def __init__(self) -> None:
        self._taken: dict[Tp, deque[Sequence[int]]] = {}
        self._asked: dict[tuple[str, str], int] = {}

    def asks(self, group: str, entity: str, number: int) -> bool:
        """Whether a range of this number is to ask for a swap of a bag: not if another has, of what both have read."""
        if abs(number - self._asked.get((group, entity), -TOGETHER_US)) < TOGETHER_US:
            return False
        if len(self._asked) >= MOST_ASKED:
            self._asked.clear()
        self._asked[group, entity] = number
        return True

    def took(self, tp: Tp, numbers: Sequence[int]) -> None:
        """A range of the partition has these numbers, one per shard."""
        self._taken.setdefault(tp, deque(maxlen=REMEMBERED)).append(numbers)

    def left(self, tp: Tp) -> None:
        """The partition's last range is closed, or the partition another worker's now."""
        self._taken.pop(tp, None)

    def partitions(self, topic: str) -> int:
        """How many of a topic's partitions are ours."""
        return sum(tp.topic == topic for tp in self._taken)

    def on(self, shard: int) -> Known:
        """What is known of a shard's stamps."""
        last = {taken[-1][shard] for taken in self._taken.values()}
        return Known(last, {numbers[shard] for taken in self._taken.values() for numbers in taken} - last)


class Size(NamedTuple):
    """Of the bags of a range: the bytes of the largest raw part of one, what is not folded or cannot be yet, and the
    largest share that one takes of the room which the rest of its bag leaves it.
    """

    raw_bytes: int
    full: float


NOTHING = Size(0, 0.0)


def size_of(bag_bytes: int, raw_bytes: int) -> Size:
    """Of one bag."""
    return Size(raw_bytes, raw_bytes / max(MOST_BYTES - bag_bytes + raw_bytes, 1))


def largest_of(group: Group, bags: Sequence[bytes | None]) -> Size:
    """What is raw in the bags; small ones count as if nothing in them were folded."""
    sizes = [len(bag) for bag in bags if bag is not None]
    large = [bag for bag in bags if bag is not None and len(bag) > NOTABLE_BYTES]
    found = [size_of(len(bag), ENTRY_BYTES * len(stamps_of(group, bag))) for bag in large]
    small = max((size for size in sizes if size <= NOTABLE_BYTES), default=0)
    return reduce(larger, found, size_of(small, small))


def larger(one: Size, other: Size) -> Size:
    """The larger of each."""
    return Size(max(one.raw_bytes, other.raw_bytes), max(one.full, other.full))


class Appetite:
    """How many records a range of one topic may have: shared by its partitions, since the longest range of any of them
    decides what the others cannot fold.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._ranges = 0  # since the size was set; the first round of all partitions still shows the size before
        self._full = 0.0
        self.records = min(FIRST_RANGE, most)

    def fed(self, size: Size, partitions: int) -> None:
        """A range was taken, and its bags were of this size."""
        self._ranges += 1
        if self._ranges > partitions:
            self._full = max(self._full, size.full)
        if self._full > SHORTER:
            self._set(self.records // 2)
        elif self._ranges > ROUNDS * partitions:
            self._set(int(self.records * self._factor()))

    def _factor(self) -> float:
        """By how much ranges may grow: what is raw grows with them, and may double unseen."""
        if self._full < MUCH_LONGER:
            return 2.0
        return 1.25 if self._full < LONGER else 1.0

    def _set(self, records: int) -> None:
        self.records = max(min(LEAST_RANGE, self._most), min(self._most, records))
        self._ranges, self._full = 0, 0.0


class Growth:
    """Of one partition."""

    def __init__(self, tp: Tp, appetite: Appetite, stamps: Stamps) -> None:
        self._tp, self._appetite, self._stamps = tp, appetite, stamps
        self._records = 0  # since bags were looked at
        self._before: Sequence[int] = ()  # numbers of the range before
        self._now: Sequence[int] = ()

    def taken(self, numbers: Sequence[int], largest: Size, records: int) -> None:
        """A range of so many records was taken under these numbers, and its bags were of this size."""
        self._before, self._now = self._now, numbers
        self._stamps.took(self._tp, numbers)
        self._records += records
        self._appetite.fed(largest, self._stamps.partitions(self._tp.topic))

    def due(self, largest: Size) -> bool:
        """Whether to look for bags to fold now."""
        due = bool(self._before) and (largest.raw_bytes > NOTABLE_BYTES or self._records >= EVERY)
        if due:
            self._records = 0
        return due

    def asks(self, group: str, entity: str, shard: int) -> bool:
        """Whether to ask for a swap of a bag that is over its cap."""
        return self._stamps.asks(group, entity, self._now[shard])

    def known(self, shard: int) -> Known:
        """What this worker knows of a shard's stamps."""
        return self._stamps.on(shard)

    def fold_below(self, stamps: Iterable[int], shard: int, known: Known) -> int:
        """The first stamp of a bag that may still be asked for; `stamps` in the order in which they were appended."""
        own = self._now[shard]
        before, lately = self._before[shard], own - QUIET_US
        for stamp in dict.fromkeys(stamps):
            open_ = stamp in known.last or (stamp >= before and stamp not in known.superseded)
            if open_ and stamp >= lately:
                return stamp
        return own
