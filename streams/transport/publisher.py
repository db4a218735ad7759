"""Publishing: whole record batches, every acknowledgement awaited, `SinkDown` when the brokers stay away.

aiokafka retries inside (an idempotent producer for ever, in order and without duplicates). When a send has not been
acknowledged after `deliver_within_s`, or the producer is broken beyond retry, it is thrown away with all it held and
the next send begins with a fresh one: what was sent may then arrive twice, with the same bytes, never not at all. An
answer that no retry will change (a record larger than the topic allows, no permission) is a `Stop`.

The price: one producer for all partitions of the process, so one broker that does not answer delays all of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from streams.protocol.ports import SinkDown, Stop
from streams.transport.admission import not_permitted
from streams.transport.aio import (
    AIOKafkaProducer,
    InvalidTopicError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerClosed,
)
from streams.transport.link import Link
from streams.transport.output import Output
from streams.transport.packing import pack
from streams.transport.profile import Profile

log = logging.getLogger(__name__)

BATCH_BYTES = 524_288
REQUEST_TIMEOUT_MS = 60_000  # a broker stopped for 10 s answers in the end; one that is gone is noticed by its socket
DELIVER_WITHIN_S = 120.0
ABANDON_WITHIN_S = 2.0
ABANDON_STEP_S = 0.05
RETRY_BACKOFF_MS = 20
HOPELESS = (MessageSizeTooLargeError, InvalidTopicError)


class _Sent(set[Any]):
    """aiokafka's batches on their way. It takes each out where it ends, also one that has come back and waits for
    another try, and then stumbles over its own `remove`.
    """

    remove = set.discard


def new_producer(link: Link, profile: Profile, **options: Any) -> Any:
    """A producer of ours, not started: acks from all replicas, no lingering, idempotent where the broker can."""
    settings: dict[str, Any] = {
        "acks": "all",
        "enable_idempotence": profile.idempotent,
        "linger_ms": 0,
        "max_batch_size": BATCH_BYTES,
        "request_timeout_ms": REQUEST_TIMEOUT_MS,
        "retry_backoff_ms": RETRY_BACKOFF_MS,
    }
    producer = AIOKafkaProducer(**settings | options | link.client())
    producer._message_accumulator._pending_batches = _Sent()
    return producer


class Publisher:
    """At-least-once: `send` returns when all is acknowledged."""

    def __init__(self, link: Link, profile: Profile, *, deliver_within_s: float = DELIVER_WITHIN_S) -> None:
        self._link = link
        self._profile = profile
        self._deliver_within_s = deliver_within_s
        self._producer: Any = None
        self._starting = asyncio.Lock()

    async def send(self, outputs: Sequence[Output]) -> None:
        """Sends all and awaits every acknowledgement. Raises SinkDown (send again) or Stop."""
        if not outputs:
            return
        deadline = time.monotonic() + self._deliver_within_s
        producer = None
        try:
            async with asyncio.timeout(self._deliver_within_s):
                producer = await self._ready()
                await deliver(producer, outputs)
        except (KafkaError, OSError, TimeoutError) as error:
            await self._discard(producer)
            raise failure(error, f"{self._link.brokers} ({self._deliver_within_s:.0f} s)") from error
        finally:
            if time.monotonic() > deadline:
                log.warning("brokers were slow", extra={"within_s": self._deliver_within_s})

    async def stop(self) -> None:
        """Lets go of the producer. What was sent and is not acknowledged is not waited for: nobody asks for it."""
        await self._discard(self._producer)

    async def _ready(self) -> Any:
        if self._producer is not None:
            return self._producer
        async with self._starting:
            if self._producer is None:
                producer = new_producer(self._link, self._profile)
                await start(producer)
                self._producer = producer
            return self._producer

    async def _discard(self, producer: Any) -> None:
        if producer is not None and producer is self._producer:
            self._producer = None
            await abandon(producer)


async def deliver(producer: Any, outputs: Sequence[Output], also: Callable[[], Awaitable[None]] | None = None) -> None:
    """Sends and awaits all; `also` runs between sending and awaiting. Raises the first error after all have ended."""
    topics = {output.topic for output in outputs}
    partitions = {topic: len(await producer.partitions_for(topic)) for topic in topics}
    parcels = pack(outputs, partitions, producer.create_batch, time.time_ns() // 1_000_000)
    sent: list[asyncio.Future[Any]] = []
    try:
        for parcel in parcels:
            for builder in parcel.builders:
                acknowledgement = await producer.send_batch(builder, parcel.topic, partition=parcel.partition)
                sent.append(acknowledgement)  # one by one: those sent before one that fails are known
        if also is not None:
            await also()
        if sent:
            await _ended(sent)
    except BaseException:
        for acknowledgement in sent:
            acknowledgement.add_done_callback(_look_at)
        raise
    for acknowledgement in sent:
        acknowledgement.result()


def _ended(acknowledgements: Sequence[asyncio.Future[Any]]) -> asyncio.Future[None]:
    """Done when all of them are, however each ended; whoever gives up waiting leaves them alone. What `asyncio.wait`
    does at a third of its price, and there are two of these a range.
    """
    left = len(acknowledgements)
    ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def one(acknowledgement: asyncio.Future[Any]) -> None:
        nonlocal left
        left -= 1
        _look_at(acknowledgement)
        if not left and not ended.done():
            ended.set_result(None)

    for acknowledgement in acknowledgements:
        acknowledgement.add_done_callback(one)
    return ended


def _look_at(future: asyncio.Future[Any]) -> None:
    """asyncio complains of errors that nobody looked at; of those that are given up, nobody else will."""
    if not future.cancelled():
        future.exception()


async def start(producer: Any) -> None:
    """Starts it, or leaves nothing behind."""
    try:
        await producer.start()
    except BaseException:
        await abandon(producer)
        raise


async def abandon(producer: Any) -> None:
    """Ends a producer without waiting for what it holds: `AIOKafkaProducer.stop` flushes, for ever if need be."""
    producer._closed = True
    accumulator, sender = producer._message_accumulator, producer._sender
    for future in _futures(producer):
        future.add_done_callback(_look_at)
    accumulator.reenqueue = _forget  # requests that end from now on are not tried again
    accumulator.fail_all(ProducerClosed())
    accumulator._batches.clear()
    sending = sender.sender_task
    if sending is not None:
        sending.remove_done_callback(sender._fail_all)
        sending.add_done_callback(_look_at)
    with contextlib.suppress(KafkaError, TimeoutError):
        async with asyncio.timeout(ABANDON_WITHIN_S):
            await producer.client.close()
            while sending is not None and not sending.done():
                sending.cancel()  # the first ends its loop, each of the others one request that it waits for
                await asyncio.wait([sending], timeout=ABANDON_STEP_S)


def _futures(producer: Any) -> list[asyncio.Future[Any]]:
    """What somebody may still wait for in there, and nobody will."""
    accumulator, transaction = producer._message_accumulator, producer._txn_manager
    held = [batch for batches in accumulator._batches.values() for batch in batches]
    held += accumulator._pending_batches
    waiting = [transaction._transaction_waiter] if transaction and transaction._transaction_waiter else []
    return [batch._drain_waiter for batch in held] + waiting


def _forget(batch: Any) -> None: ...


def failure(error: Exception, where: str) -> SinkDown | Stop:
    """What an error means for who wanted to publish."""
    if why := not_permitted(error):
        return Stop(why)
    if isinstance(error, HOPELESS):
        return Stop(
            f"the brokers refuse what is to be published, and will again: {error!r}. Check the topic's "
            "max.message.bytes against `headrace topics create`"
        )
    return SinkDown(f"not acknowledged by {where}: {error!r}")
