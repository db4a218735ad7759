"""What TLS and logins cost a worker: us of CPU an order, to Kafka and to the store, as a ratio within one run.

    python -m bench.wire [--slices 30]

The parts of a worker that a wire is in, on real services, in short slices that take turns: the shop's whole vector for
2,000 orders on a store (bench/hotpath.py), behind a door with TLS and behind one without; reading these orders from
Apache Kafka and publishing what was decided, by the plain listener, with a certificate (mutual TLS), and by SCRAM over
TLS. The store that comes with Headrace has no TLS, hence the doors (bench/door.py), whose CPU is not counted. A part
costs what its cheapest plain slice did, since other work on the machine only ever adds, times the median ratio of the
slices that were taken one after the other. The price: a worker at its Kafka has other threads and other batches; what
is compared is the bytes and the calls.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np

from bench import figure
from bench.full_vector import orders
from bench.hotpath import PARTITIONS, ListSource, Memory, NullSink, Stopwatch, by_partition, drivers
from features.packed import kernel
from features.shop import shop_definitions
from schemas.settings import Settings, load
from streams.data.topics import create_topics
from streams.embedded.processes import LOCALHOST, Children, free_port, start_service
from streams.embedded.store import start_store
from streams.growth import Appetite
from streams.loops import new_event_loop
from streams.outputs import RangeOutputs
from streams.protocol.ports import Tp
from streams.space import open_store
from streams.stores.valkey import ValkeyStore
from streams.transport.link import Link
from streams.transport.log import LogReader
from streams.transport.output import Output
from streams.transport.profile import KAFKA, Profile
from streams.transport.publisher import Publisher
from streams.transport.quiet import quieten
from tests.support.secured import Secured, start_secured
from tests.support.tls import Authority

SLICE: Final = 2_000  # orders
MOST_LOGIN: Final = 1.05  # of TLS alone: a login is made once a connection. Of the rest only the measure was asked for
ROWS: Final = {  # how a worker gets in: to Kafka, to the store
    "plain": ("plain", "plain"),
    "kafka-tls": ("certificate", "plain"),
    "kafka-tls-scram": ("login", "plain"),
    "store-tls": ("plain", "tls"),
    "kafka-tls-scram-store-tls": ("login", "tls"),
}


class KeptSink(NullSink):
    """Keeps what is to be published."""

    def __init__(self) -> None:
        self.outputs: list[Output] = []

    async def publish(self, tp: Tp, outputs: RangeOutputs) -> None:  # noqa: ARG002 - the sink's seam
        self.outputs += outputs.records


@dataclass
class OnStore:
    """Decides slice after slice by a store of its own; the log is longer each time."""

    store: ValkeyStore
    settings: Settings
    logs: Sequence[Sequence[Memory]]
    taken: int = 0
    sink: KeptSink = field(default_factory=KeptSink)

    async def slice(self) -> None:
        self.taken += SLICE // PARTITIONS
        appetite, watch = Appetite(SLICE), Stopwatch()
        sources = [ListSource(log[: self.taken], appetite) for log in self.logs]
        self.sink.outputs.clear()
        made = drivers(shop_definitions(), self.store, self.settings, sources, watch, sink=self.sink)
        tasks = [asyncio.create_task(driver.run()) for driver in made]
        await asyncio.gather(*(source.idle.wait() for source in sources))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass
class OnKafka:
    """Reads orders and publishes decisions by one way in."""

    reader: LogReader
    publisher: Publisher
    outputs: Sequence[Output] = ()

    async def read(self) -> None:
        for partition in range(PARTITIONS):
            found = await self.reader.read("orders", partition, 0, SLICE // PARTITIONS - 1)
            assert len(found) == SLICE // PARTITIONS

    async def publish(self) -> None:
        await self.publisher.send(self.outputs)


Part = Callable[[], Awaitable[None]]


async def measured(what: str, parts: Mapping[str, Part], slices: int) -> dict[str, float]:
    """us of this process's CPU an order, by `what` and the way; the first way is the plain one.

    The first slice of each warms it up.
    """
    cpu: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(slices + 1):
        for name, part in parts.items():
            started = time.process_time()
            await part()
            cpu[name].append((time.process_time() - started) / SLICE * 1e6)
    plain = np.array(next(iter(cpu.values()))[1:])
    ratio = {name: float(np.median(np.array(each[1:]) / plain)) for name, each in cpu.items()}
    return {f"{what} {name}": round(float(plain.min()) * times, 2) for name, times in ratio.items()}


async def run(slices: int, children: Children) -> dict[str, float]:
    """Each part by its name, in us an order."""
    kernel()
    secured = start_secured(children)
    logs = by_partition(orders((slices + 3) * SLICE * 2))
    async with AsyncExitStack() as stack:
        on_store = {
            name: await _store(children, stack, secured.authority, logs, tls=name == "tls") for name in ("plain", "tls")
        }
        found = await measured("store", {name: one.slice for name, one in on_store.items()}, slices)
        await create_topics(load(kafka={"brokers": secured.broker.address}, partitions=PARTITIONS))
        on_kafka = {name: await _kafka(stack, link) for name, link in _links(secured).items()}
        first = on_kafka["plain"].publisher
        for partition, log in enumerate(logs):
            await first.send(
                [Output("orders", one.key, one.value, (), 0, partition) for one in log[: SLICE // PARTITIONS]]
            )
        for one in on_kafka.values():
            one.outputs = [made for made in on_store["plain"].sink.outputs if made.topic in ("fraud", "decisions")]
        found |= await measured("read", {name: one.read for name, one in on_kafka.items()}, slices)
        return found | await measured("publish", {name: one.publish for name, one in on_kafka.items()}, slices)


async def _store(
    children: Children, stack: AsyncExitStack, authority: Authority, logs: Sequence[Sequence[Memory]], *, tls: bool
) -> OnStore:
    """A store of its own behind a door."""
    name = "store-tls" if tls else "store"
    behind = start_store(children, free_port(), {"appendfsync": "everysec"}, name=name)
    listen = free_port()
    certificate = authority.sign("store") if tls else None
    words: list[str | Path] = [certificate.cert, certificate.key] if certificate else []
    command: list[str | Path] = [sys.executable, "-m", "bench.door", str(listen), str(behind.port), *words]
    root = {"PYTHONPATH": str(figure.ROOT)}
    start_service(children, f"door-{name}", command, lambda: _is_open(listen), 20.0, root)
    redis = {"url": f"{'rediss' if tls else 'redis'}://{LOCALHOST}:{listen}/0"}
    settings = load(redis={**redis, "ca_file": authority.cert} if tls else redis)
    store = await stack.enter_async_context(open_store(settings, shop_definitions()))
    return OnStore(store, settings, logs)


def _is_open(port: int) -> bool:
    with suppress(OSError), socket.create_connection((LOCALHOST, port), 1.0):
        return True
    return False


def _links(secured: Secured) -> dict[str, Link]:
    ways = {
        "plain": {"KAFKA__BROKERS": secured.broker.address},
        "certificate": secured.certificate(),
        "login": secured.login(),
    }
    return {
        name: Link.of(load(kafka={key.removeprefix("KAFKA__").lower(): value for key, value in said.items()}).kafka)
        for name, said in ways.items()
    }


async def _kafka(stack: AsyncExitStack, link: Link, profile: Profile = KAFKA) -> OnKafka:
    reader, publisher = LogReader(link), Publisher(link, profile)
    stack.push_async_callback(reader.stop)
    stack.push_async_callback(publisher.stop)
    return OnKafka(reader, publisher)


def rows(found: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Each way in: all its parts, and how many times the plain one's they are."""
    us = {
        name: found[f"store {store}"] + found[f"read {kafka}"] + found[f"publish {kafka}"]
        for name, (kafka, store) in ROWS.items()
    }
    return {name: {"worker_us": round(one, 1), "of_plain": round(one / us["plain"], 3)} for name, one in us.items()}


def main() -> int:
    """Prints and writes what each way in costs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=30)
    chosen = parser.parse_args()
    quieten()
    load_before = os.getloadavg()[1]
    with Children() as children, asyncio.Runner(loop_factory=new_event_loop) as runner:
        found = runner.run(run(chosen.slices, children))
    value = rows(found)
    for name, us in (*found.items(), *value.items()):
        print(f"{name:28} {us}")
    login = round(value["kafka-tls-scram"]["worker_us"] / value["kafka-tls"]["worker_us"], 3)
    figure.write(
        "wire-security",
        value={**value, "login_of_tls": login},
        target={"login_of_tls": MOST_LOGIN},
        command=f"python -m bench.wire --slices {chosen.slices}",
        data_hash=figure.hash_of(b"".join(one for _, one, _ in orders(1_000))),
        parts=found,
        load={"before": round(load_before, 1), "after": round(os.getloadavg()[1], 1)},
        holds=login <= MOST_LOGIN,
    )
    return 0 if login <= MOST_LOGIN else 1


if __name__ == "__main__":
    sys.exit(main())
