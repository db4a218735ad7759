"""The past as an archive holds it: the same rows and records, from Parquet files (archive/), long after Kafka forgot.

An archive is not one moment's picture: its topics are written apart, so a row may be there before its records, and a
partition that says nothing may be behind. So rows count only as far as their records are there; a partition with more
to come holds the line back at its newest row, and one that is quiet is believed up to `settled_s` before the newest
number of all (numbers are microseconds of the store's clock). The price: the newest hour is left out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from archive.columns import Row as Record
from archive.columns import records_of
from archive.cover import Piece, by_partition, cover
from archive.names import File, date_of, day_of
from archive.reader import Partition as Part
from archive.reader import footer, listed
from schemas.topics import applied_partition
from storage.places import Place
from streams.past.reading import Line, Partition, Topic
from streams.protocol.ports import Row
from streams.transport.applied import APPLIED, decode_row

SETTLED_S = 3_600.0
STRETCH = 2_000  # rows that are looked through together
Files = Mapping[tuple[str, int], Sequence[File]]


@dataclass(frozen=True, slots=True)
class _Newest:
    """The newest row whose records are there: its numbers, the place behind it, and whether more is to come."""

    numbers: Sequence[int]
    place: int
    more: bool


class ArchivePast:
    """`inputs` fixes which partition of `applied` is whose (schemas/topics.py)."""

    def __init__(self, place: Place, inputs: Sequence[str], *, settled_s: float = SETTLED_S) -> None:
        """`settled_s`: by how much one topic's files may be behind another's."""
        self._place, self._inputs, self._settled_us = place, inputs, int(settled_s * 1e6)
        self._files: Files = {}  # as they were when they were last asked for: a listing of a bucket costs seconds

    async def topics(self, names: Sequence[str]) -> Mapping[str, Topic]:
        self._list()
        found: dict[str, Topic] = {}
        for (topic, number), files in self._files.items():
            if topic in names:
                about = footer(self._place, files[-1])
                count = max(number + 1, found[topic].partitions if topic in found else 0)
                found[topic] = Topic(about.topic_id if about else "", count)
        return found

    async def mark(self, partitions: Sequence[Partition], patience_s: float) -> Line:  # noqa: ARG002 - what is there is there
        self._list()
        newest = {partition: self._newest(partition) for partition in partitions}
        rows = {partition: each.place if each else 0 for partition, each in newest.items()}
        unheard = any(each is None and partition in self._files for partition, each in newest.items())
        complete = self._complete([each for each in newest.values() if each])
        return Line(rows, [0] * len(complete) if unheard else complete)

    async def rows(self, partition: Partition, since: int, until: int) -> AsyncIterator[Row]:
        where = APPLIED, applied_partition(*partition, self._inputs)
        if until > since:
            for batch in Part(self._place, *where).read(since, until - 1):
                for record in records_of(batch):
                    yield decode_row(record.value or b"")

    async def records(self, partition: Partition, first: int) -> AsyncIterator[Sequence[Record]]:
        files = self._files.get(partition, ())
        last = max((file.last for file in files), default=-1)
        if last >= first:
            for batch in Part(self._place, *partition).read(max(first, min(file.first for file in files)), last):
                yield records_of(batch)

    async def since(self, partition: Partition, at_ms: int) -> int:
        """No record of a file is younger than the file's date."""
        day = date_of(day_of(at_ms))
        pieces = cover(self._files.get(partition, ())).pieces
        return next(
            (piece.first for piece in pieces if piece.file.span.date >= day), pieces[-1].last + 1 if pieces else 0
        )

    async def start(self, partition: Partition) -> tuple[int, int]:
        rows = self._files.get((APPLIED, applied_partition(*partition, self._inputs)), ())
        firsts = [min((file.first for file in files), default=0) for files in (rows, self._files.get(partition, ()))]
        return firsts[0], firsts[1]

    def _list(self) -> None:
        found = by_partition(listed(self._place))
        self._files = {key: sorted(files, key=lambda file: file.last) for key, files in found.items()}

    # ---- the line

    def _newest(self, partition: Partition) -> _Newest | None:
        """Looks through the newest rows first, a stretch at a time: a file may have many."""
        where = APPLIED, applied_partition(*partition, self._inputs)
        end = max((file.last for file in self._files.get(partition, ())), default=-1)
        more = False
        for first, last in _backwards(cover(self._files.get(where, ())).pieces):
            records = [one for batch in Part(self._place, *where).read(first, last) for one in records_of(batch)]
            for record in reversed(records):
                row = decode_row(record.value or b"")
                if row.last <= end:
                    return _Newest(row.numbers, record.offset + 1, more or row.horizon < end)
                more = True
        return None

    def _complete(self, newest: Sequence[_Newest]) -> list[int]:
        shards = max((len(each.numbers) for each in newest), default=0)
        latest = max((max(each.numbers) for each in newest), default=0) - self._settled_us
        held = [each.numbers for each in newest if each.more]
        quiet = [[latest] * shards] if len(held) < len(newest) else []
        return [min(numbers) for numbers in zip(*held, *quiet, strict=True)]


def _backwards(pieces: Sequence[Piece]) -> Iterator[tuple[int, int]]:
    """(first, last) of stretches of offsets, the newest first."""
    for piece in reversed(pieces):
        for last in range(piece.last, piece.first - 1, -STRETCH):
            yield max(piece.first, last - STRETCH + 1), last
