"""What is known of an entity, read from the store as workers left it; nothing is written.

Bags are read by their keys and told by features/reading.py, so that whoever asks gets the numbers that a worker would
use. The price: one round trip for all entities that are asked for at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from features.group import Group
from features.join import Meeting, canonical
from features.reading import Reading, read
from streams.stores.keys import Part, spread
from streams.stores.valkey import ValkeyStore


async def bags_of(store: ValkeyStore, group: str, ids: Sequence[str]) -> list[bytes | None]:
    """The bag of each id in a group; None where there is none. Ids are distinct."""
    asked = spread([Part(group, None, ids, [b""] * len(ids))], store.shards)
    (found,) = asked.gather(await store.read(asked.calls))
    return found


async def readings(store: ValkeyStore, group: Group, ids: Sequence[str], at_ms: int) -> list[Reading | None]:
    """What a group tells of each id at `at_ms`; None where the store has nothing of it."""
    bags = await bags_of(store, group.name, ids)
    told = read(group, bags, at_ms)
    return [None if bag is None else one for bag, one in zip(bags, told, strict=True)]


async def meant(store: ValkeyStore, meeting: Meeting, entity: str) -> dict[str, Any] | None:
    """What a bag in which flows meet says; None where there is none."""
    (bag,) = await bags_of(store, meeting.name, [entity])
    return None if bag is None else canonical(meeting, bag)
