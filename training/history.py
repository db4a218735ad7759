"""History: the vectors of past orders, as a worker would have computed them.

The worker's own code runs here: the flow's columns, the groups' payloads, fold and compaction, the vector. Only the
store is another one, a dictionary per group, and the batches are as large as a worker's. A vector is therefore what it
would have been live, with all events before it applied and none after it. The price: 4 to 6 us an event and group, one
process, and the bags of all entities in memory (0.3 to 1 KB each).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np

from features.columns import Columns, Floats2d, Ints
from features.compact import compact, over_cap
from features.definitions import Flow
from features.entry import own_of, stamped
from features.fold import fold
from features.group import Group
from features.payload import payloads
from features.vector import Vector

BATCH: Final = 2_000  # events: what a worker takes at most


class Bags:
    """What a store keeps of one group, in memory: entity -> bag."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self._bags: dict[str, bytes] = {}
        self._number = 0

    def __len__(self) -> int:
        return len(self._bags)

    def fold_in(self, columns: Columns) -> Floats2d:
        """(n, len(group.columns)) aggregates of the events, each with those before it; then they are in the bags."""
        entities, own = own_of(self.group, columns)
        self._number += 1
        bags = [self._bags.get(entity) for entity in entities]
        folded = fold(self.group, bags, np.full(len(entities), self._number, np.uint64), own)
        stamp = self._number.to_bytes(8, "big")
        for entity, bag, added in zip(entities, bags, payloads(self.group, own, len(entities)), strict=True):
            self._bags[entity] = (bag or b"") + stamped(added, stamp)
        self._compact(entities)
        return folded

    def _compact(self, entities: Sequence[str]) -> None:
        bags = [self._bags[entity] for entity in entities]
        long = over_cap(self.group, bags).tolist()
        limit = np.full(len(long), self._number + 1, np.uint64)
        for place, shorter in zip(long, compact(self.group, [bags[place] for place in long], limit), strict=True):
            if shorter is not None:
                self._bags[entities[place]] = shorter.replacement + bags[place][len(shorter.prefix) :]


def vectors(flow: Flow, vector: Vector, batches: Iterable[tuple[Sequence[Any], Ints]]) -> Iterator[Floats2d]:
    """(n, d) for each batch of the flow's decoded events with their times, in the order in which they happened."""
    bags = [Bags(group) for group in vector.groups]
    for events, at_ms in batches:
        columns = flow.columns(events, at_ms)
        yield vector.rows(columns, {each.group.name: each.fold_in(columns) for each in bags})
