"""Where each microsecond of a range goes, without Kafka: driver, work and a real store, one partition after the other.

    python -m bench.hotpath                       the reference job; its records are the peer bench's (run
                                                  bench.reference once before)
    python -m bench.hotpath --shop --range 1000   the shop's full vector, on the orders of bench.full_vector

CPU time of this process by stage, from the work's own notes; those with `_s` are the driver's, on the wall's clock.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

from bench.full_vector import orders
from bench.reference import OUT
from features.definitions import Definitions, load
from features.packed import kernel
from features.shop import shop_definitions
from schemas.ids import partitions_for
from schemas.settings import Settings
from streams.configuration import from_files
from streams.configurations import Configurations
from streams.embedded.processes import Children, free_port
from streams.embedded.store import start_store
from streams.growth import Appetite, Growth, Stamps
from streams.outputs import RangeOutputs, Writer
from streams.protocol.driver import Driver
from streams.protocol.observer import RangeDone, Silent
from streams.protocol.ports import Batch, Row, Tp
from streams.space import limits_of, open_store
from streams.stores.valkey import ValkeyStore
from streams.work import Prepared, RangeWork

PARTITIONS = 4
REFERENCE = Path("bench/peers/headrace_job.py")


@dataclass(slots=True)
class Memory:
    """A record as the transport hands it over."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]] = ()


class ListSource:
    """A partition's log in memory; idle at its end."""

    def __init__(self, records: Sequence[Memory], appetite: Appetite) -> None:
        self.records, self.appetite, self.idle = records, appetite, asyncio.Event()

    async def next(self, place: int) -> Batch[Memory] | None:
        part = self.records[place : place + self.appetite.records]
        if part:
            return Batch(place, part)
        self.idle.set()
        await asyncio.sleep(0.2)
        return None

    def hold(self, last: int) -> None: ...

    def done(self, last: int) -> None: ...

    async def read(self, first: int, last: int) -> Batch[Memory] | None:
        return Batch(first, self.records[first : last + 1])

    async def bounds(self) -> tuple[int, int]:
        return 0, len(self.records)


class NullSink:
    """Acknowledges everything at once."""

    exactly_once = False

    async def open(self, tp: Tp) -> int | None: ...
    async def newest(self, tp: Tp) -> Row | None: ...
    async def committed(self, tp: Tp) -> int | None: ...
    async def row(self, row: Row) -> None: ...
    async def publish(self, tp: Tp, outputs: RangeOutputs) -> None: ...
    async def transact(self, row: Row, outputs: RangeOutputs, since: int) -> None: ...
    async def again(self, tp: Tp, outputs: RangeOutputs, since: int) -> None: ...
    async def rows(self, tp: Tp, first: int, last: int) -> Sequence[Row]:  # noqa: ARG002 - the sink's seam
        return ()


class Stopwatch(Silent):
    """Adds up the driver's stages (wall clock)."""

    def __init__(self) -> None:
        self.stamps = Stamps()
        self.wall: Counter[str] = Counter()
        self.records = self.ranges = self.asked = self.accepted = 0

    def done(self, tp: Tp, done: RangeDone) -> None:  # noqa: ARG002 - the observer's seam
        self.records += done.records
        self.ranges += 1
        self.wall.update(done.stages._asdict())

    def behind(self, tp: Tp, shards: int) -> None:  # noqa: ARG002 - the observer's seam
        self.stamps.left(tp)

    def compacted(self, tp: Tp, asked: int, accepted: int) -> None:  # noqa: ARG002 - the observer's seam
        self.asked += asked
        self.accepted += accepted


class TimedWork(RangeWork):
    """Adds up the work's own stages."""

    cpu: ClassVar[Counter[str]] = Counter()

    def compact(self, prepared: Prepared, bags: Any) -> Any:
        swaps = super().compact(prepared, bags)
        self.cpu.update(prepared.stages)
        return swaps


def reference_records(n: int) -> list[list[Memory]]:
    """The peer bench's events by partition; their event time is their timestamp."""
    sys.path[:0] = [str(OUT), str(OUT / "impl")]
    gen = import_module("gen")

    (OUT / "data").mkdir(exist_ok=True)
    messages = gen.load(str(OUT / "data" / f"main-{n}.pkl"), n=n)
    return by_partition([(key, value, int(value[value.rindex(b":") + 1 : -1])) for key, value in messages])


def by_partition(records: Sequence[tuple[bytes, bytes, int]]) -> list[list[Memory]]:
    """(key, value, ms) of each record -> the log of each partition."""
    logs: list[list[Memory]] = [[] for _ in range(PARTITIONS)]
    partitions = partitions_for([key for key, _, _ in records], PARTITIONS)
    for (key, value, at_ms), partition in zip(records, partitions, strict=True):
        logs[partition].append(Memory(len(logs[partition]), at_ms, key, value))
    return logs


def made(shop: bool, n: int) -> tuple[Definitions, list[list[Memory]]]:
    """What to run, and the logs of the partitions to run it on."""
    if shop:
        return shop_definitions(), by_partition(orders(n))
    logs = reference_records(n)  # its folder must be importable before the definitions are
    return load(REFERENCE), logs


def drivers(
    definitions: Definitions,
    store: ValkeyStore,
    settings: Settings,
    sources: Sequence[ListSource],
    watch: Stopwatch,
    work_of: type[RangeWork] = RangeWork,
    sink: NullSink | None = None,
) -> list[Driver[Any, Any, Any]]:
    """A driver for each partition of the definitions' first topic, with its work, as one worker has them."""
    flow, own = definitions.flows[0], from_files(definitions, None, None)
    configurations = Configurations(definitions, own, store.get_config)
    made: list[Driver[Any, Any, Any]] = []
    for partition, source in enumerate(sources):
        tp = Tp(flow.topic, partition, "bench")
        writer = Writer(tp, same_partitions=True, feature_hash=definitions.vector.hash, declared=flow.writes)
        growth = Growth(tp, source.appetite, watch.stamps)
        work = work_of(tp, flow, definitions, store.shards, configurations, writer, growth)
        limits = limits_of(settings)
        made.append(Driver(tp, store, source, sink or NullSink(), work, lambda: own.id, limits=limits, observer=watch))
    return made


async def run(shop: bool, size: int, n: int) -> None:
    kernel()
    definitions, logs = made(shop, n)
    with Children() as children:
        store_process = start_store(children, free_port(), {"appendfsync": "everysec"})
        settings = Settings.model_validate({"redis": {"url": store_process.url}})
        async with open_store(settings, definitions) as store:
            watch, appetite = Stopwatch(), Appetite(size)
            sources = [ListSource(records, appetite) for records in logs]
            work = drivers(definitions, store, settings, sources, watch, TimedWork)
            tasks = [asyncio.create_task(driver.run()) for driver in work]
            started, cpu = time.perf_counter(), time.process_time()
            await asyncio.gather(*(source.idle.wait() for source in sources))
            wall, cpu = time.perf_counter() - started, time.process_time() - cpu
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    ranges = f"ranges of {watch.records // watch.ranges} (at most {size})"
    print(f"{n} events, {ranges}: {n / wall:,.0f} events/s, {cpu / n * 1e6:.2f} us of CPU an event")
    print(f"  compactions  {watch.accepted} of {watch.asked} accepted")
    for name, seconds in (*TimedWork.cpu.items(), *watch.wall.items()):
        print(f"  {name:12} {seconds / n * 1e6:6.2f} us")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shop", action="store_true", help="the shop's definitions in place of the reference job's")
    parser.add_argument("--range", type=int, default=2000)
    parser.add_argument("--events", type=int, default=300_000)
    a = parser.parse_args()
    with patch("streams.work.perf_counter", time.process_time):  # so that other processes do not count
        asyncio.run(run(a.shop, a.range, a.events))


if __name__ == "__main__":
    main()
