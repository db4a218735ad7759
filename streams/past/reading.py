"""What a source of the past must give: rows of `applied` and records of the inputs, partition by partition, in order.

`mark` draws a line under what is there at one moment: up to where rows are to be read, and below which numbers nothing
can come any more. A source may be asked for a later line and read on from the one before; that is how a reader follows
a log that grows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from schemas.records import Record
from streams.protocol.ports import Row

Partition = tuple[str, int]  # topic, number


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as the source holds it."""

    id: str
    partitions: int


@dataclass(frozen=True, slots=True)
class Line:
    """`rows`: by partition, the place in its rows up to where to read. `complete`: by shard, no row behind that place
    has a smaller number. `lagging`: the partitions that hold it back, since they have records without a row.
    """

    rows: Mapping[Partition, int]
    complete: Sequence[int]
    lagging: Sequence[Partition] = ()


class Past(Protocol):
    """A source of ranges. Kafka's is streams/past/kafka.py."""

    async def topics(self, names: Sequence[str]) -> Mapping[str, Topic]:
        """Those of the topics that there are."""
        ...

    async def mark(self, partitions: Sequence[Partition], patience_s: float) -> Line:
        """A line under what is there now; waits so long for partitions that lag behind."""
        ...

    def rows(self, partition: Partition, since: int, until: int) -> AsyncIterator[Row]:
        """The rows of an input partition at places since..until - 1, in the order of the log."""
        ...

    def records(self, partition: Partition, first: int) -> AsyncIterator[Sequence[Record]]:
        """The records from an offset on, a stretch at a time, up to where the log ends when the end is reached."""
        ...

    async def since(self, partition: Partition, at_ms: int) -> int:
        """An offset before which all records are older than `at_ms`; 0 is always right."""
        ...

    async def start(self, partition: Partition) -> tuple[int, int]:
        """The first place that is left of its rows, and the first offset that is left of its records."""
        ...
