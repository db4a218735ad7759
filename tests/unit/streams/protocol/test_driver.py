"""One partition's worker on the memory store: in peace, in an outage, at a change of owner and at a stop."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

import pytest

from streams.protocol.driver import Driver, Pace
from streams.protocol.memory import MemoryStore
from streams.protocol.observer import RangeDone, Silent
from streams.protocol.ports import Batch, Fenced, Limits, Open, Row, ShardBags, Stop, Tp
from tests.simulation.links import Published, SinkLink, SourceLink, StoreLink, Weather
from tests.simulation.log import KEYS, START_MS, Partition, Record
from tests.simulation.work import Decision, Output, Prepared, SimWork, Told, meaning, parse

TP = Tp("orders", 0, "a")
LIMITS = Limits(dedup_offsets=1000)


class Diary(Silent):
    def __init__(self) -> None:
        self.ranges: list[RangeDone] = []
        self.outages: list[float] = []
        self.stalls = 0
        self.caught: list[tuple[int, int, int]] = []

    def done(self, tp: Tp, done: RangeDone) -> None:  # noqa: ARG002
        self.ranges.append(done)

    def outage(self, tp: Tp, error: Exception, wait_s: float) -> None:  # noqa: ARG002
        self.outages.append(wait_s)

    def stalled(self, tp: Tp, seconds: float) -> None:  # noqa: ARG002
        self.stalls += 1

    def caught_up(self, tp: Tp, shard: int, first: int, last: int) -> None:  # noqa: ARG002
        self.caught.append((shard, first, last))


class Bench:
    """A partition with ten orders, its store and its broker; workers are hired one after the other."""

    def __init__(self, *, exactly_once: bool = False, start: int = 0) -> None:
        self.rng = random.Random(5)
        records = [
            Record(start + i, START_MS + i, START_MS + i, 1000 + i, i, False, (KEYS[i % 2], KEYS[2])) for i in range(10)
        ]
        self.partition = Partition(TP, 0, True, LIMITS, records, start)
        self.now_us = START_MS * 1000
        self.store = MemoryStore(3, self._time_us, LIMITS)
        self.published, self.weather, self.diary = Published(), Weather(self.rng), Diary()
        self.exactly_once = exactly_once
        self.told: list[Told] = []
        self.config = "c1"
        self.naps: list[float] = []
        self.clock_s = 0.0

    def _time_us(self) -> int:
        self.now_us += 1
        return self.now_us

    async def nap(self, seconds: float) -> None:
        self.naps.append(seconds)
        await asyncio.sleep(0)

    def sink(self) -> SinkLink:
        return SinkLink(self.published, self.weather, self.told.append, exactly_once=self.exactly_once)

    def hire(
        self,
        *,
        tp: Tp = TP,
        sink: SinkLink | None = None,
        source: SourceLink | None = None,
        work: SimWork | None = None,
        most: int = 4,
    ) -> Driver[Record, Prepared, list[Output]]:
        return Driver(
            tp,
            StoreLink(self.store, self.weather, lambda: 0),
            source or SourceLink(self.partition, self.rng, most),
            sink or self.sink(),
            work or SimWork(self.partition, self.store.shards, self.rng),
            lambda: self.config,
            limits=LIMITS,
            pace=Pace(stall_s=5.0, chunk=3),
            observer=self.diary,
            sleep=self.nap,
            clock=lambda: self.clock_s,
            token=lambda: self.rng.randbytes(6),
        )

    def decided(self) -> list[int]:
        return [d.offset for d in self.published.decisions]

    def closed(self) -> bool:
        home = self.store.home(TP)
        return home is not None and home.open is None and home.position == self.partition.end

    async def work(self, until: Callable[[], bool], driver: Driver[Record, Prepared, list[Output]]) -> None:
        task = asyncio.create_task(driver.run())
        for _ in range(20_000):
            if task.done() or until():
                break
            await asyncio.sleep(0)
        if task.done():
            await task
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert until()


async def test_every_order_is_decided_once_and_the_last_range_is_closed_when_idle() -> None:
    bench = Bench()
    await bench.work(bench.closed, bench.hire())
    assert bench.decided() == list(range(10))
    assert not any(d.recovered for d in bench.published.decisions)
    assert [meaning(bench.store.bags()[key])[0] for key in KEYS[:3]] == [5, 5, 10]


async def test_a_second_order_of_a_card_sees_the_first_of_the_same_batch() -> None:
    bench = Bench()
    await bench.work(bench.closed, bench.hire(most=10))
    shared = [dict(d.vector)[KEYS[2]][0] for d in bench.published.decisions]
    assert shared == list(range(1, 11))


async def test_the_row_is_acknowledged_before_the_outputs_are_sent() -> None:
    bench = Bench()
    order: list[str] = []

    class Watched(SinkLink):
        async def row(self, row: Row) -> None:
            await super().row(row)
            order.append("row acknowledged")

        async def publish(self, tp: Tp, outputs: list[Output]) -> None:
            order.append("outputs sent")
            await super().publish(tp, outputs)

    sink = Watched(bench.published, bench.weather, bench.told.append, exactly_once=False)
    await bench.work(bench.closed, bench.hire(sink=sink))
    assert order == ["row acknowledged", "outputs sent"] * (len(order) // 2)


async def test_the_next_owner_repeats_an_open_range_byte_for_byte_under_its_own_configuration() -> None:
    bench = Bench()
    await bench.work(lambda: len(bench.decided()) > 0, bench.hire(most=10))
    first = list(bench.published.decisions)
    bench.config = "c2"
    await bench.work(bench.closed, bench.hire(most=3))
    assert bench.published.decisions[: len(first)] == first
    by_offset: dict[int, set[Decision]] = {}
    for decision in bench.published.decisions:
        by_offset.setdefault(decision.offset, set()).add(decision)
    assert sorted(by_offset) == list(range(10))
    assert all(len(values) == 1 for values in by_offset.values())
    assert {d.config for d in first} == {"c1"}


async def test_the_next_batch_is_fetched_while_a_range_waits_for_its_acknowledgements() -> None:
    bench = Bench()
    asked: list[int] = []

    class Slow(SinkLink):
        async def row(self, row: Row) -> None:
            for _ in range(50):
                await asyncio.sleep(0)
            asked.append(-1)
            await super().row(row)

    class Watched(SourceLink):
        async def next(self, place: int) -> Batch[Record] | None:
            asked.append(place)
            return await super().next(place)

    slow = Slow(bench.published, bench.weather, bench.told.append, exactly_once=False)
    await bench.work(bench.closed, bench.hire(sink=slow, source=Watched(bench.partition, bench.rng, 4)))
    before_the_first_row = asked[: asked.index(-1)]
    assert len([place for place in before_the_first_row if place > 0]) == 1


async def test_an_open_range_is_held_before_what_follows_it_is_asked_for() -> None:
    bench = Bench()
    await bench.work(lambda: len(bench.decided()) > 0, bench.hire(most=10))
    told: list[tuple[str, int]] = []

    class Watched(SourceLink):
        def hold(self, last: int) -> None:
            told.append(("hold", last))

        async def next(self, place: int) -> Batch[Record] | None:
            told.append(("next", place))
            return await super().next(place)

    await bench.work(bench.closed, bench.hire(source=Watched(bench.partition, bench.rng, 10)))
    _, last = told[0]
    assert told[:2] == [("hold", last), ("next", last + 1)]


async def test_an_outage_is_waited_out_with_growing_pauses_and_nothing_is_lost() -> None:
    bench = Bench()
    bench.weather.store = 1.0
    await bench.work(lambda: len(bench.naps) > 12, driver := bench.hire())
    assert bench.naps[:4] == [0.05, 0.1, 0.2, 0.4]
    assert bench.naps[-1] == 5.0
    assert bench.diary.outages == bench.naps
    bench.weather.clear()
    await bench.work(bench.closed, driver)
    assert bench.decided() == list(range(10))


async def test_a_broker_that_fails_on_either_side_loses_nothing() -> None:
    bench = Bench()
    bench.weather.sink = 0.3
    await bench.work(bench.closed, bench.hire())
    assert set(bench.decided()) == set(range(10))


async def test_exactly_once_decides_each_order_once_through_failures() -> None:
    bench = Bench(exactly_once=True)
    bench.weather.sink = bench.weather.store = 0.1
    await bench.work(bench.closed, bench.hire())
    assert bench.decided() == list(range(10))
    assert bench.published.committed == 10


async def test_a_fenced_owner_gives_the_partition_up() -> None:
    bench = Bench(exactly_once=True)
    sink = bench.sink()
    await bench.work(lambda: len(bench.decided()) > 0, bench.hire(sink=sink))
    bench.published.epoch += 1
    sink.open = _already_open  # type: ignore[method-assign]  # it does not fence anew
    with pytest.raises(Fenced):
        await bench.work(lambda: False, bench.hire(sink=sink))


async def _already_open(tp: Tp) -> int:  # noqa: ARG001
    return 0


async def test_after_a_standstill_the_place_is_learnt_anew_before_anything_is_published() -> None:
    bench = Bench()
    frozen = iter([True])

    class Freezing(SimWork):
        def decide(self, prepared: Prepared, range_: Open, bags: Sequence[ShardBags], recovered: bool) -> list[Output]:
            bench.clock_s += 6.0 if next(frozen, False) else 0.0
            return super().decide(prepared, range_, bags, recovered)

    await bench.work(bench.closed, bench.hire(work=Freezing(bench.partition, 3, bench.rng)))
    assert bench.diary.stalls == 1
    assert bench.decided() == list(range(10))
    assert bench.diary.ranges[0].repeat


async def test_a_shard_that_lost_its_tail_under_a_quiet_partition_is_caught_up_in_silence() -> None:
    bench = Bench()
    empty = bench.store.snapshot()
    await bench.work(bench.closed, driver := bench.hire())
    clean = {key: meaning(bag) for key, bag in bench.store.bags().items()}
    shard = next(i for i in range(3) if bench.store.shard(i).bags and not bench.store.shard(i).homes)
    bench.store.restore(empty, [shard])
    await bench.work(lambda: bool(bench.diary.caught) and bench.diary.caught[-1][2] == 9, driver)
    assert {key: meaning(bag) for key, bag in bench.store.bags().items()} == clean
    assert bench.decided() == list(range(10))
    assert bench.diary.caught == [(shard, 0, 2), (shard, 3, 5), (shard, 6, 8), (shard, 9, 9)]


async def test_a_quiet_partition_does_not_hold_up_compaction() -> None:
    bench = Bench()
    await bench.work(lambda: bench.closed() and not _notes(bench), bench.hire())
    assert _notes(bench) == []


def _notes(bench: Bench) -> list[object]:
    held = [bench.store.shard(i).held[TP.topic, TP.partition] for i in range(3)]
    return [h.note for h in held if h.note is not None]


async def test_what_a_range_did_is_told_once() -> None:
    bench = Bench()
    bench.partition.records[3] = replace(bench.partition.records[3], event_id=1000, payload=0)
    await bench.work(bench.closed, bench.hire(most=10))
    assert sum(done.records for done in bench.diary.ranges) == 10
    assert {o: v.name for done in bench.diary.ranges for o, v in done.exceptions.items()} == {3: "DUPLICATE"}
    assert bench.diary.ranges[-1].window_ids == 9


async def test_a_cancelled_worker_leaves_no_task_behind() -> None:
    bench = Bench()
    await bench.work(lambda: len(bench.decided()) > 0, bench.hire())
    for _ in range(30):
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}


# ---- stops


async def stops(bench: Bench, tp: Tp = TP) -> str:
    with pytest.raises(Stop) as stop:
        await bench.work(lambda: False, bench.hire(tp=tp))
    return str(stop.value)


async def test_a_topic_made_anew_stops_the_worker_and_names_rebase() -> None:
    bench = Bench()
    await bench.work(bench.closed, bench.hire())
    assert "headrace state rebase orders" in await stops(bench, replace(TP, topic_id="b"))


async def test_an_empty_store_under_rows_stops_the_worker_and_names_rebuild() -> None:
    bench = Bench()
    empty = bench.store.snapshot()
    await bench.work(bench.closed, bench.hire(most=3))
    bench.store.restore(empty)
    assert "headrace state rebuild" in await stops(bench)


async def test_an_empty_store_under_committed_offsets_stops_the_worker_and_names_rebuild() -> None:
    bench = Bench()
    bench.published.committed = 4
    message = await stops(bench)
    assert "offset 4 is committed" in message
    assert "headrace state rebuild" in message


async def test_an_empty_store_that_only_published_the_first_range_begins_again_and_says_recovered() -> None:
    bench = Bench()
    empty = bench.store.snapshot()
    await bench.work(lambda: len(bench.decided()) > 0, bench.hire(most=3))
    bench.store.restore(empty)
    await bench.work(bench.closed, bench.hire(most=3))
    assert set(bench.decided()) == set(range(10))
    again = [d for d in bench.published.decisions if d.offset == 0][1:]
    assert all(d.recovered for d in again)


async def test_a_log_that_begins_after_the_place_stops_the_worker() -> None:
    bench = Bench()
    await bench.work(lambda: len(bench.decided()) > 0, bench.hire(most=3))
    bench.partition.start = 10
    assert "the log begins at 10" in await stops(bench)


async def test_a_log_that_ends_before_the_place_stops_the_worker() -> None:
    bench = Bench()
    await bench.work(bench.closed, bench.hire())
    del bench.partition.records[4:]
    assert "the log ends at 4" in await stops(bench)


async def test_an_open_range_that_the_log_no_longer_holds_whole_stops_the_worker() -> None:
    bench = Bench()
    await bench.work(lambda: bench.store.home(TP) is not None, bench.hire(most=4))
    home = bench.store.home(TP)
    assert home is not None
    bench.partition.records = [r for r in bench.partition.records if r.offset != home.position - 1]
    assert "cannot be read whole" in await stops(bench)


async def test_stamps_grow_and_never_repeat_over_a_rollback() -> None:
    bench = Bench()
    empty = bench.store.snapshot()
    await bench.work(bench.closed, driver := bench.hire(most=3))
    before = {stamp for bag in bench.store.bags().values() for stamp, _ in parse(bag)[2]}
    shard = next(i for i in range(3) if bench.store.shard(i).bags and not bench.store.shard(i).homes)
    bench.store.restore(empty, [shard])
    bench.diary.caught.clear()
    await bench.work(lambda: bool(bench.diary.caught), driver)
    again = {stamp for bag in bench.store.shard(shard).bags.values() for stamp, _ in parse(bag)[2]}
    assert not before & again
