"""Real `headrace worker` processes on a real broker and store, and the questions that a test asks from outside.

A `Stream` is what workers stand on: a broker with the topics of the registry, a store, settings as environment. Each
question connects anew, so a Stream can be shared by tests with event loops of their own; the price is some 30 ms each.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
from aiokafka.admin import NewTopic  # type: ignore[import-untyped]  # it ships no types

from features.shop import shop_definitions
from schemas.decode import decode_batch
from schemas.settings import Settings, load
from schemas.topics import INPUTS, TOPICS
from streams.audit import Report, audit
from streams.data.cluster import Cluster
from streams.data.consume import Read, read_all
from streams.data.record import Record
from streams.data.sender import Ack, Sender
from streams.data.topics import create_topics
from streams.embedded.processes import LOCALHOST, Child, Children, free_port
from streams.embedded.store import Store, start_store
from streams.space import open_store, plain_of
from streams.stores import admin
from streams.stores.admin import Place
from streams.transport.link import Link
from streams.transport.log import LogReader

ROOT = Path(__file__).parents[2]
SETTLED_WITHIN_S = 60.0
STARTED_WITHIN_S = 40.0
ENDED_WITHIN_S = 120.0  # of one that refuses to start: seconds, or a minute where every core is busy with other tests
POLL_S = 0.1
_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Sample:
    """One line of a scrape."""

    name: str
    labels: Labels
    value: float


@dataclass(slots=True)
class Worker:
    """A worker process."""

    child: Child
    port: int

    def scrape(self) -> str:
        """Its metrics as Prometheus would read them."""
        with urllib.request.urlopen(f"http://{LOCALHOST}:{self.port}/metrics", timeout=5) as answer:
            text: bytes = answer.read()
        return text.decode()

    def samples(self) -> list[Sample]:
        try:
            page = self.scrape()
        except OSError:
            return []
        return [
            Sample(name, dict(_LABEL.findall(labels)), float(value)) for name, labels, value in _SAMPLE.findall(page)
        ]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of the samples that have these labels; 0 where there are none, or nobody answers."""
        return sum(s.value for s in self.samples() if s.name == name and labels.items() <= s.labels.items())

    def lags(self) -> set[float]:
        """Of all its partitions; none before its first second is over."""
        return {sample.value for sample in self.samples() if sample.name == "headrace_lag_records"}

    def partitions(self) -> set[tuple[str, int]]:
        """What it works on, by its gauges."""
        found = [s.labels for s in self.samples() if s.name == "headrace_position"]
        return {(labels["topic"], int(labels["partition"])) for labels in found}

    @property
    def said(self) -> str:
        """All that it wrote."""
        return self.child.log.read_text(errors="replace")

    def kill(self) -> None:
        self.child.kill()

    def terminate(self) -> int:
        """SIGTERM; the exit code."""
        return self.child.terminate(30.0)

    async def ended(self, within_s: float = ENDED_WITHIN_S) -> int:
        """The exit code of one that ends by itself, as soon as it has."""
        await until(lambda: not self.child.running, within_s, lambda: f"it has not ended:\n{self.said}")
        return self.child.wait(0.0) or 0


@dataclass(slots=True)
class Stream:
    """What workers stand on. `environment` is added to that of every process of it."""

    children: Children
    brokers: str
    store: Store
    environment: dict[str, str] = field(default_factory=dict)
    partitions: int = 2
    group: str = field(default_factory=lambda: f"test-{uuid4().hex[:8]}")
    workers: list[Worker] = field(default_factory=list)

    # ---- processes

    def env(self, **more: str) -> dict[str, str]:
        """The settings as environment variables; `more` by their names without the prefix."""
        own = {
            "KAFKA__BROKERS": self.brokers,
            "KAFKA__GROUP": self.group,
            "REDIS__URL": self.store.url,
            "PARTITIONS": str(self.partitions),
            **self.environment,
            **more,
        }
        return {f"HEADRACE_{name}": value for name, value in own.items()}

    def worker(self, slot: int | None = None, **more: str) -> Worker:
        """Starts a worker; does not wait for it."""
        port = free_port()
        argv = [sys.executable, "-P", "-m", "streams.cli", "worker", "--metrics-port", str(port)]
        argv += [] if slot is None else ["--slot", str(slot)]
        name = f"worker-{len(self.workers)}"
        self.workers.append(Worker(self.children.start(name, argv, self.env(**more), cwd=ROOT), port))
        return self.workers[-1]

    async def working(self, *workers: Worker, within_s: float = STARTED_WITHIN_S) -> None:
        """Returns when every input partition is held by one of these workers, and each of them holds one."""
        every = {(topic, number) for topic in INPUTS for number in range(self.partitions)}

        def shared_out() -> bool:
            held = [worker.partitions() for worker in workers]
            return all(held) and sum(map(len, held)) == len(every) and set().union(*held) == every

        await until(shared_out, within_s, lambda: f"the partitions are not shared out:\n{_said(workers)}")

    async def command(self, *arguments: str, within_s: float = 60.0, **more: str) -> tuple[int, str, str]:
        """A command line of headrace: exit code, output, errors."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "streams.cli",
            *arguments,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**_environ(), **self.env(**more)},
            cwd=ROOT,
        )
        output, errors = await asyncio.wait_for(process.communicate(), within_s)
        return process.returncode or 0, output.decode(), errors.decode()

    # ---- records

    def settings(self) -> Settings:
        return load(
            kafka={"brokers": self.brokers, "group": self.group},
            redis={"url": self.store.url},
            partitions=self.partitions,
            schema_registry={"url": self.environment.get("SCHEMA_REGISTRY__URL")},
        )

    @property
    def cluster(self) -> Cluster:
        return Cluster(self.settings().kafka)

    async def send(self, *records: Record) -> list[Ack]:
        """Sends all and waits for the broker."""
        acks: list[Ack] = []
        async with self.cluster.producer() as producer:
            sender = Sender(producer, acks.append)
            await sender.send(records)
            await sender.flush()
        return acks

    async def read(self, *topics: str) -> list[Read]:
        """All that the topics hold, committed records only."""
        return [record async for records in read_all(self.cluster, topics) for record in records]

    async def decisions(self) -> dict[str, list[bytes]]:
        """The records of `fraud` by order id, in the order they are in their partition."""
        found: dict[str, list[bytes]] = {}
        for record in await self.read("fraud"):
            found.setdefault(orjson.loads(record.value or b"")["order_id"], []).append(record.value or b"")
        return found

    async def rows(self) -> list[dict[str, Any]]:
        """What `applied` holds."""
        return [orjson.loads(record.value or b"") for record in await self.read("applied")]

    # ---- how it stands

    async def report(self) -> Report:
        """The audit, as it is now."""
        settings = self.settings()
        reader, plain = LogReader(Link.of(settings.kafka)), plain_of(settings)
        try:
            return await audit(reader, INPUTS, read=decode_batch if plain is None else plain.decode_topic)
        finally:
            await reader.stop()

    async def settled(self, sent: int | None = None, within_s: float = SETTLED_WITHIN_S) -> Report:
        """The audit once all (and at least `sent` records) is taken and it holds; fails with what does not fit."""
        report = Report()

        async def holds() -> bool:
            nonlocal report
            report = await self.report()
            assert any(worker.child.running for worker in self.workers), f"no worker runs:\n{_said(self.workers)}"
            return not report.pending and report.holds and (sent is None or report.consumed >= sent)

        await until(holds, within_s, lambda: f"not settled, {sent} sent: {report}\n{_said(self.workers)}")
        return report

    async def places(self) -> list[Place]:
        """Every position in the store."""
        async with open_store(self.settings(), shop_definitions()) as store:
            return await admin.places(store)

    async def open_ranges(self, topic: str = "orders") -> dict[int, tuple[int, int]]:
        """The open range of each partition that has one."""
        homes = [place for place in await self.places() if place.home and place.topic == topic]
        return {place.partition: place.last_range for place in homes if place.last_range is not None}

    async def dump(self) -> bytes:
        """The state in its canonical form."""
        code, output, errors = await self.command("state", "dump")
        assert code == 0, errors
        return output.encode()


def _said(workers: Sequence[Worker]) -> str:
    return "\n".join(worker.said[-2000:] for worker in workers)


def _environ() -> dict[str, str]:
    """Without settings of the machine's user."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HEADRACE_")}


async def until(
    holds: Callable[[], bool] | Callable[[], Awaitable[bool]], within_s: float, why: Callable[[], str] = lambda: ""
) -> None:
    """Waits until it holds; fails with `why`."""
    deadline = time.monotonic() + within_s
    while True:
        answer = holds()
        if answer if isinstance(answer, bool) else await answer:
            return
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {why()}"
        await asyncio.sleep(POLL_S)


async def make_topics(stream: Stream, names: Iterable[str] = ()) -> None:
    """The topics of the registry, those that are there (and `names`) deleted before."""
    await delete_topics(stream, [*TOPICS, *names])
    await create_topics(stream.settings())


async def delete_topics(stream: Stream, names: Sequence[str]) -> None:
    """Returns when the broker tells of none of them."""
    there = set(await stream.cluster.topics()) & set(names)
    if not there:
        return
    async with stream.cluster.admin() as client:
        await client.delete_topics(sorted(there))

    async def gone() -> bool:
        return not set(await stream.cluster.topics()) & there

    await until(gone, 30.0, lambda: f"{there} are still there")


async def make_topic(stream: Stream, name: str, partitions: int) -> None:
    async with stream.cluster.admin() as client:
        await client.create_topics([NewTopic(name, partitions, 1, topic_configs=TOPICS[name].config())])


async def new_stream(children: Children, brokers: str, partitions: int = 2, name: str = "store") -> Stream:
    """A stream with empty topics and an empty store of its own, called `name` among the children."""
    stream = Stream(children, brokers, start_store(children, free_port(), name=name), partitions=partitions)
    await make_topics(stream)
    return stream


__all__ = ["Sample", "Stream", "Worker", "delete_topics", "make_topic", "make_topics", "new_stream", "until"]
