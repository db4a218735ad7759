"""The course of one partition: rows of `applied` in the order of the log -> the ranges that its entries came in.

Without a loss of state the rows follow each other without a hole, and one that is there twice is there twice the same:
a zombie may send it however late, and known by numbers that are not later than those that followed.
After a loss rows go back: what they cover a second time was in the bags before under the first row's numbers, so the
first row counts; a number of 0 (the shard was found beyond the range) is that of a range that nobody wrote down, which
came after the one before. Neither is exact, so what is decided from the last row before the loss to the first row after
it is called doubtful, in every partition (docs/protocol.md, P5). The price: a few ranges too many are.
"""

from __future__ import annotations

from dataclasses import dataclass

from streams.protocol.ports import Exceptions, Row


@dataclass(frozen=True, slots=True)
class Applied:
    """Offsets first..last as they came into the bags."""

    topic: str
    partition: int
    first: int
    last: int
    exceptions: Exceptions
    numbers: tuple[int, ...]  # one per shard, none 0
    recovered: bool  # its decisions were made again after a loss
    after_loss: bool  # it is the first that follows one: what other partitions decided before it is doubtful


class Course:
    """Rows in, ranges out; `topic_id` is that of the records that are read."""

    def __init__(self, topic_id: str) -> None:
        self._topic_id = topic_id
        self._numbers: tuple[int, ...] = ()
        self._loss = False
        self.first: int | None = None  # the first offset that a row of this topic id covers
        self.next = 0  # everything below is in some range
        self.strangers = 0  # rows of a topic that was made anew since
        self.holes = 0  # places where offsets lack a row

    def take(self, row: Row) -> Applied | None:
        """The range of a row; None where it adds nothing."""
        if row.topic_id != self._topic_id:
            self.strangers += 1
            return None
        if self._is_late(row):
            return None
        if self.first is None:
            self.first = self.next = row.first
        first = max(row.first, self.next)
        self.holes += row.first > self.next
        self._loss |= row.recovered or row.first < self.next
        return self._range(row, first) if first <= row.last else None

    def _is_late(self, row: Row) -> bool:
        """Whether it is from before what is known: after a loss the store's numbers go on from where time is."""
        known = zip(row.numbers, self._numbers, strict=False)
        return row.last < self.next and any(row.numbers) and all(number <= latest for number, latest in known)

    def _range(self, row: Row, first: int) -> Applied:
        known = self._numbers or (0,) * len(row.numbers)
        self._numbers = tuple(number or was + 1 for number, was in zip(row.numbers, known, strict=True))
        after_loss, self._loss = self._loss, False
        self.next = row.last + 1
        return Applied(
            row.topic, row.partition, first, row.last, row.exceptions, self._numbers, row.recovered, after_loss
        )
