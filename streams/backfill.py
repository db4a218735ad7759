"""What `headrace features backfill` does: the bags of a group that is new, from the archive, before a worker uses it.

A worker refuses a state space whose layout is another one, and a group that is new makes it another one. So: the
workers stop; every event that the store has taken is read from the archive again, in the order in which it was applied;
the group's bags are written as they would be now; then, last of all, the layout in the store becomes that of today's
definitions, and workers of these start. Killed anywhere before, the workers of the old definitions can start as if
nothing had been, and the next run begins anew: what it writes replaces what is there.

The group must be all that is new: layout numbers of the others say so by one hash. A group that has changed is given
another name. The price: all bags of the group in memory, and the whole archive of its topics is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from archive.errors import ArchiveError
from archive.places import Place
from features.definitions import Definitions
from features.group import Group
from features.replay import Replay
from features.vector import Vector
from schemas.settings import Settings
from schemas.timestamps import rfc3339
from streams.past.archived import ArchivePast
from streams.past.feed import Feed
from streams.past.reading import Partition
from streams.protocol.ports import Stop
from streams.space import definitions_of, ttls_of
from streams.state import AtRest
from streams.stores import admin, keys, wire
from streams.stores.valkey import ValkeyStore

AT_ONCE = 1_000  # bags that are written together
ADVANCE = 20_000  # events between compactions
NOTHING = Vector((), (), lambda _, __: [])

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Filled:
    """What was done."""

    entities: int
    events: int


async def backfill(settings: Settings, place: Place, name: str, tell: Tell) -> Filled:
    """Fills group `name`; raises Stop or ArchiveError where that cannot be done, and then nothing is changed."""
    definitions = definitions_of(settings)
    group = next((group for group in definitions.groups if group.name == name), None)
    if group is None:
        raise Stop(f"no group {name!r} in the definitions: want one of {', '.join(g.name for g in definitions.groups)}")
    before = _without(definitions, group)
    async with AtRest(settings, before, prepare=False) as rest:
        await rest.nobody_works()
        if await _is_there(rest.store, before, definitions.layout):
            tell(f"group {name} is in the state space already")
            return Filled(0, 0)
        await rest.store.prepare()
        positions = await _positions(rest.store, [flow.topic for flow in definitions.flows if group in flow.groups])
        replay, events = await _read(settings, place, definitions, group, positions, tell)
        await _forget(rest.store, name)
        entities = await _write(rest.store, replay, group, ttls_of(definitions)[name])
        await _say_layout(rest.store, definitions.layout)
    return Filled(entities, events)


def _without(definitions: Definitions, group: Group) -> Definitions:
    """The same before the group was there, as far as the state space is concerned."""
    flows = tuple(
        replace(flow, scored=False, groups=tuple(one for one in flow.groups if one != group))
        for flow in definitions.flows
    )
    return Definitions(flows, NOTHING, constants=definitions.constants)


async def _is_there(store: ValkeyStore, before: Definitions, layout: str) -> bool:
    """Whether the space has the layout already; one that a run left half changed becomes the old one again.

    Raises Stop where it is neither of the two.
    """
    every = range(store.shards)
    asked = [(n, wire.command("HGET", keys.space_key(n), "layout")) for n in every]
    known = {(reply or b"").decode() for reply in await store.nodes.trip(asked)}
    if not known <= {before.layout, layout}:
        raise Stop(
            f"the state space has layout {' and '.join(sorted(known))}, without the group it would be {before.layout}: "
            "the group is not all that is new; backfill one after the other, and give one that has changed another name"
        )
    if known == {layout}:
        return True
    await _say_layout(store, before.layout)
    return False


async def _say_layout(store: ValkeyStore, layout: str) -> None:
    every = range(store.shards)
    await store.nodes.trip([(n, wire.command("HSET", keys.space_key(n), "layout", layout)) for n in every])


async def _positions(store: ValkeyStore, topics: Sequence[str]) -> Mapping[Partition, int]:
    """Up to where every shard has taken each partition; raises Stop where one is in the middle of a range."""
    found: dict[Partition, int] = {}
    for place in await admin.places(store):
        if place.topic in topics:
            partition = (place.topic, place.partition)
            if found.setdefault(partition, place.position) != place.position or (place.home and place.last_range):
                raise Stop(
                    f"{place.topic}/{place.partition}: a range is open: let a worker of the old definitions finish it "
                    "and stop it in good order"
                )
    return found


async def _read(
    settings: Settings,
    place: Place,
    definitions: Definitions,
    group: Group,
    positions: Mapping[Partition, int],
    tell: Tell,
) -> tuple[Replay, int]:
    """The group's bags, of all that was taken."""
    flows = tuple(replace(flow, scored=False, groups=(group,)) for flow in definitions.flows if group in flow.groups)
    alone = Definitions(flows, replace(NOTHING, groups=(group,)))
    feed = Feed(ArchivePast(place, [flow.topic for flow in definitions.flows], settled_s=0.0), alone)
    await feed.open()
    await feed.line(0.0)
    replay = Replay(alone, settings.shards, lifetimes_ms=ttls_of(definitions))
    reached: dict[Partition, int] = {}
    events, since = 0, 0
    async for range_ in feed.ranges():
        replay.take(range_)
        applied = range_.tag.applied
        reached[applied.topic, applied.partition] = applied.last + 1
        events, since = events + len(range_.events), since + len(range_.events)
        if since >= ADVANCE:
            replay.advance(feed.complete)
            since = 0
            tell(f"{events:,} events")
    replay.finish()
    for partition, position in positions.items():
        if position > 0 and reached.get(partition, 0) != position:
            raise ArchiveError(
                f"{partition[0]}/{partition[1]}: the store stands at offset {position}, the archive and its rows at "
                f"{reached.get(partition, 0)}: let `headrace archive` catch up, and run it again"
            )
    if feed.lost_ms >= 0:
        tell(f"what is older than {rfc3339(feed.lost_ms)} is not in the archive, and so not in the bags")
    return replay, events


async def _forget(store: ValkeyStore, name: str) -> None:
    """Bags of that name that an earlier run, or earlier definitions, have left."""
    async for some in admin.scan(store):
        named = [
            (int(found[1]), key) for key in some if (found := keys.BAG.fullmatch(key)) and found[2] == name.encode()
        ]
        if named:
            await store.nodes.trip([(shard, wire.command("UNLINK", key)) for shard, key in named])


async def _write(store: ValkeyStore, replay: Replay, group: Group, ttl_ms: int) -> int:
    count, bags = 0, replay.state(group.name)
    while some := list(islice(bags, AT_ONCE)):
        calls = []
        for entity, bag in some:
            shard, key = keys.bag_key(group.name, entity, store.shards)
            calls.append((shard, wire.command("SET", key, bag, "PX", ttl_ms)))
        await store.nodes.trip(calls)
        count += len(some)
    return count
