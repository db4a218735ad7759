"""What the real store promises beyond the contract: lifetimes, constants, versions, configurations, a clean wipe."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest
import redis

from streams.protocol.places import home_shard
from streams.protocol.ports import Limits, Stop, Verdict
from streams.stores import admin, dump, exits, keys, prepare
from streams.stores.nodes import SHARED_BYTES, Access, Down, Nodes
from streams.stores.valkey import CONFIG_TTL_MS, ValkeyStore
from streams.stores.wire import LIBRARY, command
from tests.contract.stores import (
    LIMITS,
    ORDERS,
    SESSION_TTL_MS,
    SHARDS,
    TTL_MS,
    applied,
    bag,
    begin,
    call,
    entry,
    opened,
    stamped,
)
from tests.support.valkey import cluster_client

A, B = entry(1), entry(2)
NEWER = b"\x81\xa1v\x63"  # the MessagePack map {v: 99}
Client = redis.Redis | redis.RedisCluster


def client_of(url: str, cluster: bool) -> contextlib.AbstractContextManager[Client]:
    return cluster_client(url) if cluster else redis.Redis.from_url(url)


@pytest.fixture
def client(real: ValkeyStore, url: str) -> Iterator[Client]:
    """A plain client of the same server, to look behind the store's back."""
    with client_of(url, real.nodes.cluster) as made:
        yield made


def about(ttl_ms: int) -> object:
    return pytest.approx(ttl_ms, abs=60_000)


# ---- lifetimes


async def test_a_new_bag_lives_as_long_as_its_group(real: ValkeyStore, client: Client) -> None:
    await applied(real, 0, 4, call(user_a=A, session_s=A))
    assert client.pttl("{0}user:a") == about(TTL_MS)
    assert client.pttl("{0}session:s") == about(SESSION_TTL_MS)


async def test_a_bag_touched_today_keeps_the_life_it_has(real: ValkeyStore, client: Client) -> None:
    await applied(real, 0, 4, call(user_a=A))
    client.pexpire("{0}user:a", 5_000)
    await applied(real, 5, 9, call(user_a=B))
    assert 0 < client.pttl("{0}user:a") <= 5_000


@pytest.mark.parametrize(
    "content",
    [stamped((time.time_ns() // 1000) - 86_500_000_000, 1), b"tiles", b"\xff" * 80],
    ids=["old stamp", "tiles", "nonsense"],
)
async def test_a_bag_not_touched_for_a_day_gets_a_new_life(real: ValkeyStore, client: Client, content: bytes) -> None:
    client.set("{0}user:a", content, px=5_000)
    await applied(real, 0, 4, call(user_a=B))
    assert client.pttl("{0}user:a") == about(TTL_MS)


async def test_a_bag_in_use_outlives_its_windows_however_short_they_are(url: str, client: Client) -> None:
    """Touched more often than daily: its life must be renewed all the same, before what is in it may be collected."""
    async with ValkeyStore(Access(url), SHARDS, limits=LIMITS, ttl_ms=TTL_MS, ttls_ms={"user": 2_000}) as store:
        for first in range(0, 60, 5):
            reply = await applied(store, first, first + 4, call(user_a=A))
            assert len(reply.bags[0] or b"") == 40 * first // 5
            assert client.pttl("{0}user:a") > 750
            await asyncio.sleep(0.2)


async def test_only_the_closed_list_of_keys_has_no_life_span(real: ValkeyStore, client: Client) -> None:
    await opened(real, 0, 4, {1: Verdict.DEAD}, ids=b"ids", clock_s=1)
    await applied(real, 0, 4, call(user_a=A, session_s=A))
    await real.put_config("c1", b"content")
    found = list(client.scan_iter())
    endless = {key for key in found if client.pttl(key) == -1}
    assert endless == {key for key in found if keys.WITHOUT_TTL.fullmatch(key)}
    assert len(found) > len(endless) >= SHARDS + 4  # spaces; at, home, ids, verdicts


async def test_numbers_go_on_one_by_one_where_the_clock_steps_back(real: ValkeyStore, client: Client) -> None:
    ahead = (await applied(real, 0, 4, call(user_a=A))).number + 3_600_000_000
    client.hset("{0}:at", "", str(ahead))  # given by a clock that was an hour ahead
    numbers = [(await applied(real, first, first + 4, call(user_a=A))).number for first in (5, 10)]
    assert numbers == [ahead + 1, ahead + 2]
    assert (await bag(real, call(user_a=b"")) or b"")[40:] == b"".join(stamped(number, 1) for number in numbers)
    assert client.hget("{0}:at", "") == str(ahead + 2).encode()


async def test_a_number_is_not_given_again_by_a_store_that_lost_its_tail(real: ValkeyStore, client: Client) -> None:
    earlier = await applied(real, 0, 4, call(user_a=A))
    before = client.dump("{0}:at")
    assert before is not None
    lost = await applied(real, 5, 9, call(user_a=B))
    client.restore("{0}:at", 0, before, replace=True)
    again = await applied(real, 5, 9, call(user_a=B))
    assert earlier.number < lost.number < again.number
    assert not again.repeat


# ---- constants


@pytest.mark.parametrize(
    ("shards", "limits", "constants", "named"),
    [
        (8, LIMITS, {}, "shards 16 (here 8)"),
        (32, LIMITS, {}, "shards 16 (here 32)"),
        (SHARDS, Limits(dedup_offsets=5, dedup_s=60, verdict_offsets=200), {}, "dedup_offsets 100 (here 5)"),
    ],
)
async def test_a_worker_with_other_constants_is_refused(
    real: ValkeyStore, url: str, shards: int, limits: Limits, constants: dict[str, str], named: str
) -> None:
    other = ValkeyStore(Access(url), shards, limits=limits, constants=constants, ttl_ms=TTL_MS)
    with pytest.raises(Stop, match=re.escape(named)):
        await other.prepare()
    await other.close()
    assert await real.empty()


async def test_a_constant_that_the_store_has_not_seen_yet_is_pinned_from_then_on(real: ValkeyStore, url: str) -> None:
    for currency, welcome in [("v1", True), ("v1", True), ("v2", False)]:
        store = ValkeyStore(Access(url), SHARDS, limits=LIMITS, constants={"currency": currency}, ttl_ms=TTL_MS)
        with contextlib.nullcontext() if welcome else pytest.raises(Stop, match=r"currency v1 \(here v2\)"):
            await store.prepare()
        await store.close()
    assert await real.empty()


# ---- versions


@pytest.mark.parametrize("key", [keys.at_key(0), keys.home_key(0)])
async def test_a_record_newer_than_the_reader_is_refused(real: ValkeyStore, client: Client, key: bytes) -> None:
    partition = next(number for number in range(999) if home_shard("orders", number, SHARDS) == 0)
    tp = replace(ORDERS, partition=partition)
    client.hset(key.decode(), f"orders/{partition}", NEWER)
    with pytest.raises(Stop, match="has format 99 and this worker reads up to 1: start a newer headrace"):
        await (begin(real, 0, tp=tp) if key == keys.home_key(0) else applied(real, 0, 4, call(), tp=tp))


def library_of(revision: int) -> str:
    _, source = prepare.library()
    return re.sub(r"(?m)^local REVISION = \d+", f"local REVISION = {revision}", source)


async def load_everywhere(store: ValkeyStore, source: str) -> None:
    for node in await store.nodes.primaries():
        await store.nodes.ask(node, "FUNCTION", "LOAD", "REPLACE", source)


async def revisions(store: ValkeyStore) -> set[int]:
    return {await prepare.revision_at(store.nodes, node) for node in await store.nodes.primaries()}


async def test_older_functions_are_replaced_and_newer_ones_are_left(real: ValkeyStore) -> None:
    ours, _ = prepare.library()
    await load_everywhere(real, library_of(ours - 1))
    await real.prepare()
    assert await revisions(real) == {ours}
    await load_everywhere(real, library_of(ours + 1))
    await real.prepare()
    assert await revisions(real) == {ours + 1}
    await load_everywhere(real, library_of(ours))


async def test_functions_that_were_lost_are_loaded_before_the_next_call(real: ValkeyStore) -> None:
    for node in await real.nodes.primaries():
        await real.nodes.ask(node, "FUNCTION", "DELETE", LIBRARY)
    with pytest.raises(Down, match="does not have our functions yet"):
        await begin(real, None)
    await opened(real, 0, 4)


@pytest.mark.parametrize(
    ("server", "memory", "fault"),
    [
        ({"redis_version": "7.0.15"}, {}, "is redis 7.0.15: want at least valkey 8.0 or redis 7.2"),
        ({"redis_version": "7.2.4", "valkey_version": "7.2.5"}, {}, "is valkey 7.2.5"),
        ({"redis_version": "8.0.1"}, {"maxmemory_policy": "allkeys-lru"}, "has maxmemory-policy allkeys-lru"),
    ],
)
def test_a_server_that_does_not_fit_is_refused(server: dict[str, str], memory: dict[str, str], fault: str) -> None:
    with pytest.raises(Stop, match=re.escape(fault)):
        prepare.check_server("here:6379", server, memory)


@pytest.mark.parametrize("server", [{"redis_version": "7.2.0"}, {"redis_version": "7.2.4", "valkey_version": "8.0.0"}])
def test_the_oldest_servers_that_fit_are_taken(server: dict[str, str]) -> None:
    prepare.check_server("here:6379", server, {"maxmemory_policy": "noeviction"})


# ---- configurations


async def test_a_configuration_is_kept_and_its_life_renewed_by_use(real: ValkeyStore, client: Client) -> None:
    assert await real.get_config("c1") is None
    await real.put_config("c1", b"\x00content")
    _, key = keys.config_key("c1", SHARDS)
    client.pexpire(key.decode(), 5_000)
    assert await real.get_config("c1") == b"\x00content"
    assert client.pttl(key.decode()) == about(CONFIG_TTL_MS)


# ---- what an operator asks


async def test_every_position_can_be_read(real: ValkeyStore) -> None:
    await opened(real, 3, 4, genesis=3)
    await applied(real, 3, 4, call(2), genesis=3)
    home = home_shard("orders", 1, SHARDS)
    assert await admin.places(real) == sorted(
        [
            admin.Place("orders", 1, ORDERS.topic_id, 2, False, 3, 5, (3, 4)),
            admin.Place("orders", 1, ORDERS.topic_id, home, True, 3, 5, (3, 4)),
        ],
        key=lambda place: place.shard,
    )


async def test_how_full_each_server_is_can_be_read(real: ValkeyStore) -> None:
    found = await admin.fullness(real)
    assert len(found) == len(await real.nodes.primaries())
    assert sum(one.keys for one in found) == SHARDS
    assert all(one.used_bytes > 0 and one.most_bytes == 0 for one in found)


async def test_a_dump_gives_every_bag_once(real: ValkeyStore) -> None:
    numbers = [(await applied(real, 0, 4, call(n, user_a=entry(n), card_b=B))).number for n in range(SHARDS)]
    found = [one async for one in dump.bags(real)]
    assert sorted(found, key=lambda one: (one.group, one.shard)) == [
        *[dump.Bag(n, "card", "b", stamped(numbers[n], 2)) for n in range(SHARDS)],
        *[dump.Bag(n, "user", "a", stamped(numbers[n], n)) for n in range(SHARDS)],
    ]


async def test_a_wipe_leaves_strangers_keys_and_an_empty_state_space(real: ValkeyStore, client: Client) -> None:
    client.set("{0}stranger", "1")
    client.set("{99}user:a", "1")  # no shard of ours
    await opened(real, 0, 4, ids=b"ids")
    await applied(real, 0, 4, call(user_a=A))
    await real.put_config("c1", b"content")
    await admin.wipe(real)
    assert sorted(client.scan_iter()) == [b"{0}stranger", b"{99}user:a"]
    assert await real.empty()  # and the constants are there again
    assert client.hget("{3}:space", "shards") == b"16"
    assert await bag(real, call(user_a=b"")) is None


async def test_a_wipe_cut_short_keeps_workers_out_until_it_is_run_again(
    real: ValkeyStore, url: str, client: Client
) -> None:
    client.hset("{5}:space", prepare.WIPE, "unfinished")
    other = ValkeyStore(Access(url), SHARDS, limits=LIMITS, ttl_ms=TTL_MS)
    with pytest.raises(Stop, match="run `headrace state rebuild --from-scratch` again"):
        await other.prepare()
    await admin.wipe(other)
    await other.prepare()
    await other.close()
    assert await real.empty()


async def test_a_wipe_reaches_shards_that_this_worker_has_not(real: ValkeyStore, url: str, client: Client) -> None:
    await applied(real, 0, 4, call(15, user_a=A))
    fewer = ValkeyStore(Access(url), 4, limits=LIMITS, ttl_ms=TTL_MS)
    await admin.wipe(fewer)
    await fewer.close()
    assert list(client.scan_iter()) == []


async def test_of_large_calls_the_first_is_answered_before_the_next_is_sent(url: str) -> None:
    """A server answers nobody before it has served all whose calls it has read: the first would wait for the last."""
    sent = list[None]()
    nodes = Nodes(Access(url), SHARDS, lambda: sent.append(None))
    large = command("SET", keys.bag_key("user", "large", SHARDS)[1], b"x" * SHARED_BYTES, "PX", 1000)
    shard = keys.bag_key("user", "large", SHARDS)[0]

    async def asked() -> int:
        await nodes.trip([(shard, large)])
        return len(sent)

    try:
        first, second, third = await asyncio.gather(asked(), asked(), asked())
        assert (first, second, third) == (1, 2, 3)
    finally:
        await nodes.close()


async def test_what_the_watchdog_ended_is_numbered_by_the_server_and_kept_as_far_as_it_goes(real: ValkeyStore) -> None:
    trip = partial(real.trip, "exits")
    assert await exits.newest(trip) == []
    adding = [exits.add(trip, 1_000 + n, f"worker-{n % 3}", f"orders/{n} has not moved") for n in range(130)]
    await asyncio.gather(*adding)
    found = await exits.newest(trip)
    assert [one.number for one in found] == list(range(31, 131))
    assert found[-1].what.endswith("has not moved")
    assert await exits.newest(trip, 128) == found[-2:]
    assert await exits.newest(trip, 130) == []
