"""Every bag of the state space in the order of group and entity, for `headrace state dump`.

What a bag means is for features/ to say. The keys are found with SCAN, server by server, and sorted; then the bags are
read in that order, a thousand at a time, so that a dump streams. A store that is written to meanwhile gives no one
moment's picture: stop the workers first where two dumps are to be compared. The price: all keys in memory, some 100
bytes each.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from streams.stores import keys, wire
from streams.stores.admin import scan
from streams.stores.valkey import ValkeyStore

AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Bag:
    shard: int
    group: str
    entity: str
    content: bytes


async def bags(store: ValkeyStore) -> AsyncIterator[Bag]:
    """Each bag once, by group, entity and shard."""
    async for some in batches(store):
        for bag in some:
            yield bag


async def batches(store: ValkeyStore) -> AsyncIterator[list[Bag]]:
    """The same, as they are read."""
    names = await _names(store)
    for at in range(0, len(names), AT_ONCE):
        some = names[at : at + AT_ONCE]
        asked = [(shard, wire.command("GET", b"{%d}%b:%b" % (shard, group, entity))) for group, entity, shard in some]
        found = await store.trip("dump", asked)
        yield [
            Bag(shard, group.decode(), entity.decode(), content)
            for (group, entity, shard), content in zip(some, found, strict=True)
            if content is not None
        ]


async def _names(store: ValkeyStore) -> list[tuple[bytes, bytes, int]]:
    """(group, entity, shard) of every bag, sorted: SCAN may name a key twice."""
    found: set[tuple[bytes, bytes, int]] = set()
    async for some in scan(store):
        found.update((name[2], name[3], int(name[1])) for key in some if (name := keys.BAG.fullmatch(key)))
    return sorted(found)
