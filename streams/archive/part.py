"""One partition: where the archive ends, what waits in memory, and the one file that is being written.

The archive itself says where to go on; Kafka's committed offset is for lag tools. Files of a partition are committed
one after the other, in offset order, so that the newest always says how far all of it reaches. While one is being
written nothing more is read: that, and the file's own limits, bound the memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from archive.cover import newest
from archive.names import File
from schemas.records import Record
from streams.archive import stops
from streams.archive.buffer import Buffer, Cut, Limits
from streams.archive.files import Files
from streams.protocol.ports import Tp
from streams.transport.log import LogReader

log = logging.getLogger("headrace")

SHORT_TRIES, SHORT_WAIT_S = 10, 1.0  # a new leader's watermark may lag behind the old one's for a moment


@dataclass(frozen=True, slots=True)
class Means:
    """What every partition's work needs."""

    files: Files
    log: LogReader
    limits: Limits
    skip_lost: bool  # whether a log that begins behind the archive's end leaves a hole
    committed: Callable[[Tp, int], Awaitable[None]]  # told of the first offset that no file has


class Part:
    """A partition that is ours."""

    def __init__(self, tp: Tp, means: Means) -> None:
        self.tp, self._means = tp, means
        self._waiting: deque[Cut] = deque()
        self._buffer: Buffer | None = None
        self.task: asyncio.Task[None] | None = None

    async def learn(self, listed: Awaitable[Sequence[File]]) -> int:
        """Where to read on. Raises Stop where the log does not go on where the archive ends.

        `listed`: the files of the topic, of a listing that began after the partition became ours.
        """
        file = newest(file for file in await listed if file.span.partition == self.tp.partition)
        start, end = await self._means.log.bounds(self.tp.topic, self.tp.partition)
        place = start
        if file is not None:
            topic_id = await self._means.files.topic_id(file)
            if topic_id != self.tp.topic_id:
                raise stops.made_anew(self.tp.topic, topic_id, self.tp.topic_id, self._means.files.place.shown)
            place = await self._fits(file.last + 1, start, end)
        self._buffer = Buffer(self.tp.topic, self.tp.partition, place, self._means.limits)
        log.info("place learnt", extra={"tp": str(self.tp), "place": place})
        return place

    async def _fits(self, place: int, start: int, end: int) -> int:
        if start > place and not self._means.skip_lost:
            raise stops.log_cut(self.tp.topic, self.tp.partition, place, start)
        for _ in range(SHORT_TRIES):
            if end >= place:
                return max(place, start)
            await asyncio.sleep(SHORT_WAIT_S)
            start, end = await self._means.log.bounds(self.tp.topic, self.tp.partition)
        raise stops.log_short(self.tp.topic, self.tp.partition, place, end, self._means.files.place.shown)

    def take(self, records: Sequence[Record], now_s: float) -> None:
        """Adds what was read; files that are complete thereby wait to be written."""
        if self._buffer is not None:
            self._waiting += self._buffer.take(records, now_s)

    def cut(self) -> None:
        """All that is here is to be written."""
        if self._buffer is not None:
            self._waiting += self._buffer.cut()

    def due(self, now_s: float) -> bool:
        return self._buffer is not None and self._buffer.due(now_s)

    @property
    def buffered(self) -> int:
        """Bytes that are in no file yet that is to be written."""
        return self._buffer.size if self._buffer is not None else 0

    @property
    def held(self) -> int:
        """Bytes in memory."""
        return self.buffered + sum(cut.size for cut in self._waiting)

    @property
    def since_s(self) -> float | None:
        """When the oldest record of the buffer came."""
        return self._buffer.since_s if self._buffer is not None else None

    @property
    def position(self) -> int | None:
        """The first offset that no file has; None until it is learnt."""
        if self._waiting:
            return self._waiting[0].span.first
        return self._buffer.first if self._buffer is not None else None

    @property
    def busy(self) -> bool:
        """Whether nothing more may be read: its place is not known, or files wait to be written."""
        return self._buffer is None or bool(self._waiting) or self.task is not None

    @property
    def writable(self) -> bool:
        return bool(self._waiting) and self.task is None

    async def write(self) -> None:
        """Writes what waits, in order."""
        while self._waiting:
            cut = self._waiting[0]
            await self._means.files.commit(cut, self.tp.topic_id)
            self._waiting.popleft()
            await self._means.committed(self.tp, cut.span.last + 1)

    async def leave(self) -> None:
        """Ends its work where it stands: what is in memory is read again by whoever has the partition next."""
        if self.task is not None:
            self.task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self.task
