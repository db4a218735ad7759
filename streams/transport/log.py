"""Reading logs beside the consumer: single fetches, bounds, topics and their ids.

The group's consumer reads forward; recovery needs the rest: an open range again, the newest rows of `applied`, where a
log starts and ends. Each is one or a few requests without any state here, so any number of partitions share one
connection. Records of aborted transactions are never seen. The price: requests are built by hand, as aiokafka's
fetcher builds them.

An end is the fetch's own high watermark (stable offset), since the embedded broker's ListOffsets is wrong.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import partial
from typing import Any, TypeVar

from schemas.records import Record
from streams.protocol.ports import SinkDown, Stop
from streams.transport.admission import admitted, forbidden, not_permitted
from streams.transport.aio import (
    READ_COMMITTED,
    AIOKafkaClient,
    ConnectionGroup,
    CoordinationType,
    DescribeConfigsRequest,
    FetchRequest,
    GroupCoordinatorNotAvailableError,
    KafkaError,
    NodeNotReadyError,
    OffsetRequest,
    TopicPartition,
    UnknownTopicOrPartitionError,
    for_code,
)
from streams.transport.link import Link
from streams.transport.records import Fetched, unread
from streams.transport.release import FeaturesRequest, Release, release_of
from streams.transport.requests import PermittedRequest, StableOffsetRequest, TopicsRequest

EARLIEST, LATEST = -2, -1
CHUNK_BYTES = 4_000_000
PATIENCE_S = 30.0
BACKOFF_S = 0.05
FETCH_WAIT_MS = 2  # of a fetch where nothing is; the embedded broker answers none at all to one that does not wait
LOADED_WAIT_MS = 100  # and on a busy machine too often none to a short wait, although it tells of a further end
LOADED_TRIES = 50
TOPIC_RESOURCE, BROKER_RESOURCE = 2, 4
HIDDEN = 29  # the code of a topic that we may not even know of

UNKNOWN = -(2**31)  # no operations are told: by a broker that cannot, or was not asked

T = TypeVar("T")


class Operation(IntEnum):
    """What an ACL permits, by Kafka's numbers."""

    READ = 3
    WRITE = 4


def permits(permitted: int, operation: Operation) -> bool:
    """Whether a broker's bits hold the operation; one that does not say is believed to permit it."""
    return permitted == UNKNOWN or bool(permitted >> operation & 1)


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """A topic as the brokers know it now. Made anew, it has another id."""

    id: str
    partitions: int
    permitted: int = UNKNOWN  # a bit for each operation that this user may do with it

    def permits(self, operation: Operation) -> bool:
        """Whether we may do this with the topic."""
        return permits(self.permitted, operation)


@dataclass(frozen=True, slots=True)
class Chunk:
    """What one fetch gave: records, the position after them, and the end of what may be read."""

    records: list[Record]
    position: int
    end: int


class LogReader:
    """Stateless reads. Every method waits for the broker at most `patience_s`, then raises SinkDown."""

    def __init__(self, link: Link, *, patience_s: float = PATIENCE_S, client_id: str = "headrace-reader") -> None:
        self._link = link
        self._patience_s = patience_s
        self._client_id = client_id
        self._client: AIOKafkaClient | None = None
        self._connecting = asyncio.Lock()

    async def stop(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def cluster(self) -> str:
        """The cluster's id: what tells the embedded broker from the others."""
        return str((await self._retry("the cluster's id", lambda: self._any_node(TopicsRequest([])))).cluster_id)

    async def release(self) -> Release:
        """Which release a broker of the cluster is, as far as it tells."""
        reply = await self._retry("the broker's features", lambda: self._any_node(FeaturesRequest()))
        return release_of(reply.tags)

    async def topics(self, names: Iterable[str]) -> dict[str, TopicFacts]:
        """Those of the topics that exist. Raises Stop where we may not see one of them."""
        wanted = sorted(names)
        reply = await self._retry("the topics", lambda: self._any_node(TopicsRequest(wanted)))
        hidden = sorted(topic for error, topic, *_ in reply.topics if error == HIDDEN)
        if hidden:
            raise Stop(forbidden(f"describe topic {', '.join(hidden)}"))
        return {
            topic: TopicFacts(topic_id.hex(), len(partitions), permitted)
            for error, topic, topic_id, _, partitions, permitted, _ in reply.topics
            if error == 0
        }

    async def broker_settings(self, names: Iterable[str]) -> Mapping[str, str]:
        """Settings of one broker; empty where we may not ask."""
        return await self._retry("the broker's settings", lambda: self._describe_broker(sorted(names)))

    async def topic_settings(self, topics: Iterable[str], names: Iterable[str]) -> dict[str, Mapping[str, str]]:
        """Settings of topics, by topic; without those of which we may not ask."""
        asked = [(TOPIC_RESOURCE, topic, sorted(names)) for topic in topics]
        return await self._retry("the topics' settings", lambda: self._describe_topics(asked))

    async def coordinated(self, group: str) -> bool:
        """Whether a broker looks after the group. Of a cluster that has never had one it takes seconds from the first
        time that somebody asks.
        """

        async def ask() -> bool:
            client = await self._connected()
            try:
                await client.coordinator_lookup(CoordinationType.GROUP, group)
            except GroupCoordinatorNotAvailableError:
                return False
            return True

        return await self._retry(f"group {group}", ask)

    async def joinable(self, group: str) -> bool:
        """Whether we may be members of the group; raises Stop where we may not even know of it."""

        async def ask() -> int:
            client = await self._connected()
            node = await client.coordinator_lookup(CoordinationType.GROUP, group)
            reply = await client.send(node, PermittedRequest(group), group=ConnectionGroup.COORDINATION)
            ((error, *_, permitted),) = reply.groups
            if error:
                raise for_code(error)(f"{group}")
            return int(permitted)

        return permits(await self._retry(f"group {group}", ask), Operation.READ)

    async def committed(self, group: str, topic: str, partition: int) -> int | None:
        """The group's committed offset, after any transaction over it is settled; None where there is none."""
        what = f"the committed offset of {topic}/{partition}"
        return await self._retry(what, lambda: self._committed(group, topic, partition))

    async def bounds(self, topic: str, partition: int) -> tuple[int, int]:
        """The first offset that the log still holds, and the offset of the next record to come."""
        start, guess = await asyncio.gather(*(self._offset(topic, partition, when) for when in (EARLIEST, LATEST)))
        ask = partial(self._fetch, topic, partition, max(start, guess), 1, FETCH_WAIT_MS, least_bytes=0)
        chunk = await self._retry(f"the end of {topic}/{partition}", ask)
        return start, max(start, chunk.end)

    async def records_end(self, topic: str, partition: int) -> int:
        """The offset behind the last record that can be read, 0 where there is none: a log may end in markers."""
        async for stretch in self.backwards(topic, partition, step=1):
            if stretch:
                return stretch[-1].offset + 1
        return 0

    async def since(self, topic: str, partition: int, at_ms: int) -> int:
        """The first offset whose record is dated `at_ms` or later, the log's end where there is none.

        All records before it are older. Apache Kafka alone knows: the embedded broker's answer is not to be relied on.
        """
        found = await self._offset(topic, partition, at_ms)
        return found if found >= 0 else (await self.bounds(topic, partition))[1]

    async def fetch(self, topic: str, partition: int, offset: int, *, max_bytes: int = CHUNK_BYTES) -> Chunk:
        """What the log holds from `offset` on, at least one record where there is one."""
        what = f"{topic}/{partition} from {offset}"
        chunk = await self._retry(what, lambda: self._fetch(topic, partition, offset, max_bytes, FETCH_WAIT_MS))
        for _ in range(LOADED_TRIES):
            if chunk.position > offset or chunk.end <= offset:
                break
            chunk = await self._retry(what, lambda: self._fetch(topic, partition, offset, max_bytes, LOADED_WAIT_MS))
        return chunk

    async def read(self, topic: str, partition: int, first: int, last: int) -> list[Record]:
        """Exactly the records of first..last that the log holds."""
        start, end = await self.bounds(topic, partition)
        return await self._between(topic, partition, max(first, start), min(last, end - 1))

    async def _between(self, topic: str, partition: int, first: int, last: int) -> list[Record]:
        """The records of first..last, all of them between the log's bounds."""
        position, found = first, list[Record]()
        while position <= last:
            chunk = await self.fetch(topic, partition, position)
            if chunk.position <= position:
                break
            position = chunk.position
            found += [record for record in chunk.records if record.offset <= last]
        return found

    async def whole(self, topic: str, partition: int) -> AsyncIterator[Record]:
        """Every committed record of a partition, up to the end it had when it was asked for."""
        position, end = await self.bounds(topic, partition)
        while position < end:
            chunk = await self.fetch(topic, partition, position)
            if chunk.position <= position:
                return
            position = chunk.position
            for record in chunk.records:
                yield record

    async def backwards(self, topic: str, partition: int, *, step: int = 64) -> AsyncIterator[list[Record]]:
        """The log from its end: stretches of records, the newest stretch first, each longer than the one before."""
        start, end = await self.bounds(topic, partition)
        while end > start:
            begin = max(start, end - step)
            yield await self._between(topic, partition, begin, end - 1)
            end, step = begin, step * 4

    async def _fetch(
        self, topic: str, partition: int, offset: int, max_bytes: int, wait_ms: int, least_bytes: int = 1
    ) -> Chunk:
        """One fetch; with `least_bytes` 0 it is answered at once, and holds up nobody's behind it on the connection."""
        asked = [(topic, [(partition, offset, max_bytes)])]
        request = FetchRequest(wait_ms, least_bytes, CHUNK_BYTES, READ_COMMITTED, asked)
        reply = await self._leader(topic, partition, request)
        ((_, ((_, error, highwater, stable, _, aborted, *_, raw),)),) = reply.topics
        if error:
            raise for_code(error)(f"{topic}/{partition} at {offset}")
        fetched = Fetched(unread(raw, topic, partition, offset, aborted, READ_COMMITTED))
        end = stable if stable >= 0 else highwater
        return Chunk(fetched.take(2**31), fetched.end, end)

    async def _offset(self, topic: str, partition: int, when: int) -> int:
        async def ask() -> int:
            reply = await self._leader(
                topic, partition, OffsetRequest(-1, READ_COMMITTED, [(topic, [(partition, when)])])
            )
            ((_, ((_, error, *found),)),) = reply.topics
            if error:
                raise for_code(error)(f"{topic}/{partition}")
            return int(found[-1])

        return await self._retry(f"the bounds of {topic}/{partition}", ask)

    async def _committed(self, group: str, topic: str, partition: int) -> int | None:
        client = await self._connected()
        node = await client.coordinator_lookup(CoordinationType.GROUP, group)
        reply = await client.send(
            node, StableOffsetRequest(group, topic, partition), group=ConnectionGroup.COORDINATION
        )
        if reply.error_code:  # then it holds no topics: the coordinator is only just taking the group over
            raise for_code(reply.error_code)(f"group {group}")
        ((_, ((_, offset, _, _, error, _),), _),) = reply.topics
        if error:
            raise for_code(error)(f"group {group}, {topic}/{partition}")
        return int(offset) if offset >= 0 else None

    async def _describe_broker(self, names: list[str]) -> Mapping[str, str]:
        client = await self._connected()
        node = client.get_random_node()
        reply = await client.send(node, DescribeConfigsRequest([(BROKER_RESOURCE, str(node), names)]))
        ((error, _, _, _, entries, *_),) = reply.resources
        return {} if error else _told(entries)

    async def _describe_topics(self, asked: list[tuple[int, str, list[str]]]) -> dict[str, Mapping[str, str]]:
        reply = await self._any_node(DescribeConfigsRequest(asked))
        return {topic: _told(entries) for error, _, _, topic, entries, *_ in reply.resources if not error}

    async def _any_node(self, request: Any) -> Any:
        client = await self._connected()
        return await client.send(client.get_random_node(), request)

    async def _leader(self, topic: str, partition: int, request: Any) -> Any:
        client = await self._connected()
        tp = TopicPartition(topic, partition)
        node = client.cluster.leader_for_partition(tp)
        if node is None or node < 0:
            await client.add_topic(topic)
            await client.force_metadata_update()
            node = client.cluster.leader_for_partition(tp)
        if node is None or node < 0:
            raise UnknownTopicOrPartitionError(str(tp))
        return await client.send(node, request)

    async def _connected(self) -> AIOKafkaClient:
        async with self._connecting:
            if self._client is None:
                await admitted(self._link)
                client = AIOKafkaClient(client_id=self._client_id, **self._link.client())
                try:
                    await client.bootstrap()
                except BaseException:
                    await client.close()
                    raise
                self._client = client
            return self._client

    async def _retry(self, what: str, ask: Callable[[], Awaitable[T]]) -> T:
        """Asks until there is an answer: what a broker says that starts, stops or moves is passed over."""
        deadline, backoff_s = time.monotonic() + self._patience_s, BACKOFF_S
        while True:
            try:
                return await ask()
            except (TimeoutError, KafkaError, OSError) as error:
                if why := not_permitted(error):
                    raise Stop(f"{what}: {why}") from error
                if isinstance(error, KafkaError) and not _passing(error):
                    raise
                if time.monotonic() + backoff_s > deadline:
                    raise SinkDown(
                        f"{what}: the brokers at {self._link.brokers} have not answered for {self._patience_s:.0f} s "
                        f"({error!r}); check that they run, HEADRACE_KAFKA__BROKERS and "
                        "HEADRACE_KAFKA__SECURITY_PROTOCOL"
                    ) from error
            if self._client is not None:
                self._client.force_metadata_update()
            await asyncio.sleep(backoff_s)
            backoff_s = min(1.0, backoff_s * 2)


def _told(entries: Iterable[Sequence[Any]]) -> Mapping[str, str]:
    """The settings of a resource that have a value."""
    return {entry[0]: entry[1] for entry in entries if entry[1] is not None}


def _passing(error: KafkaError) -> bool:
    """Errors of an outage or a move, as opposed to ones that stay (no permission, an offset that is gone)."""
    return bool(error.retriable) or type(error) is KafkaError or isinstance(error, NodeNotReadyError)
