"""From facts to metrics: the driver's observer, and a sink that notes what was acknowledged and when.

The driver and the work know nothing of Prometheus; they return facts and this shell counts them, those of many ranges
together: raising some twenty metrics took a short range 4 % of its time.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from itertools import chain
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from faust.types import TP

from features.columns import Ints
from streams.configurations import RegistryDown
from streams.metrics import Metrics
from streams.outputs import RangeOutputs
from streams.protocol.observer import RangeDone, Stages
from streams.protocol.ports import Row, Sink, SinkDown, Stop, StoreDown, Tp, Verdict
from streams.stores.admin import Fullness
from streams.stores.exits import Exit
from streams.stores.sampling import Census, Drawn
from streams.transport.consumer import Standing
from streams.transport.output import Output

log = logging.getLogger("headrace")
LAG_EVERY_S = 1.0
BAGS_EVERY_S = 60.0
EXITS_EVERY_S = 15.0
DEPENDENCIES: Mapping[type[Exception], str] = {
    RegistryDown: "registry",
    StoreDown: "store",
    SinkDown: "broker",
    Exception: "other",
}
STAGES = tuple(name.removesuffix("_s") for name in Stages._fields)
MOST_KEPT = 64  # ranges

_NONE = np.zeros(0, np.int64)

T = TypeVar("T")


class Kept(Generic[T]):
    """Facts of ranges that are counted together: when `MOST_KEPT` wait, and before somebody looks at the metrics.

    `add` is for the worker's thread, `count` for that of the metrics' server as well.
    """

    def __init__(self, metrics: Metrics, counted: Callable[[Sequence[T]], None]) -> None:
        self._counted = counted
        self._facts: deque[T] = deque()
        self._counting = threading.Lock()
        metrics.before_a_look.steps.append(self.count)

    def add(self, fact: T) -> None:
        self._facts.append(fact)
        if len(self._facts) >= MOST_KEPT:
            self.count()

    def count(self) -> None:
        """Counts what is kept."""
        with self._counting:
            facts = [self._facts.popleft() for _ in range(len(self._facts))]
            if facts:
                self._counted(facts)


class Meter:
    """`streams.protocol.observer.Observer` over Metrics; one for all partitions of a worker."""

    def __init__(self, metrics: Metrics, closed: Callable[[Tp], None]) -> None:
        """`closed` is told of a partition that has gone idle: its last range is closed."""
        self.metrics, self._closed = metrics, closed
        self._without_store: set[Tp] = set()
        self._ranges = Kept(metrics, self._count)

    @property
    def store_is_away(self) -> bool:
        """Whether some partition waits for the store: no progress is to be expected then."""
        return bool(self._without_store)

    def learned(self, tp: Tp, place: int, *, repeat: bool) -> None:
        self._ranges.count()
        if repeat:
            self.metrics.repeated.labels(tp.topic).inc()
        self._without_store.discard(tp)
        self.metrics.position.labels(tp.topic, str(tp.partition)).set(place)
        log.info("place learnt", extra={"tp": str(tp), "place": place, "repeat": repeat})

    def done(self, tp: Tp, done: RangeDone) -> None:
        self._ranges.add((tp, done))

    def _count(self, ranges: Sequence[tuple[Tp, RangeDone]]) -> None:
        m = self.metrics
        for topic in {tp.topic for tp, _ in ranges}:
            of_topic = [done for tp, done in ranges if tp.topic == topic]
            records = np.array([done.records for done in of_topic], np.float64)
            m.ranges.labels(topic).inc(len(of_topic))
            m.events_in.labels(topic).inc(float(records.sum()))
            m.batch.observe(records, topic)
            duplicates = sum(verdict == Verdict.DUPLICATE for done in of_topic for verdict in done.exceptions.values())
            m.duplicates.labels(topic).inc(duplicates)
        for stage, seconds in zip(STAGES, np.array([done.stages for _, done in ranges]).T, strict=True):
            m.stage.observe(seconds, stage)
        for tp, done in dict(ranges).items():
            m.position.labels(tp.topic, str(tp.partition)).set(done.last + 1)
            m.window_ids.labels(tp.topic, str(tp.partition)).set(done.window_ids)

    def dropped(self, tp: Tp, first: int, last: int) -> None:
        log.info("range dropped: another owner has it", extra={"tp": str(tp), "first": first, "last": last})

    def behind(self, tp: Tp, shards: int) -> None:
        self._closed(tp)
        self.metrics.catching_up.labels(tp.topic, str(tp.partition)).set(shards)

    def caught_up(self, tp: Tp, shard: int, first: int, last: int) -> None:
        self.metrics.catchups.labels(tp.topic).inc()
        log.warning(
            "shard caught up: the store had lost its tail",
            extra={"tp": str(tp), "shard": shard, "first": first, "last": last},
        )

    def compacted(self, tp: Tp, asked: int, accepted: int) -> None:  # noqa: ARG002 - the observer's seam
        self.metrics.swaps.inc(accepted)

    def outage(self, tp: Tp, error: Exception, wait_s: float) -> None:
        what = next(name for kind, name in DEPENDENCIES.items() if isinstance(error, kind))
        self.metrics.backoffs.labels(what).inc()
        if isinstance(error, StoreDown):
            self._without_store.add(tp)
        log.warning("waiting for the %s", what, extra={"tp": str(tp), "wait_s": wait_s, "why": str(error)})

    def left(self, tp: Tp) -> None:
        """The partition is no longer this worker's: its gauges go."""
        self._ranges.count()  # else what is kept would bring them back
        self._without_store.discard(tp)
        self.metrics.left(tp.topic, tp.partition)

    def stalled(self, tp: Tp, seconds: float) -> None:
        log.warning("the process stood still: learning the place again", extra={"tp": str(tp), "seconds": seconds})


async def watch_lag(
    standings: Callable[[], Awaitable[dict[TP, Standing]]], metrics: Metrics, every_s: float = LAG_EVERY_S
) -> None:
    """Sets the lag gauge of every assigned partition, for ever: a look that fails leaves the gauges as they are."""
    known = True
    while True:
        await asyncio.sleep(every_s)
        try:
            found = await standings()
        except Exception as error:  # a gauge is no reason to stop a worker, nor to stop looking
            if known:
                log.warning("the lag is not known", extra={"why": f"{type(error).__name__}: {error}"})
            known = False
            continue
        if not known:
            log.info("the lag is known again")
        known = True
        for tp, standing in found.items():
            lag = max(0, standing.end - standing.position) + standing.waiting
            metrics.lag.labels(tp.topic, str(tp.partition)).set(lag)


async def watch_bags(
    draw: Callable[[], Awaitable[Sequence[Drawn]]],
    groups: Collection[str],
    metrics: Metrics,
    every_s: float = BAGS_EVERY_S,
) -> None:
    """Estimates what the bags of each group take, for ever: a look that fails leaves the gauges as they are.

    Only `groups` are told, whatever names the keys have.
    """
    census = Census()

    async def look() -> None:
        for group, (keys, size) in census.look(await draw()).items():
            if group in groups:
                metrics.group_keys.labels(group).set(round(keys))
                metrics.group_bytes.labels(group).set(round(size))

    await _look_again(look, "the size of the state is not known", every_s)


async def watch_servers(
    fullness: Callable[[], Awaitable[Sequence[Fullness]]], metrics: Metrics, every_s: float = BAGS_EVERY_S
) -> None:
    """Tells how full the store's servers are, for ever; one that has left is told of no more."""
    known: set[str] = set()

    async def look() -> None:
        nonlocal known
        servers = await fullness()
        for one in servers:
            metrics.store_memory.labels(one.server).set(one.used_bytes)
            metrics.store_limit.labels(one.server).set(one.most_bytes)
        for name in known - {one.server for one in servers}:
            metrics.store_memory.remove(name)
            metrics.store_limit.remove(name)
        known = {one.server for one in servers}

    await _look_again(look, "how full the store is, is not known", every_s)


class ExitCount:
    """The workers that their watchdog ended, of all workers and ever.

    Look once before metrics are served: a counter that began at nought with each process would seem to rise.
    """

    def __init__(self, newest: Callable[[int], Awaitable[Sequence[Exit]]], metrics: Metrics) -> None:
        self._newest, self._metrics, self._seen = newest, metrics, 0

    async def look(self) -> None:
        """Raises StoreDown, or Stop where we may not look."""
        for one in await self._newest(self._seen):
            self._metrics.exits.inc(one.number - self._seen)
            self._seen = one.number

    async def watch(self, every_s: float = EXITS_EVERY_S) -> None:
        """Never returns."""
        await _look_again(self.look, "how many workers the watchdog has ended is not known", every_s)


async def _look_again(look: Callable[[], Awaitable[None]], failed: str, every_s: float) -> None:
    """A login may not be permitted to look: that is told once, and nothing else depends on it."""
    known = True
    while True:
        try:
            await look()
        except (StoreDown, Stop) as error:
            if known:
                log.warning(failed, extra={"why": str(error)})
            known = False
        else:
            known = True
        await asyncio.sleep(every_s)


class _Acknowledged(NamedTuple):
    """What is counted of a range's outputs: the outputs themselves are let go."""

    topic: str
    at_ms: float  # when it was acknowledged
    sent: list[str]  # the topic of each record
    actions: Counter[str]
    dead: Counter[str]
    joined: Counter[str]
    recovered: int  # decisions that say so
    late: int
    scores: npt.NDArray[np.float64]
    record_ms: Ints  # of each decision
    event_ms: Ints  # of each event, by its own time


class MeteredSink:
    """A sink that unpacks a range's outputs for the one behind it, and counts them once they are acknowledged."""

    def __init__(
        self,
        behind: Sink[Sequence[Output]],
        metrics: Metrics,
        now: Callable[[], float] = time.time,
        groups: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """`groups`: those whose bags the events of a topic are added to."""
        self.behind, self.metrics, self.now, self.groups = behind, metrics, now, groups or {}
        self._newest_ms: dict[str, int] = {}
        self._acknowledged = Kept(metrics, self._count)

    @property
    def exactly_once(self) -> bool:
        return self.behind.exactly_once

    async def open(self, tp: Tp) -> int | None:
        return await self.behind.open(tp)

    async def newest(self, tp: Tp) -> Row | None:
        return await self.behind.newest(tp)

    async def committed(self, tp: Tp) -> int | None:
        return await self.behind.committed(tp)

    async def rows(self, tp: Tp, first: int, last: int) -> Sequence[Row]:
        return await self.behind.rows(tp, first, last)

    async def row(self, row: Row) -> None:
        await self.behind.row(row)

    async def publish(self, tp: Tp, outputs: RangeOutputs) -> None:
        await self.behind.publish(tp, outputs.records)
        self._acknowledged.add(self._of(tp.topic, outputs))

    async def transact(self, row: Row, outputs: RangeOutputs, since: int) -> None:
        await self.behind.transact(row, outputs.records, since)
        self._acknowledged.add(self._of(row.topic, outputs))

    async def again(self, tp: Tp, outputs: RangeOutputs, since: int) -> None:
        await self.behind.again(tp, outputs.records, since)
        self.metrics.published(Counter([record.topic for record in outputs.records]))

    def _of(self, topic: str, out: RangeOutputs) -> _Acknowledged:
        return _Acknowledged(
            topic,
            self.now() * 1000,
            [record.topic for record in out.records],
            out.actions,
            out.dead,
            out.joined,
            out.decided if out.recovered else 0,
            out.late,
            out.scores,
            out.record_ms if out.decided else _NONE,
            out.event_ms,
        )

    def _count(self, ranges: Sequence[_Acknowledged]) -> None:
        m = self.metrics
        m.published(Counter(chain.from_iterable(range_.sent for range_ in ranges)))
        for action, n in sum((range_.actions for range_ in ranges), Counter[str]()).items():
            m.decisions.labels(action).inc(n)
        m.recovered.inc(sum(range_.recovered for range_ in ranges))
        m.score.observe(np.concatenate([range_.scores for range_ in ranges]))
        for topic in {range_.topic for range_ in ranges}:
            of_topic = [range_ for range_ in ranges if range_.topic == topic]
            for reason, n in sum((range_.dead for range_ in of_topic), Counter[str]()).items():
                m.dead.labels(topic, reason).inc(n)
            for found, n in sum((range_.joined for range_ in of_topic), Counter[str]()).items():
                m.joined.labels(topic, found).inc(n)
            if late := sum(range_.late for range_ in of_topic):
                m.late.labels(topic).inc(late)
            at_ms = [range_.at_ms for range_ in of_topic]
            event_ms = [range_.event_ms for range_ in of_topic]
            m.latency.observe(_seconds_since([range_.record_ms for range_ in of_topic], at_ms), topic)
            m.freshness.observe(_seconds_since(event_ms, at_ms), topic)
            self._fresh(topic, int(np.concatenate(event_ms).max(initial=0)))

    def _fresh(self, topic: str, newest_ms: int) -> None:
        """Tells the newest event of each group that a topic's events are added to."""
        for group in self.groups.get(topic, ()) if newest_ms else ():
            if newest_ms > self._newest_ms.get(group, 0):
                self._newest_ms[group] = newest_ms
                self.metrics.newest.labels(group).set(newest_ms / 1000)


def _seconds_since(times: Sequence[Ints], at_ms: Sequence[float]) -> npt.NDArray[np.float64]:
    """From each of the times, epoch ms, of several ranges to when its range was acknowledged."""
    return (np.repeat(at_ms, [len(part) for part in times]) - np.concatenate(times)) / 1000
