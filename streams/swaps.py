"""Which bags of a range are folded into tiles: those over their cap, as far as growth.py says that they may be.

The price: the size of every bag of a range is looked at, and
what is in them every so many records, or at once where much in one is raw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, reduce

import numpy as np

from features.bag import stamps_of
from features.compact import compact, over_cap
from features.group import Group
from features.join import compacted
from features.join import stamps_of as chunks_of
from streams.growth import NOTHING, Growth, Known, larger, largest_of
from streams.protocol.ports import ShardBags, Swap
from streams.stores.keys import bag_key
from streams.touched import Plan, Touched, met_by


@dataclass(frozen=True, slots=True)
class _Full:
    """A bag over its cap, and the stamp up to which it may be folded."""

    group: Group
    entity: str
    blob: bytes
    below: int


def swaps_of(plan: Plan, bags: Sequence[ShardBags], growth: Growth, records: int, shards: int) -> list[Swap]:
    """The swaps of a range of so many records; tells `growth` how large its bags are."""
    groups = len(plan.touched)
    found = plan.spread.gather([shard.bags for shard in bags])[:groups]
    owners = plan.spread.owners()[:groups]
    sizes = [largest_of(t.group, blobs) for t, blobs in zip(plan.touched, found, strict=True)]
    largest = reduce(larger, sizes, NOTHING)
    growth.taken([shard.number for shard in bags], largest, records)
    if not growth.due(largest):
        return []
    known = cache(growth.known)
    full = [_full(*each, growth, known) for each in zip(plan.touched, found, owners, strict=True)]
    swaps = [swap for of_group in full if of_group for swap in _swaps(of_group, shards)]
    return swaps + _joined_swaps(plan, bags, shards, growth, known)


def _full(
    touched: Touched,
    blobs: Sequence[bytes | None],
    owners: Sequence[int],
    growth: Growth,
    known: Callable[[int], Known],
) -> list[_Full]:
    """A group's bags over their cap; `owners`: the shard of each bag."""
    found = []
    for place in over_cap(touched.group, blobs).tolist():
        shard, entity, blob = owners[place], touched.entities[place], blobs[place] or b""
        if not growth.asks(touched.group.name, entity, shard):
            continue
        below = growth.fold_below(stamps_of(touched.group, blob).tolist(), shard, known(shard))
        found.append(_Full(touched.group, entity, blob, below))
    return found


def _swaps(full: Sequence[_Full], shards: int) -> list[Swap]:
    """Of bags of one group."""
    group, below = full[0].group, np.array([bag.below for bag in full], np.uint64)
    swaps = []
    for bag, made in zip(full, compact(group, [bag.blob for bag in full], below), strict=True):
        if made is not None:
            shard, key = bag_key(group.name, bag.entity, shards)
            swaps.append(Swap(shard, key, made.prefix, made.replacement, made.newest))
    return swaps


def _joined_swaps(
    plan: Plan, bags: Sequence[ShardBags], shards: int, growth: Growth, known: Callable[[int], Known]
) -> list[Swap]:
    """Of the bags in which flows meet: few ever grow, those of an id that stands for many things."""
    joined, swaps = plan.joined, list[Swap]()
    if joined is None:
        return swaps
    meeting = joined.join.meeting
    for met in met_by(plan, joined, bags):
        if met.bag is None or len(met.bag) <= meeting.over:
            continue
        below = growth.fold_below(chunks_of(met.bag), met.shard, known(met.shard))
        if made := compacted(meeting, met.bag, below):
            shard, key = bag_key(meeting.name, met.entity, shards)
            swaps.append(Swap(shard, key, *made))
    return swaps
