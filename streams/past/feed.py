"""The feed: all partitions of all inputs as one sequence of ranges, by their least number, up to a line.

Of each partition one row lies ready, and the one with the least number goes first; its records are fetched then. So
memory holds one row and a stretch of records a partition. By the rows that lie ready it is known, too, up to which
numbers nothing is missing: that is what features/replay.py asks for. Partitions whose events go into no bag are left
out. The price: decoding everything again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.columns import Ints
from features.definitions import Definitions, Flow
from features.replay import LAST, Range
from schemas.records import Record
from streams.past.course import Applied, Course
from streams.past.reading import Line, Partition, Past

COMPLETE = -1  # nothing is lost


@dataclass(frozen=True, slots=True)
class Told:
    """A range of the past with what is known of it beside its events; it is the tag of its `Range`."""

    applied: Applied
    offset: Ints  # (n,) of the fresh events
    values: Sequence[bytes]  # of them, as they came
    doubtful: bool  # decided around a loss of state: nobody knows exactly what it saw


class Feed:
    """`open` it, then draw a `line` and take the `ranges` up to it, as often as you like."""

    def __init__(self, past: Past, definitions: Definitions, since_ms: int = 0) -> None:
        """Ranges whose records are all dated before `since_ms` may be left out; they count as lost."""
        self._past, self._flows, self._since_ms = past, [flow for flow in definitions.flows if flow.groups], since_ms
        self._lanes: list[_Lane] = []
        self._line = Line({}, ())

    async def open(self) -> None:
        """Finds the partitions."""
        topics = await self._past.topics([flow.topic for flow in self._flows])
        self._lanes = [
            _Lane(self._past, (flow.topic, number), topics[flow.topic].id, flow, self._since_ms)
            for flow in self._flows
            if flow.topic in topics
            for number in range(topics[flow.topic].partitions)
        ]

    async def line(self, patience_s: float) -> Line:
        """Draws a line under what is there now; `ranges` goes up to it."""
        self._line = await self._past.mark([lane.partition for lane in self._lanes], patience_s)
        for lane in self._lanes:
            await lane.until(self._line.rows[lane.partition])
        return self._line

    async def ranges(self) -> AsyncIterator[Range]:
        """Every range up to the line, its tag a `Told`."""
        while ready := [lane for lane in self._lanes if lane.head is not None]:
            lane = min(ready, key=_least)
            assert lane.head is not None
            doubtful = lane.head.recovered or any(
                other.head is not None and other.head.after_loss for other in ready if other is not lane
            )
            yield await lane.pop(doubtful)

    @property
    def complete(self) -> Sequence[int]:
        """By shard: no range is to come whose number is below."""
        ready = [lane.head.numbers for lane in self._lanes if lane.head is not None]
        return [min(numbers) for numbers in zip(self._line.complete, *ready, strict=True)]

    @property
    def lost_ms(self) -> int:
        """Records up to this timestamp are missing in some partition, COMPLETE where none are."""
        return max((lane.lost_ms for lane in self._lanes), default=COMPLETE)


def _least(lane: _Lane) -> int:
    return LAST if lane.head is None else min(lane.head.numbers)


class _Lane:
    """One partition."""

    def __init__(self, past: Past, partition: Partition, topic_id: str, flow: Flow, since_ms: int) -> None:
        self._past, self.partition, self._flow, self._since_ms = past, partition, flow, since_ms
        self._course = Course(topic_id)
        self._place = -1  # in the rows, of the next one
        self._rows: AsyncIterator[Any] | None = None
        self._records: AsyncIterator[Sequence[Record]] | None = None
        self._held: list[Record] = []
        self._start = self._since = 0  # the first offset that is left, and the first that is not too old
        self._gaps = 0  # rows of another topic id and holes between rows that `lost_ms` has taken note of
        self._missing = False  # something older than the next record is, and no note was taken yet
        self.head: Applied | None = None
        self.lost_ms = COMPLETE

    async def until(self, place: int) -> None:
        """Rows may be read up to here from now on."""
        if self._place < 0:
            self._place, self._start = await self._past.start(self.partition)
            self._missing = self._place > 0
            self._since = await self._past.since(self.partition, self._since_ms) if self._since_ms > 0 else 0
        self._rows, self._place = self._past.rows(self.partition, self._place, place), max(place, self._place)
        if self.head is None:
            await self._next()

    async def pop(self, doubtful: bool) -> Range:
        """The range that lies ready, and the next row in its place."""
        applied = self.head
        assert applied is not None
        records = await self._between(applied.first, applied.last)
        self._note_losses(records, applied.first)
        fresh = [record for record in records if record.offset not in applied.exceptions]
        values = [record.value or b"" for record in fresh]
        decoded = self._flow.decode(values)
        offset = np.array([record.offset for record in fresh], np.int64)
        await self._next()
        return Range(
            applied.topic, applied.numbers, decoded.events, decoded.at_ms, Told(applied, offset, values, doubtful)
        )

    async def _next(self) -> None:
        self.head = None
        while self.head is None and self._rows is not None:
            row = await anext(self._rows, None)
            if row is None:
                self._rows = None
            elif (applied := self._course.take(row)) is not None and not self._is_old(applied):
                self.head = applied

    def _is_old(self, applied: Applied) -> bool:
        """Whether all its records are older than anybody asks for."""
        if applied.last >= self._since:
            return False
        self.lost_ms = max(self.lost_ms, self._since_ms - 1)
        return True

    async def _between(self, first: int, last: int) -> list[Record]:
        """The records of first..last; a log that has grown since it was asked is asked again."""
        found = [record for record in self._held if record.offset >= first]
        for _ in range(2):
            while not found or found[-1].offset < last:
                if self._records is None:
                    self._records = self._past.records(self.partition, found[-1].offset + 1 if found else first)
                stretch = await anext(self._records, None)
                if stretch is None:
                    self._records = None
                    break
                found += [record for record in stretch if record.offset >= first]
        self._held = [record for record in found if record.offset > last]
        return [record for record in found if record.offset <= last]

    def _note_losses(self, records: Sequence[Record], first: int) -> None:
        """What is missing so far is older than what is here now."""
        gaps = self._course.strangers + self._course.holes
        self._missing |= gaps > self._gaps or first < self._start
        self._gaps = gaps
        if self._missing and records:
            self.lost_ms, self._missing = max(self.lost_ms, records[0].timestamp), False
