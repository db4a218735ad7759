"""`headrace topics` on both brokers: twice is once, nothing is made smaller, and a difference is told."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.admin import NewTopic  # type: ignore[import-untyped]  # it has no types

from schemas.settings import Settings, load
from schemas.topics import INPUTS, TOPICS
from streams.data.cluster import Cluster, ClusterError
from streams.data.topics import create_topics, listed
from streams.embedded.processes import Children
from tests.support.kafka import Kafka
from tests.support.tansu import start_tansu


def settings(address: str, **more: object) -> Settings:
    return load(kafka={"brokers": address}, **more)


async def delete_all(cluster: Cluster) -> None:
    async with cluster.admin() as admin:
        while names := [name for name in await cluster.topics() if name in TOPICS]:  # it tells of them a while yet
            await admin.delete_topics(names)


async def test_the_second_time_changes_nothing(children: Children) -> None:
    mine = settings(start_tansu(children).address)
    first = await create_topics(mine)
    again = await create_topics(mine)
    assert [made.name for made in first] == list(TOPICS)
    assert {made.what for made in first} == {"created"}
    assert {made.what for made in again} == {"there already"}
    assert {row["topic"]: row["partitions"] for row in await listed(mine)} == {m.name: m.partitions for m in first}


async def test_applied_has_one_partition_for_each_of_inputs_that_were_there_before(kafka: Kafka) -> None:
    mine = settings(kafka.address, partitions=2)
    cluster = Cluster(mine.kafka)
    await delete_all(cluster)  # what other tests left there
    async with cluster.admin() as admin:
        await admin.create_topics([NewTopic("orders", 3, 1), NewTopic("applied", 4, 1)])
    try:
        made = {made.name: made for made in await create_topics(mine)}
        assert made["applied"].partitions == 3 * len(INPUTS)
        assert made["applied"].what.startswith("grown")
        assert made["orders"].what == "there already (the settings say 2)"
        assert made["cart"].partitions == 2
    finally:
        await delete_all(cluster)


async def test_two_processes_that_create_them_at_once_leave_applied_with_one_for_each_partition(kafka: Kafka) -> None:
    cluster = Cluster(settings(kafka.address).kafka)
    await delete_all(cluster)
    try:
        await asyncio.gather(*(create_topics(settings(kafka.address, partitions=count)) for count in (2, 3)))
        there = await cluster.topics()
        assert there["applied"] >= len(INPUTS) * max(there[name] for name in INPUTS)
    finally:
        await delete_all(cluster)


async def test_a_refused_topic_is_named_with_the_brokers_reason(kafka: Kafka) -> None:
    with pytest.raises(ClusterError, match=r"topic \S+ at \S+: .*replication factor"):
        await create_topics(settings(kafka.address, replicas=3))
