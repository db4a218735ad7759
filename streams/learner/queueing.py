"""The queue at work: reads decisions and labels, and writes what is due to `matured`, for ever or once to the end.

What it knows is made of the logs alone: from `matured`, what was said; from the others, what is so. A start goes on
from the last checkpoint, and reads what came since; where there is none, it reads three topics from their beginnings,
some 20 us a record, before the first new row is written.

A checkpoint is taken when all that was due is written, and all of which something was said is in the queue or closed:
so whoever goes on from it knows what was said of every order.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from schemas.matured import MATURED, Key, decode_told
from streams.learner.checkpoint import FROM_THE_BEGINNING, Checkpoints, State
from streams.learner.feed import Feed
from streams.learner.loop import patiently
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
        self,
        log: LogReader,
        publisher: Publisher,
        feed: Feed,
        ages: Ages,
        metrics: LearnerMetrics,
        checkpoints: Checkpoints,
        *,
        once: bool,
    ) -> None:
        self._log, self._publisher, self._feed = log, publisher, feed
        self._ages, self._metrics, self._checkpoints, self._once = ages, metrics, checkpoints, once
        self._bound_ms = -1  # all before is settled
        self._said_to = 0  # how far `matured` is known
        self._last: Key | None = None  # the largest key up to there
        self._newest: dict[int, int] = {}  # by partition, the last decision of which something is said up to there

    async def run(self) -> None:
        """Returns only where it runs once, when all that was there is settled. Raises Stop."""
        queue = await self._begun()
        release = Release(self._log, self._publisher, self._last, self._metrics)
        while True:
            came = await self._read()
            await self._take(queue)
            await release.write(queue.drain())
            self._tell(queue)
            ends = self._once and not came and self._feed.caught_up
            if ends or self._checkpoints.due:
                await self._keep(queue)
            if ends:
                await self._checkpoints.written()
                return
            if not came:
                await asyncio.sleep(0 if self._once else POLL_S)

    # ---- going on

    async def _begun(self) -> Queue:
        """The queue of the checkpoint, or a new one; it knows what was said."""
        state = await patiently(self._metrics, self._checkpoints.load)
        if state is not None and not await self._goes_on(state):
            log.info(FROM_THE_BEGINNING, extra={"why": "a log ends before where it had read"})
            state = self._last = None
        if state is None:
            await self._feed.begin()
            self._said_to, _ = await self._log.bounds(MATURED, 0)
        said = await self._said()
        log.info("what was said is read", extra={"decisions": len(said), "from_checkpoint": state is not None})
        return Queue(self._ages, said) if state is None else Queue.of_state(self._ages, state.queue, said)

    async def _goes_on(self, state: State) -> bool:
        start, end = await self._log.bounds(MATURED, 0)
        self._said_to, self._last = max(state.said, start), state.last
        return state.said <= end and await self._feed.go_on(state.places, state.now)

    async def _said(self) -> Said:
        """What `matured` says from where it is known on, up to its end of now."""
        said, position = Said(self._last), self._said_to
        _, end = await self._log.bounds(MATURED, 0)
        while position < end:
            chunk = await self._log.fetch(MATURED, 0, position, max_bytes=FETCH_BYTES)
            for record in chunk.records:
                said.add(decode_told(record.value or b""))
            if chunk.position <= position:
                break
            position = chunk.position
        self._said_to, self._last = position, said.last
        self._newest |= {p: max(offset, self._newest.get(p, -1)) for p, offset in said.newest.items()}
        return said

    async def _keep(self, queue: Queue) -> None:
        """A checkpoint, unless something was said of decisions that are not in the queue yet."""
        try:
            queue.hear(await self._said())  # a writer that was presumed dead may have said something too
        except SinkDown:
            return
        if not self._feed.has(self._newest):
            self._checkpoints.put_off()
            return
        places, merge = self._feed.places(), self._feed.merge
        self._checkpoints.keep(State(places, merge.now, queue.state(), self._said_to, self._last))

    # ---- at work

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
