"""Where each microsecond of a range goes, without Kafka: driver, work and a real store, one partition after the other.

    python -m bench.hotpath --definitions bench/peers/headrace_job.py --range 2000

Records are the reference job's, made by the peer bench (run bench.reference once before). CPU time of this process by
stage, from the work's own notes and a profile of what is left; Valkey's CPU from its INFO.
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

from bench.reference import OUT
from features.definitions import load
from schemas.ids import partitions_for
from schemas.settings import Settings
from streams.configuration import Configurations, from_files
from streams.embedded.processes import Children, free_port
from streams.embedded.store import start_store
from streams.growth import Appetite, Growth, Stamps
from streams.outputs import RangeOutputs, Writer
from streams.protocol.driver import Driver
from streams.protocol.observer import RangeDone, Silent
from streams.protocol.ports import Batch, Row, Tp
from streams.space import limits_of, open_store
from streams.work import Prepared, RangeWork

PARTITIONS = 4


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
    async def rows(self, tp: Tp, first: int, last: int) -> Sequence[Row]:  # noqa: ARG002 - the sink's seam
        return ()


class Stopwatch(Silent):
    """Adds up the driver's stages (wall clock)."""

    def __init__(self) -> None:
        self.stamps = Stamps()
        self.wall: Counter[str] = Counter()
        self.records = self.asked = self.accepted = 0

    def done(self, tp: Tp, done: RangeDone) -> None:  # noqa: ARG002 - the observer's seam
        self.records += done.records
        for name in done.stages.__dataclass_fields__:
            self.wall[name] += getattr(done.stages, name)

    def behind(self, tp: Tp, shards: int) -> None:  # noqa: ARG002 - the observer's seam
        self.stamps.left(tp)

    def compacted(self, tp: Tp, asked: int, accepted: int) -> None:  # noqa: ARG002 - the observer's seam
        self.asked += asked
        self.accepted += accepted


class TimedWork(RangeWork):
    """Adds up the work's own stages (CPU, since nothing in it waits)."""

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
    logs: list[list[Memory]] = [[] for _ in range(PARTITIONS)]
    for (key, value), partition in zip(messages, partitions_for([k for k, _ in messages], PARTITIONS), strict=True):
        at_ms = int(value[value.rindex(b":") + 1 : -1])
        logs[partition].append(Memory(len(logs[partition]), at_ms, key, value))
    return logs


async def run(definitions_file: Path, size: int, n: int) -> None:
    logs = reference_records(n)
    definitions = load(definitions_file)
    flow = definitions.flows[0]
    with Children() as children:
        store_process = start_store(children, free_port(), {"appendfsync": "everysec"})
        settings = Settings.model_validate({"redis": {"url": store_process.url}, "features": definitions_file})
        own = from_files(definitions, None, None)
        async with open_store(settings, definitions) as store:
            configurations = Configurations(definitions, own, store.get_config)
            watch, appetite = Stopwatch(), Appetite(size)
            tasks: list[asyncio.Task[None]] = []
            sources: list[ListSource] = []
            for partition, records in enumerate(logs):
                tp = Tp(flow.topic, partition, "bench")
                writer = Writer(tp, same_partitions=True, feature_hash=definitions.vector.hash)
                growth = Growth(tp, appetite, watch.stamps)
                work = TimedWork(tp, flow, definitions, store.shards, configurations, writer, growth)
                source = ListSource(records, appetite)
                limits = limits_of(settings)
                driver: Driver[Any, Any, Any] = Driver(
                    tp, store, source, NullSink(), work, lambda: own.id, limits=limits, observer=watch
                )
                tasks.append(asyncio.create_task(driver.run()))
                sources.append(source)
            started, cpu = time.perf_counter(), time.process_time()
            await asyncio.gather(*(source.idle.wait() for source in sources))
            wall, cpu = time.perf_counter() - started, time.process_time() - cpu
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    print(f"{n} events, ranges of {size}: {n / wall:,.0f} events/s, {cpu / n * 1e6:.2f} us of CPU an event")
    print(f"  compactions  {watch.accepted} of {watch.asked} accepted")
    for name, seconds in (*TimedWork.cpu.items(), *watch.wall.items()):
        print(f"  {name:12} {seconds / n * 1e6:6.2f} us")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--definitions", type=Path, default=Path("bench/peers/headrace_job.py"))
    parser.add_argument("--range", type=int, default=2000)
    parser.add_argument("--events", type=int, default=300_000)
    a = parser.parse_args()
    asyncio.run(run(a.definitions, a.range, a.events))


if __name__ == "__main__":
    main()
