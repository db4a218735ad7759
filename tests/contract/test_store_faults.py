"""What survives when the store dies, stands still, is full or fails over: each range is whole or absent, none twice.

Feeders apply range after range to all shards, as drivers do: where the store is down they wait and say the same again.
At the end each bag must hold each range's entry once, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

import pytest
import redis

from streams.embedded.processes import LOCALHOST, Children, free_port
from streams.embedded.store import Store as Server
from streams.embedded.store import start_store
from streams.protocol.ports import Applied, ShardCall, Standing, StoreDown, Swap, Tp, Unknown
from streams.stores.nodes import Access, Down
from streams.stores.valkey import ValkeyStore
from tests.contract.stores import DAY_MS, ENTRY, ORDERS, SHARDS, applied, begin, call, entry, opened, stamped
from tests.support.valkey import ValkeyCluster, cluster_client, start_valkey

PARTITIONS = [Tp("orders", number, "id") for number in range(4)]
AWAY_S = 20.0
TURNS_OF_AN_APPLY = 500  # of the event loop; 30 do


@dataclass
class Feed:
    """Four partitions' ranges into one store, and how often it was down."""

    store: ValkeyStore
    failures: list[str] = field(default_factory=list)
    done: int = 0

    async def run(self, ranges: int) -> None:
        await asyncio.gather(*(self._partition(tp, ranges) for tp in PARTITIONS))

    async def _partition(self, tp: Tp, ranges: int) -> None:
        for first in range(ranges):
            calls = [_call(shard, tp, entry(first)) for shard in range(SHARDS)]
            while not await self._applied(tp, first, calls):  # noqa: ASYNC110  backing off, as a driver does
                await asyncio.sleep(0.05)
            self.done += 1

    async def _applied(self, tp: Tp, first: int, calls: Sequence[ShardCall]) -> bool:
        try:
            replies = await self.store.apply(tp, 0, first, first, b"t", calls)
        except StoreDown as down:
            self.failures.append(getattr(down, "kind", "?"))
            return False
        assert all(isinstance(reply, Applied) for reply in replies), replies
        return True

    async def reached(self, done: int) -> None:
        while self.done < done:  # noqa: ASYNC110  a test may poll
            await asyncio.sleep(0.001)


def _call(shard: int, tp: Tp, payload: bytes) -> ShardCall:
    return ShardCall(shard, [b"{%d}user:%d" % (shard, tp.partition)], [payload], [ENTRY])


async def marks(store: ValkeyStore, tp: Tp) -> list[list[int]]:
    """Per shard, what the entries of a partition's bag say, in order."""
    bags = await store.read([_call(shard, tp, b"") for shard in range(SHARDS)])
    return [_marks(content or b"") for (content,) in bags]


def _marks(content: bytes) -> list[int]:
    step = 8 + ENTRY
    return [int.from_bytes(content[at + 8 : at + step], "little") for at in range(0, len(content), step)]


async def everything_once(store: ValkeyStore, ranges: int) -> None:
    for tp in PARTITIONS:
        assert await marks(store, tp) == [list(range(ranges))] * SHARDS
        assert [standing and standing.position for standing in await store.where(tp)] == [ranges] * SHARDS


def store_at(url: str, timeout_s: float = 5.0) -> ValkeyStore:
    return ValkeyStore(Access(url, timeout_s=timeout_s), SHARDS, ttl_ms=DAY_MS)


@pytest.fixture
def server(children: Children) -> Server:
    return start_valkey(children)


@pytest.fixture
async def store(server: Server) -> AsyncIterator[ValkeyStore]:
    async with store_at(server.url) as made:
        yield made


async def through(feed: Feed, ranges: int, *faults: Callable[[], object]) -> None:
    """Feeds, and lets each fault happen while calls are under way."""
    running = asyncio.create_task(feed.run(ranges))
    for place, fault in enumerate(faults, 1):
        await feed.reached(place * ranges * len(PARTITIONS) // (len(faults) + 1))
        happening = fault()
        if inspect.isawaitable(happening):
            await happening
    await asyncio.wait_for(running, AWAY_S)


async def killed(server: Server, feed: Feed) -> None:
    """A kill while applies are under way, certainly: what a server at a standstill is asked, it has yet to answer.

    A plain kill may fall just after an answer, before the next question: the client then notices the lost connection,
    prepares again, and no apply has failed.
    """
    failed = len(feed.failures)
    stop(server)
    await turns()
    server.start_again()  # kills first
    deadline = time.monotonic() + AWAY_S  # not turns: the kernel tells of the end when the machine has time for it
    while "unreachable" not in feed.failures[failed:]:
        assert time.monotonic() < deadline, "no apply was under way"
        await asyncio.sleep(0.01)


def stop(server: Server) -> None:
    server.child.stop()
    os.waitid(os.P_PID, server.child.pid, os.WSTOPPED | os.WNOWAIT)  # by then it stands still


async def turns() -> None:
    """From one answer until the next question is sent."""
    for _ in range(TURNS_OF_AN_APPLY):
        await asyncio.sleep(0)


async def test_a_store_killed_in_the_middle_of_applies_has_each_range_whole_or_not_at_all(
    server: Server, store: ValkeyStore
) -> None:
    feed = Feed(store)
    await through(feed, 150, *[lambda: killed(server, feed)] * 3)
    await everything_once(store, 150)


async def test_a_store_that_stands_still_for_3_s_is_waited_for(server: Server) -> None:
    async with store_at(server.url) as store:
        feed = Feed(store)
        await through(feed, 60, lambda: _still(server, 3.0))
        await everything_once(store, 60)
        assert feed.failures == []


async def test_calls_that_time_out_and_run_later_after_all_change_nothing_twice(server: Server) -> None:
    async with store_at(server.url, timeout_s=0.3) as store:
        feed = Feed(store)
        await through(feed, 60, lambda: _still(server, 1.0))
        await everything_once(store, 60)
        assert "timeout" in feed.failures


async def _still(server: Server, seconds: float) -> None:
    server.child.stop()
    try:
        await asyncio.sleep(seconds)
    finally:
        server.child.cont()


async def test_a_full_store_takes_nothing_loses_nothing_and_goes_on_when_there_is_room(
    server: Server, store: ValkeyStore
) -> None:
    await opened(store, 0, 4, ids=b"ids")
    one = await applied(store, 0, 4, call(user_a=entry(1)))
    await applied(store, 5, 9, call(user_b=entry(1)))
    with redis.Redis.from_url(server.url) as client:
        client.config_set("maxmemory", "1mb")
        for attempt in (begin(store, 5, published=4), applied(store, 10, 14, call(user_a=entry(2)))):
            with pytest.raises(Down, match="OOM") as refused:
                await attempt
            assert refused.value.kind == "full"
        assert (await store.where(ORDERS))[0] == Standing(ORDERS.topic_id, 0, 10)
        assert await store.ids(ORDERS) is not None
        swap = Swap(0, b"{0}user:a", stamped(one.number, 1), b"T", one.number)
        assert await store.swap([swap]) == 1  # it makes room
        client.config_set("maxmemory", "0")
    assert (await applied(store, 10, 14, call(user_a=entry(2)))).bags == [b"T"]


async def test_a_store_that_came_back_empty_is_prepared_anew_and_says_that_it_knows_nothing(
    children: Children,
) -> None:
    server = start_store(children, free_port(), {"appendonly": "no"})
    async with store_at(server.url) as store:
        await opened(store, 0, 4)
        server.start_again()
        with contextlib.suppress(StoreDown):  # the lost connection may be noticed before the call is sent, or by it
            assert await begin(store, None) == Unknown()
        assert await store.empty()
        with redis.Redis.from_url(server.url) as client:
            assert client.hget("{0}:space", "shards") == b"16"


async def test_a_node_of_the_cluster_is_killed_and_comes_back(valkey_cluster: ValkeyCluster) -> None:
    with cluster_client(valkey_cluster.url) as client:
        client.flushall(target_nodes=redis.RedisCluster.PRIMARIES)
    async with store_at(valkey_cluster.url) as store:
        feed = Feed(store)
        await through(feed, 60, *[lambda node=node: killed(node, feed) for node in valkey_cluster.nodes[::2]])
        valkey_cluster.wait_until_whole()
        await everything_once(store, 60)


async def test_a_replica_takes_over_from_a_killed_primary(children: Children) -> None:
    primary, replica = primary_and_replica(children)
    async with store_at(primary.url) as store:
        feed = Feed(store)
        with redis.Redis.from_url(replica.url) as client:

            def fail_over() -> None:
                client.execute_command("CLUSTER FAILOVER")  # waits for the replica to have all

            def kill() -> None:
                until_it_says(client, "INFO replication", "role:master")
                primary.child.kill()

            await through(feed, 60, fail_over, kill)
        await everything_once(store, 60)
        assert feed.failures
        assert [node.name for node in await store.nodes.primaries()] == [f"{LOCALHOST}:{replica.port}"]


def primary_and_replica(children: Children) -> tuple[Server, Server]:
    """A cluster of one primary with all slots, and its replica."""
    buses = [free_port(), free_port()]
    config = {"cluster-enabled": "yes", "cluster-node-timeout": "1000", "cluster-announce-ip": LOCALHOST}
    config |= {"cluster-config-file": "nodes.conf", "repl-diskless-sync-delay": "0"}
    nodes = [
        start_store(children, free_port(), {**config, "cluster-port": str(bus)}, name=f"half-{place}")
        for place, bus in enumerate(buses)
    ]
    with redis.Redis.from_url(nodes[0].url) as first, redis.Redis.from_url(nodes[1].url) as second:
        first.execute_command("CLUSTER ADDSLOTSRANGE", 0, 16383)
        first.execute_command("CLUSTER MEET", LOCALHOST, nodes[1].port, buses[1])
        until_it_says(second, "CLUSTER INFO", "'cluster_size': '1'")
        second.execute_command("CLUSTER REPLICATE", first.execute_command("CLUSTER MYID"))
        until_it_says(second, "INFO replication", "master_link_status:up")
    return nodes[0], nodes[1]


def until_it_says(client: redis.Redis, command: str, words: str) -> None:
    until = time.monotonic() + AWAY_S
    while words not in str(client.execute_command(command)):  # type: ignore[no-untyped-call]  # redis-py's
        assert time.monotonic() < until, f"{command} does not say {words}"
        time.sleep(0.02)
