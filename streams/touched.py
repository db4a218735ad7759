"""What a range touches: its fresh events in columns, and the bags of their entities, spread over the shards.

A function of the batch, the verdicts and the flow, so every call for one range lines up with every other. Bags come
back as they were; where a shard was found beyond the range its own entries are taken out again here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from features.columns import Columns, Floats2d, Ints
from features.definitions import Flow
from features.entry import ENTRY_BYTES, Own, own_of
from features.fold import Lot, fold_each
from features.group import Group
from features.join import Join, added
from features.payload import payloads
from schemas.decode import Decoded
from streams.protocol.ports import Exceptions, ShardBags
from streams.stores.keys import Part, Spread, spread

STAMP_BYTES = 8


class Touched(NamedTuple):
    """The bags of one group that a range touches."""

    group: Group
    entities: list[str]
    own: Own


@dataclass(frozen=True, slots=True)
class Joined:
    """The bags in which a range's events meet those of other flows: the entities, and the records of each."""

    join: Join
    entities: list[str]
    records: list[list[bytes]]


@dataclass(frozen=True, slots=True)
class Met:
    """One of these bags as it was found."""

    entity: str
    records: list[bytes]  # the range's own
    shard: int
    bag: bytes | None
    number: int
    whole: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """A range once its verdicts are known: the fresh events in columns, and the bags they touch."""

    exceptions: Exceptions
    fresh: Ints  # (n,) places in the batch
    offset: Ints  # (n,)
    columns: Columns
    touched: tuple[Touched, ...]
    joined: Joined | None
    spread: Spread  # of the groups in their order, then of what is joined


def plan_of(flow: Flow, shards: int, decoded: Decoded, offsets: Ints, exceptions: Exceptions, since: int) -> Plan:
    """`offsets` (n,) of the whole batch; only fresh events at offsets >= `since` become entries."""
    fresh = _fresh(offsets, exceptions)
    offset = offsets[fresh]
    events = decoded.events
    chosen = events if len(fresh) == len(events) else [events[place] for place in fresh.tolist()]
    return _plan(flow, shards, flow.columns(chosen, decoded.at_ms[fresh]), exceptions, fresh, offset, since)


def plan_apart(flow: Flow, shards: int, events: Sequence[Any], at_ms: Ints) -> Plan:
    """Of events that only ask: each as if it came alone, and none becomes an entry."""
    places = np.arange(len(events))
    columns = replace(flow.columns(events, at_ms), apart=True)
    return _plan(flow, shards, columns, {}, places, places, len(events))


def _plan(
    flow: Flow, shards: int, columns: Columns, exceptions: Exceptions, fresh: Ints, offset: Ints, since: int
) -> Plan:
    touched = tuple(Touched(group, *own_of(group, columns)) for group in flow.groups)
    start = int(offset.searchsorted(since))
    parts = [
        Part(t.group.name, ENTRY_BYTES, t.entities, payloads(t.group, t.own, len(t.entities), start)) for t in touched
    ]
    joined = None
    if (join := flow.join) is not None:
        entities, records, new = added(join, columns, start)
        joined = Joined(join, entities, records)
        parts.append(Part(join.meeting.name, None, entities, new))
    return Plan(exceptions, fresh, offset, columns, touched, joined, spread(parts, shards))


def met_by(plan: Plan, joined: Joined, bags: Sequence[ShardBags]) -> list[Met]:
    """The bags in which the range meets other flows: the last part of what is spread."""
    shards = plan.spread.owners()[-1]
    return [
        Met(entity, records, shard, bag, bags[shard].number, bags[shard].whole)
        for entity, records, shard, bag in zip(
            joined.entities, joined.records, shards, plan.spread.gather([of.bags for of in bags])[-1], strict=True
        )
    ]


def before(plan: Plan, bags: Sequence[ShardBags], shard: int) -> Sequence[bytes | None]:
    """The bags of a shard without the range's own entries: they are in them where it was found beyond the range."""
    answered = bags[shard]
    if not answered.whole:
        return answered.bags
    call = plan.spread.calls[shard]
    return [bag and _without(bag, own) for bag, own in zip(answered.bags, call.payloads, strict=True)]


def folded_by(plan: Plan, bags: Sequence[ShardBags], groups: Sequence[Group]) -> dict[str, Floats2d]:
    """The columns (n, d) of each of these groups, by its name: what the bags hold and, in order, the range's own."""
    read = {group.name for group in groups}
    number = np.array([shard.number for shard in bags], np.uint64)
    count = len(plan.touched)
    found = plan.spread.gather([before(plan, bags, shard) for shard in range(len(bags))])[:count]
    lots = [
        Lot(t.group, blobs, number[shards], t.own)
        for t, blobs, shards in zip(plan.touched, found, plan.spread.owners()[:count], strict=True)
        if t.group.name in read
    ]
    return {lot.group.name: folded for lot, folded in zip(lots, fold_each(lots), strict=True)}


def _without(bag: bytes, own: bytes) -> bytes:
    """A bag less the entries of `own`, each with its stamp; those that compaction has taken up stay."""
    for start in range(0, len(own), ENTRY_BYTES):
        at = bag.rfind(own[start : start + ENTRY_BYTES])
        if at >= STAMP_BYTES:
            bag = bag[: at - STAMP_BYTES] + bag[at + ENTRY_BYTES :]
    return bag


def _fresh(offset: Ints, exceptions: Exceptions) -> Ints:
    """Places of the records that are fresh."""
    if not exceptions:
        return np.arange(len(offset))
    excluded = np.fromiter(exceptions, np.int64, len(exceptions))
    return np.flatnonzero(~np.isin(offset, excluded))
