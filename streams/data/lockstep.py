"""Never more than so much event time ahead of the slowest partition: what keeps labels from leaking or lagging.

Workers take partitions side by side. Sent as fast as the broker takes it, a fast partition could decide orders of March
while a slow one still learns from labels of January. So a replay waits: the next record may go when the oldest record
that some worker has not yet got past is at most `width_ms` older. A pure ledger: the caller tells it what the broker
acknowledged and where the workers are.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Mapping

from streams.data.sender import Ack

Place = tuple[str, int]


class Lockstep:
    """What was sent and is not yet done, by partition."""

    def __init__(self, width_ms: int) -> None:
        self.width_ms = width_ms
        self._pending: dict[Place, deque[Ack]] = defaultdict(deque)

    def acked(self, ack: Ack) -> None:
        """The broker has a batch."""
        if ack.oldest_ms is not None:
            self._pending[ack.topic, ack.partition].append(ack)

    def reached(self, positions: Mapping[Place, int]) -> bool:
        """The workers' positions: the offset that each goes on from. Returns whether that finished any batch."""
        finished = False
        for place, position in positions.items():
            pending = self._pending.get(place)
            while pending and pending[0].last < position:
                pending.popleft()
                finished = True
        return finished

    def ceiling_ms(self, next_ms: int) -> int:
        """The latest event time that may be sent now, where the next record has `next_ms`."""
        oldest = self._oldest()
        return (next_ms if oldest is None else min(next_ms, oldest[0])) + self.width_ms

    def slowest(self) -> tuple[Place, int] | None:
        """The partition that holds the replay up, and the offset it has yet to do; None where all is done."""
        oldest = self._oldest()
        return None if oldest is None else (oldest[1], self._pending[oldest[1]][0].first)

    def _oldest(self) -> tuple[int, Place] | None:
        return min(((p[0].oldest_ms or 0, place) for place, p in self._pending.items() if p), default=None)
