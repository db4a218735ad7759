"""Exactly-once: one transactional producer per input partition, one transaction per range.

The id is that of the input partition, so whoever opens it fences the owner before: the broker refuses the old one's
writes and settles what it left open. Only then is the committed offset read, and in its stable form (requests.py): the
other order, or an offset from before a transaction that is being settled, decides a range twice. Outputs, row and
offset go in one transaction. Whatever goes wrong ends the producer; `open` begins anew and learns what became of it.

The price: a connection per partition, and readers wait for a dead owner's transaction until it is taken over or
`TRANSACTION_MS` have passed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from streams.protocol.ports import Fenced, SinkDown, Tp
from streams.transport.aio import (
    InvalidProducerEpoch,
    InvalidProducerIdMapping,
    InvalidTxnState,
    KafkaError,
    OffsetAndMetadata,
    ProducerFenced,
    TopicPartition,
)
from streams.transport.link import Link
from streams.transport.log import LogReader
from streams.transport.output import Output
from streams.transport.profile import Profile
from streams.transport.publisher import DELIVER_WITHIN_S, abandon, deliver, failure, new_producer, start

log = logging.getLogger(__name__)

TRANSACTION_MS = 60_000
# Kafka 4.1 answers NotEnoughReplicas while the last transaction's markers are written; aiokafka then sleeps this long.
# At its own 100 ms the same run is 2-2.7 times slower.
RETRY_BACKOFF_MS = 5
FENCED = (ProducerFenced, InvalidProducerEpoch, InvalidProducerIdMapping, InvalidTxnState)


class Transactions:
    """The transactional producers of the partitions that this process works on."""

    def __init__(
        self, link: Link, profile: Profile, log: LogReader, group: str, *, deliver_within_s: float = DELIVER_WITHIN_S
    ) -> None:
        self._link = link
        self._profile = profile
        self._log = log
        self._group = group
        self._deliver_within_s = deliver_within_s
        self._producers: dict[tuple[str, int], Any] = {}

    async def open(self, tp: Tp) -> int:
        """Fences every other owner, settles what it left, and returns the committed offset, 0 if there is none."""
        await self.close(tp)
        producer = new_producer(
            self._link,
            self._profile,
            transactional_id=f"{self._group}-{tp.topic}-{tp.partition}",
            transaction_timeout_ms=TRANSACTION_MS,
            retry_backoff_ms=RETRY_BACKOFF_MS,
        )
        try:
            async with asyncio.timeout(self._deliver_within_s):
                await start(producer)
        except (KafkaError, OSError, TimeoutError) as error:
            raise failure(error, self._link.brokers) from error
        self._producers[tp.topic, tp.partition] = producer
        return await self._log.committed(self._group, tp.topic, tp.partition) or 0

    async def commit(self, tp: Tp, outputs: Sequence[Output], offset: int) -> None:
        """Outputs and input offset, or nothing. Raises Fenced, Stop, or SinkDown: its fate is unknown, `open` again."""
        producer = self._producers.get((tp.topic, tp.partition))
        if producer is None:
            raise SinkDown(f"{tp}: its transactional producer is not open")
        place = {TopicPartition(tp.topic, tp.partition): OffsetAndMetadata(offset, "")}
        try:
            async with asyncio.timeout(self._deliver_within_s):
                await producer.begin_transaction()
                await deliver(producer, outputs, lambda: producer.send_offsets_to_transaction(place, self._group))
                await producer.commit_transaction()
        except BaseException as error:
            await self.close(tp)
            if _is_fenced(error):
                raise Fenced(f"{tp}: another worker has taken the partition over ({error!r})") from error
            if isinstance(error, KafkaError | OSError | TimeoutError | AssertionError):
                raise failure(error, self._link.brokers) from error
            raise

    async def close(self, tp: Tp) -> None:
        """Ends the partition's producer as a crash would: an open transaction is the next owner's to settle."""
        producer = self._producers.pop((tp.topic, tp.partition), None)
        if producer is not None:
            await abandon(producer)

    async def stop(self) -> None:
        for producer in self._producers.values():
            await abandon(producer)
        self._producers.clear()


def _is_fenced(error: BaseException | None) -> bool:
    """Whether the broker knows a newer owner: aiokafka wraps what its sender meets in a plain KafkaError."""
    while error is not None:
        if isinstance(error, FENCED):
            return True
        error = error.__cause__
    return False
