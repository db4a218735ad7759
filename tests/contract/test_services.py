"""The services that every other test stands on: they start, die and come back as their fixtures say."""

import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer  # type: ignore[import-untyped]  # it has no types
from aiokafka.admin import AIOKafkaAdminClient, NewTopic  # type: ignore[import-untyped]

from streams.embedded.broker import Broker, answers
from streams.embedded.store import Store
from tests.support.kafka import Kafka
from tests.support.valkey import ValkeyCluster, cluster_client


async def make_topic(address: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(name, 1, 1)])
    finally:
        await admin.close()


async def send_one(address: str, topic: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=address)
    await producer.start()
    try:
        await producer.send_and_wait(topic, b"value")
    finally:
        await producer.stop()


async def read_one(address: str, topic: str) -> bytes | None:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=address, auto_offset_reset="earliest")
    await consumer.start()
    try:
        value: bytes | None = (await consumer.getone()).value
        return value
    finally:
        await consumer.stop()


async def test_a_killed_kafka_comes_back_with_its_log(kafka: Kafka) -> None:
    await make_topic(kafka.address, "survives")
    await send_one(kafka.address, "survives")
    kafka.kill()
    assert not answers(kafka.port)
    kafka.restart()
    assert await read_one(kafka.address, "survives") == b"value"


async def test_a_continued_kafka_answers_again(kafka: Kafka) -> None:
    kafka.stop()
    try:
        assert any(not answers(kafka.port) for _ in range(10))  # a signal takes a moment to reach every thread
    finally:
        kafka.cont()
    await make_topic(kafka.address, "after-the-pause")


async def test_the_embedded_broker_passes_records_on(tansu: Broker) -> None:
    await make_topic(tansu.address, "passes")
    await send_one(tansu.address, "passes")
    assert await read_one(tansu.address, "passes") == b"value"


def test_a_killed_store_comes_back_with_all_it_acknowledged(valkey: Store) -> None:
    with redis.Redis.from_url(valkey.url) as client:
        client.set("survives", "value")
    valkey.child.kill()
    valkey.start_again()
    with redis.Redis.from_url(valkey.url) as client:
        assert client.get("survives") == b"value"
        client.delete("survives")


def test_a_killed_node_of_the_cluster_comes_back_with_its_slots(valkey_cluster: ValkeyCluster) -> None:
    with cluster_client(valkey_cluster.url) as client:
        for number in range(16):
            client.set(f"{{{number}}}key", number)
    valkey_cluster.nodes[1].child.kill()
    valkey_cluster.nodes[1].start_again()
    valkey_cluster.wait_until_whole()
    with cluster_client(valkey_cluster.url) as client:
        assert [client.get(f"{{{number}}}key") for number in range(16)] == [str(n).encode() for n in range(16)]
        for number in range(16):
            client.delete(f"{{{number}}}key")
