"""Where a file of the archive lies, and what its name says: topic, partition, first and last offset, date.

    <url>/orders/date=2026-01-15/orders-00002-00000000000000000000-00000000000000041233.parquet

The offsets are those that the file stands for, not only those that it holds: a log has holes (transaction markers,
records of aborted transactions), and a file that states what it covers leaves none between itself and the next. The
date is that of the youngest record, by the records' own timestamps, in UTC. The price of a name that says it all: what
is archived is known by one listing, and nothing else is ever consulted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

SUFFIX: Final = ".parquet"
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
DAY_MS: Final = 86_400_000
LAST_DAY: Final = (datetime(9999, 12, 31, tzinfo=UTC) - EPOCH).days
_NAME = re.compile(r"([^/]+)/date=(\d{4}-\d{2}-\d{2})/\1-(\d{5,})-(\d{20})-(\d{20})\.parquet")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """What one file stands for: offsets first..last of a partition."""

    topic: str
    partition: int
    first: int
    last: int
    date: str  # YYYY-MM-DD: no record of the file is younger

    @property
    def path(self) -> str:
        """Below the archive's URL."""
        name = f"{self.topic}-{self.partition:05d}-{self.first:020d}-{self.last:020d}{SUFFIX}"
        return f"{self.topic}/date={self.date}/{name}"


@dataclass(frozen=True, slots=True, order=True)
class File:
    """A committed file as a listing tells it."""

    span: Span
    size: int  # bytes

    @property
    def first(self) -> int:
        return self.span.first

    @property
    def last(self) -> int:
        return self.span.last

    def within(self, other: File) -> bool:
        """Whether the other one covers all that this one covers."""
        return other.first <= self.first and self.last <= other.last


def parse(path: str) -> Span | None:
    """What a path below the URL says; None where it is not a file of ours."""
    found = _NAME.fullmatch(path)
    if found is None:
        return None
    topic, date, partition, first, last = found.groups()
    return Span(topic, int(partition), int(first), int(last), date) if int(first) <= int(last) else None


def day_of(at_ms: int) -> int:
    """Days since 1970 of a record's timestamp; one that is outside the years 1970 to 9999 counts as their edge."""
    return min(max(at_ms // DAY_MS, 0), LAST_DAY)


def date_of(day: int) -> str:
    """A day as a folder has it."""
    return f"{EPOCH + timedelta(days=day):%Y-%m-%d}"
