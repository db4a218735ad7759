"""Which records make which file: pure, one buffer for each partition.

A file ends when it is large enough, when its first record has waited long enough, or when a record of a later day comes
(a late one of an earlier day stays where it is: days that take turns at midnight make two files, not hundreds). Its
first offset is where the file before ended, whether a record is there or not; its last is that of its last record.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from archive.names import Span, date_of, day_of
from archive.parquet import size_of
from schemas.records import Record


@dataclass(frozen=True, slots=True)
class Limits:
    """When a file ends."""

    file_bytes: int  # of keys, values and headers, before compression
    file_s: float
    file_rows: int = 1_000_000


@dataclass(frozen=True, slots=True)
class Cut:
    """Records that are to become one file."""

    span: Span
    records: Sequence[Record]
    size: int


class Buffer:
    """What of one partition is not written yet, from offset `first` on."""

    def __init__(self, topic: str, partition: int, first: int, limits: Limits) -> None:
        self._topic, self._partition, self._limits = topic, partition, limits
        self.first = first  # of the next file
        self.size = 0
        self.since_s: float | None = None  # when the oldest of it came, by the caller's clock
        self._records: list[Record] = []
        self._day = 0

    def __len__(self) -> int:
        return len(self._records)

    @property
    def next(self) -> int:
        """The offset after the last record here."""
        return self._records[-1].offset + 1 if self._records else self.first

    def take(self, records: Iterable[Record], now_s: float) -> list[Cut]:
        """Adds records in offset order, those before `next` left out; the files that are complete thereby."""
        cuts = list[Cut]()
        for record in records:
            if record.offset < self.next:
                continue
            day = day_of(record.timestamp)
            if self._records and day > self._day:
                cuts += self.cut()
            if not self._records:
                self._day, self.since_s = day, now_s
            self._records.append(record)
            self.size += size_of(record)
            if self.size >= self._limits.file_bytes or len(self._records) >= self._limits.file_rows:
                cuts += self.cut()
        return cuts

    def due(self, now_s: float) -> bool:
        """Whether what is here has waited long enough."""
        return self.since_s is not None and now_s - self.since_s >= self._limits.file_s

    def cut(self) -> list[Cut]:
        """What is here as a file, and the buffer is empty; nothing where nothing is here."""
        if not self._records:
            return []
        span = Span(self._topic, self._partition, self.first, self.next - 1, date_of(self._day))
        cut = Cut(span, self._records, self.size)
        self.first, self._records, self.size, self.since_s = self.next, [], 0, None
        return [cut]
