"""A broker with topics of a test's own, and workers over the batch transport that write down what they were given."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]  # it has no types

from streams.protocol.ports import Tp
from streams.transport.app import make_app
from streams.transport.link import Link
from streams.transport.log import LogReader
from streams.transport.output import Output
from streams.transport.partitions import PartitionTasks
from streams.transport.profile import Profile
from streams.transport.publisher import Publisher
from streams.transport.serve import serve
from streams.transport.source import KafkaSource

PATIENCE_S = 30.0


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True)
class Place:
    """A broker under its profile."""

    address: str
    profile: Profile

    @property
    def link(self) -> Link:
        return Link(self.address)

    async def topic(self, partitions: int = 4, name: str | None = None, max_message_bytes: int = 1_048_588) -> str:
        """A topic that nobody else uses."""
        name = name or unique("topic")
        config = {"max.message.bytes": str(max_message_bytes)}
        async with self._admin() as admin:
            await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=config)])
        return name

    async def delete(self, topic: str) -> None:
        async with self._admin() as admin:
            await admin.delete_topics([topic])

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[Any]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.address)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    @asynccontextmanager
    async def log(self, **options: Any) -> AsyncIterator[LogReader]:
        log = LogReader(self.link, **options)
        try:
            yield log
        finally:
            await log.stop()

    @asynccontextmanager
    async def publisher(self, **options: Any) -> AsyncIterator[Publisher]:
        publisher = Publisher(self.link, self.profile, **options)
        try:
            yield publisher
        finally:
            await publisher.stop()


def outputs(topic: str, numbers: range, partition: int | None = None) -> list[Output]:
    """One record per number, which is its value."""
    return [Output(topic, b"key-%d" % (i % 97), b"%d" % i, offset=i, partition=partition) for i in numbers]


@dataclass
class Notebook:
    """What the workers of a group were given and have finished, shared like a store."""

    given: dict[int, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))  # (offset, slot)
    place: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def count(self) -> int:
        return sum(len(records) for records in self.given.values())

    @property
    def slots(self) -> set[int]:
        return {slot for records in self.given.values() for _, slot in records}

    def in_order_once(self) -> bool:
        """Whether each partition's records came in order, each once, none missing."""
        return all([o for o, _ in records] == list(range(len(records))) for records in self.given.values())

    async def until(self, done: Callable[[], bool], within_s: float = PATIENCE_S) -> None:
        deadline = time.monotonic() + within_s
        while not done() and time.monotonic() < deadline:  # noqa: ASYNC110 - what is waited for has no event
            await asyncio.sleep(0.02)
        assert done(), f"not within {within_s:.0f} s: {self.count} records given, places {dict(self.place)}"


@dataclass
class Worker:
    """One worker of a group over a topic; `work` is what a range costs."""

    place: Place
    topic: str
    group: str
    notes: Notebook
    slot: int = 0
    static: bool = True
    work: Callable[[Tp, Sequence[Any]], Awaitable[None]] | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Until `stopping`; raises what broke it."""
        log = LogReader(self.place.link)
        app = make_app(self.group, self.place.link, self.place.profile, slot=self.slot if self.static else None)
        self.tasks = PartitionTasks(app, self._work_on, log, idle_s=0.1).attach()

        async def agent(stream: Any) -> None:
            await self.tasks.consume(stream)

        app.agent(app.batches(self.topic), name=unique("agent"))(agent)
        try:
            await serve(app, self.tasks, self.stopping)
        finally:
            await log.stop()

    async def _work_on(self, tp: Tp, source: KafkaSource) -> None:
        place = self.notes.place[tp.partition]
        while True:
            batch = await source.next(place)
            if batch is None:
                place = self.notes.place[tp.partition]
                continue
            if self.work is not None:
                await self.work(tp, batch.records)
            self.notes.given[tp.partition] += [(record.offset, self.slot) for record in batch.records]
            place = self.notes.place[tp.partition] = batch.last + 1
            source.done(batch.last)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Worker]:
        """Runs it beside the test, and stops it in good order."""
        running = asyncio.create_task(self.run())
        try:
            yield self
        finally:
            self.stopping.set()
            await running
