"""A partition's log with its past before it: what retention has deleted comes from the archive, the rest from Kafka.

For a rebuild, which reads from the first offset to the last, in order; so a file is read once, a row group at a time.
The archive must reach to where the log begins; a hole between the two is told and nothing is passed over.
"""

from __future__ import annotations

from collections.abc import Iterator

from archive.columns import Row, records_of
from archive.cover import cover
from archive.reader import Partition, footer, listed
from schemas.records import Record
from storage.places import Place
from streams.protocol.ports import Batch, Stop, Tp
from streams.transport.source import KafkaSource


class LongSource:
    """ports.Source over both; raises Stop where they do not fit together."""

    def __init__(self, tp: Tp, place: Place, kafka: KafkaSource) -> None:
        self._tp, self._kafka = tp, kafka
        self._part = Partition(place, tp.topic, tp.partition)
        files = [file for file in listed(place, tp.topic) if file.span.partition == tp.partition]
        pieces = cover(files).pieces
        self._first, self._last = (pieces[0].first, pieces[-1].last) if pieces else (0, -1)
        about = footer(place, pieces[-1].file) if pieces else None
        if about is not None and about.topic_id != tp.topic_id:
            raise Stop(
                f"{tp}: the archive {place.shown} has topic id {about.topic_id}, the broker has {tp.topic_id}: "
                "the topic was made anew since, and its offsets mean other records; rebuild without --from-archive"
            )
        self._rows: Iterator[Row] = iter(())
        self._held: list[Row] = []
        self._next = -1  # the offset that the rows go on with

    async def bounds(self) -> tuple[int, int]:
        """The first offset that either has, and the log's end; raises Stop where records between them are missing."""
        start, end = await self._kafka.bounds()
        self._check(start)
        return (start if self._last < 0 else min(start, self._first)), end

    async def read(self, first: int, last: int) -> Batch[Record] | None:
        """Exactly the records of first..last that there are; None where there is none."""
        start, _ = await self._kafka.bounds()
        self._check(start)
        records: list[Record] = list(self._archived(first, min(last, start - 1)))
        if last >= start and (batch := await self._kafka.read(max(first, start), last)) is not None:
            records += batch.records
        return Batch(first, records) if records else None

    def _check(self, start: int) -> None:
        if 0 <= self._last < start - 1:
            raise Stop(
                f"{self._tp}: the archive ends at offset {self._last} and the log begins at {start}: what was between "
                "is gone, and a state without it would be another one; rebuild without --from-archive"
            )

    def _archived(self, first: int, last: int) -> list[Row]:
        if first > last:
            return []
        if first != self._next:
            self._rows, self._held = self._from(first), []
        found = self._held
        while not found or found[-1].offset <= last:
            if (row := next(self._rows, None)) is None:
                break
            found.append(row)
        self._held = [row for row in found if row.offset > last]
        self._next = last + 1
        return [row for row in found if row.offset <= last]

    def _from(self, first: int) -> Iterator[Row]:
        if first <= self._last:
            for batch in self._part.read(max(first, self._first), self._last):
                yield from records_of(batch)

    async def next(self, place: int) -> Batch[Record] | None:
        """Nobody follows the past."""
        return await self._kafka.next(place)

    def hold(self, last: int) -> None:
        """Nobody waits for a range of the past."""
        self._kafka.hold(last)

    def done(self, last: int) -> None:
        """Nothing is acknowledged."""
        self._kafka.done(last)
