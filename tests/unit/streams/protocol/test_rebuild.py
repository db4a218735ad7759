"""The state again from the log, in silence, whatever is left of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.protocol.ports import Begin, Proposal, Stop, StoreDown, Tp, Unsaid
from streams.protocol.rebase import rebase
from streams.protocol.rebuild import Rebuild
from tests.simulation.links import Published, SourceLink, StoreLink
from tests.simulation.log import START_MS, Partition, Record
from tests.simulation.work import Output, Prepared, Seen, SimWork, meaning
from tests.unit.streams.protocol.test_driver import LIMITS, TP, Bench
from tests.unit.streams.protocol.test_rebase import NEW


async def worked(start: int = 0) -> tuple[Bench, dict[bytes, Seen]]:
    bench = Bench(start=start)
    await bench.work(bench.closed, bench.hire(most=3))
    return bench, state(bench)


def state(bench: Bench) -> dict[bytes, Seen]:
    return {key: meaning(bag) for key, bag in bench.store.bags().items()}


def rebuild(bench: Bench) -> Rebuild[Record, Prepared, list[Output]]:
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


async def test_ids_from_before_a_rebase_are_still_duplicates_to_a_shard_that_lost_everything() -> None:
    bench, _ = await worked()
    await rebase(NEW, bench.store, 3, LIMITS)
    after = bench.store.snapshot()
    again = Record(3, START_MS, START_MS, 1000, 0, False, (b"e0", b"e1", b"e2"))
    bench.partition = Partition(NEW, 9, True, LIMITS, [again, replace(again, offset=4, event_id=77)], 3)
    bench.published = Published()
    await bench.work(lambda: bool(bench.decided()) and _closed(bench), bench.hire(tp=NEW))
    clean = state(bench)
    other = next(i for i in range(3) if not bench.store.shard(i).homes)
    bench.store.restore(after, [other])
    link = Forgetful(bench.store, bench.weather, lambda: 0)
    source, work = SourceLink(bench.partition, bench.rng, 4), SimWork(bench.partition, 3, bench.rng)
    await Rebuild(NEW, link, source, work, LIMITS, "c1", b"rebuild").run(-1)
    assert state(bench) == clean


def _closed(bench: Bench) -> bool:
    home = bench.store.home(NEW)
    return home is not None and home.open is None


class Forgetful(StoreLink):
    """A store whose log of verdicts reaches back nowhere."""

    async def verdicts(self, tp: Tp, first: int, last: int) -> Unsaid:  # noqa: ARG002
        return Unsaid(10**9, 10**9)


async def test_a_store_emptied_under_a_log_that_retention_emptied_goes_on_where_the_log_does() -> None:
    bench, _ = await worked()
    bench.store.restore(Bench().store.snapshot())
    bench.partition.records, bench.partition.start = [], 40
    await rebuild(bench).run(bench.published.rows[-1].first - 1)
    bench.partition.records = [Record(41, START_MS, START_MS, 99, 0, False, (b"e0",))]
    await bench.work(bench.closed, bench.hire())
    assert bench.decided()[-1] == 41


async def test_one_that_died_as_it_founded_home_is_run_again() -> None:
    bench, clean = await worked()
    bench.store.restore(Bench().store.snapshot())
    nothing = Proposal(-1, {}, b"", 0)
    await bench.store.begin(TP, Begin(-1, nothing, 0, 0, "c1", b"died"))
    await rebuild(bench).run(bench.published.rows[-1].first - 1)
    await bench.work(bench.closed, bench.hire())
    assert state(bench) == clean
