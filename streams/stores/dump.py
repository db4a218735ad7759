"""Every bag of the state space, for `headrace state dump`: what it means is for features/ to say.

Read with SCAN, server by server, so a store that is written to meanwhile gives no one moment's picture: stop the
workers first where two dumps are to be compared. The price: one set of keys in memory, for SCAN may name a key twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from streams.stores import keys, wire
from streams.stores.admin import scan
from streams.stores.valkey import ValkeyStore


@dataclass(frozen=True, slots=True)
class Bag:
    shard: int
    group: str
    entity: str
    content: bytes


async def bags(store: ValkeyStore) -> AsyncIterator[Bag]:
    """Each bag once, in no order."""
    seen: set[bytes] = set()
    async for found in scan(store):
        names = {key: name for key in found if key not in seen and (name := keys.BAG.fullmatch(key))}
        seen |= names.keys()
        asked = [(int(name[1]), wire.command("GET", key)) for key, name in names.items()]
        for name, content in zip(names.values(), await store.trip("dump", asked), strict=True):
            if content is not None:
                yield Bag(int(name[1]), name[2].decode(), name[3].decode(), content)
