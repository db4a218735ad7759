"""aiokafka in a thread of its own, so that heartbeats go on while the worker computes.

What differs from Faust's thread: fetch settings of the profile, whole fetch responses handed over unparsed, seeks that
number an epoch so that what was read before one can be told apart, and commits that fail without a crash.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread
from faust.types import TP

from streams.loops import new_event_loop
from streams.transport.aio import (
    AIOKafkaConsumer,
    CommitFailedError,
    ConsumerStoppedError,
    FetchResult,
    IllegalStateError,
    KafkaError,
    OffsetAndMetadata,
    RoundRobinPartitionAssignor,
    TopicPartition,
)
from streams.transport.link import Link
from streams.transport.membership import say_name
from streams.transport.profile import Profile
from streams.transport.records import Fetched

log = logging.getLogger(__name__)

NEVER_IDLE_MS = 2**31 - 1  # aiokafka leaves the group when nothing is read for so long; backing off is no reason
FETCH_REST_S = 0.003
PREFETCH_BACKOFF_S = 0.005  # aiokafka's own 100 ms delay every fetch of a node while one partition has records left
COMMIT_S = 5.0  # a commit is for lag tools only; it must not hold up a rebalance or a stop
PAUSE_S = 0.02  # between looks while partitions are being assigned

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Buffers:
    """How much may wait. Sizes are per partition."""

    batch: int = 2_000  # records of one event
    in_hand: int = 6_000  # records delivered and not acknowledged, beyond which nothing more is delivered
    max_partition_bytes: int = 4_000_000  # of one fetch
    max_fetch_bytes: int = 32_000_000  # of one fetch response, all partitions together


class Connected(Protocol):
    """What a fetching app knows."""

    link: Link
    profile: Profile
    buffers: Buffers


def _resting(fetcher: Any) -> Callable[..., Awaitable[bool]]:
    """aiokafka's fetch, and a rest after one that brought something, before the next is made up and sent. Who waits for
    records is told before the rest, so aiokafka is told that there were none.

    A waiting fetch is answered with the first record there is, so most would be for one partition, and each costs
    broker and worker as much as one for all: at 2,000 events/s a rest of 5 ms made 130 a second of 290, and one of 3 ms
    costs a twentieth of the worker's core more and takes 2 ms off the median.
    """
    fetch = fetcher._proc_fetch_request

    def look_again() -> None:
        """Where records are taken in the moment in which a fetch ends, aiokafka's loop may look for what to fetch
        before the callback that frees the node; it would find it busy and sleep for 200 ms.
        """
        fetcher._notify(fetcher._wait_consume_future)

    async def rested(assignment: Any, node_id: int, request: Any) -> bool:
        got: bool = await fetch(assignment, node_id, request)
        if got:
            for waiter in fetcher._fetch_waiters:
                fetcher._notify(waiter)
            with contextlib.suppress(asyncio.CancelledError):  # as aiokafka's own does: the result stands
                await asyncio.sleep(FETCH_REST_S)
        asyncio.get_running_loop().call_soon(look_again)
        return False

    return rested


class BatchConsumerThread(AIOKafkaConsumerThread):
    """aiokafka in a thread of its own: heartbeats go on while the worker computes."""

    _assignor: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, thread_loop=new_event_loop(), **kwargs)
        self._close_thread_loop_on_stop = True  # as of one that mode has made

    def __post_init__(self) -> None:
        super().__post_init__()
        self._epochs: dict[TopicPartition, int] = {}
        self._wanted: frozenset[TP] = frozenset()
        self._waiter: asyncio.Future[None] | None = None

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        app = cast(Connected, transport.app)
        conf = transport.app.conf
        self._assignor = RoundRobinPartitionAssignor
        return AIOKafkaConsumer(
            client_id=conf.broker_client_id,
            group_id=conf.id,
            group_instance_id=conf.consumer_group_instance_id,
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_interval_ms=NEVER_IDLE_MS,
            max_partition_fetch_bytes=app.buffers.max_partition_bytes,
            fetch_max_bytes=app.buffers.max_fetch_bytes,
            fetch_max_wait_ms=app.profile.fetch_wait_ms,
            session_timeout_ms=app.profile.session_timeout_ms,
            heartbeat_interval_ms=app.profile.heartbeat_ms,
            rebalance_timeout_ms=app.profile.rebalance_timeout_ms,
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            isolation_level="read_committed",  # an order whose producer took it back was never placed
            **app.link.client(),
        )

    async def on_start(self) -> None:
        await super().on_start()
        consumer = self._ensure_consumer()
        consumer._fetcher._prefetch_backoff = PREFETCH_BACKOFF_S
        consumer._fetcher._proc_fetch_request = _resting(consumer._fetcher)
        say_name(consumer._coordinator)  # nobody has subscribed yet, so it has not joined

    def want(self, wanted: frozenset[TP]) -> None:
        """Names the partitions to fetch for, also to a fetch that is under way."""
        more = wanted - self._wanted
        self._wanted = wanted
        if more and self._waiter is not None:
            self.thread_loop.call_soon_threadsafe(self._look_again)

    def _look_again(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def fetch(self, timeout_s: float) -> asyncio.Future[Mapping[TP, Fetched]]:
        """All that aiokafka has read ahead of the wanted partitions; waits for it at most `timeout_s`."""
        return self._in_thread(self._fetch(timeout_s))

    async def move(self, tp: TP, offset: int) -> int:
        """Reads on from the offset; returns the epoch of what is read from now on."""
        return await self._in_thread(self._move(TopicPartition(tp.topic, tp.partition), offset))

    async def move_to_committed(self) -> dict[TP, tuple[int | None, int]]:
        """Reads on from the committed offsets; (offset, epoch) of each assigned partition.

        One without keeps its position, which after an assignment is the log's start.
        """
        return await self._in_thread(self._move_to_committed())

    async def standings(self) -> dict[TP, tuple[int, int]]:
        """(position, end) of each assigned partition where both are known."""
        if self.thread_loop.is_closed():  # the app is stopping, and the lag gauge has one more look
            return {}
        return await self._in_thread(self._standings())

    def _in_thread(self, work: Coroutine[Any, Any, T]) -> asyncio.Future[T]:
        """Like `call_thread`, which has but two workers: a fetch and a commit that wait would leave none for a seek."""
        return asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.thread_loop))

    async def _fetch(self, timeout_s: float) -> Mapping[TP, Fetched]:
        consumer = self._ensure_consumer()
        fetcher = consumer._fetcher
        consumer._coordinator.check_errors()  # one that came while nobody was fetching
        deadline = time.monotonic() + timeout_s
        with fetcher._subscriptions.fetch_context():
            while True:
                if consumer._closed or fetcher._closed:
                    raise ConsumerStoppedError
                if not self.consumer.flow_active or fetcher._subscriptions.reassignment_in_progress:
                    await asyncio.sleep(PAUSE_S)
                    return {}
                if drained := self._drain(fetcher):
                    return drained
                if not await self._new_data(fetcher, deadline - time.monotonic()):
                    return {}

    async def _new_data(self, fetcher: Any, within_s: float) -> bool:
        waiter = self._waiter = fetcher._create_fetch_waiter()
        try:
            done, _ = await asyncio.wait([waiter], timeout=max(0.0, within_s))
        finally:
            self._waiter = None
            waiter.cancel()
        if done:
            waiter.result()  # raises what the coordinator cannot get over
        return bool(done)

    def _drain(self, fetcher: Any) -> dict[TP, Fetched]:
        """aiokafka's `fetched_records`, without unpacking: positions move past what is taken."""
        drained: dict[TP, Fetched] = {}
        for tp in list(fetcher._records):
            if tp not in self._wanted:
                if not fetcher._subscriptions.is_assigned(tp):
                    del fetcher._records[tp]
                continue
            result = fetcher._records[tp]
            if type(result) is not FetchResult and drained:
                continue  # an error is raised when there is nothing else to give
            del fetcher._records[tp]
            if fetcher._select_read_replica(tp) not in fetcher._in_flight:  # else it is looked at when that fetch ends
                fetcher._notify(fetcher._wait_consume_future)
            if type(result) is not FetchResult:
                result.check_raise()
            elif result.check_assignment(tp) and result.has_more():
                drained[TP(tp.topic, tp.partition)] = Fetched(result._partition_records, self._epochs.get(tp, 0))
                result._update_position()
        return drained

    async def _move(self, tp: TopicPartition, offset: int) -> int:
        epoch = self._epochs[tp] = self._epochs.get(tp, 0) + 1
        with contextlib.suppress(IllegalStateError):  # revoked a moment ago: nobody reads it any more
            self._ensure_consumer().seek(tp, offset)
        return epoch

    async def _move_to_committed(self) -> dict[TP, tuple[int | None, int]]:
        consumer = self._ensure_consumer()
        committed = await consumer._coordinator.fetch_committed_offsets(list(consumer.assignment()))
        moved: dict[TP, tuple[int | None, int]] = {}
        for tp in consumer.assignment():
            offset = committed[tp].offset if tp in committed else None
            epoch = self._epochs[tp] = self._epochs.get(tp, 0) + 1
            if offset is not None:
                with contextlib.suppress(IllegalStateError):
                    consumer.seek(tp, offset)
            moved[TP(tp.topic, tp.partition)] = (offset, epoch)
        return moved

    async def _standings(self) -> dict[TP, tuple[int, int]]:
        subscription = self._ensure_consumer()._subscription.subscription
        if subscription is None or subscription.assignment is None:
            return {}
        states = {tp: subscription.assignment.state_value(tp) for tp in subscription.assignment.tps}
        return {
            TP(tp.topic, tp.partition): (state.position, state.lso if (state.lso or -1) >= 0 else state.highwater)
            for tp, state in states.items()
            if state is not None and state.has_valid_position and state.highwater is not None
        }

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Stock code crashes the worker when a commit fails; the offset is for lag tools, and the next one follows."""
        places = {
            TopicPartition(*tp): OffsetAndMetadata(at, "") for tp, at in offsets.items() if tp in self.assignment()
        }
        try:
            await asyncio.wait_for(self._ensure_consumer().commit(places), COMMIT_S)
        except (TimeoutError, CommitFailedError, IllegalStateError, KafkaError) as error:
            log.info("offsets not committed", extra={"reason": repr(error)})
            return False
        return True
