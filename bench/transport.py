"""What the transport costs: us of CPU a message to receive and deliver, and to publish; and its latency.

    python -m bench.transport [--messages 200000] [--bytes 250] [--broker auto|kafka|embedded] [--rate 2000]

Starts a broker of its own: Apache Kafka where Java and its jars are, else the embedded one. `receive` is everything
from the socket to a driver's range, Faust's agent included, in ranges of 2000; `publish` is everything from `Output` to
the acknowledgement. CPU is that of this process (consumer thread included), so other load on the machine matters
little. Latency is from the send to the moment at which a driver has the record, at a steady rate. Price: the broker
runs beside it, so rates (records a second) are those of a shared machine.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]  # it has no types

from streams.embedded.broker import start_broker
from streams.embedded.processes import Children, free_port
from streams.protocol.ports import Tp
from streams.transport.app import make_app
from streams.transport.link import Link
from streams.transport.log import LogReader
from streams.transport.output import Output
from streams.transport.partitions import PartitionTasks
from streams.transport.profile import Profile, profile_of
from streams.transport.publisher import Publisher
from streams.transport.quiet import quieten
from streams.transport.serve import serve
from streams.transport.source import KafkaSource
from tests.support.kafka import start_kafka

PARTITIONS = 4
RANGE = 2_000
USERS = 5_000


def broker_of(kind: str, children: Children) -> str:
    """Starts a broker; returns its address."""
    if kind != "embedded":
        try:
            return start_kafka(children).address
        except BaseException:  # pytest's skip, which is no Exception, where Java is absent
            if kind == "kafka":
                raise
    return start_broker(children, free_port()).address


def outputs(topic: str, count: int, size: int, *, named: bool) -> list[Output]:
    """Messages with a user's key; `named`: with the partition known, as where a record keeps its input's key."""
    value = b"x" * size
    return [
        Output(topic, b"user-%d" % (i * 7_919 % USERS), value, (), i, i // 8 % PARTITIONS if named else None)
        for i in range(count)
    ]


@dataclass
class Reader:
    """A worker that counts; `take` sees every range."""

    link: Link
    profile: Profile
    topic: str
    take: Callable[[Sequence[Any]], None]
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        log = LogReader(self.link)
        app = make_app(f"bench-{self.topic}", self.link, self.profile)
        tasks = PartitionTasks(app, self._work_on, log).attach()

        @app.agent(app.batches(self.topic), name="bench")
        async def bench(stream: Any) -> None:
            await tasks.consume(stream)

        await serve(app, tasks, self.stopping)
        await log.stop()

    async def _work_on(self, _: Tp, source: KafkaSource) -> None:
        place = (await source.bounds())[0]
        while True:
            batch = await source.next(place)
            if batch is not None:
                self.take(batch.records)
                place = batch.last + 1
                source.done(batch.last)


async def publish(link: Link, profile: Profile, messages: list[Output]) -> tuple[float, float]:
    """us of CPU a message, messages a second."""
    publisher = Publisher(link, profile)
    await publisher.send(messages[:RANGE])
    cpu_s, at_s = time.process_time(), time.perf_counter()
    for first in range(0, len(messages), RANGE):
        await publisher.send(messages[first : first + RANGE])
    cpu_s, at_s = time.process_time() - cpu_s, time.perf_counter() - at_s
    await publisher.stop()
    return cpu_s / len(messages) * 1e6, len(messages) / at_s


async def receive(link: Link, profile: Profile, topic: str, count: int) -> tuple[float, float]:
    """us of CPU a message, messages a second, from the first range on."""
    seen, began = 0, (0.0, 0.0)
    finished = asyncio.Event()

    def take(records: Sequence[Any]) -> None:
        nonlocal seen, began
        if not seen:
            began = time.process_time(), time.perf_counter()
        seen += len(records)
        if seen >= count:
            finished.set()

    reader = Reader(link, profile, topic, take)
    running = asyncio.create_task(reader.run())
    await finished.wait()
    cpu_s, at_s = time.process_time() - began[0], time.perf_counter() - began[1]
    reader.stopping.set()
    await running
    return cpu_s / seen * 1e6, seen / at_s


async def latency(link: Link, profile: Profile, topic: str, rate: int, seconds: int = 10) -> list[float]:
    """ms from send to range, sorted; the first second does not count."""
    took: list[float] = []
    begun = asyncio.Event()

    def take(records: Sequence[Any]) -> None:
        now = time.perf_counter_ns()
        took.extend((now - int(record.key)) / 1e6 for record in records)
        begun.set()

    reader = Reader(link, profile, topic, take)
    running = asyncio.create_task(reader.run())
    publisher = Publisher(link, profile)
    every_s = max(0.005, 1 / rate)
    await publisher.send([Output(topic, b"%d" % time.perf_counter_ns(), b"x")])
    await begun.wait()
    due = time.perf_counter()
    for _ in range(int(seconds / every_s)):
        now = b"%d" % time.perf_counter_ns()
        batch = [Output(topic, now, b"x" * 250, (), 0, i % PARTITIONS) for i in range(int(rate * every_s))]
        await publisher.send(batch)
        due += every_s
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    await asyncio.sleep(0.5)
    reader.stopping.set()
    await running
    await publisher.stop()
    return sorted(took[rate:])


async def main(args: argparse.Namespace, link: Link) -> None:
    async with AsyncExitStack() as stack:
        log = LogReader(link)
        stack.push_async_callback(log.stop)
        profile = await profile_of("auto", log)
        topics = ["named", "keyed", "paced"]
        admin = AIOKafkaAdminClient(bootstrap_servers=link.brokers)
        await admin.start()
        await admin.create_topics([NewTopic(topic, PARTITIONS, 1) for topic in topics])
        await admin.close()
        print(f"{profile.name}, {args.messages} messages of {args.bytes} bytes, ranges of {RANGE}")
        for topic in topics[:2]:
            messages = outputs(topic, args.messages, args.bytes, named=topic == "named")
            cpu_us, per_s = await publish(link, profile, messages)
            print(f"publish, partition {topic:5}  {cpu_us:5.2f} us  {per_s:9,.0f}/s")
        cpu_us, per_s = await receive(link, profile, "named", args.messages)
        print(f"receive and deliver       {cpu_us:5.2f} us  {per_s:9,.0f}/s")
        took = await latency(link, profile, "paced", args.rate)
        p50, p95, p99 = (took[int(len(took) * share)] for share in (0.50, 0.95, 0.99))
        print(f"latency at {args.rate}/s  p50 {p50:.1f}  p95 {p95:.1f}  p99 {p99:.1f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=200_000)
    parser.add_argument("--bytes", type=int, default=250)
    parser.add_argument("--rate", type=int, default=2_000)
    parser.add_argument("--broker", choices=["auto", "kafka", "embedded"], default="auto")
    arguments = parser.parse_args()
    quieten()
    with Children() as own:
        asyncio.run(main(arguments, Link(broker_of(arguments.broker, own))))
