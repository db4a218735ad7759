"""One partition's input: Faust's batches on the one side, the driver's questions on the other.

The driver asks for the records from a place on. As long as it asks for what follows, batches come out of a queue,
several small ones together, and each is acknowledged when a place beyond it is asked for, since by then its range is
published. When it asks for anything else (after a start, a rollback of the store, another owner's open range) the
consumer seeks and what was queued is void. An open range is read again beside the consumer.

The price: a driver that asks for the next range before this one is published commits it early; the committed offset is
for lag tools only, so nothing but their picture suffers.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import Any, cast

from faust.types import EventT

from streams.protocol.ports import Batch, Stop, Tp
from streams.transport.consumer import Delivery
from streams.transport.log import LogReader
from streams.transport.records import Record

OFFSET = attrgetter("offset")
SEEK_AGAIN_S = 0.2


class KafkaSource:
    """ports.Source of one partition. `put`, `pause` and `resume` are for partitions.py."""

    def __init__(
        self, tp: Tp, log: LogReader, rewind: Callable[[int], Awaitable[int]], *, limit: int, idle_s: float
    ) -> None:
        self.tp = tp
        self.place: int | None = None  # what was asked for last: below it all is published
        self._log = log
        self._rewind = rewind
        self._limit = limit
        self._idle_s = idle_s
        self._queue: deque[tuple[EventT[Any], Delivery]] = deque()
        self._epoch: int | None = None  # of what is wanted; None: the consumer has not been told where to read yet
        self._next: int | None = None  # where the first batch in the queue begins, or will
        self._news = asyncio.Event()
        self._resting = asyncio.Event()
        self._paused = False

    # --- ports.Source

    async def next(self, place: int) -> Batch[Record] | None:
        """The records from `place` on, at most `limit`; None after `idle_s` without any."""
        self._release(place)
        self.place = place
        deadline = asyncio.get_running_loop().time() + self._idle_s
        while not (batch := None if self._paused else self._cut(place)):
            if not self._paused and not self._follows(place):
                await self._seek(place)
                continue
            if not await self._wait(deadline):
                return None
        return batch

    async def read(self, first: int, last: int) -> Batch[Record] | None:
        """Exactly the records of first..last that the log holds; None where it holds none of them."""
        records = await self._log.read(self.tp.topic, self.tp.partition, first, last)
        return Batch(first, records) if records else None

    async def bounds(self) -> tuple[int, int]:
        """The log's start offset and its end."""
        return await self._log.bounds(self.tp.topic, self.tp.partition)

    # --- the consumer's side

    def put(self, event: EventT[Any]) -> None:
        """Takes a batch of this partition; one from before the last seek is dropped."""
        delivery = cast(Delivery, event.value)
        if delivery.epoch == self._epoch:
            self._queue.append((event, delivery))
            self._news.set()

    @property
    def paused(self) -> bool:
        return self._paused

    def pause(self) -> None:
        """From its next question on, the driver waits: nothing new is begun."""
        self._paused = True
        self._news.set()

    def resume(self) -> None:
        """The consumer has been repositioned: the driver gets records again."""
        self._paused = False
        self.reset()

    def reset(self) -> None:
        """What was queued is void; the next question begins with a seek."""
        self._queue.clear()
        self._epoch = self._next = None
        self._news.set()

    async def rest(self) -> None:
        """Returns when the driver has finished what it had in hand and waits."""
        await self._resting.wait()

    # ---

    def _release(self, place: int) -> None:
        while self._queue and self._queue[0][1].last < place:
            event, delivery = self._queue.popleft()
            self._next = delivery.last + 1
            event.ack()

    def _cut(self, place: int) -> Batch[Record] | None:
        if not self._queue or not self._queue[0][1].first <= place <= self._queue[0][1].last:
            return None
        head = self._queue[0][1].records
        records = list(head[bisect_left(head, place, key=OFFSET) :] if place > head[0].offset else head)
        following = iter(self._queue)
        next(following)
        for _, delivery in following:
            if len(records) >= self._limit:
                break
            records += delivery.records
        return Batch(place, records[: self._limit])

    def _follows(self, place: int) -> bool:
        """Whether the next batch to arrive is the one that begins at `place`."""
        return not self._queue and self._next == place

    async def _seek(self, place: int) -> None:
        if self._next == place and self._queue:
            await self._missed(place)
        self._queue.clear()
        self._epoch, self._next = await self._rewind(place), place

    async def _missed(self, place: int) -> None:
        """A seek to `place` gave other records: is it still, or ever, in the log?"""
        start, end = await self.bounds()
        if place < start:
            raise Stop(
                f"{self.tp}: offset {place} is gone, the log starts at {start}: bring the state up to date with "
                "`headrace state rebuild`, and keep the topic's records for longer than a worker may be down"
            )
        if place > end:
            raise Stop(
                f"{self.tp}: offset {place} is beyond the log's end, {end}: it is another log than the state knows; "
                f"`headrace state rebase {self.tp.topic}`"
            )
        await asyncio.sleep(SEEK_AGAIN_S)

    async def _wait(self, deadline: float) -> bool:
        """Until something may have changed; False when the deadline passes first, which while paused it never does."""
        self._news.clear()
        if self._paused:
            self._resting.set()
        try:
            async with asyncio.timeout_at(None if self._paused else deadline):
                await self._news.wait()
        except TimeoutError:
            return False
        finally:
            self._resting.clear()
        return True
