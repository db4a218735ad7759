"""What the topics carry: how many records there are, how many come a second, how far workers are behind.

Ends of logs and the group's committed offsets are asked every second. A rate is that of the last few looks. The price:
a few small requests a second for each partition; in exactly-once offsets are the workers' own, in at-least-once they
are committed for such tools, a second late.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from streams.protocol.ports import SinkDown
from streams.transport.aio import KafkaError
from streams.transport.log import LogReader

LOOK_S = 1.0
OVER = 5  # looks


@dataclass(frozen=True, slots=True)
class Carried:
    """One topic at the newest look."""

    topic: str
    partitions: int
    end: int
    per_s: float
    lag: int


class Traffic:
    """`topics` are inputs; `carried` is replaced at each look."""

    def __init__(self, reader: LogReader, group: str, topics: Sequence[str]) -> None:
        self._reader, self._group, self.topics = reader, group, topics
        self._ends: dict[str, deque[tuple[float, int]]] = {topic: deque(maxlen=OVER + 1) for topic in topics}
        self.carried: list[Carried] = []
        self.looked_ms = 0

    async def watch(self) -> None:
        """Never returns; while brokers are away the last look stands."""
        while True:
            with contextlib.suppress(SinkDown, KafkaError):
                await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """One look at every topic."""
        facts = await self._reader.topics(self.topics)
        self.carried = [await self._carried(topic, facts[topic].partitions) for topic in self.topics if topic in facts]
        self.looked_ms = time.time_ns() // 1_000_000

    async def _carried(self, topic: str, partitions: int) -> Carried:
        bounds = await asyncio.gather(*(self._reader.bounds(topic, number) for number in range(partitions)))
        places = await asyncio.gather(
            *(self._reader.committed(self._group, topic, number) for number in range(partitions))
        )
        end = sum(end for _, end in bounds)
        ends = self._ends[topic]
        ends.append((time.monotonic(), end))
        span = ends[-1][0] - ends[0][0]
        behind = [
            last - (first if place is None else place) for (first, last), place in zip(bounds, places, strict=True)
        ]
        return Carried(
            topic,
            partitions,
            end,
            (end - ends[0][1]) / span if span > 0 else 0.0,
            sum(behind),
        )
