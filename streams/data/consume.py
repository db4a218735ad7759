"""Reads topics from a place on, in no group: nobody's committed offsets move, and every reader sees every record.

Partitions are followed side by side, so records come in offset order within a partition and as they arrive between
them. A topic's end is its watermark (see `cluster`), so `--from end` is right on the embedded broker too.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from aiokafka import TopicPartition  # type: ignore[import-untyped]  # it ships no types

from schemas.records import Record
from streams.data.cluster import Cluster, ClusterError

POLL_MS = 200
Place = Literal["start", "end"] | int


class Read(Record, Protocol):
    """A record that says where it stands."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Part:
    """What to read: topics, from where, and one partition only where `partition` says so."""

    topics: Collection[str]
    place: Place = "start"
    partition: int | None = None


async def follow(cluster: Cluster, part: Part, until_idle_s: float | None = None) -> AsyncGenerator[list[Read], None]:
    """Records as they come; ends when none has come for `until_idle_s`, or never. Whoever leaves early closes it."""
    places = await _places(cluster, part)
    async with cluster.consumer(places) as reader:
        heard_s = time.monotonic()
        while until_idle_s is None or time.monotonic() - heard_s < until_idle_s:
            fetched = await reader.getmany(timeout_ms=POLL_MS)
            for records in fetched.values():
                yield records
            if fetched:  # after they were printed: a slow terminal is no idle topic
                heard_s = time.monotonic()


async def read_all(
    cluster: Cluster, topics: Collection[str], since: Mapping[TopicPartition, int] | None = None
) -> AsyncIterator[list[Read]]:
    """Everything that the topics hold at this moment, or what they hold from `since` on; ends at their end."""
    tps = await _tps(cluster, topics) if since is None else list(since)
    starts, ends = await cluster.starts(tps), await cluster.ends(tps)
    places = {tp: max(starts[tp], (since or {}).get(tp, 0)) for tp in tps}
    places = {tp: offset for tp, offset in places.items() if offset < ends[tp]}
    if not places:
        return
    async with cluster.consumer(places) as reader:
        left = set(places)
        while left:
            for tp, records in (await reader.getmany(timeout_ms=POLL_MS)).items():
                if upto := [record for record in records if record.offset < ends[tp]]:
                    yield upto
            left = {tp for tp in left if await reader.position(tp) < ends[tp]}


async def _tps(cluster: Cluster, topics: Collection[str]) -> list[TopicPartition]:
    counts = await cluster.partitions(topics)
    return [TopicPartition(topic, number) for topic, count in counts.items() for number in range(count)]


async def _places(cluster: Cluster, part: Part) -> dict[TopicPartition, int]:
    """Where to start in each partition; an offset outside the log means the nearer end of it."""
    tps = [tp for tp in await _tps(cluster, part.topics) if part.partition in (None, tp.partition)]
    if not tps:
        raise ClusterError(
            f"no partition {part.partition} in {', '.join(part.topics)}: they have fewer (0 is the first)"
        )
    starts = await cluster.starts(tps)
    if part.place == "start":
        return starts
    ends = await cluster.ends(tps)
    if part.place == "end":
        return ends
    return {tp: min(max(part.place, starts[tp]), ends[tp]) for tp in tps}
