"""A small world for replays: three topics, two groups, and a worker's ranges on a store in memory.

Ranges are begun in one order and reach each shard in another, as they do when several workers are at it: so the numbers
of a range differ widely between shards. What is compacted, and when, is up to the test.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np

from features.columns import Columns, Floats2d, Ints
from features.definitions import Definitions, Flow, Outputs, Scored
from features.feature import MONEY, RECENCY, distinct, each
from features.group import Group
from features.replay import Range
from features.vector import Vector
from features.window import Window
from schemas.decode import Decoded
from streams.outputs import Writer
from streams.past.reading import Line, Partition, Topic
from streams.protocol.memory import MemoryStore
from streams.protocol.ports import Applied, Batch, Exceptions, Limits, Open, Row, ShardBags, ShardCall, Swap, Tp
from streams.work import Prepared, RangeWork

SHARDS = 3
SECONDS = (Window("10s", 1_000, 10), Window("1m", 10_000, 6))
SPENDING = (*each(SECONDS, *MONEY), *RECENCY)
WHO = Group("who", 1, "who", (*SPENDING, *distinct(["where"], SECONDS)), exact=2, cap=3, keep=2, grace_ms=2_000)
WHERE = Group("where", 2, "where", (*SPENDING, *distinct(["who"], SECONDS)), exact=2, cap=3, grace_ms=2_000)
TOPICS = ("orders", "clicks", "noise")  # scored; of one group; of none


class Event(msgspec.Struct, frozen=True, array_like=True):
    """Something that somebody did somewhere, or nobody, nowhere."""

    who: str | None
    where: str | None
    at: int
    amount: int = 100


@dataclass(frozen=True)
class Record:
    offset: int
    value: bytes
    key: bytes | None = None
    timestamp: int = 0
    headers: Sequence[tuple[str, bytes | None]] = ()


def decode(values: Sequence[bytes | None]) -> Decoded:
    events = [msgspec.json.decode(value or b"", type=Event) for value in values]
    return Decoded(events, {}, np.array([event.at for event in events], np.int64))


def columns(events: Sequence[Event], at_ms: Ints) -> Columns:
    ids: dict[str, list[str | None]] = {"who": [e.who for e in events], "where": [e.where for e in events]}
    amount = np.array([event.amount for event in events], np.int64)
    return Columns(len(events), at_ms, amount, np.ones(len(events), np.int64), ids, {}, events)


def definitions(seen: list[Floats2d] | None = None) -> Definitions:
    """`seen` is told the rows of each range that is scored."""

    def outputs(scored: Scored) -> Sequence[Outputs]:
        if seen is not None:
            seen.append(scored.rows)
        return ()

    def flow(topic: str, *groups: Group) -> Flow:
        scored = topic == "orders"
        return Flow(topic, decode, lambda events: [str(e) for e in events], columns, groups, scored, outputs)

    vector = Vector(
        (*WHO.columns, *WHERE.columns),
        (WHO, WHERE),
        lambda _, folded: np.concatenate((folded["who"].T, folded["where"].T)),
    )
    flows = (flow("orders", WHO, WHERE), flow("clicks", WHERE), flow("noise"))
    return Definitions(flows, vector, score=lambda rows: np.zeros(len(rows)))


@dataclass
class Taking:
    """A range on its way through the shards."""

    tp: Tp
    events: Sequence[Event]
    prepared: Prepared
    calls: Sequence[ShardCall]
    replies: dict[int, Applied] = field(default_factory=dict)

    @property
    def left(self) -> list[int]:
        return [shard for shard in range(SHARDS) if shard not in self.replies]


def row_of(
    tp: Tp,
    first: int,
    last: int,
    numbers: tuple[int, ...],
    *,
    recovered: bool = False,
    exceptions: Exceptions | None = None,
) -> Row:
    return Row(tp.topic, tp.partition, tp.topic_id, first, last, "c", exceptions or {}, numbers, recovered, last)


@dataclass
class MemoryPast:
    """A past in lists: `kept` of the records and rows of each partition, from the first that is left on."""

    kept: dict[Partition, list[Any]] = field(default_factory=dict)
    rows_of: dict[Partition, list[Row]] = field(default_factory=dict)
    rows_lost: int = 0
    lagging: Sequence[Partition] = ()

    def add(self, records: Sequence[Any], row: Row) -> None:
        self.kept.setdefault((row.topic, row.partition), []).extend(records)
        self.rows_of.setdefault((row.topic, row.partition), []).append(row)

    async def topics(self, names: Sequence[str]) -> Mapping[str, Topic]:
        counts = {name: 1 + max((n for topic, n in self.kept if topic == name), default=-1) for name in names}
        return {name: Topic("t", count) for name, count in counts.items() if count}

    async def mark(self, partitions: Sequence[Partition], patience_s: float) -> Line:  # noqa: ARG002
        rows = {partition: self.rows_of.get(partition, []) for partition in partitions}
        every = [row.numbers for of_partition in rows.values() for row in of_partition]
        complete = [1 + max(numbers) for numbers in zip(*every, strict=True)]
        return Line({partition: len(held) for partition, held in rows.items()}, complete, self.lagging)

    async def rows(self, partition: Partition, since: int, until: int) -> AsyncIterator[Row]:
        for row in self.rows_of.get(partition, [])[since:until]:
            yield row

    async def records(self, partition: Partition, first: int) -> AsyncIterator[Sequence[Any]]:
        for record in self.kept.get(partition, []):
            if record.offset >= first:
                yield [record]

    async def since(self, partition: Partition, at_ms: int) -> int:
        younger = [record.offset for record in self.kept.get(partition, []) if record.timestamp >= at_ms]
        return younger[0] if younger else len(self.kept.get(partition, []))

    async def start(self, partition: Partition) -> tuple[int, int]:
        kept = self.kept.get(partition, [])
        return self.rows_lost, kept[0].offset if kept else 0


class Live:
    """Workers of several partitions; `range` begins one, `step` lets a shard take it, and the last one decides."""

    def __init__(self) -> None:
        self.seen: list[Floats2d] = []
        self.definitions = definitions(self.seen)
        self.now = 1_000
        self.store = MemoryStore(SHARDS, self._time, Limits())
        self.place: dict[Tp, int] = {}
        self.open: dict[Tp, Taking] = {}
        self.ranges: list[Range] = []
        self.rows: list[Floats2d] = []  # of the scored ones, by `Range.tag`
        self.calls: dict[bytes, int] = {}
        self.log = MemoryPast()

    def _time(self) -> int:
        self.now += 3
        return self.now

    def work(self, tp: Tp) -> RangeWork:
        flow = next(flow for flow in self.definitions.flows if flow.topic == tp.topic)
        writer = Writer(tp, same_partitions=True, feature_hash="")
        configurations: Any = {"c": None}
        return RangeWork(tp, flow, self.definitions, SHARDS, configurations, writer)

    def range(self, topic: str, partition: int, events: Sequence[Event]) -> None:
        """Begins a range; one that is still open in the partition goes through first."""
        tp = Tp(topic, partition, "t")
        while tp in self.open:
            self.step(tp, 0)
        first = self.place.get(tp, 0)
        batch: Batch[Any] = Batch(first, [Record(first + i, msgspec.json.encode(e)) for i, e in enumerate(events)])
        prepared = self.work(tp).prepare(batch)
        self.open[tp] = Taking(tp, events, prepared, self.work(tp).calls(prepared, {}, first))

    def step(self, tp: Tp, which: int) -> None:
        """One of the shards that have not taken the open range does."""
        taking = self.open[tp]
        shard = taking.left[which % len(taking.left)]
        batch = taking.prepared.batch
        args = (tp, 0, batch.first, batch.last, b"token", taking.calls[shard])
        reply = self.store.apply_one(*args, catchup=False)
        assert isinstance(reply, Applied)
        taking.replies[shard] = reply
        self.calls.update(dict.fromkeys(taking.calls[shard].keys, shard))
        if not taking.left:
            self._decide(taking)

    def _decide(self, taking: Taking) -> None:
        batch = taking.prepared.batch
        bags = [ShardBags(taking.replies[shard].number, taking.replies[shard].bags) for shard in range(SHARDS)]
        open_ = Open(batch.first, batch.last, "c", {}, b"token", recovered=False, mine=True)
        self.work(taking.tp).decide(taking.prepared, open_, bags, recovered=False)
        at_ms = np.array([event.at for event in taking.events], np.int64)
        tag = None
        if taking.tp.topic == "orders":
            tag = len(self.rows)
            self.rows.append(self.seen.pop())
        numbers = tuple(bag.number for bag in bags)
        self.ranges.append(Range(taking.tp.topic, numbers, taking.events, at_ms, tag))
        self.log.add(batch.records, row_of(taking.tp, batch.first, batch.last, numbers))
        self.place[taking.tp] = batch.last + 1
        del self.open[taking.tp]

    def swap(self, swap: Swap) -> None:
        self.store.swap_one(swap)

    def through(self) -> Iterator[Range]:
        """Brings to an end what is open; then all ranges, by their least number."""
        while self.open:
            self.step(next(iter(self.open)), 0)
        return iter(sorted(self.ranges, key=lambda range_: min(range_.numbers)))
