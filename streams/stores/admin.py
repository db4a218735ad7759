"""What an operator asks of the state space: where every partition stands, how full it is, and to make it empty."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from streams.stores import keys, wire
from streams.stores.nodes import Node, Nodes
from streams.stores.prepare import WIPE, told
from streams.stores.valkey import ValkeyStore

SCAN_KEYS = 1000


@dataclass(frozen=True, slots=True)
class Place:
    """Where one shard stands in one partition; of a home, the begun position and the open range."""

    topic: str
    partition: int
    topic_id: str
    shard: int
    home: bool
    genesis: int
    position: int
    last_range: tuple[int, int] | None  # home: the open range; else: the range last applied


async def places(store: ValkeyStore) -> list[Place]:
    """Every position of every partition, by topic, partition, shard; home after the shard's own."""
    asked = [
        (shard, wire.call("standings", (keys.at_key(shard), keys.home_key(shard)))) for shard in range(store.shards)
    ]
    found = [
        _place(shard, *record) for shard, reply in enumerate(await store.trip("places", asked)) for record in reply
    ]
    return sorted(found, key=lambda place: (place.topic, place.partition, place.shard, place.home))


def _place(
    shard: int, field: bytes, home: int, topic_id: bytes, genesis: int, position: int, first: int, last: int
) -> Place:
    topic, _, partition = field.decode().rpartition("/")
    range_ = (first, last) if first >= 0 else None
    return Place(topic, int(partition), topic_id.decode(), shard, bool(home), genesis, position, range_)


@dataclass(frozen=True, slots=True)
class Fullness:
    """Of one server."""

    server: str
    version: str
    keys: int
    used_bytes: int
    most_bytes: int  # maxmemory; 0: no limit of its own
    append_only: bool


async def fullness(store: ValkeyStore) -> list[Fullness]:
    """How full each server is, for the gauges."""
    return [await _fullness(store.nodes, node) for node in await store.nodes.primaries()]


async def _fullness(nodes: Nodes, node: Node) -> Fullness:
    info = {
        name: value
        for section in ("server", "memory", "persistence")
        for name, value in told(await nodes.ask(node, "INFO", section)).items()
    }
    return Fullness(
        server=node.name,
        version=info.get("valkey_version", info["redis_version"]),
        keys=int(await nodes.ask(node, "DBSIZE")),
        used_bytes=int(info["used_memory"]),
        most_bytes=int(info["maxmemory"]),
        append_only=info.get("aof_enabled") == "1",
    )


async def others(store: ValkeyStore) -> int:
    """How many connections of Headrace processes the busiest server has beside the one that asks.

    To be asked while this process does nothing else with the store: it then has one connection to each server.
    """
    told = [await store.nodes.ask(node, "CLIENT", "LIST") for node in await store.nodes.primaries()]
    return max(sum(b" name=headrace " in line for line in lines.splitlines()) - 1 for lines in told)


async def scan(store: ValkeyStore) -> AsyncIterator[list[bytes]]:
    """The keys of the state space, a thousand or so at a time; strangers' keys are left out, a key may come twice."""
    for node in await store.nodes.primaries():
        cursor = b"0"
        while True:
            cursor, found = await store.nodes.ask(node, "SCAN", cursor, "COUNT", SCAN_KEYS)
            if ours := [key for key in found if keys.shard_of_ours(key) is not None]:
                yield ours
            if cursor == b"0":
                break


async def wipe(store: ValkeyStore) -> int:
    """Deletes the whole state space, positions first, so that a worker that still runs stops; returns how many keys.

    One that is cut short leaves a mark that no worker starts with, until it is run again. Constants go last, and are
    written anew by the next call; a space that was made with more shards is wiped whole.
    """
    shards = max(store.shards, await _shards_made(store))
    nodes = Nodes(store.nodes.access, shards)
    try:
        every = range(shards)
        await nodes.trip([(n, wire.command("HSET", keys.space_key(n), WIPE, "unfinished")) for n in every])
        await nodes.trip([(n, wire.command("UNLINK", keys.at_key(n), keys.home_key(n))) for n in every])
        gone = 0
        async for found in scan(store):
            named = [(keys.shard_of_ours(key), key) for key in found]
            rest = [(n, key) for n, key in named if n is not None and n < shards and key != keys.space_key(n)]
            if rest:
                gone += sum(await nodes.trip([(n, wire.command("UNLINK", key)) for n, key in rest]))
        await nodes.trip([(n, wire.command("UNLINK", keys.space_key(n))) for n in every])
    finally:
        await nodes.close()
    store.unprepared()
    return gone


async def _shards_made(store: ValkeyStore) -> int:
    (made,) = await store.nodes.trip([(0, wire.command("HGET", keys.space_key(0), "shards"))])
    return int(made or 0)
