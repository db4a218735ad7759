"""The past as the topics still hold it: rows from `applied`, records from the inputs, each by fetches of its own.

A range whose row is not written yet may have been seen by one whose row is. So the line is drawn in this order: the
newest rows, then the ends of the inputs, then wait until rows cover those ends. What is taken later has larger numbers
than any row of the first look. A partition that does not get there within our patience holds the line back at its own
newest row. The price: some requests per partition and line.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from schemas.records import Record
from schemas.topics import applied_partition
from streams.past.reading import Line, Partition, Topic
from streams.protocol.ports import Row, Tp
from streams.transport.applied import APPLIED, AppliedLog, decode_row
from streams.transport.log import LogReader

STRETCH_BYTES = 1_000_000
LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class _End:
    """How far a partition's rows go: the newest one's numbers, and the first offset that no row covers."""

    numbers: Sequence[int]
    next: int


class KafkaPast:
    """`inputs` fixes which partition of `applied` is whose (schemas/topics.py)."""

    def __init__(self, reader: LogReader, inputs: Sequence[str], *, by_time: bool = False) -> None:
        """`by_time`: the broker can tell where in a log a time is, as Apache Kafka can."""
        self._reader, self._inputs, self._by_time = reader, inputs, by_time
        self._applied = AppliedLog(reader, inputs)
        self._ids: dict[str, str] = {}

    async def topics(self, names: Sequence[str]) -> Mapping[str, Topic]:
        found = await self._reader.topics(names)
        self._ids |= {name: facts.id for name, facts in found.items()}
        return {name: Topic(facts.id, facts.partitions) for name, facts in found.items()}

    async def mark(self, partitions: Sequence[Partition], patience_s: float) -> Line:
        before = {partition: await self._end(partition) for partition in partitions}
        waited = {partition: (await self._reader.bounds(*partition))[1] for partition in partitions}
        lagging = await self._covered(waited, before, patience_s)
        now = [await self._end(partition) for partition in lagging]
        rows = {partition: await self._rows_end(partition) for partition in partitions}
        return Line(rows, _complete([end for end in before.values() if end], now), lagging)

    async def rows(self, partition: Partition, since: int, until: int) -> AsyncIterator[Row]:
        where = applied_partition(*partition, self._inputs)
        async for records in self._stretches(APPLIED, where, since):
            for record in records:
                if record.offset >= until:
                    return
                yield decode_row(record.value or b"")

    async def records(self, partition: Partition, first: int) -> AsyncIterator[Sequence[Record]]:
        async for records in self._stretches(*partition, first):
            yield records

    async def since(self, partition: Partition, at_ms: int) -> int:
        return await self._reader.since(*partition, at_ms) if self._by_time else 0

    async def start(self, partition: Partition) -> tuple[int, int]:
        rows, _ = await self._reader.bounds(APPLIED, applied_partition(*partition, self._inputs))
        records, _ = await self._reader.bounds(*partition)
        return rows, records

    async def _stretches(self, topic: str, partition: int, first: int) -> AsyncIterator[list[Record]]:
        start, end = await self._reader.bounds(topic, partition)
        position = max(first, start)
        while position < end:
            chunk = await self._reader.fetch(topic, partition, position, max_bytes=STRETCH_BYTES)
            if chunk.position <= position:
                return
            position, end = chunk.position, max(end, chunk.end)
            yield chunk.records

    # ---- the line

    async def _end(self, partition: Partition) -> _End | None:
        row = await self._applied.newest(Tp(*partition, self._ids[partition[0]]))
        return None if row is None else _End(row.numbers, row.horizon + 1)

    async def _rows_end(self, partition: Partition) -> int:
        return (await self._reader.bounds(APPLIED, applied_partition(*partition, self._inputs)))[1]

    async def _covered(
        self, ends: Mapping[Partition, int], known: Mapping[Partition, _End | None], patience_s: float
    ) -> list[Partition]:
        """Waits until rows cover the inputs up to their ends; those that do not get there."""
        deadline = time.monotonic() + patience_s
        left = [partition for partition in ends if await self._lacks(partition, known[partition], ends[partition])]
        while left and time.monotonic() < deadline:
            await asyncio.sleep(LOOK_S)
            left = [each for each in left if await self._lacks(each, await self._end(each), ends[each])]
        return left

    async def _lacks(self, partition: Partition, known: _End | None, end: int) -> bool:
        """Whether there is a record below `end` that no row covers; a log may end in markers, which no row names."""
        async for records in self._stretches(*partition, known.next if known else 0):
            if records:
                return records[0].offset < end
        return False


def _complete(before: Sequence[_End], lagging: Sequence[_End | None]) -> list[int]:
    """By shard: above all rows of the first look, and not above the newest row of one that lags."""
    shards = max((len(end.numbers) for end in before), default=0)
    newest = [1 + max(end.numbers[shard] for end in before) for shard in range(shards)]
    for end in lagging:
        newest = [min(most, end.numbers[shard] if end else 0) for shard, most in enumerate(newest)]
    return newest
