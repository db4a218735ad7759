"""The queue at work: reads decisions and labels, and writes what is due to `matured`, for ever or once to the end.

What it knows is made anew at each start: from `matured`, what was said; from the logs, what is so. The price: a start
reads three topics from their beginnings, some 20 us a record, before the first new row is written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Final

from schemas.matured import MATURED, decode_told
from schemas.records import Record
from streams.learner.feed import Feed
from streams.learner.metrics import LearnerMetrics
from streams.learner.queue import Ages, Queue
from streams.learner.release import Release
from streams.learner.said import Said
from streams.protocol.ports import SinkDown
from streams.transport.log import LogReader
from streams.transport.publisher import Publisher

log = logging.getLogger("headrace")

POLL_S: Final = 0.2
WAIT_S: Final = 1.0
BREATH: Final = 1_000  # records that are taken before others have a turn
FETCH_BYTES: Final = 1_000_000


class Queueing:
    """One queue from start to end."""

    def __init__(
        self, log: LogReader, publisher: Publisher, feed: Feed, ages: Ages, metrics: LearnerMetrics, *, once: bool
    ) -> None:
        self._log, self._publisher, self._feed = log, publisher, feed
        self._ages, self._metrics, self._once = ages, metrics, once
        self._bound_ms = -1  # all before is settled

    async def run(self) -> None:
        """Returns only where it runs once, when all that was there is settled. Raises Stop."""
        said = Said()
        async for record in _whole(self._log):
            said.add(decode_told(record.value or b""))
        log.info("what was said is read", extra={"decisions": len(said)})
        await self._feed.begin()
        queue, release = Queue(self._ages, said), Release(self._log, self._publisher, said.last, self._metrics)
        while True:
            came = await self._read()
            await self._take(queue)
            await release.write(queue.drain())
            self._tell(queue)
            if self._once and not came and self._feed.caught_up:
                return
            if not came:
                await asyncio.sleep(0 if self._once else POLL_S)

    async def _read(self) -> bool:
        """Whether anything came; a broker that is away is waited for."""
        while True:
            try:
                return await self._feed.read()
            except SinkDown as down:
                log.warning("waiting for the brokers", extra={"why": str(down)})
                await asyncio.sleep(WAIT_S)

    async def _take(self, queue: Queue) -> None:
        for number, (now_ms, item) in enumerate(self._feed.merge.take(), 1):
            queue.take(now_ms, item)
            if number % BREATH == 0:
                await asyncio.sleep(0)
        self._bound_ms = self._feed.merge.bound()
        queue.advance(self._bound_ms)

    def _tell(self, queue: Queue) -> None:
        for source, lag in self._feed.lags():
            self._metrics.lag.labels(source.topic, str(source.partition)).set(lag)
        self._metrics.clock.set(max(0, self._bound_ms) / 1000)
        self._metrics.orders.set(len(queue.orders))
        self._metrics.bytes.set(queue.orders.bytes)


async def _whole(log: LogReader) -> AsyncIterator[Record]:
    """`matured` up to its end of now."""
    position, end = await log.bounds(MATURED, 0)
    while position < end:
        chunk = await log.fetch(MATURED, 0, position, max_bytes=FETCH_BYTES)
        if chunk.position <= position:
            return
        position = chunk.position
        for record in chunk.records:
            yield record
