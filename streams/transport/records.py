"""One partition's part of a fetch response: raw batches, checked at once and parsed as they are taken.

aiokafka turns every record into a `ConsumerRecord` in a Python generator (.96 us each). Here its C parser's own records
are handed on (.28 us), and only when a range asks for them, so that what waits in a buffer is raw bytes. The price: the
walk over batches (checksums, control batches, aborted transactions) is written again from aiokafka's
`PartitionRecords`, whose parts it uses.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from schemas.records import Record
from streams.transport.aio import (
    READ_COMMITTED,
    CorruptRecordException,
    MemoryRecords,
    PartitionRecords,
    TopicPartition,
)


class Fetched:
    """The records from `first` on, up to but without `end`: offsets have holes, positions have none."""

    __slots__ = ("_batches", "_open", "end", "epoch", "first", "position")

    def __init__(self, unread: PartitionRecords, epoch: int = 0) -> None:
        """Takes what aiokafka fetched but has not begun to unpack; raises CorruptRecordException."""
        self.first: int = unread.next_fetch_offset
        self._batches = deque(_data_batches(unread))
        self.end: int = unread.next_fetch_offset
        self.epoch = epoch
        self.position = self.first  # of the next record that `take` would give
        self._open: Iterator[Record] | None = None

    @property
    def empty(self) -> bool:
        """Whether all was taken."""
        return self._open is None and not self._batches

    def take(self, limit: int) -> list[Record]:
        """The next records, at most `limit`; fewer, even none, only where nothing is left."""
        taken: list[Record] = []
        while len(taken) < limit and (self._open is not None or self._batches):
            if self._open is None:
                self._open = self._begin(self._batches.popleft())
            part = list(islice(self._open, limit - len(taken)))
            taken += part
            if len(taken) < limit:
                self._open = None
        self._advance(taken)
        return taken

    def _begin(self, batch: Any) -> Iterator[Record]:
        """A fetch that starts within a batch gets the whole batch: skip what lies before."""
        if batch.base_offset >= self.first:
            return chain(batch)  # a batch may be asked for its iterator only once, and `islice` asks each time
        return iter([record for record in batch if record.offset >= self.first])

    def _advance(self, taken: list[Record]) -> None:
        if taken:
            self.position = taken[-1].offset + 1
        if self._batches or self._open is None:
            return
        following = next(self._open, None)  # the limit may have hit exactly at the end
        self._open = None if following is None else chain((following,), self._open)


def _data_batches(unread: PartitionRecords) -> Iterator[Any]:
    """The batches that hold records for us; moves `next_fetch_offset` past all of them, the others included."""
    while unread._records.has_next():
        batch = unread._records.next_batch()
        if unread._check_crcs and not batch.validate_crc():
            raise CorruptRecordException(f"checksum of {unread._tp} at offset {batch.base_offset} is wrong")
        if _is_data(unread, batch) and batch.next_offset > unread.next_fetch_offset:
            yield batch
        unread.next_fetch_offset = max(unread.next_fetch_offset, batch.next_offset)


def _is_data(unread: PartitionRecords, batch: Any) -> bool:
    """False for transaction markers and, where only committed records are read, for aborted ones."""
    if unread._isolation_level == READ_COMMITTED and batch.producer_id is not None:
        unread._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and unread._contains_abort_marker(batch):
            unread._aborted_producers.discard(batch.producer_id)
        if batch.is_transactional and batch.producer_id in unread._aborted_producers:
            return False
    return not batch.is_control_batch


def unread(raw: bytes, topic: str, partition: int, offset: int, aborted: Any, isolation: int) -> PartitionRecords:
    """aiokafka's view of a raw fetch response of one partition, for `Fetched`."""
    tp = TopicPartition(topic, partition)
    return PartitionRecords(tp, MemoryRecords(raw), aborted, offset, None, None, True, isolation)
