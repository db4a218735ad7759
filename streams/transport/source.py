"""One partition's input: Faust's batches on the one side, the driver's questions on the other.

The driver asks for the records from a place on, one batch ahead of the one it works on. As long as it asks for what
follows, batches come out of a queue, several small ones together; when it says how far all is published (`done`), they
are acknowledged. A batch ahead is cut only when it is full or the range before it is done: a small one cut early would
leave whatever arrives next for a third range, and a record would wait for two and a half ranges instead of one and a
half. When it asks for another place (after a start, a rollback of the store, another owner's open range)
the consumer seeks and what was queued is void. An open range is read again beside the consumer, and held (`hold`).

The price: every start, and every new assignment, begins with a seek, even where the committed offset was right.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Awaitable, Callable
from operator import attrgetter
from typing import Any, cast

from faust.types import EventT

from schemas.records import Record
from streams.protocol import stops
from streams.protocol.ports import Batch, Tp
from streams.transport.consumer import Delivery
from streams.transport.log import LogReader

OFFSET = attrgetter("offset")
SEEK_AGAIN_S = 0.2


class KafkaSource:
    """ports.Source of one partition. `put`, `pause`, `resume` and `rest` are for partitions.py."""

    def __init__(
        self, tp: Tp, log: LogReader, rewind: Callable[[int], Awaitable[int]], *, limit: int, idle_s: float
    ) -> None:
        self.tp = tp
        self.finished: int | None = None  # below it all is published, as far as was said
        self._log = log
        self._rewind = rewind
        self.limit: Callable[[], int] = lambda: limit  # most records of the next batch
        self._idle_s = idle_s
        self._queue: deque[tuple[EventT[Any], Delivery]] = deque()
        self._epoch: int | None = None  # of what is wanted; None: the consumer has not been told where to read yet
        self._early: list[EventT[Any]] = []  # came while the consumer was told: it may be as quick as its answer
        self._end: int | None = None  # where the batch that arrives next must begin
        self._jumped = False  # it began elsewhere
        self._open: int | None = None  # the last offset in hand: given out or held, and not heard of as done
        self._waiting = False
        self._looking: asyncio.Future[bool] | None = None  # of who waits: true where there is something to look at
        self._resting = asyncio.Event()
        self._paused = False

    # --- ports.Source

    async def next(self, place: int) -> Batch[Record] | None:
        """The records from `place` on, at most `limit`; None after `idle_s` without any."""
        if self._open is not None and place <= self._open:
            self._open = None  # it was given back: nothing is in hand
        now = asyncio.get_running_loop().time
        deadline = now() + self._idle_s
        while (batch := None if self._paused else self._cut(place)) is None:
            if not self._paused and (self._jumped or not self._follows(place)):
                await self._seek(place)
                continue
            in_hand = self._open is not None
            if not await self._wait(None if in_hand else deadline):
                return None
            if in_hand:
                deadline = now() + self._idle_s
        self._open = batch.last
        return batch

    def hold(self, last: int) -> None:
        """An open range is in hand, up to `last`, and nothing of what was given out."""
        self._open = last

    def done(self, last: int) -> None:
        """Acknowledges what was given out up to `last`."""
        self.finished = last + 1
        if self._open is not None and self._open <= last:
            self._open = None
            self._news()
        while self._queue and self._queue[0][1].last <= last:
            self._queue.popleft()[0].ack()
        self._tell_rest()

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
        if self._epoch is None:
            self._early.append(event)
            return
        delivery = cast(Delivery, event.value)
        if delivery.epoch != self._epoch or self._jumped:
            return
        if delivery.first == self._end:
            self._queue.append((event, delivery))
            self._end = delivery.last + 1
        else:
            self._jumped = True
        if self._open is None or not self._gathers(self._open + 1):
            self._news()

    @property
    def paused(self) -> bool:
        return self._paused

    def pause(self) -> None:
        """Nothing new is given out from now on."""
        self._paused = True
        self._news()

    async def rest(self) -> None:
        """Returns when the driver has published what it was given and waits for more."""
        await self._resting.wait()

    def resume(self) -> None:
        """The consumer has been repositioned: the driver gets records again."""
        self._paused = False
        self.reset()

    def reset(self) -> None:
        """What was queued is void; the next question begins with a seek."""
        self._queue.clear()
        self._epoch = self._end = None
        self._jumped = False
        self._news()

    # ---

    def _follows(self, place: int) -> bool:
        """Whether the records from `place` on are queued, or are those that arrive next."""
        start = self._queue[0][1].first if self._queue else self._end
        return start is not None and self._end is not None and start <= place <= self._end

    def _gathers(self, place: int) -> bool:
        """Whether a range is in hand and the batch after it not full: what arrives until it is done goes with that."""
        in_hand = self._open is not None and not self._jumped
        return in_hand and self._end is not None and self._end - place < self.limit()

    def _cut(self, place: int) -> Batch[Record] | None:
        if self._gathers(place):
            return None
        records: list[Record] = []
        limit = self.limit()
        for _, delivery in self._queue:
            if delivery.last < place:
                continue
            if not records and delivery.first > place:
                return None
            held = delivery.records
            records += held[bisect_left(held, place, key=OFFSET) :] if held[0].offset < place else held
            if len(records) >= limit:
                break
        return Batch(place, records[:limit]) if records else None

    async def _seek(self, place: int) -> None:
        if self._jumped and self._end == place:
            await self._missed(place)
        self.reset()
        self._early.clear()
        self._epoch, self._end = await self._rewind(place), place
        for event in self._early:
            self.put(event)
        self._early.clear()

    async def _missed(self, place: int) -> None:
        """Other records came where `place` was to be read: is it still, or at all, in the log?"""
        start, end = await self.bounds()
        if place < start:
            raise stops.log_cut(self.tp, place, start)
        if place > end:
            raise stops.log_short(self.tp, place, end)
        await asyncio.sleep(SEEK_AGAIN_S)

    async def _wait(self, deadline: float | None) -> bool:
        """Until something may have changed; False when the deadline passes first, which while paused it never does."""
        loop = asyncio.get_running_loop()
        looking: asyncio.Future[bool] = loop.create_future()
        self._looking = looking
        late = None if self._paused or deadline is None else loop.call_at(deadline, _tell, looking, False)
        self._waiting = True
        self._tell_rest()
        try:
            return await looking
        finally:
            self._waiting = False
            self._resting.clear()
            if late is not None:
                late.cancel()

    def _news(self) -> None:
        if self._looking is not None:
            _tell(self._looking, True)

    def _tell_rest(self) -> None:
        if self._paused and self._waiting and self._open is None:
            self._resting.set()


def _tell(looking: asyncio.Future[bool], news: bool) -> None:
    if not looking.done():
        looking.set_result(news)
