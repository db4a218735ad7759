"""The loop: what the group gives us is read, held, written. One turn a fetch, and nothing in a turn waits.

A partition is paused while its place is being learnt and while a file of it is written; all are while memory is full.
So an outage of the place stops the reading and nothing else: the member stays in its group. What a rebalance takes away
is forgotten, for whoever has it next begins at the archive's own end. The price: up to a file of each partition is read
again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Collection, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from archive.names import File
from streams.archive.metrics import ArchiveMetrics
from streams.archive.part import Means, Part
from streams.protocol.ports import Tp
from streams.transport.aio import (
    ConsumerRebalanceListener,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetAndMetadata,
    OffsetOutOfRangeError,
    TopicPartition,
)
from streams.transport.log import TopicFacts

log = logging.getLogger("headrace")

POLL_MS = 200
POLL_RECORDS = 5_000
LAG_EVERY_S = 1.0
REVOKE_S = 3.0  # a file in hand may be finished before a partition goes; half of the shortest session
FINISH_S = 15.0  # at the end, all that is in memory


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of the process: bytes in memory over all partitions, and how long it may stand still and still own them."""

    held_bytes: int
    stall_s: float


class Archiver(ConsumerRebalanceListener):  # type: ignore[misc]  # untyped base
    """`facts`: the topics with their ids, as they were at the start."""

    def __init__(
        self, consumer: Any, facts: Mapping[str, TopicFacts], means: Means, bounds: Bounds, metrics: ArchiveMetrics
    ) -> None:
        self._consumer, self._facts, self._means = consumer, facts, means
        self._bounds, self._metrics = bounds, metrics
        self.parts: dict[TopicPartition, Part] = {}
        self._failure: BaseException | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Returns when told to stop and all that was read is written (if that is quick); raises Stop or what broke."""
        self._consumer.subscribe(list(self._facts), listener=self)
        turned_s = time.monotonic()
        while not stopping.is_set():
            fetched = await self._fetch()
            now_s = time.monotonic()
            if now_s - turned_s > self._bounds.stall_s:
                await self._stalled(now_s - turned_s)
                fetched = {}
            turned_s = now_s
            self._turn(fetched, now_s)
            if self._failure is not None:
                raise self._failure
        await self._finish()

    async def _fetch(self) -> Mapping[TopicPartition, Any]:
        try:
            found: Mapping[TopicPartition, Any] = await self._consumer.getmany(
                timeout_ms=POLL_MS, max_records=POLL_RECORDS
            )
        except NoOffsetForPartitionError:  # nothing was committed: the archive says where to begin
            return {}
        except OffsetOutOfRangeError as error:  # the log was cut or made anew: looked at again, by name
            for tp in error.args[0]:
                await self._again(tp)
            return {}
        return found

    def _turn(self, fetched: Mapping[TopicPartition, Any], now_s: float) -> None:
        for tp, records in fetched.items():
            if part := self.parts.get(tp):
                part.take(records, now_s)
        for part in self.parts.values():
            if part.due(now_s):
                part.cut()
        self._make_room()
        for part in self.parts.values():
            if part.writable:
                self._start(part, part.write())
        self._pause()
        self._tell(now_s)

    def _make_room(self) -> None:
        """Where memory is full, the largest buffers become files before their time."""
        for part in sorted(self.parts.values(), key=lambda part: -part.buffered):
            if self._held - self._leaving <= self._bounds.held_bytes or not part.buffered:
                return
            if not part.busy:
                part.cut()

    @property
    def _held(self) -> int:
        """Bytes in memory."""
        return sum(part.held for part in self.parts.values())

    @property
    def _leaving(self) -> int:
        """Bytes of files that are being written."""
        return sum(part.held - part.buffered for part in self.parts.values())

    def _pause(self) -> None:
        full = self._held > self._bounds.held_bytes
        ours = self._consumer.assignment() & self.parts.keys()
        for tp in ours:
            (self._consumer.pause if full or self.parts[tp].busy else self._consumer.resume)(tp)

    def _tell(self, now_s: float) -> None:
        since = [part.since_s for part in self.parts.values() if part.since_s is not None]
        self._metrics.oldest.set(now_s - min(since) if since else 0.0)
        self._metrics.held.set(self._held)

    async def watch_lag(self, every_s: float = LAG_EVERY_S) -> None:
        """Sets the gauges of every partition, for ever."""
        while True:
            await asyncio.sleep(every_s)
            for tp, part in list(self.parts.items()):
                place = part.position
                if place is None or tp not in self._consumer.assignment():
                    continue
                end: int | None = self._consumer.highwater(tp)
                if not part.held:  # behind the last record there may be markers of transactions: read, and no record
                    place = max(place, await self._consumer.position(tp))
                self._metrics.position.labels(tp.topic, str(tp.partition)).set(place)
                if end is not None:
                    self._metrics.lag.labels(tp.topic, str(tp.partition)).set(max(0, end - place))

    # ---- the group

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """A file that is being written may be finished; the rest is for the next owner to read again."""
        parts = [part for tp in revoked if (part := self.parts.pop(tp, None)) is not None]
        writing = [part.task for part in parts if part.task is not None]
        if writing:
            await asyncio.wait(writing, timeout=REVOKE_S)
        for part in parts:
            await self._drop(part)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        topics = {tp.topic for tp in assigned}
        listings = {topic: asyncio.create_task(self._means.files.listed(topic)) for topic in topics}
        for tp in assigned:
            self._learn(tp, listings[tp.topic])

    def _learn(self, tp: TopicPartition, listing: asyncio.Task[list[File]]) -> None:
        """One listing serves all partitions of a topic that became ours together."""
        self._consumer.pause(tp)
        self._consumer.seek(tp, 0)  # not read from: it keeps the client from asking the group for a place
        part = self.parts[tp] = Part(Tp(tp.topic, tp.partition, self._facts[tp.topic].id), self._means)
        self._start(part, self._placed(tp, part, listing))

    async def _placed(self, tp: TopicPartition, part: Part, listing: asyncio.Task[list[File]]) -> None:
        place = await part.learn(asyncio.shield(listing))
        if self.parts.get(tp) is part and tp in self._consumer.assignment():
            self._consumer.seek(tp, place)

    async def _again(self, tp: TopicPartition) -> None:
        if part := self.parts.pop(tp, None):
            await self._drop(part)
            if tp in self._consumer.assignment():
                self._learn(tp, asyncio.create_task(self._means.files.listed(tp.topic)))

    async def _stalled(self, seconds: float) -> None:
        """The process stood still: others may own its partitions by now, and have written what it holds."""
        log.warning("the process stood still: learning the places again", extra={"seconds": round(seconds, 1)})
        for tp in list(self.parts):
            await self._again(tp)

    async def _drop(self, part: Part) -> None:
        await part.leave()
        with contextlib.suppress(KeyError):
            self._metrics.left(part.tp.topic, part.tp.partition)

    def _start(self, part: Part, work: Coroutine[Any, Any, None]) -> None:
        part.task = asyncio.create_task(work)
        part.task.add_done_callback(lambda task: self._ended(part, task))

    def _ended(self, part: Part, task: asyncio.Task[None]) -> None:
        part.task = None
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error

    # ---- the end

    async def _finish(self) -> None:
        """Writes what is in memory; what takes too long is read again by the next process."""
        for part in self.parts.values():
            part.cut()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINISH_S):
                while any(part.task is not None or part.writable for part in self.parts.values()):
                    for part in self.parts.values():
                        if part.writable:
                            self._start(part, part.write())
                    tasks = [part.task for part in self.parts.values() if part.task is not None]
                    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                    if self._failure is not None:
                        raise self._failure

    async def committed(self, tp: Tp, offset: int) -> None:
        """Tells the group, for lag tools; one that does not hear it is no worse off."""
        place = {TopicPartition(tp.topic, tp.partition): OffsetAndMetadata(offset, "")}
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(REVOKE_S):
                await self._consumer.commit(place)
