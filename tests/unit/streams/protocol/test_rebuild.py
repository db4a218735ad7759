"""The state again from the log, in silence, whatever is left of it."""

from __future__ import annotations

import pytest

from streams.protocol.ports import Stop, StoreDown
from streams.protocol.rebuild import Rebuild
from tests.simulation.links import SourceLink, StoreLink
from tests.simulation.log import Record
from tests.simulation.work import Decision, Prepared, Seen, SimWork, meaning
from tests.unit.streams.protocol.test_driver import LIMITS, TP, Bench


async def worked(start: int = 0) -> tuple[Bench, dict[bytes, Seen]]:
    bench = Bench(start=start)
    await bench.work(bench.closed, bench.hire(most=3))
    return bench, state(bench)


def state(bench: Bench) -> dict[bytes, Seen]:
    return {key: meaning(bag) for key, bag in bench.store.bags().items()}


def rebuild(bench: Bench) -> Rebuild[Record, Prepared, list[Decision]]:
    link = StoreLink(bench.store, bench.weather, lambda: 0)
    source = SourceLink(bench.partition, bench.rng, 4)
    return Rebuild(TP, link, source, SimWork(bench.partition, 3, bench.rng), LIMITS, "c1", b"rebuild")


async def test_an_empty_store_is_filled_without_publishing_and_the_worker_goes_on() -> None:
    bench, clean = await worked()
    decided = bench.decided()
    bench.store.restore(Bench().store.snapshot())
    await rebuild(bench).run(bench.published.rows[-1].first - 1)
    assert bench.decided() == decided
    await bench.work(bench.closed, bench.hire())
    assert state(bench) == clean
    assert set(bench.decided()[len(decided) :]) == set(
        range(bench.published.rows[-1].first, bench.published.rows[-1].last + 1)
    )


@pytest.mark.parametrize("shard", [0, 1, 2])
async def test_one_lost_shard_is_filled_and_the_others_keep_what_they_have(shard: int) -> None:
    bench, clean = await worked()
    bench.store.restore(Bench().store.snapshot(), [shard])
    await rebuild(bench).run(bench.published.rows[-1].first - 1)
    await bench.work(bench.closed, bench.hire())
    await rebuild(bench).run(-1)
    assert state(bench) == clean


async def test_one_that_died_half_way_is_run_again() -> None:
    bench, clean = await worked()
    bench.store.restore(Bench().store.snapshot())
    bench.weather.store = 0.05
    for _ in range(500):
        try:
            await rebuild(bench).run(bench.published.rows[-1].first - 1)
            break
        except StoreDown:
            continue
    bench.weather.clear()
    await bench.work(bench.closed, bench.hire())
    assert state(bench) == clean


async def test_a_log_that_lost_its_beginning_is_refused() -> None:
    bench, _ = await worked(start=5)
    bench.partition.start = 8
    with pytest.raises(Stop, match="the log begins at 8"):
        await rebuild(bench).run(9)
