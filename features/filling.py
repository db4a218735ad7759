"""Filling: the bags of groups made of the past a stretch at a time, while somebody else keeps them.

A replay holds every bag it makes, for it must fold them (features/replay.py). Who only wants the bags as they are in
the end need not: the entries of a stretch are gathered here by entity, and features/grown.py adds them to the bags.
Every merge commutes and nobody asks for a bag before it is done, so neither where stretches end nor when a bag is
compacted changes what it means. The price: what is gathered between two stretches, some 100 bytes an event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from features.definitions import Flow
from features.entry import own_of, stamped
from features.group import Group
from features.payload import payloads
from features.replay import Range
from features.skew import Sample
from schemas.ids import bag_name, shard_of


class Filling:
    """`take` ranges as they were applied, `drain` what they add. `samples`, by group, are told of every event."""

    def __init__(
        self, flows: Sequence[Flow], groups: Sequence[Group], shards: int, samples: Mapping[str, Sample]
    ) -> None:
        self._flows = {flow.topic: flow for flow in flows}
        self._shards, self._samples = shards, samples
        self._added: dict[Group, dict[str, bytes]] = {group: {} for group in groups}
        self.events = 0  # since it was drained

    def take(self, range_: Range) -> None:
        """Gathers the entries of a range."""
        flow = self._flows.get(range_.topic)
        groups = [group for group in flow.groups if group in self._added] if flow else []
        if flow is None or not groups or not len(range_.events):
            return
        columns = flow.columns(range_.events, range_.at_ms)
        stamps = [number.to_bytes(8, "big") for number in range_.numbers]
        for group in groups:
            entities, own = own_of(group, columns)
            shards = [shard_of(bag_name(group.name, entity), self._shards) for entity in entities]
            added = self._added[group]
            for entity, shard, entries in zip(entities, shards, payloads(group, own, len(entities)), strict=True):
                added[entity] = added.get(entity, b"") + stamped(entries, stamps[shard])
            if group.name in self._samples:
                numbers = [range_.numbers[shard] for shard in shards]
                self._samples[group.name].take(entities, own, numbers, asks=flow.scored)
        self.events += columns.n

    def drain(self) -> Iterator[tuple[Group, Mapping[str, bytes]]]:
        """What was gathered since the last time, by group and entity."""
        self.events = 0
        for group, added in self._added.items():
            self._added[group] = {}
            if added:
                yield group, added
