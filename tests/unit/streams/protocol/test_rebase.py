"""A topic made anew goes on with the state of the old one, once that is applied everywhere."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.protocol.places import home_shard
from streams.protocol.ports import Stop, StoreDown
from streams.protocol.rebase import rebase
from tests.simulation.links import Published, StoreLink
from tests.simulation.log import START_MS, Partition, Record
from tests.simulation.work import meaning
from tests.unit.streams.protocol.test_driver import LIMITS, TP, Bench

NEW = replace(TP, topic_id="b")


async def applied(bench: Bench) -> Bench:
    await bench.work(bench.closed, bench.hire())
    return bench


async def test_work_goes_on_in_the_new_topic_and_known_ids_are_duplicates() -> None:
    bench = await applied(Bench())
    assert await rebase(NEW, bench.store, 3, LIMITS)
    again = Record(3, START_MS, START_MS, 1000, 0, False, (b"e0",))
    other = Record(4, START_MS, START_MS, 77, 0, False, (b"e0",))
    bench.partition = Partition(NEW, 9, True, LIMITS, [again, other], 3)
    bench.published = Published()
    await bench.work(lambda: bool(bench.decided()), bench.hire(tp=NEW))
    assert bench.decided() == [4]
    assert meaning(bench.store.bags()[b"e0"])[0] == 6


async def test_a_second_run_changes_nothing() -> None:
    bench = await applied(Bench())
    assert await rebase(NEW, bench.store, 3, LIMITS)
    assert not await rebase(NEW, bench.store, 5, LIMITS)
    assert {s.genesis for s in await bench.store.where(NEW) if s} == {3}


async def test_one_that_died_half_way_is_run_again() -> None:
    bench = await applied(Bench())
    for _ in range(200):
        bench.weather.store = 0.2
        link = StoreLink(bench.store, bench.weather, lambda: 0)
        try:
            if not await rebase(NEW, link, 3, LIMITS):
                break
        except StoreDown:
            continue
    assert {s.topic_id for s in await bench.store.where(NEW) if s} == {"b"}


async def test_a_shard_that_lacks_the_end_of_the_old_topic_is_refused() -> None:
    bench = Bench()
    await bench.work(lambda: len(bench.decided()) > 3, bench.hire(most=3))
    middle = bench.store.snapshot()
    await applied(bench)
    other = next(i for i in range(3) if i != home_shard(TP.topic, TP.partition, 3))
    bench.store.restore(middle, [other])
    with pytest.raises(Stop, match="of the old topic"):
        await rebase(NEW, bench.store, 0, LIMITS)


async def test_an_open_range_is_refused_unless_it_is_given_up() -> None:
    bench = Bench()
    await bench.work(lambda: len(bench.decided()) > 0, bench.hire(most=10))
    home = bench.store.home(TP)
    assert home is not None
    assert home.open is not None
    with pytest.raises(Stop, match="--abandon"):
        await rebase(NEW, bench.store, 0, LIMITS)
    assert await rebase(NEW, bench.store, 0, LIMITS, abandon=True)


async def test_a_shard_rolled_back_behind_the_rebase_is_rebased_again_to_the_same_genesis() -> None:
    bench = await applied(Bench())
    before = bench.store.snapshot()
    await rebase(NEW, bench.store, 3, LIMITS)
    bench.store.restore(before, [home_shard(TP.topic, TP.partition, 3)])
    assert await rebase(NEW, bench.store, 8, LIMITS)
    assert {s.genesis for s in await bench.store.where(NEW) if s} == {3}


async def test_a_partition_the_store_never_saw_needs_none() -> None:
    assert not await rebase(NEW, Bench().store, 0, LIMITS)
