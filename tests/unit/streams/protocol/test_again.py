"""The second look: what was taken in silence is told once somebody looks at the bags as they are now."""

from __future__ import annotations

import random

import pytest

from streams.protocol.again import look_again
from streams.protocol.memory import MemoryStore
from streams.protocol.observer import Silent
from streams.protocol.ports import Limits, Tp
from streams.protocol.shards import Shards
from tests.simulation.links import Published, SinkLink, SourceLink, Weather
from tests.simulation.log import START_MS, Partition, Record
from tests.simulation.meet import labelled, ordered
from tests.simulation.work import Output, Prepared, SimWork, Told

ORDERS, LABELS = Tp("orders", 0, "o"), Tp("labels", 0, "l")
ORDER_ID, FRAUD = 72, 4294967616  # event ids: the order's id follows from them, and what the label says
SHARDS = 2


class Place:
    """Orders and labels on one store; ranges are applied by hand."""

    def __init__(self, records: int = 1) -> None:
        self.store = MemoryStore(SHARDS, iter(range(1, 10**6)).__next__, Limits())
        self.told: list[Told] = []
        self.rng = random.Random(1)
        order, label = ordered(self.rng, ORDER_ID, START_MS), labelled(self.rng, FRAUD, START_MS)
        assert order[0] == label[0]
        self.partitions = {
            ORDERS: Partition(ORDERS, 0, False, Limits(), _records(ORDER_ID, order, records), meets=ordered),
            LABELS: Partition(LABELS, 1, False, Limits(), _records(FRAUD, label, records), meets=labelled),
        }

    def shards(self, tp: Tp, chunk: int = 2000) -> Shards[Record, Prepared, list[Output]]:
        partition = self.partitions[tp]
        source, work = SourceLink(partition, self.rng, 9), SimWork(partition, SHARDS, self.rng)
        return Shards(tp, self.store, source, work, Silent(), lambda: 0.0, chunk)

    async def take(self, tp: Tp, first: int, last: int, *, catchup: bool = False, again: bool = False) -> None:
        """Every shard takes a range; nothing is published."""
        partition, work = self.partitions[tp], self.shards(tp).work
        batch = partition.batch(first, last, 10**6)
        assert batch is not None
        calls = work.calls(work.prepare(batch), {}, first)
        await self.store.apply(tp, 0, first, last, b"t", calls, catchup=catchup, again=again)

    async def look(self, tp: Tp, chunk: int = 2000) -> bool:
        sink = SinkLink(Published(), Weather(self.rng), self.told.append, exactly_once=False)
        return await look_again(self.shards(tp, chunk), sink, 0)

    async def notes(self, tp: Tp) -> list[tuple[int, int] | None]:
        return [standing.again for standing in await self.store.where(tp) if standing is not None]


def _records(event_id: int, meets: tuple[str, bytes], count: int) -> list[Record]:
    more = [Record(at, START_MS, START_MS, 10**9 + at, 0, False, (), None) for at in range(1, count)]
    return [Record(0, START_MS, START_MS, event_id, 0, False, (), meets), *more]


@pytest.mark.parametrize(("first", "second"), [(ORDERS, LABELS), (LABELS, ORDERS)])
async def test_whichever_of_two_was_caught_up_last_is_told_by_either(first: Tp, second: Tp) -> None:
    place = Place()
    await place.take(first, 0, 0, catchup=True)
    await place.take(second, 0, 0, catchup=True)
    for tp in (first, second):
        assert await place.look(tp)
        assert not await place.look(tp)
    assert {told.made.name[-2:] for told in place.told} == {"-1"}
    assert len({told.made for told in place.told}) == 1


async def test_what_was_taken_as_usual_is_not_looked_at() -> None:
    place = Place()
    await place.take(LABELS, 0, 0)
    await place.take(ORDERS, 0, 0)
    assert not await place.look(ORDERS)
    assert place.told == []


async def test_a_range_that_another_owner_may_close_is_looked_at() -> None:
    place = Place()
    await place.take(LABELS, 0, 0)
    await place.take(ORDERS, 0, 0, again=True)
    assert await place.notes(ORDERS) == [(0, 0)] * SHARDS
    assert await place.look(ORDERS)
    assert len(place.told) == 1


async def test_a_chunk_is_looked_at_at_a_time_and_what_was_looked_at_is_off_the_note() -> None:
    place = Place(records=10)
    await place.take(ORDERS, 0, 9, catchup=True)
    await place.look(ORDERS, chunk=4)
    assert await place.notes(ORDERS) == [(4, 9)] * SHARDS
    await place.look(ORDERS, chunk=4)
    await place.look(ORDERS, chunk=4)
    assert await place.notes(ORDERS) == [None] * SHARDS


async def test_a_note_that_has_grown_meanwhile_stays() -> None:
    place = Place(records=10)
    await place.take(ORDERS, 0, 4, catchup=True)
    (seen, _) = await place.notes(ORDERS)
    await place.take(ORDERS, 5, 9, catchup=True)
    assert seen is not None
    await place.store.looked(ORDERS, dict.fromkeys(range(SHARDS), seen), 4)
    assert await place.notes(ORDERS) == [(0, 9)] * SHARDS
