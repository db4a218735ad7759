"""One of the group learns, the others stand by: the group shares out the one partition of `matured`.

Being a member is all that the consumer is for: the partition is paused, and whoever has it reads it by other means,
from where its snapshots end. Whoever loses it ends its work where it stands. A process that stood still and does not
know yet that another has taken over does no harm: what it writes is there already.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final

from schemas.matured import MATURED
from streams.learner.metrics import LearnerMetrics
from streams.transport.aio import ConsumerRebalanceListener, KafkaError, OffsetAndMetadata, TopicPartition

log = logging.getLogger("headrace")

POLL_MS: Final = 200
COMMIT_S: Final = 3.0
THE_PARTITION: Final = TopicPartition(MATURED, 0)


class Owner(ConsumerRebalanceListener):  # type: ignore[misc]  # untyped base
    """Runs `work` while the partition is ours."""

    def __init__(self, consumer: Any, work: Callable[[], Awaitable[None]], metrics: LearnerMetrics) -> None:
        self._consumer, self._work, self._metrics = consumer, work, metrics
        self._task: asyncio.Task[None] | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Until told to stop, or the work is done; raises what it broke by."""
        self._consumer.subscribe([MATURED], listener=self)
        try:
            while not stopping.is_set():
                await self._turn()
                if self._task is not None and self._task.done():
                    self._task.result()
                    return
        finally:
            await self._end()

    async def _turn(self) -> None:
        try:
            await self._consumer.getmany(timeout_ms=POLL_MS)
        except KafkaError:  # nothing is read here: what is wrong with the broker meets those who read
            await asyncio.sleep(POLL_MS / 1000)

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        if THE_PARTITION not in assigned:
            log.info("standing by: another process learns")
            return
        self._consumer.pause(THE_PARTITION)
        self._consumer.seek(THE_PARTITION, 0)  # not read from: it keeps the client from asking the group for a place
        log.info("learning")
        self._metrics.active.set(1)
        self._task = asyncio.create_task(self._begin())

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        if THE_PARTITION in revoked:
            await self._end()

    async def _begin(self) -> None:
        await self._work()

    async def _end(self) -> None:
        task, self._task = self._task, None
        self._metrics.active.set(0)
        if task is not None and not task.done():
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def committed(self, offset: int) -> None:
        """Tells the group, for lag tools; one that does not hear it is no worse off."""
        with contextlib.suppress(KafkaError, TimeoutError):
            async with asyncio.timeout(COMMIT_S):
                await self._consumer.commit({THE_PARTITION: OffsetAndMetadata(offset, "")})
