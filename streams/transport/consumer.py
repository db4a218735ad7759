"""The batch consumer: one Faust event for many records of one partition, in buffers that are really bounded.

Stock Faust makes four asyncio tasks a message and spends 56 % of its time there. Here a fetched partition stays raw
bytes (`records.Fetched`) until the partition has room, is then cut into batches, and each is handed to Faust's
conductor directly. What waits, per partition: batches that are not acknowledged (at most `Buffers.in_hand` records),
one fetch response cut up so far (`max_partition_bytes`), and one that aiokafka has read ahead. A partition that stands
still holds up no other one.

Faust's own acknowledging code is kept: an event's offset is its last record's, so one number stands for all of them,
and what is committed is the run of acknowledged batches from the oldest delivered one on. (Stock code may commit beyond
an unfinished event, faust-streaming #606, and drops acknowledged offsets at a rebalance.)

The price: private methods of Faust and aiokafka; tests/contract/test_faust_internals.py names them all. Every topic of
the app is a batch topic.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Protocol, cast

from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.types import TP, ConsumerMessage

from schemas.records import Record
from streams.protocol.ports import Batch, Stop
from streams.transport.admission import not_permitted
from streams.transport.aio import ConsumerStoppedError, FencedInstanceIdError
from streams.transport.fetching import COMMIT_S, PAUSE_S, BatchConsumerThread, Connected
from streams.transport.records import Fetched

log = logging.getLogger(__name__)

POLL_S = 1.0


@dataclass(frozen=True, slots=True)
class Delivery(Batch[Record]):
    """The value of an event: records from position `first` on. `epoch` tells those from before a seek."""

    epoch: int = 0


class Listener(Protocol):
    """Who works on the partitions (partitions.py). An app without one is an ordinary Faust app over batches."""

    async def drain(self) -> None:
        """Finish what is in hand, and take nothing new until `ready`."""
        ...

    async def keep_only(self, assigned: set[TP]) -> None:
        """Give up all partitions but these."""
        ...

    async def ready(self, assigned: set[TP]) -> None:
        """These partitions are ours and fetching may begin."""
        ...

    def must_stop(self, stop: Stop) -> None:
        """Nothing more can be read: end the process in good order."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the consumer stands in a partition: what the watchdog and the lag gauge look at."""

    position: int  # of the next record to be taken from aiokafka
    end: int
    waiting: int  # records delivered and not acknowledged


class BatchApp(Connected, Protocol):
    """What the consumer needs of its app beside Faust's own."""

    listener: Listener | None
    commits: bool
    slot: int | None


class BatchConsumer(FaustConsumer):
    """Faust's consumer over batches."""

    _thread: BatchConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        app = cast(BatchApp, self.app)
        self._buffers = app.buffers
        self._commits = app.commits
        self._delivered: dict[TP, deque[tuple[int, int]]] = {}  # (last offset, records), in order of delivery
        self._finished: dict[TP, int] = {}  # the position after the last batch of the acknowledged run
        self._rest: dict[TP, Fetched] = {}  # fetched, not all of it delivered
        self._reached: dict[TP, tuple[int, int]] = {}  # (where the fetches so far end, where the next batch begins)
        self._waiting: dict[TP, int] = {}  # records of what was delivered and is not finished
        self._epoch: dict[TP, int] = {}  # of what is read now: it changes with each seek of ours
        self._fetching: asyncio.Future[Mapping[TP, Fetched]] | None = None

    def _new_consumer_thread(self) -> BatchConsumerThread:
        return BatchConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # --- delivering

    async def _drain_messages(self, fetcher: Any) -> None:
        """The loop of the fetcher service: stock Faust's, without a task per message."""
        try:
            while not (self.should_stop or fetcher.should_stop):
                await asyncio.sleep(0)
                async for tp, message in self.getmany(POLL_S):
                    if not await self._deliver(tp, message):
                        break
        except (ConsumerStoppedError, asyncio.CancelledError):
            if not self.app.should_stop:
                raise
        except Exception as error:
            listener, why = cast(BatchApp, self.app).listener, self._why_to_stop(error)
            if listener is not None and why is not None:
                listener.must_stop(Stop(why))
                return
            log.exception("reading stopped", extra={"reason": repr(error)})
            await self.crash(error)
            raise
        finally:
            self._forget_fetch()

    def _why_to_stop(self, error: Exception) -> str | None:
        """What the group refuses for good: aiokafka wraps it in an error of its own, with its name in the text."""
        if FencedInstanceIdError.__name__ in str(error):
            slot = cast(BatchApp, self.app).slot
            return (
                f"another worker has joined with --slot {slot} (HEADRACE_SLOT) and taken this one's place: "
                "give each worker a slot of its own, or stop the other one"
            )
        return not_permitted(error)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        """Batches that may be delivered now, one partition after the other; waits for the first at most `timeout`."""
        if not self.flow_active:
            await self.wait(cast(Any, self.can_resume_flow))  # mode's annotation wants its own Event
            return
        if not any(self._has_room(tp) for tp in self._rest):
            await self._fetch_or_room(timeout)
        generation = self.app.consumer_generation_id
        delivered = True
        while delivered:
            delivered = False
            for tp in list(self._rest):
                if not self.flow_active or generation != self.app.consumer_generation_id:
                    return
                if self._has_room(tp) and (message := self._cut(tp)) is not None:
                    delivered = True
                    yield tp, message

    async def _fetch_or_room(self, timeout_s: float) -> None:
        """Waits until something was fetched for a partition that has nothing left, or a batch was acknowledged.

        Where nothing is wanted it fetches all the same: what the group refuses for good is told to fetches alone.
        """
        wanted = frozenset(self._get_active_partitions() - self._rest.keys())
        self._thread.want(wanted)
        if self._fetching is None:
            self._fetching = self._thread.fetch(timeout_s)
        waits: list[asyncio.Future[Any]] = [self._fetching]
        if self._rest:  # else there is nothing that an acknowledgement could make room for
            self._waiting_for_ack = asyncio.get_running_loop().create_future()
            waits.append(self._waiting_for_ack)
        rest_s = timeout_s if wanted else PAUSE_S
        try:
            await asyncio.wait(waits, timeout=rest_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting_for_ack = None
        if self._fetching is not None and self._fetching.done():
            fetched, self._fetching = self._fetching.result(), None
            self._take_in(fetched)

    def _take_in(self, fetched: Mapping[TP, Fetched]) -> None:
        for tp, part in fetched.items():
            if part.epoch < self._epoch.get(tp, 0):
                continue  # from before a seek; nothing else may be dropped, for the position has moved past it
            self._epoch[tp] = part.epoch
            ended, begins = self._reached.get(tp, (None, part.first))
            # Markers and aborted records are skipped without a batch: the next one begins where the last one ended.
            self._reached[tp] = (part.end, begins if ended == part.first else part.first)
            if not part.empty:
                self._rest[tp] = part

    def _cut(self, tp: TP) -> ConsumerMessage | None:
        """The next batch of what was fetched of a partition; None where nothing is left of it."""
        part = self._rest[tp]
        records = part.take(self._buffers.batch)
        if part.empty:
            del self._rest[tp]
        if not records:
            return None
        ended, begins = self._reached[tp]
        last = records[-1]
        self._reached[tp] = (ended, last.offset + 1)
        delivery: Any = Delivery(begins, records, part.epoch)
        # fmt: off
        return ConsumerMessage(
            tp.topic, tp.partition, last.offset, last.timestamp / 1000, 0, None, None, delivery, None, 0, 0, tp,
            generation_id=self.app.consumer_generation_id,
        )
        # fmt: on

    async def _deliver(self, tp: TP, message: ConsumerMessage) -> bool:
        """Hands a batch to the streams. False: it could not be, and the seek after the pause repeats it."""
        delivery: Any = message.value
        records = len(delivery.records)
        self._delivered.setdefault(tp, deque()).append((message.offset, records))
        self._waiting[tp] = self._waiting.get(tp, 0) + records
        if self._is_free(tp):
            await self.callback(message)  # does not wait, so no task is needed
        else:
            await self.wait_first(self.callback(message), cast(Any, self.suspend_flow.wait()))
            if not self.flow_active:
                return False
        self._read_offset[tp] = message.offset
        return True

    def _is_free(self, tp: TP) -> bool:
        """Whether the conductor would take a batch without waiting for anything."""
        topics: Any = self.app.topics
        return (
            self.app.flow_control.is_active()
            and not topics._tp_to_callback_lock.locked()
            and not any(topic.queue.full() for topic in topics._tp_index.get(tp, ()))
        )

    # --- acknowledging and committing

    def _has_room(self, tp: TP) -> bool:
        self._settle(tp)
        return self._waiting.get(tp, 0) < self._buffers.in_hand

    def _settle(self, tp: TP) -> None:
        """Takes the acknowledged batches off the head of what was delivered."""
        delivered, acked = self._delivered.get(tp), self._acked_index.get(tp)
        while delivered and acked and delivered[0][0] in acked:
            last, records = delivered.popleft()
            self._waiting[tp] -= records
            acked.discard(last)
            self._finished[tp] = last + 1
        self._acked[tp].clear()  # the same once more, for a way of committing that is not ours: it would only grow

    def _new_offset(self, tp: TP) -> int | None:
        """The position up to which all is finished. None in exactly-once, where transactions carry the offsets."""
        self._settle(tp)
        return self._finished.get(tp) if self._commits else None

    def _filter_tps_with_pending_acks(self, topics: Any = None) -> Iterable[TP]:  # type: ignore[override] # an iterator there
        return [tp for tp in self._delivered if topics is None or tp in topics or tp.topic in topics]

    def on_buffer_full(self, tp: TP) -> None:
        """Nothing: room is counted per partition, and taking it out of the fetch costs aiokafka's backoff each time."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Nothing, as for `on_buffer_full`."""

    async def wait_empty(self) -> None:
        """Before a revocation and a stop: the listener finishes what is in hand, what is finished is committed."""
        listener = cast(BatchApp, self.app).listener
        if listener is not None:
            await listener.drain()
        else:
            await self._until_acked(COMMIT_S)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.commit_and_end_transactions(), COMMIT_S)

    async def _until_acked(self, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while any(not message.acked for message in list(self._unacked_messages)) and time.monotonic() < deadline:
            await self._wait_for_ack(timeout=1)

    # --- partitions come and go

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finishes and commits first; stock code forgets what was acknowledged and is not committed yet."""
        if not self.app.should_stop:
            self.stop_flow()
            self.app.flow_control.suspend()
            await self.wait_empty()
        self._forget(revoked)
        await super().on_partitions_revoked(revoked)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        listener = cast(BatchApp, self.app).listener
        if listener is not None:
            await listener.keep_only(set(assigned))
        await super().on_partitions_assigned(assigned, generation_id)

    async def perform_seek(self) -> None:
        """Faust's last step before the flow resumes: to the committed offsets; then the listener may move on."""
        committed = await self._thread.move_to_committed()
        for tp, (offset, epoch) in committed.items():
            self._forget({tp})
            self._epoch[tp], self._read_offset[tp], self._committed_offset[tp] = epoch, offset, offset
        listener = cast(BatchApp, self.app).listener
        if listener is not None:
            await listener.ready(self.assignment())

    async def rewind(self, tp: TP, offset: int) -> int:
        """Reads on from `offset`, behind or ahead; what was delivered before is void. Returns the new epoch.

        It goes to its end even where the caller is cancelled: half a seek would leave nobody knowing where we read.
        """
        return await asyncio.shield(asyncio.ensure_future(self._rewind(tp, offset)))

    async def _rewind(self, tp: TP, offset: int) -> int:
        self._forget({tp})
        epoch = await self._thread.move(tp, offset)
        if self._epoch.get(tp, 0) < epoch:
            self._epoch[tp] = epoch
            self._forget({tp})  # what arrived meanwhile
        self._committed_offset[tp] = None  # stock code ignores acknowledgements below it
        self._read_offset[tp] = offset
        return epoch

    def _forget(self, tps: set[TP]) -> None:
        """What was delivered or fetched of the partitions is void."""
        kept: tuple[MutableMapping[TP, Any], ...] = (
            self._delivered,
            self._finished,
            self._rest,
            self._reached,
            self._waiting,
            self._acked,
            self._acked_index,
        )
        for tp in tps:
            for by_partition in kept:
                by_partition.pop(tp, None)

    def _forget_fetch(self) -> None:
        if self._fetching is not None:
            self._fetching.cancel()
            self._fetching = None

    async def standings(self) -> dict[TP, Standing]:
        """Where each assigned partition stands."""
        found = await self._thread.standings()
        return {tp: Standing(position, end, self._waiting.get(tp, 0)) for tp, (position, end) in found.items()}

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Nothing: the watchdog looks at progress; stock code complains of every idle or transactional partition."""
