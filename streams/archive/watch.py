"""Beside the loop: whether the topics still are what they were, and upkeep of the files.

Offsets of a topic that was made anew would be written over those of the old one's, so the ids are looked at every few
seconds, and what no waiting mends is a `Stop`. The price: what was read in those seconds of a topic that was deleted
may not be written.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from archive import upkeep
from archive.cover import by_partition
from archive.listing import files_of
from archive.names import date_of, day_of
from archive.upkeep import Kept
from streams.archive import stops
from streams.archive.files import Files
from streams.protocol.ports import SinkDown
from streams.transport.checks import missing, topics_there
from streams.transport.log import LogReader, TopicFacts

log = logging.getLogger("headrace")

LOOK_EVERY_S = 5.0
MB = 2**20


async def watch_topics(reader: LogReader, found: Mapping[str, TopicFacts], where: str) -> None:
    """Never returns; raises Stop. An outage is for others to wait for."""
    while True:
        await asyncio.sleep(LOOK_EVERY_S)
        with contextlib.suppress(SinkDown):
            now = await topics_there(reader, found.keys())
            if lost := sorted(found.keys() - now.keys()):
                raise missing(lost)
            for topic, facts in found.items():
                if now[topic].id != facts.id:
                    raise stops.made_anew(topic, facts.id, now[topic].id, where)


@dataclass(frozen=True, slots=True)
class Upkeep:
    """Merges and expires the files of the partitions that are ours. `now_ms`: the wall clock."""

    files: Files
    ours: Callable[[], Collection[tuple[str, int]]]
    compact_bytes: int
    keep_days: int | None
    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000

    async def watch(self, every_s: float) -> None:
        """Never returns; `every_s` 0: does nothing."""
        while True:
            await asyncio.sleep(every_s or 3600.0)
            if every_s:
                await self.files.patiently("upkeep", self.once)

    def once(self) -> None:
        """One round, in a thread; raises StorageDown."""
        done, ours = Kept(), self.ours()
        for topic in sorted({topic for topic, _ in ours}):
            for key, group in by_partition(files_of(self.files.place, topic)).items():
                if key in ours:
                    done += upkeep.compact(self.files.place, group, self.compact_bytes)
        if self.keep_days is not None:
            done += self._expire(self.keep_days, ours)
        upkeep.sweep(self.files.place, self.now_ms() / 1000)
        self.files.metrics.merged.inc(done.merged)
        self.files.metrics.expired.inc(done.expired)
        if done != Kept():
            log.info("upkeep", extra={"merged": done.merged, "into": done.made, "expired": done.expired})

    def _expire(self, days: int, ours: Collection[tuple[str, int]]) -> Kept:
        today = day_of(self.now_ms())
        done = Kept()
        for topic in sorted({topic for topic, _ in ours}):
            for key, group in by_partition(files_of(self.files.place, topic)).items():
                if key in ours:
                    done += upkeep.expire(self.files.place, group, date_of(max(0, today - days)), date_of(today))
        return done
