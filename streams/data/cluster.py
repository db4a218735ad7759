"""The way into a Kafka cluster for the commands: clients from the settings, and what is true of its logs.

The end of a partition is always the watermark that a fetch returns, never ListOffsets: on the embedded broker that
answers with the base of the last batch. One code path for both brokers; the price is one fetch per question.
Nothing here creates a topic: names are checked against the list of all topics, since asking for one by name would make
it on a broker that creates what it is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from difflib import get_close_matches
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition  # type: ignore[import-untyped]
from aiokafka.admin import AIOKafkaAdminClient  # type: ignore[import-untyped]
from aiokafka.errors import KafkaConnectionError, KafkaError  # type: ignore[import-untyped]

from schemas.settings import Kafka
from streams.transport.admission import admitted, not_permitted
from streams.transport.link import Link
from streams.transport.log import LogReader
from streams.transport.profile import EMBEDDED_CLUSTER

BATCH_BYTES = 524_288
REQUEST_BYTES = 17_000_000  # a dead letter of a 12 MB record with its headers, in one request
FETCH_WAIT_MS = 100
START_S = 15.0  # the client has tried every broker named by then
ENDS_S = 15.0


class ClusterError(Exception):
    """The cluster cannot be used as asked; the message names the thing, the value and the remedy."""


class Cluster:
    """One cluster as the settings name it. Cheap to make; connects only when asked for a client."""

    def __init__(self, kafka: Kafka) -> None:
        self.kafka = kafka
        self._admitted = False
        self._embedded: bool | None = {"kafka": False, "embedded": True}.get(kafka.profile)

    @asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        """An administrative client."""
        client = AIOKafkaAdminClient(**self._options())
        try:
            await self._started(client)
            yield client
        finally:
            await client.close()

    @asynccontextmanager
    async def producer(self) -> AsyncIterator[AIOKafkaProducer]:
        """A producer that waits for every replica; idempotent where the broker can (the embedded one cannot)."""
        client = AIOKafkaProducer(
            **self._options(),
            acks="all",
            enable_idempotence=not await self.embedded(),
            max_batch_size=BATCH_BYTES,
            max_request_size=REQUEST_BYTES,
        )
        try:
            await self._started(client)
            yield client
        finally:
            await client.stop()

    @asynccontextmanager
    async def consumer(self, places: Mapping[TopicPartition, int]) -> AsyncIterator[AIOKafkaConsumer]:
        """A reader of these partitions from these offsets on, in no group; transactions that failed are not seen."""
        client = AIOKafkaConsumer(
            **self._options(),
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=FETCH_WAIT_MS,
            max_partition_fetch_bytes=self.kafka.fetch_partition_bytes,
            isolation_level=await self.isolation(),
        )
        try:
            await self._started(client)
            client.assign(list(places))
            for tp, offset in places.items():
                client.seek(tp, offset)
            yield client
        finally:
            await client.stop()

    async def isolation(self) -> str:
        """The embedded broker knows no last stable offset, so there committed reading would see nothing new."""
        return "read_uncommitted" if await self.embedded() else "read_committed"

    async def embedded(self) -> bool:
        """Whether this is the embedded broker: what the settings say, else what the cluster calls itself."""
        if self._embedded is None:
            async with self.admin() as admin:
                self._embedded = (await admin.describe_cluster())["cluster_id"] == EMBEDDED_CLUSTER
        return self._embedded

    async def topics(self) -> dict[str, int]:
        """The partitions of every topic there is."""
        async with self.admin() as admin:
            return {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}

    async def partitions(self, names: Collection[str]) -> dict[str, int]:
        """The partitions of these topics; raises ClusterError for one that is absent, naming near names."""
        present = await self.topics()
        for name in names:
            if name not in present:
                await self._seen(name)
                near = get_close_matches(name, present, 1)
                hint = f"did you mean {near[0]}? " if near else ""
                raise ClusterError(f"no topic {name!r} at {self.kafka.brokers}: {hint}(`headrace topics create`)")
        return {name: present[name] for name in names}

    async def ends(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The offset of the next record to come of each partition; of committed records, on Apache Kafka."""
        tps = list(tps)
        if not tps:
            return {}
        async with self.consumer({}) as reader:
            reader.assign(tps)
            for tp, offset in (await reader.end_offsets(tps)).items():  # at most the end: a place to fetch from
                reader.seek(tp, offset)
            committed = await self.isolation() == "read_committed"
            end_of = reader.last_stable_offset if committed else reader.highwater
            async with asyncio.timeout(ENDS_S):
                while any(end_of(tp) is None for tp in tps):
                    await reader.getmany(timeout_ms=10)
            return {tp: int(end_of(tp)) for tp in tps}

    async def starts(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """The first offset that each partition still holds."""
        async with self.consumer({}) as reader:
            return {tp: int(offset) for tp, offset in (await reader.beginning_offsets(list(tps))).items()}

    async def _seen(self, name: str) -> None:
        """Raises Stop for a topic that is there, or may be, and that we may not know of: it is in no list."""
        if Link.of(self.kafka).secured:
            reader = LogReader(Link.of(self.kafka))
            try:
                await reader.topics([name])
            finally:
                await reader.stop()

    def _options(self) -> dict[str, Any]:
        """aiokafka's connection options."""
        return {
            **Link.of(self.kafka).client(),
            "request_timeout_ms": self.kafka.request_timeout_ms,
            "client_id": "headrace-data",
        }

    async def _started(self, client: Any) -> None:
        if not self._admitted:
            await admitted(Link.of(self.kafka))
            self._admitted = True
        try:
            async with asyncio.timeout(START_S):
                await client.start()
        except (KafkaConnectionError, TimeoutError) as error:
            raise ClusterError(
                f"no Kafka broker answers at {self.kafka.brokers}: start one with `headrace up`, or name another with "
                "HEADRACE_KAFKA__BROKERS (and TLS or a login with HEADRACE_KAFKA__SECURITY_PROTOCOL)"
            ) from error
        except KafkaError as error:
            why = not_permitted(error) or f"{error!r}"
            raise ClusterError(f"the broker at {self.kafka.brokers} refuses us: {why}") from error
