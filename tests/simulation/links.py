"""The ports of one simulated worker: every call waits before and after its effect, and may fail on either side.

Before the effect: the worker may die and nothing happened. After it: it happened and nobody heard. Between the shards
of one call anything may come too. And what failed may arrive after all, long after the worker has given it up.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from streams.protocol.apart import take_apart
from streams.protocol.ports import (
    LATE_ROWS,
    ApplyReply,
    Batch,
    Begin,
    BeginReply,
    Exceptions,
    Fenced,
    IdLog,
    Row,
    ShardCall,
    SinkDown,
    Standing,
    StoreDown,
    Swap,
    Tp,
    Unsaid,
)
from tests.simulation.log import Partition, Record
from tests.simulation.stores import SteppedStore
from tests.simulation.threads import STEP, instant
from tests.simulation.work import Decision, Output, Told

T = TypeVar("T")

ARRIVES_LATE = 0.5  # of the calls that failed before their effect


@dataclass(slots=True)
class Published:
    """What readers of the output topics can see of one partition, and what the broker keeps for its owner."""

    decisions: list[Decision] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    committed: int | None = None
    epoch: int = 0


@dataclass(slots=True)
class Weather:
    """How likely a call fails; nought once the world is calm."""

    rng: random.Random
    store: float = 0.0
    sink: float = 0.0
    store_down_until: int = 0
    on_the_way: list[tuple[int, Callable[[], object]]] = field(default_factory=list)  # step of arrival, effect
    late: int = 0  # calls that arrived so

    def arrive(self, now: int) -> None:
        """What was given up and is there now takes effect; nobody hears of it."""
        due = [effect for step, effect in self.on_the_way if step <= now]
        if due:
            self.on_the_way = [waiting for waiting in self.on_the_way if waiting[0] > now]
            self.late += len(due)
            for effect in due:
                effect()

    def clear(self) -> None:
        self.store = self.sink = 0.0
        self.store_down_until = 0


class StoreLink:
    """`ports.Store` over a store whose calls never wait."""

    def __init__(self, store: SteppedStore, weather: Weather, now: Callable[[], int]) -> None:
        self._store, self._weather, self._now = store, weather, now

    @property
    def shards(self) -> int:
        return self._store.shards

    def _trouble(self, unsent: Sequence[Callable[[], object]] = ()) -> None:
        """Raises where a call fails; each shard's part of it that has not arrived yet may do so later."""
        weather = self._weather
        if self._now() < weather.store_down_until or weather.rng.random() < weather.store:
            for action in unsent:
                if weather.rng.random() < ARRIVES_LATE:
                    weather.on_the_way.append((self._now() + weather.rng.choice((3, 40, 300)), action))
            raise StoreDown("a simulated store is away")

    async def _call(self, action: Callable[[], T]) -> T:
        await STEP
        self._trouble([action])
        result = action()
        await STEP
        self._trouble()
        return result

    async def _each(self, actions: Sequence[Callable[[], T]]) -> list[T]:
        """One atomic step per shard, in any order, with anything in between."""
        await STEP
        results: dict[int, T] = {}
        order = list(range(len(actions)))
        self._weather.rng.shuffle(order)
        for place, index in enumerate(order):
            if self._weather.rng.random() < 0.4:
                await STEP
            self._trouble([actions[later] for later in order[place:]])
            results[index] = actions[index]()
        await STEP
        self._trouble()
        return [results[index] for index in range(len(actions))]

    async def begin(self, tp: Tp, asked: Begin) -> BeginReply:
        return await self._call(lambda: instant(self._store.begin(tp, asked)))

    async def take(
        self, tp: Tp, asked: Begin, calls: Sequence[ShardCall]
    ) -> tuple[BeginReply, Sequence[ApplyReply] | None]:
        """In one step as on one server, or in two as on a cluster."""
        if self._weather.rng.random() < 0.5:
            return await self._call(lambda: instant(self._store.take(tp, asked, calls)))
        return await take_apart(self, tp, asked, calls)

    async def verdicts(self, tp: Tp, first: int, last: int) -> Exceptions | Unsaid:
        return await self._call(lambda: instant(self._store.verdicts(tp, first, last)))

    async def ids(self, tp: Tp) -> IdLog | None:
        return await self._call(lambda: instant(self._store.ids(tp)))

    async def apply(
        self,
        tp: Tp,
        genesis: int,
        first: int,
        last: int,
        token: bytes,
        calls: Sequence[ShardCall],
        *,
        catchup: bool = False,
        again: bool = False,
    ) -> Sequence[ApplyReply]:
        def one(call: ShardCall) -> Callable[[], ApplyReply]:
            args = (tp, genesis, first, last, token, call)
            return lambda: self._store.apply_one(*args, catchup=catchup, again=again)

        return await self._each([one(call) for call in calls])

    async def read(self, calls: Sequence[ShardCall]) -> Sequence[Sequence[bytes | None]]:
        return await self._call(lambda: instant(self._store.read(calls)))

    async def where(self, tp: Tp, closed: int | None = None) -> Sequence[Standing | None]:
        def one(shard: int) -> Callable[[], Standing | None]:
            return lambda: self._store.where_one(tp, shard, closed)

        return await self._each([one(shard) for shard in range(self.shards)])

    async def looked(self, tp: Tp, notes: Mapping[int, tuple[int, int]], upto: int) -> None:
        def one(shard: int) -> Callable[[], None]:
            return lambda: instant(self._store.looked(tp, {shard: notes[shard]}, upto))

        await self._each([one(shard) for shard in notes])

    async def empty(self) -> bool:
        return await self._call(lambda: instant(self._store.empty()))

    async def swap(self, swaps: Sequence[Swap]) -> int:
        def one(swap: Swap) -> Callable[[], bool]:
            return lambda: self._store.swap_one(swap)

        return sum(await self._each([one(swap) for swap in swaps]))

    async def rebase(self, tp: Tp, shard: int, old: Standing, genesis: int, ids: Sequence[bytes] | None) -> bool:
        return await self._call(lambda: instant(self._store.rebase(tp, shard, old, genesis, ids)))


class SourceLink:
    """`ports.Source` over a partition's log; batches are cut anywhere, and now and then none is there in time."""

    def __init__(self, partition: Partition, rng: random.Random, most: int) -> None:
        self._partition, self._rng, self._most = partition, rng, most

    async def next(self, place: int) -> Batch[Record] | None:
        await STEP
        if self._rng.random() < 0.08:
            return None
        batch = self._partition.batch(place, 2**62, self._rng.randint(1, self._most))
        await STEP
        return batch

    def hold(self, last: int) -> None: ...

    def done(self, last: int) -> None: ...

    async def read(self, first: int, last: int) -> Batch[Record] | None:
        await STEP
        return self._partition.batch(first, last, 2**62)

    async def bounds(self) -> tuple[int, int]:
        await STEP
        return self._partition.start, self._partition.end


class SinkLink:
    """`ports.Sink`; a send that fails may have arrived."""

    def __init__(
        self,
        published: Published,
        weather: Weather,
        tell: Callable[[Told], None],
        *,
        exactly_once: bool,
        fence_first: bool = True,
    ) -> None:
        """`tell` puts what is told where flows meet into the log that is read back."""
        self._published, self._weather, self._tell = published, weather, tell
        self._exactly_once, self._fence_first = exactly_once, fence_first
        self._epoch = -1

    @property
    def exactly_once(self) -> bool:
        return self._exactly_once

    def _trouble(self) -> None:
        if self._weather.rng.random() < self._weather.sink:
            raise SinkDown("a simulated broker is away")

    async def _send(self, effect: Callable[[], Any]) -> None:
        await STEP
        self._trouble()
        effect()
        await STEP
        self._trouble()

    async def open(self, tp: Tp) -> int | None:  # noqa: ARG002
        if not self._exactly_once:
            return None
        committed = self._published.committed
        for _ in range(1 if self._fence_first else 20):
            await STEP
        self._trouble()
        self._published.epoch += 1
        self._epoch = self._published.epoch
        await STEP
        if self._fence_first:
            committed = self._published.committed
        await STEP
        return committed or 0

    async def newest(self, tp: Tp) -> Row | None:  # noqa: ARG002
        await STEP
        newest = self._published.rows[-LATE_ROWS:]
        return replace(newest[-1], horizon=max(row.horizon for row in newest)) if newest else None

    async def committed(self, tp: Tp) -> int | None:  # noqa: ARG002
        await STEP
        return self._published.committed

    async def rows(self, tp: Tp, first: int, last: int) -> Sequence[Row]:  # noqa: ARG002
        await STEP
        return [row for row in self._published.rows if row.first <= last and first <= row.last]

    async def row(self, row: Row) -> None:
        await self._send(lambda: self._published.rows.append(row))

    async def publish(self, tp: Tp, outputs: list[Output]) -> None:  # noqa: ARG002
        for output in outputs:
            if self._weather.rng.random() < 0.3:
                await STEP
                self._trouble()
            self._take(output)
        await STEP
        self._trouble()

    def _take(self, output: Output) -> None:
        if isinstance(output, Told):
            self._published.told.append(output)
            self._tell(output)
        else:
            self._published.decisions.append(output)

    async def transact(self, row: Row, outputs: list[Output], since: int) -> None:
        def commit() -> None:
            self._fenced()
            for output in outputs:
                if output.offset >= since:
                    self._take(output)
            self._published.rows.append(row)
            self._published.committed = max(since, row.last + 1)

        await self._send(commit)

    def _fenced(self) -> None:
        if self._epoch != self._published.epoch:
            raise Fenced("another owner opened the transactional id")

    async def again(self, tp: Tp, outputs: list[Output], since: int) -> None:
        if not self._exactly_once:
            await self.publish(tp, outputs)
            return

        def commit() -> None:
            self._fenced()
            for output in outputs:
                self._take(output)
            self._published.committed = since

        await self._send(commit)
