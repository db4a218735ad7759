"""The place of the files seen from the event loop: every verb in a thread, an outage waited out.

Files that can be written at once are as many as threads; what is encoded and sent holds the interpreter for little of
its time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from archive.names import File
from archive.parquet import encode
from archive.reader import footer, listed
from storage.errors import StorageDown
from storage.places import Place
from streams.archive.buffer import Cut
from streams.archive.metrics import ArchiveMetrics

log = logging.getLogger("headrace")

FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 15.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Files:
    """`vector`: names of the vector's features by feature hash, for the footer of `decisions`."""

    place: Place
    pool: ThreadPoolExecutor
    metrics: ArchiveMetrics
    vector: Mapping[str, Sequence[str]]

    async def listed(self, topic: str) -> list[File]:
        """What is committed of a topic."""
        return await self.patiently("list", lambda: listed(self.place, topic))

    async def topic_id(self, file: File) -> str:
        """The broker's id of the topic, as the file states it."""

        def look() -> str:
            if (facts := footer(self.place, file)) is None:
                raise StorageDown(f"{self.place.shown}: {file.span.path} is listed and cannot be opened")
            return facts.topic_id

        return await self.patiently("list", look)

    async def commit(self, cut: Cut, topic_id: str) -> int:
        """Writes a file; its size in bytes."""
        vector = self.vector if cut.span.topic == "decisions" else {}
        loop = asyncio.get_running_loop()
        content = await loop.run_in_executor(self.pool, encode, cut.span, cut.records, topic_id, vector)
        await self.patiently("commit", lambda: self.place.commit(cut.span.path, content))
        self.metrics.rows.labels(cut.span.topic).inc(len(cut.records))
        self.metrics.bytes.labels(cut.span.topic).inc(len(content))
        self.metrics.files.labels(cut.span.topic).inc()
        return len(content)

    async def patiently(self, doing: str, work: Callable[[], T]) -> T:
        """Tries until it can be done. Meanwhile the partition waits, lag grows, nothing is lost."""
        wait_s, told = FIRST_WAIT_S, False
        while True:
            try:
                done = await asyncio.get_running_loop().run_in_executor(self.pool, work)
            except StorageDown as down:
                self.metrics.errors.labels(doing).inc()
                if not told or wait_s >= LONGEST_WAIT_S:
                    log.warning("waiting for the archive's place", extra={"doing": doing, "why": str(down)})
                told = True
                await asyncio.sleep(wait_s)
                wait_s = min(LONGEST_WAIT_S, wait_s * 2)
                continue
            if told:
                log.info("the archive's place is back", extra={"doing": doing})
            return done
