"""Sends records in batches that it builds itself: one builder per partition, every acknowledgement awaited.

Three times as fast as a future per record (FAUST's measurements: 162,000 against 51,000 records a second). The price:
an acknowledgement is known per batch, and `flush` must be called before a pause, since nothing lingers on its own.
Order within a partition is the order of `send`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from random import randrange

from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]
from aiokafka.producer.message_accumulator import BatchBuilder  # type: ignore[import-untyped]
from aiokafka.structs import RecordMetadata  # type: ignore[import-untyped]

from schemas.ids import partitions_for
from streams.data.record import Record
from streams.transport.admission import not_permitted

IN_FLIGHT = 16  # batches handed to the client and not acknowledged: at 512 KB each, 8 MB


class SendError(Exception):
    """The broker did not take a batch; what was sent before it is in, what comes after it is not."""


@dataclass(frozen=True, slots=True)
class Ack:
    """The broker has the records first..last of a partition; `oldest_ms` is their smallest timestamp, None if none."""

    topic: str
    partition: int
    first: int
    last: int
    oldest_ms: int | None


@dataclass(slots=True)
class _Filling:
    builder: BatchBuilder
    oldest_ms: int | None = None


class Sender:
    """One producer's batches. Not to be shared by tasks."""

    def __init__(self, producer: AIOKafkaProducer, on_ack: Callable[[Ack], None] | None = None) -> None:
        self._producer, self._on_ack = producer, on_ack
        self._partitions: dict[str, int] = {}
        self._filling: dict[tuple[str, int], _Filling] = {}
        self._flying: set[asyncio.Future[RecordMetadata]] = set()
        self._failure: SendError | None = None

    async def send(self, records: Sequence[Record]) -> None:
        """Appends; a builder that is full is sent. Raises SendError for an earlier batch that did not arrive."""
        for topic in {record.topic for record in records} - self._partitions.keys():
            self._partitions[topic] = len(await self._producer.partitions_for(topic))
        for record, partition in zip(records, self._placed(records), strict=True):
            await self._append(record, partition)

    async def dispatch(self) -> None:
        """Sends what is in the builders without waiting for the broker, but never more than IN_FLIGHT batches ahead."""
        for (topic, partition), filling in list(self._filling.items()):
            await self._dispatch(topic, partition, filling)

    async def flush(self) -> None:
        """Sends everything and returns when the broker has it; raises SendError where it has not."""
        await self.dispatch()
        while self._flying:
            await asyncio.wait(self._flying)
        self._raise()

    def _placed(self, records: Sequence[Record]) -> list[int]:
        """The partition of each record: its own, else its key's as Java's default partitioner has it, else any."""
        by_topic: dict[str, list[bytes]] = {}
        for record in records:
            by_topic.setdefault(record.topic, []).append(record.key or b"")
        of_key = {topic: iter(partitions_for(keys, self._partitions[topic])) for topic, keys in by_topic.items()}
        return [self._place(record, next(of_key[record.topic])) for record in records]

    def _place(self, record: Record, of_key: int) -> int:
        if record.partition is not None:
            return record.partition
        return of_key if record.key is not None else randrange(self._partitions[record.topic])

    async def _append(self, record: Record, partition: int) -> None:
        place = (record.topic, partition)
        filling = self._filling.get(place) or self._start(place)
        if not _add(filling, record):
            await self._dispatch(*place, filling)
            _add(self._start(place), record)  # an empty builder takes a record of any size

    def _start(self, place: tuple[str, int]) -> _Filling:
        filling = self._filling[place] = _Filling(self._producer.create_batch())
        return filling

    async def _dispatch(self, topic: str, partition: int, filling: _Filling) -> None:
        del self._filling[topic, partition]
        filling.builder.close()
        count = filling.builder.record_count()
        while len(self._flying) >= IN_FLIGHT:
            await asyncio.wait(self._flying, return_when=asyncio.FIRST_COMPLETED)
        self._raise()
        try:
            future = await self._producer.send_batch(filling.builder, topic, partition=partition)
        except KafkaError as error:
            raise _failed(topic, partition, error) from error
        self._flying.add(future)
        future.add_done_callback(partial(self._settle, topic, partition, count, filling.oldest_ms))

    def _settle(
        self, topic: str, partition: int, count: int, oldest_ms: int | None, future: asyncio.Future[RecordMetadata]
    ) -> None:
        self._flying.discard(future)
        if future.cancelled():
            return
        if error := future.exception():
            self._failure = self._failure or _failed(topic, partition, error)
            return
        first = future.result().offset
        if self._on_ack is not None:
            self._on_ack(Ack(topic, partition, first, first + count - 1, oldest_ms))

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure


def _add(filling: _Filling, record: Record) -> bool:
    at_ms = record.timestamp_ms
    added = filling.builder.append(timestamp=at_ms, key=record.key, value=record.value, headers=list(record.headers))
    if added is None:
        return False
    if at_ms is not None and (filling.oldest_ms is None or at_ms < filling.oldest_ms):
        filling.oldest_ms = at_ms
    return True


def _failed(topic: str, partition: int, error: BaseException) -> SendError:
    if why := not_permitted(error):
        return SendError(f"{topic}/{partition}: {why}")
    return SendError(f"{topic}/{partition}: the broker did not take a batch: {error!r}; records before it are in")
