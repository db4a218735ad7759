"""Bags that are filled from the past mean what they would have meant had the group been there from the start."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from features.compact import canonical
from features.definitions import Definitions
from features.filling import Filling
from features.group import Group
from features.grown import grown
from features.replay import Range
from streams.past.feed import Feed
from streams.protocol.ports import Verdict
from streams.stores import keys
from tests.properties.test_replay import GROUPS, Begin, Squeeze, Step, lived, steps
from tests.support.past import SHARDS, WHERE, Live, MemoryPast, Record, definitions

Bags = dict[tuple[str, str], bytes]


def doubled(past: MemoryPast) -> MemoryPast:
    """The same log with every record in it twice in its range, the second one a duplicate."""
    found = MemoryPast()
    for partition, rows in past.rows_of.items():
        at = 0
        for row in rows:
            records = [one for one in past.kept[partition] if row.first <= one.offset <= row.last]
            twice = [Record(at + place, one.value) for place, one in enumerate([*records, *records])]
            again = dict.fromkeys(range(at + len(records), at + len(twice)), Verdict.DUPLICATE)
            found.add(twice, replace(row, first=at, last=at + len(twice) - 1, exceptions=again, horizon=at))
            at += len(twice)
    return found


async def ranges(past: Any, of: Definitions) -> list[Range]:
    feed = Feed(past, of)
    await feed.open()
    await feed.line(0.0)
    return [range_ async for range_ in feed.ranges()]


def filled(past: Any, groups: Mapping[str, Group], stretch: int) -> Bags:
    """The bags, put away every so many events, which is also when they are compacted."""
    bags: Bags = {}
    flows = definitions().flows
    filling = Filling(flows, list(groups.values()), SHARDS, {})

    def put_away() -> None:
        for group, added in filling.drain():
            full = grown(group, [bags.get((group.name, entity)) for entity in added], list(added.values()))
            bags.update(zip([(group.name, entity) for entity in added], full, strict=True))

    for range_ in asyncio.run(ranges(past, definitions())):
        filling.take(range_)
        if filling.events >= stretch:
            put_away()
    put_away()
    return bags


def kept(live: Live) -> Bags:
    """What is in the store."""
    found: Bags = {}
    for key, bag in live.store.bags().items():
        name = keys.BAG.fullmatch(key)
        if name and bag:
            found[name[2].decode(), name[3].decode()] = bag
    return found


def meant(bags: Bags) -> dict[tuple[str, str], dict[str, Any]]:
    return {name: canonical(GROUPS[name[0]], bag) for name, bag in bags.items()}


@given(schedule=steps, stretch=st.sampled_from([1, 3, 10, 1_000]), twice=st.booleans())
@settings(max_examples=200, deadline=None)
def test_filled_from_the_log_is_as_if_it_had_always_been_there(
    schedule: list[Begin | Step | Squeeze], stretch: int, twice: bool
) -> None:
    live = lived(schedule)
    list(live.through())
    past = doubled(live.log) if twice else live.log
    if not live.ranges:
        return
    assert meant(filled(past, GROUPS, stretch)) == meant(kept(live))


@given(schedule=steps)
@settings(max_examples=50, deadline=None)
def test_a_group_alone_is_filled_as_it_is_among_others(schedule: list[Begin | Step | Squeeze]) -> None:
    live = lived(schedule)
    list(live.through())
    if not live.ranges:
        return
    whole = {name: bag for name, bag in meant(kept(live)).items() if name[0] == "where"}
    assert meant(filled(live.log, {"where": WHERE}, 4)) == whole
