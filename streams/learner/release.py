"""Releases what is due: its vectors are read again from `decisions`, and it goes to `matured`, in order.

Orders that become mature lie one after the other in the log, so what is read is used; a fraud costs a fetch of its own.
A decision that retention has deleted is lost to learning: it is counted and left out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, Final

import msgspec

from schemas.decisions import encode
from schemas.matured import MATURED, Key, Matured, key_of
from schemas.records import Record
from streams.learner.feed import DECISIONS
from streams.learner.metrics import LearnerMetrics
from streams.learner.queue import Due
from streams.protocol.ports import SinkDown
from streams.transport.aio import OffsetOutOfRangeError
from streams.transport.log import LogReader
from streams.transport.output import Output
from streams.transport.publisher import Publisher

log = logging.getLogger("headrace")

AT_ONCE: Final = 500  # rows in memory with their vectors; more only where more are due in one millisecond
FETCH_BYTES: Final = 262_144
WAIT_S: Final = 1.0

Place = tuple[int, int]  # partition of `decisions`, offset


class _Decision(msgspec.Struct, gc=False):
    """Of a record of `decisions`, what a record of `matured` repeats. The vector stays as it is written."""

    decision_id: str
    order_id: str
    event_id: str
    at_ms: int
    vector: msgspec.Raw
    members: dict[str, float]
    score: float
    feature_hash: str


_decode = msgspec.json.Decoder(_Decision).decode


class Release:
    """`last`: the largest key in `matured`."""

    def __init__(self, log: LogReader, publisher: Publisher, last: Key | None, metrics: LearnerMetrics) -> None:
        self._log, self._publisher, self._metrics = log, publisher, metrics
        self.last = last

    async def write(self, due: Sequence[Due]) -> None:
        """Writes rows: by due time and, of each due time, all there are. Waits for the broker; raises Stop."""
        for some in slices(due):
            await self._write(some)

    async def _write(self, due: Sequence[Due]) -> None:
        found = await self._patiently(lambda: self._read({(one.partition, one.offset) for one in due}))
        there = [(one, record) for one in due if (record := found.get((one.partition, one.offset)))]
        rows = keyed((matured(one, record) for one, record in there), self.last)
        if lost := len(due) - len(rows):
            self._metrics.lost.inc(lost)
            log.warning("decisions are deleted that labels have come for", extra={"count": lost})
        if not rows:
            return
        outputs = [Output(MATURED, row.decision_id.encode(), encode(row), partition=0) for row in rows]
        await self._patiently(lambda: self._publisher.send(outputs))
        self.last = key_of(rows[-1])
        self._metrics.released(rows)

    async def _patiently(self, work: Any) -> Any:
        """Tries until it is done. What was sent and not acknowledged is sent again: readers drop it by its key."""
        while True:
            try:
                return await work()
            except SinkDown as down:
                log.warning("waiting for the brokers", extra={"why": str(down)})
                await asyncio.sleep(WAIT_S)

    async def _read(self, wanted: set[Place]) -> Mapping[Place, Record]:
        found: dict[Place, Record] = {}
        for partition, places in groupby(sorted(wanted), key=lambda place: place[0]):
            found |= await self._of_partition(partition, [offset for _, offset in places])
        return found

    async def _of_partition(self, partition: int, offsets: list[int]) -> dict[Place, Record]:
        found: dict[Place, Record] = {}
        at, wanted = 0, set(offsets)
        while at < len(offsets):
            try:
                chunk = await self._log.fetch(DECISIONS, partition, offsets[at], max_bytes=FETCH_BYTES)
            except OffsetOutOfRangeError:
                start, _ = await self._log.bounds(DECISIONS, partition)
                position = max(start, offsets[at] + 1)
            else:
                found |= {(partition, one.offset): one for one in chunk.records if one.offset in wanted}
                position = max(chunk.position, offsets[at] + 1)
            while at < len(offsets) and offsets[at] < position:
                at += 1
        return found


def slices(due: Sequence[Due]) -> Iterator[list[Due]]:
    """Some rows at a time, those of one due time together."""
    some: list[Due] = []
    for _, together in groupby(due, key=attrgetter("due_ms")):
        some += together
        if len(some) >= AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def matured(due: Due, record: Record) -> Matured:
    """The record of a row and its decision."""
    one = _decode(record.value or b"")
    vector: Any = one.vector  # byte for byte as in `decisions`
    return Matured(
        event_id=one.event_id,
        decision_id=one.decision_id,
        order_id=one.order_id,
        at_ms=one.at_ms,
        due_ms=due.due_ms,
        label=due.label,
        label_type=due.label_type,
        was=due.was,
        turn=due.turn,
        vector=vector,
        feature_hash=one.feature_hash,
        partition=due.partition,
        offset=due.offset,
        score=one.score,
        members=one.members,
    )


def keyed(rows: Iterable[Matured], last: Key | None) -> list[Matured]:
    """By key, each above the one before it: what should have come before `last` comes a millisecond later."""
    found = list[Matured]()
    for row in sorted(rows, key=key_of):
        if last is not None and key_of(row) <= last:
            row = msgspec.structs.replace(row, due_ms=last.due_ms + 1)
        found.append(row)
        last = key_of(row)
    return found
