"""Other people's clients beside ours: librdkafka and kafka-python write what we read, and the other way round.

Byte for byte: key, value, headers, timestamp. And on the same partitions: all hash keys by murmur2 as Java's default
partitioner does (librdkafka only where told so), so a shop may mix clients and still keep a user's events in order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

import pytest
from aiokafka.admin import NewTopic  # type: ignore[import-untyped]  # it ships no types

from schemas.ids import partition_for
from schemas.settings import Kafka
from simulation.shop import Plan, Shop, until_orders
from streams.data.cluster import Cluster
from streams.data.consume import read_all
from streams.data.record import Record
from streams.data.sender import Sender

# kafka-python reads its schemas by a function that Python 3.11 deprecates (and 3.13 no longer does).
pytestmark = pytest.mark.filterwarnings("ignore:(read|open)_text is deprecated:DeprecationWarning")

PARTITIONS = 4
START_MS = 1_768_480_496_000
HEADERS = (("ce_type", b"purchase"), ("raw", b"\x00\xff"))
Row = tuple[int, bytes | None, bytes | None, tuple[tuple[str, bytes], ...], int]  # partition, key, value, headers, ms
Write = Callable[[str, str, Sequence[Record]], None]
ReadAll = Callable[[str, str, int], list[Row]]


@pytest.fixture(params=["tansu", pytest.param("kafka", marks=pytest.mark.kafka)])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    return Cluster(Kafka(brokers=request.getfixturevalue(request.param).address))


@pytest.fixture
async def topic(cluster: Cluster) -> str:
    name = f"foreign-{uuid4().hex[:8]}"
    async with cluster.admin() as admin:
        await admin.create_topics([NewTopic(name, PARTITIONS, 1)])
    while name not in await cluster.topics():  # Kafka's controller says yes before its brokers know
        continue
    return name


def orders(topic: str) -> list[Record]:
    """Orders of many users, with a key that is not ASCII and values that are no JSON among them."""
    shop = until_orders(Shop(Plan.live(), START_MS).events(), 100)
    made = [Record(topic, event.key, event.value, HEADERS, event.at_ms) for event in shop if event.topic == "orders"]
    odd = [
        Record(topic, "u-\u00e9\u4e2d".encode(), b"\xff\x00\n", HEADERS, START_MS),
        Record(topic, b"k", b"", (), START_MS),
    ]
    return made + odd


def expected(records: Sequence[Record]) -> list[Row]:
    return sorted(
        (partition_for(r.key or b"", PARTITIONS), r.key, r.value, r.headers, r.timestamp_ms or 0) for r in records
    )


def confluent_writes(brokers: str, topic: str, records: Sequence[Record]) -> None:
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random"})
    for record in records:
        producer.produce(
            topic, value=record.value, key=record.key, headers=list(record.headers), timestamp=record.timestamp_ms or 0
        )
    assert producer.flush(30) == 0


def confluent_reads(brokers: str, topic: str, count: int) -> list[Row]:
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": brokers, "group.id": f"g-{topic}"})  # it insists on a group to assign
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in range(PARTITIONS)])
    rows: list[Row] = []
    until_s = time.monotonic() + 60
    while len(rows) < count and time.monotonic() < until_s:
        for message in consumer.consume(500, timeout=0.2):
            assert message.error() is None
            headers: Any = message.headers() or []
            partition = message.partition()
            assert partition is not None
            rows.append((partition, message.key(), message.value(), tuple(headers), message.timestamp()[1]))
    consumer.close()
    return rows


def kafka_python_writes(brokers: str, topic: str, records: Sequence[Record]) -> None:
    from kafka import KafkaProducer  # type: ignore[import-untyped]  # it ships no types

    producer = KafkaProducer(bootstrap_servers=brokers, enable_idempotence=False, acks="all")
    futures = [
        producer.send(topic, r.value, key=r.key, headers=list(r.headers), timestamp_ms=r.timestamp_ms) for r in records
    ]
    producer.flush(30)
    for future in futures:
        future.get(30)
    producer.close()


def kafka_python_reads(brokers: str, topic: str, count: int) -> list[Row]:
    from kafka import KafkaConsumer, TopicPartition

    consumer = KafkaConsumer(bootstrap_servers=brokers, auto_offset_reset="earliest", enable_auto_commit=False)
    consumer.assign([TopicPartition(topic, number) for number in range(PARTITIONS)])
    rows: list[Row] = []
    until_s = time.monotonic() + 60
    while len(rows) < count and time.monotonic() < until_s:
        for messages in consumer.poll(timeout_ms=200).values():
            rows += [
                (m.partition, m.key, m.value, tuple((name, bytes(value)) for name, value in m.headers), m.timestamp)
                for m in messages
            ]
    consumer.close()
    return rows


CLIENTS: list[Any] = [
    pytest.param(confluent_writes, confluent_reads, id="confluent-kafka"),
    pytest.param(kafka_python_writes, kafka_python_reads, id="kafka-python"),
]


@pytest.mark.parametrize(("write", "read"), CLIENTS)
async def test_what_a_foreign_client_writes_we_read_byte_for_byte_where_we_expect_it(
    cluster: Cluster, topic: str, write: Write, read: ReadAll
) -> None:
    records = orders(topic)
    write(cluster.kafka.brokers, topic, records)
    ours = [record async for batch in read_all(cluster, [topic]) for record in batch]
    rows = [(r.partition, r.key, r.value, tuple((n, v or b"") for n, v in r.headers), r.timestamp) for r in ours]
    assert sorted(rows) == expected(records)
    assert sorted(read(cluster.kafka.brokers, topic, len(records))) == expected(records)


@pytest.mark.parametrize(("write", "read"), CLIENTS)
async def test_what_we_write_a_foreign_client_reads_byte_for_byte(
    cluster: Cluster, topic: str, write: Write, read: ReadAll
) -> None:
    assert write is not None
    records = orders(topic)
    async with cluster.producer() as producer:
        sender = Sender(producer)
        await sender.send(records)
        await sender.flush()
    assert sorted(read(cluster.kafka.brokers, topic, len(records))) == expected(records)
