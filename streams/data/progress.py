"""Where the workers are: the offset that each input partition goes on from.

Two witnesses, the further one is believed. The group's committed offsets are there always, but workers commit at
intervals of seconds, since the store and not Kafka keeps their place. A row of `applied` is written for every range as
soon as the state holds it: that one is prompt, and without it a replay in lockstep would wait for a commit every hour
of event time. The price: one more reader of a topic that is small (a row a range).
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aiokafka import TopicPartition  # type: ignore[import-untyped]  # it ships no types

from schemas.decisions import decode_applied
from streams.data.cluster import Cluster
from streams.data.lockstep import Place
from streams.transport.link import Link
from streams.transport.log import LogReader

APPLIED = "applied"
COMMITTED_EVERY_S = 0.5
WAIT_MS = 20


class Progress:
    """The workers of one consumer group on some partitions; made by `watching`."""

    def __init__(self, group: str, places: Collection[Place], log: LogReader, applied: Any | None) -> None:
        self._group, self._places = group, frozenset(places)
        self._log, self._applied = log, applied
        self._positions: dict[Place, int] = {}
        self._asked_s = 0.0

    async def positions(self) -> dict[Place, int]:
        """What is known now; waits a moment for news."""
        if self._applied is not None:
            await self._read_applied()
        if time.monotonic() - self._asked_s >= COMMITTED_EVERY_S:
            await self._ask_committed()
            self._asked_s = time.monotonic()
        return self._positions

    async def _read_applied(self) -> None:
        assert self._applied is not None
        for records in (await self._applied.getmany(timeout_ms=WAIT_MS)).values():
            for record in records:
                row = decode_applied(record.value)
                self._note((row.topic, row.partition), row.last + 1)

    async def _ask_committed(self) -> None:
        """One small request a partition: the request for a whole group cannot be read from the embedded broker."""
        for place in self._places:
            self._note(place, await self._log.committed(self._group, *place))

    def _note(self, place: Place, position: int | None) -> None:
        if place in self._places and position is not None:
            self._positions[place] = max(position, self._positions.get(place, 0))


@asynccontextmanager
async def watching(cluster: Cluster, topics: Collection[str]) -> AsyncIterator[Progress]:
    """The progress of the settings' group from now on."""
    counts = await cluster.topics()
    log = LogReader(Link.of(cluster.kafka))
    async with AsyncExitStack() as stack:
        stack.push_async_callback(log.stop)
        applied = None
        if count := counts.get(APPLIED, 0):
            ends = await cluster.ends(TopicPartition(APPLIED, number) for number in range(count))
            applied = await stack.enter_async_context(cluster.consumer(ends))
        places = [(topic, number) for topic in topics for number in range(counts[topic])]
        yield Progress(cluster.kafka.group, places, log, applied)
